"""What a worker process is told: functions at the top of a module."""

import functools
import os

from sottovoce.clsc import Mode, TrustStore

from .clsc_world import NOW, World


@functools.cache
def _world(seed):
    return World(seed)


def load_receiver(seed, name):
    """A receiver's key, made in the worker: it is never pickled."""
    return _world(seed).receiver(name)


def load_wrong(seed):
    return _world(seed).signer()


def load_nothing():
    return b"no key"


def load_failing(text):
    """A loader whose frame holds a secret when it fails."""
    secret = text * 2
    raise RuntimeError(f"{len(secret)} bytes could not be read in process {os.getpid() > 0}")


def portable_trust(*worlds):
    """A trust store under the first world's root that goes to other processes."""
    trust = TrustStore(worlds[0].root.public_key, clock=functools.partial(int, NOW))
    for world in worlds:
        for mode in Mode:
            trust.add(world.params[mode])
    return trust
