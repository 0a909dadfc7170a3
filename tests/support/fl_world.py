"""The rounds' troublemakers, made once: packets that count, cheat or are junk, and headers that must not be.

Five members (t = 4, f = 1) and six honest clients; what the state machine of tests/fl deals with.
"""

import copy
import hashlib

import cbor2

from sottovoce import clsc
from sottovoce._ext.enc import enc
from sottovoce.fl import Reason, SignedHeader, revocation_digest
from sottovoce.fl import Sealed as OneSealed
from sottovoce.fl.signed import TAG_AGGREGATOR, TAG_MEMBER

from .fl_federation import CLIP, NOW, Sealed, craft, from_member

CHEATS = {
    # name: (client, options of craft)
    "packets of client 0": (6, {}),  # in place of its own; see world()
    "bad share to 1": (7, {"bad_for": [1]}),
    "packet to 4 that does not open": (8, {"spoiled_for": [4]}),
    "bad shares to 2, 3": (9, {"bad_for": [2, 3]}),
    "garbage": (10, {"garbage": True}),
}


LEAST = 4
"""Contributors in everybody's policy: one more than a header may say."""

JUNK = {
    # name: why it is refused, whenever it comes
    "stranger": Reason.SENDER,
    "revoked": Reason.SENDER,
    "key of a server": Reason.SENDER_PARAMS,
    "of another round": Reason.NOT_FOR_US,
    "of another round, under this one's name": Reason.MALFORMED,
    "copied update": Reason.MALFORMED,
    "update cut short": Reason.MALFORMED,
    "short ciphertext": Reason.MALFORMED,
    "ciphertext of another": Reason.MALFORMED,
    "no packet": Reason.NOT_FOR_US,
}
HEADERS = {
    # name of another header for this round number: what a member, a client and an aggregator say to it
    "second": (Reason.OTHER_HEADER, Reason.MODEL_REUSED, Reason.OTHER_HEADER),
    "min_contributors lowered": (Reason.POLICY, Reason.POLICY, Reason.OTHER_HEADER),
    "chosen seed": (None, None, None),  # not even a header
}


class World:
    """Everything that the machine deals with, made once; one client is revoked from the start."""

    def __init__(self, fed):
        revoked = fed.authority.pseudonym("a device that was stolen")
        gone = revoked.public_key.pid
        self.fed = fed = copy.copy(fed)
        trust = fed.trust
        fed.trust = lambda now=NOW, revoked=(): trust(now, (*revoked, gone))
        policy = fed.policy
        fed.policy = lambda **fields: policy(**{"min_contributors": LEAST, **fields})
        self.of_header = {"revoked": revocation_digest(frozenset({gone})), "min_contributors": LEAST}
        self.sealed = sealed = Sealed(fed, **self.of_header)
        header, key = sealed.header, fed.client_keys[11]
        self.proposal = SignedHeader.propose(header, fed.aggregator_keys).to_bytes()
        self.cut = {i: OneSealed(header, packet).shards() for i, packet in enumerate(sealed.packets)}
        self.second = {i: craft(fed, header, fed.client_keys[i])[0] for i in (4, 5)}
        victim = sealed.update(0)
        copied = {"member_packet": lambda j, _: victim.member_packets[j - 1]}
        self.cheats = {
            name: craft(fed, header, fed.client_keys[i], **(copied if i == 6 else options))[0]
            for name, (i, options) in CHEATS.items()
        }
        other = fed.header(round_number=3, **self.of_header)
        stale = craft(fed, other, key)[0]
        self.stale_shards = OneSealed(other, stale).shards()
        self.stale = {role: from_member(fed, other, 4, role, bytes(40)) for role in ("check", "answer")}

        def with_ciphertext(change):
            """Of an update, with another ciphertext."""
            return lambda u: enc(u.manifest.to_bytes(), change(u.ciphertext.to_bytes()), *u.member_packets)

        self.junk = {
            "stranger": craft(fed, header, fed.stranger_key)[0],
            "revoked": craft(fed, header, revoked)[0],
            "key of a server": craft(fed, header, fed.member_keys[6].sign)[0],
            "of another round": stale,
            "of another round, under this one's name": craft(fed, other, key, header_hash=header.hash)[0],
            "copied update": craft(fed, header, fed.client_keys[0], sender=key)[0],
            "update cut short": craft(fed, header, key, plaintext=lambda u: u.to_bytes()[:-1])[0],
            "short ciphertext": craft(fed, header, key, plaintext=with_ciphertext(lambda c: c[:-1]))[0],
            "ciphertext of another": craft(
                fed, header, key, plaintext=with_ciphertext(lambda _: victim.ciphertext.to_bytes())
            )[0],
            "no packet": bytes(500),
        }
        self.headers = {
            "second": self._signed(clip=CLIP / 2),
            "min_contributors lowered": self._signed(min_contributors=LEAST - 1),
            "chosen seed": self._with_seed(),
        }

    def _signed(self, **fields):
        """A header that the aggregator and all members have signed, by keys that were stolen."""
        return self.fed.sign(self.fed.header(**{**self.of_header, **fields}))

    def _with_seed(self):
        fed, header = self.fed, self.sealed.header
        body = cbor2.dumps({**cbor2.loads(header.to_bytes()), "seed": bytes(32)}, canonical=True)
        name = hashlib.sha256(enc("SOTTOVOCE-V1-HEADER", body)).digest()
        signatures = [clsc.sign(fed.member_keys[j - 1].sign, enc(TAG_MEMBER, name, j)) for j in range(1, 6)]
        fields = {
            **cbor2.loads(self.sealed.signed),
            "header": body,
            "aggregator": clsc.sign(fed.aggregator_keys.sign, enc(TAG_AGGREGATOR, name)),
            "members": signatures,
        }
        return cbor2.dumps(fields, canonical=True)
