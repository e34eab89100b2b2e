"""Sets Django up once; gives each test a database of its own."""

import os
import shutil

import django
import pytest

if "PHONE_VERIFY_BINARY" not in os.environ:
    raise pytest.UsageError("PHONE_VERIFY_BINARY is not set; start the suite with tests/interop/run")

os.environ["DJANGO_SETTINGS_MODULE"] = "settings"
# Each test points the connection at its own file; a use before that has to fail.
os.environ["SITE_DATABASE"] = "/nonexistent/no-test-chose-a-database"
django.setup()

from django.core.management import call_command  # noqa: E402 (needs the set-up)
from django.db import connection  # noqa: E402
from support import Both  # noqa: E402


@pytest.fixture
def untouched(tmp_path):
    """Both programs, before either has made the database."""
    yield Both(tmp_path)
    connection.close()


@pytest.fixture(scope="session")
def migrated_file(tmp_path_factory):
    """A database as Django's own migrate makes it; migrating anew for each test takes the longest of it."""
    folder = tmp_path_factory.mktemp("migrated")
    both = Both(folder)
    call_command("migrate", verbosity=0)
    connection.close()
    return both.database


@pytest.fixture
def both(untouched, migrated_file):
    """Both programs on a database whose table Django's migrate made."""
    shutil.copy(migrated_file, untouched.database)
    return untouched
