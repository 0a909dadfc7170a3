import pytest

from support.clsc_world import World


@pytest.fixture(scope="session")
def world():
    return World()
