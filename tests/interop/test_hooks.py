"""The examples of docs/hooks.md, as they are written there: only the folders are other ones."""

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from databases import File
from support import NUMBER, OTHER_NUMBER, SANDBOX_CODE, Run

PAGE = Path(__file__).parents[2] / "docs" / "hooks.md"
SETTINGS_OF_THE_SITE = """
INSTALLED_APPS += ["rest_framework", "phone_verify", "accounts"]
PHONE_VERIFICATION = {}
"""


class Example:
    """One example of the page: `documented`, such as /srv/site, is `folder` here."""

    def __init__(self, documented, folder):
        self.documented = documented
        self.folder = folder
        self.text = PAGE.read_text()

    def here(self, text):
        return text.replace(self.documented, str(self.folder))

    def write(self, name):
        """Writes the file `name` with the code that follows its name on the page."""
        path = re.escape(f"{self.documented}/{name}")
        blocks = re.findall(rf"^`{path}`:\n\n```\w+\n(.*?)^```$", self.text, re.MULTILINE | re.DOTALL)
        assert len(blocks) == 1, f"{path} stands {len(blocks)} times on the page"
        file = self.folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(self.here(blocks[0]))
        file.chmod(0o600)

    def follow(self, heading):
        """Runs the commands of the section's session and compares what they print; `…` stands for any lines."""
        section = self.text.split(f"\n## {heading}\n")[1].split("\n## ")[0]
        (session,) = re.findall(r"^```console\n(.*?)^```$", section, re.MULTILINE | re.DOTALL)
        printed = ""
        for command in re.findall(r"^\$ (.*)\n", session, re.MULTILINE):
            printed += f"$ {command}\n" + self.run(command).expect(0).stdout
        pattern = "(?:.*\n)*".join(map(re.escape, session.split("…\n")))
        assert re.fullmatch(pattern, printed), printed

    def run(self, command):
        """Runs `command` in a shell in the example's folder; stderr comes with stdout, as at a terminal."""
        binaries = [os.path.dirname(os.environ["PHONE_VERIFY_BINARY"]), os.path.dirname(sys.executable)]
        done = subprocess.run(
            ["/bin/sh", "-c", self.here(command)],
            cwd=self.folder,
            env={"HOME": str(self.folder), "PATH": ":".join([*binaries, "/usr/bin", "/bin"])},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=120,
        )
        return Run(done.returncode, done.stdout, "")

    def verify(self, number=NUMBER):
        """Sends to `number` and verifies its code."""
        self.run(f"phone-verify send {number}").expect(0)
        return self.run(f"phone-verify verify {number} {SANDBOX_CODE} --any-session")

    def rows(self, database, query):
        with File(self.folder / database).connect() as connection:
            return list(map(tuple, connection.execute(query)))


@pytest.fixture
def site(tmp_path):
    """A Django site as `startproject` and `startapp` make it, and the page's files in it."""
    example = Example("/srv/site", tmp_path)
    (tmp_path / ".venv").symlink_to(sys.prefix)
    example.run(".venv/bin/python -m django startproject project .").expect(0)
    example.run(".venv/bin/python manage.py startapp accounts").expect(0)
    with open(tmp_path / "project" / "settings.py", "a") as settings:
        settings.write(SETTINGS_OF_THE_SITE)
    for name in ["accounts/models.py", "accounts/management/commands/phone_verified.py", "phone-verify.toml"]:
        example.write(name)
    return example


def users(site):
    return site.rows(
        "db.sqlite3",
        "SELECT username, phone_number FROM auth_user LEFT JOIN accounts_profile ON user_id = auth_user.id ORDER BY 1",
    )


def test_a_verified_number_becomes_a_user_of_the_site(site):
    site.follow("A user in a Django site")
    assert users(site) == [(NUMBER, NUMBER)]
    # Neither the same code nor another one makes a second user.
    site.run(f"phone-verify verify {NUMBER} {SANDBOX_CODE} --any-session").expect(0)
    site.verify().expect(0)
    assert users(site) == [(NUMBER, NUMBER)]
    site.verify(OTHER_NUMBER).expect(0)
    assert users(site) == [(OTHER_NUMBER, OTHER_NUMBER), (NUMBER, NUMBER)]
    (password,) = {row[0][0] for row in site.rows("db.sqlite3", "SELECT password FROM auth_user")}
    assert password == "!", "an unusable password"


def test_a_name_that_somebody_else_has_is_left_to_them(site):
    site.run(".venv/bin/python manage.py makemigrations accounts").expect(0)
    site.run(".venv/bin/python manage.py migrate").expect(0)
    create = f"from django.contrib.auth.models import User; User.objects.create_user('{NUMBER}')"
    site.run(f".venv/bin/python manage.py shell --command {shlex.quote(create)}").expect(0)
    answer = site.verify().expect(20)
    assert "the hook `verified`" in answer.stdout and "IntegrityError" in answer.stdout, answer
    assert users(site) == [(NUMBER, None)]
    listed = site.run("phone-verify --format json list").expect(0)
    assert listed.line()["is_verified"] is True


def test_two_verifications_at_once_make_one_user(site):
    site.run(".venv/bin/python manage.py makemigrations accounts").expect(0)
    site.run(".venv/bin/python manage.py migrate").expect(0)
    site.run(f"phone-verify send {NUMBER}").expect(0)
    verify = f"phone-verify verify {NUMBER} {SANDBOX_CODE} --any-session"
    site.run(f"{verify} & first=$!; {verify} && wait $first").expect(0)
    assert users(site) == [(NUMBER, NUMBER)]


@pytest.fixture
def shop(tmp_path):
    """The shop of the page, whose database has no table yet."""
    example = Example("/srv/shop", tmp_path)
    for name in ["note_number.py", "phone-verify.toml", "schema.sql"]:
        example.write(name)
    return example


def test_a_verified_number_becomes_a_row_of_another_database(shop):
    shop.follow("A row in another SQLite database")
    with File(shop.folder / "shop.sqlite3").connect() as database:
        database.executescript((shop.folder / "schema.sql").read_text())
    for number in [NUMBER, OTHER_NUMBER, NUMBER]:
        shop.verify(number).expect(0)
    rows = shop.rows("shop.sqlite3", "SELECT phone_number, verified_at FROM verified_number ORDER BY verified_at")
    assert [number for number, _ in rows] == [OTHER_NUMBER, NUMBER]
    newest = shop.run("phone-verify --format json list --limit 1").expect(0).line()
    assert (newest["phone_number"], newest["modified_at"]) == rows[-1]
