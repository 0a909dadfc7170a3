import pytest

from sottovoce._ext.sqlite_file import SqliteFile
from support.clsc_world import World, issuers


@pytest.fixture(autouse=True)
def _registries_are_closed(monkeypatch):
    """What a test opens and leaves open; from Python 3.13 on a connection that is only dropped warns."""
    opened, plain = [], SqliteFile.__init__

    def opening(self, *args, **options):
        opened.append(self)
        plain(self, *args, **options)

    monkeypatch.setattr(SqliteFile, "__init__", opening)
    yield
    for one in opened:
        if getattr(one, "_db", None) is not None:
            one.close()


@pytest.fixture(scope="session")
def world():
    return World()


@pytest.fixture
def both(world):
    """An issuer of names and one of pseudonyms."""
    return issuers(world)
