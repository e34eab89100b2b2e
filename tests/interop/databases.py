"""The databases that the two programs share: a file of SQLite, or a database on a PostgreSQL server."""

import contextlib
import itertools
import os
import pwd
import shutil
import sqlite3
import subprocess
import time
from pathlib import Path

import psycopg

# How long a server has to start.
DEADLINE = 60

# Runs in a shell whose working directory is the server's. The server ends when the shell's input does: with the tests, however they end.
KEEPER = """
trap '' INT
cd "$(mktemp -d /tmp/phone-verify.XXXXXX)" && chmod 755 . && pwd || exit
{ "$0/initdb" --pgdata=data --username=postgres --encoding=UTF8 --locale=C --no-sync --auth=trust &&
  exec "$0/postgres" -D data -k "$PWD" -c listen_addresses= -c fsync=off -c max_connections=200; } </dev/null >log 2>&1 &
cat >/dev/null
kill -QUIT $!
wait
rm -rf "$PWD"
"""


class File:
    """A file of SQLite."""

    mark = "?"

    def __init__(self, path):
        self.path = path
        self.site = {"ENGINE": "django.db.backends.sqlite3", "NAME": str(path)}
        self.setting = ("path", str(path))

    def copy(self, template):
        """Makes this one a copy of `template`."""
        shutil.copy(template.path, self.path)

    def clear(self):
        """Leaves no table, and no file."""
        self.path.unlink(missing_ok=True)

    @contextlib.contextmanager
    def connect(self):
        """Opens the database as a third program would, and commits and closes at the end."""
        with contextlib.closing(sqlite3.connect(self.path)) as connection, connection:
            connection.row_factory = sqlite3.Row
            yield connection

    def schema(self):
        """Returns every table and index, each as the table's name, its own name and its text; SQLite's own indexes have none."""
        with self.connect() as database:
            return list(map(tuple, database.execute("SELECT tbl_name, name, sql FROM sqlite_master WHERE sql IS NOT NULL")))


class Server:
    """A PostgreSQL server that belongs to the tests."""

    def __init__(self, programs):
        self.keeper = subprocess.Popen(
            ["/bin/sh", "-c", KEEPER, programs],
            env={"PATH": "/usr/bin:/bin", "LC_ALL": "C"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            # Ctrl-C is for the tests.
            start_new_session=True,
            **unprivileged_account(),
        )
        self.directory = Path(self.keeper.stdout.readline().strip())
        self.names = (f"test_{number}" for number in itertools.count(1))
        deadline = time.monotonic() + DEADLINE
        while not self.answers():
            assert time.monotonic() < deadline, (self.directory / "log").read_text()
            time.sleep(0.05)

    def answers(self):
        try:
            self.run("SELECT 1")
        except psycopg.OperationalError:
            return False
        return True

    def run(self, statement):
        """Runs a statement that can't be in a transaction."""
        parameters = {"host": str(self.directory), "user": "postgres", "dbname": "postgres"}
        with psycopg.connect(**parameters, autocommit=True) as connection:
            connection.execute(statement)

    def stop(self):
        self.keeper.stdin.close()
        self.keeper.wait()


class ServerDatabase:
    """A database on a server."""

    mark = "%s"

    def __init__(self, server):
        self.server = server
        self.name = next(server.names)
        server.run(f"CREATE DATABASE {self.name} TEMPLATE template0")
        directory = str(server.directory)
        self.site = {
            "ENGINE": "django.db.backends.postgresql",
            "NAME": self.name,
            "HOST": directory,
            "USER": "postgres",
        }
        self.setting = ("url", f"postgresql://postgres@/{self.name}?host={directory}")

    def copy(self, template):
        """Makes this one a copy of `template`."""
        self.drop()
        self.server.run(f"CREATE DATABASE {self.name} TEMPLATE {template.name}")

    def drop(self):
        self.server.run(f"DROP DATABASE {self.name} WITH (FORCE)")

    def clear(self):
        """Leaves no table."""
        with self.connect() as database:
            database.execute("DROP SCHEMA public CASCADE; CREATE SCHEMA public")

    def connect(self):
        """Opens the database as a third program would, and commits and closes at the end."""
        return psycopg.connect(
            host=str(self.server.directory),
            user="postgres",
            dbname=self.name,
            options="-c timezone=UTC",
            row_factory=psycopg.rows.dict_row,
        )

    def schema(self):
        """Returns every table and index, each as the table's name, its own name and its text.

        The text of a table has its columns in their order, and its constraints, whose indexes are left out.
        """
        with self.connect() as database:
            parts = database.execute(
                "SELECT attrelid::regclass::text AS name, concat_ws(' ', attname, format_type(atttypid, atttypmod),"
                " attnotnull, attidentity, pg_get_expr(adbin, adrelid)) AS text"
                " FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid"
                " LEFT JOIN pg_attrdef ON adrelid = attrelid AND adnum = attnum"
                " WHERE relnamespace = 'public'::regnamespace AND relkind = 'r' AND attnum > 0 AND NOT attisdropped"
                " ORDER BY attrelid, attnum"
            ).fetchall()
            parts += database.execute(
                "SELECT conrelid::regclass::text AS name, concat_ws(' ', conname, pg_get_constraintdef(oid)) AS text"
                " FROM pg_constraint WHERE connamespace = 'public'::regnamespace AND contype <> 'n' ORDER BY conname"
            ).fetchall()
            indexes = database.execute(
                "SELECT tablename, indexname, indexdef FROM pg_indexes WHERE schemaname = 'public'"
                " AND indexname NOT IN (SELECT conname FROM pg_constraint)"
            ).fetchall()
        texts = {}
        for part in parts:
            texts[part["name"]] = texts.get(part["name"], "") + part["text"] + "\n"
        return [(name, name, text) for name, text in texts.items()] + [tuple(index.values()) for index in indexes]


def find_programs():
    """Returns the directory with the programs of this machine's PostgreSQL, if it has one."""
    versions = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    found = versions[-1] if versions else shutil.which("initdb")
    return str(Path(found).resolve().parent) if found else None


def unprivileged_account():
    """Returns who runs the server if root runs the tests, as PostgreSQL refuses to run as root."""
    if os.geteuid():
        return {}
    accounts = {account.pw_name: account for account in pwd.getpwall()}
    account = accounts.get("postgres") or accounts["nobody"]
    return {"user": account.pw_uid, "group": account.pw_gid, "extra_groups": []}
