"""Keys are made once; a round with six honest packets is sealed once and read by many tests."""

import pytest

from support.fl_federation import Federation, Sealed
from support.fl_peers import PeerWorld


@pytest.fixture(scope="session")
def fed():
    return Federation()


@pytest.fixture(scope="session")
def sealed(fed):
    """Six honest packets for a committee of five (t = 4, f = 1)."""
    return Sealed(fed)


@pytest.fixture(scope="session")
def sealed4(fed):
    """Four honest packets for a committee of four (t = 3, f = 1)."""
    return Sealed(fed, n_clients=4, n=4)


@pytest.fixture(scope="session")
def peer_world():
    return PeerWorld()
