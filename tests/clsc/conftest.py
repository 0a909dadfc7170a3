import pytest

from support.clsc_world import World, issuers


@pytest.fixture(scope="session")
def world():
    return World()


@pytest.fixture
def both(world):
    """An issuer of names and one of pseudonyms."""
    return issuers(world)
