"""Sets Django up once; gives each test a database of its own, on each engine."""

import os

import django
import pytest

if "PHONE_VERIFY_BINARY" not in os.environ:
    raise pytest.UsageError("PHONE_VERIFY_BINARY is not set; start the suite with tests/interop/run")

os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
# Each test points the connection at its own database; a use before that has to fail.
os.environ["SITE_DATABASE"] = '{"ENGINE": "django.db.backends.sqlite3", "NAME": "/nonexistent/no-test-chose-a-database"}'
django.setup()

from databases import File, Server, ServerDatabase, find_programs  # noqa: E402 (needs the set-up)
from django.core.management import call_command  # noqa: E402
from support import Both, use  # noqa: E402


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def engine(request):
    """Returns an empty database in a folder, anew with each call."""
    if request.param == "sqlite":
        yield lambda folder: File(folder / "site.sqlite3")
        return
    programs = find_programs()
    if programs is None:
        assert "PHONE_VERIFY_TEST_REQUIRE_POSTGRES" not in os.environ, "initdb is missing"
        pytest.skip("initdb is missing")
    server = Server(programs)
    yield lambda folder: ServerDatabase(server)
    use(None)
    server.stop()


@pytest.fixture
def untouched(tmp_path, engine):
    """Both programs, before either has made a table."""
    database = engine(tmp_path)
    yield Both(tmp_path, database)
    use(None)
    if isinstance(database, ServerDatabase):
        database.drop()


@pytest.fixture(scope="session")
def migrated(tmp_path_factory, engine):
    """A database as Django's own migrate makes it; migrating anew for each test takes the longest of it."""
    database = engine(tmp_path_factory.mktemp("migrated"))
    use(database)
    call_command("migrate", verbosity=0)
    use(None)
    return database


@pytest.fixture
def both(untouched, migrated):
    """Both programs on a database whose table Django's migrate made."""
    untouched.database.copy(migrated)
    return untouched
