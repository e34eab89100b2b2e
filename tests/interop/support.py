"""One database, and the two programs that work on it."""

import copy
import datetime
import functools
import json
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest
from django.conf import settings
from django.db import connections
from phone_verify.backends import get_sms_backend
from phone_verify.models import SMSVerification

SITE = Path(__file__).parent / "site"
UTC = datetime.timezone.utc

# Numbers that are reserved for documentation and fiction, and valid.
NUMBER = "+14155552671"
OTHER_NUMBER = "+12025550143"
NUMBERS = [f"+120255501{n:02}" for n in range(100)]
SANDBOX_CODE = "123456"

TWILIO = "phone_verify.backends.twilio.TwilioBackend"
TWILIO_SANDBOX = "phone_verify.backends.twilio.TwilioSandboxBackend"
NEXMO = "phone_verify.backends.nexmo.NexmoBackend"
NEXMO_SANDBOX = "phone_verify.backends.nexmo.NexmoSandboxBackend"
OPTIONS = {
    TWILIO: {"SID": "fake", "SECRET": "fake", "FROM": "+14755292729"},
    NEXMO: {"KEY": "fake", "SECRET": "fake", "FROM": "+14755292729"},
}
OPTIONS[TWILIO_SANDBOX] = {**OPTIONS[TWILIO], "SANDBOX_TOKEN": SANDBOX_CODE}
OPTIONS[NEXMO_SANDBOX] = {**OPTIONS[NEXMO], "SANDBOX_TOKEN": SANDBOX_CODE}

# The settings of the library's documentation, for both programs.
PHONE_VERIFICATION = {
    "BACKEND": TWILIO,
    "TOKEN_LENGTH": 6,
    "MESSAGE": "Welcome to {app}! Please use security code {security_code} to proceed.",
    "APP_NAME": "Phone Verify",
    "SECURITY_CODE_EXPIRATION_SECONDS": 3600,
    "VERIFY_SECURITY_CODE_ONLY_ONCE": True,
    "MAX_FAILED_ATTEMPTS": 5,
}


@dataclass
class Run:
    """What one run of phone-verify answered and printed."""

    code: int
    stdout: str
    stderr: str

    def expect(self, code):
        assert self.code == code, self
        return self

    def lines(self):
        """Returns the JSON objects of stdout, one a line."""
        return [json.loads(line) for line in self.stdout.splitlines()]

    def line(self):
        """Returns the only JSON object of stdout."""
        lines = self.lines()
        assert len(lines) == 1, self
        return lines[0]


# ONLY_SQLITE marks what is about SQLite's file.
ONLY_SQLITE = pytest.mark.parametrize("engine", ["sqlite"], indirect=True)


def use(database):
    """Points the Django site of this process at `database`, or at none."""
    connections["default"].close()
    site = database.site if database else settings.DATABASES["default"]
    connections.settings = connections.configure_settings({"default": dict(site)})
    del connections["default"]


class Both:
    """The Django site and phone-verify on one database, with the same settings."""

    def __init__(self, folder, database):
        self.folder = folder
        self.database = database
        use(database)
        self.configure()

    def configure(self, leave_out=(), console=False, **changes):
        """Gives both programs the documentation's settings with `changes`, without the keys in `leave_out`.

        phone-verify gets each key in lower case, as its settings file has it. With `console` it gets
        that backend, which sends nothing, where the Django site keeps its live one.
        """
        values = {**copy.deepcopy(PHONE_VERIFICATION), **changes}
        values.setdefault("OPTIONS", OPTIONS[values["BACKEND"]])
        values = {name: value for name, value in values.items() if name not in leave_out}
        settings.PHONE_VERIFICATION = values
        path = self.folder / "phone-verify.toml"
        path.write_text(as_toml(values, self.database.setting, console))
        path.chmod(0o600)

    def arguments(self, *arguments):
        return [os.environ["PHONE_VERIFY_BINARY"], *arguments]

    def environment(self, **more):
        """Returns an environment that lets nothing of the caller's in."""
        return {"HOME": str(self.folder), "TZ": "UTC", **more}

    def start(self, *arguments):
        """Starts phone-verify and returns the process."""
        return start(self.arguments(*arguments), self.folder, self.environment())

    def phone_verify(self, *arguments):
        """Runs phone-verify to its end."""
        return finish(self.start(*arguments))

    def listed(self, *arguments):
        """Returns the records as `phone-verify list --format json` shows them."""
        return self.phone_verify("--format", "json", "list", "--all", *arguments).expect(0).lines()

    def start_site(self, script, *arguments):
        """Starts a process of the Django site that runs `script` of the site's folder."""
        return subprocess.Popen(
            [sys.executable, str(SITE / script), *arguments],
            cwd=self.folder,
            env=self.environment(
                DJANGO_SETTINGS_MODULE="settings",
                SITE_DATABASE=json.dumps(self.database.site),
                SITE_PHONE_VERIFICATION=json.dumps(settings.PHONE_VERIFICATION),
                PYTHONDONTWRITEBYTECODE="1",
            ),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def manage(self, *arguments):
        """Runs the site's manage.py to its end, as an operator does."""
        return finish(self.start_site("manage.py", *arguments))

    def register_in_django(self, number=NUMBER):
        """Stores a record as the library does, without its step that sends."""
        return get_sms_backend(number).create_security_code_and_session_token(number)

    def verify_in_django(self, code, token, number=NUMBER):
        """Returns the status number that the library answers."""
        return get_sms_backend(number).validate_security_code(code, number, token)[1]

    def send(self, number=NUMBER):
        """Sends with phone-verify and returns the code and the token."""
        sent = self.phone_verify("--format", "json", "send", number).expect(0).line()
        record = self.record_of(number)
        return record["security_code"], sent["session_token"]

    def verify(self, code, token, number=NUMBER):
        """Verifies with phone-verify."""
        return self.phone_verify("verify", number, code, "--session-token", token)

    def record_of(self, number):
        """Returns the only record of `number` as the database holds it, with no program's reading between."""
        records = self.rows(f"WHERE phone_number = {self.database.mark}", number)
        assert len(records) == 1, records
        return records[0]

    def rows(self, condition="ORDER BY id", *values):
        """Returns the table's rows as the database holds them, but for a UUID, which is hexadecimal digits here."""
        with self.connect() as database:
            rows = list(map(dict, database.execute(f"SELECT * FROM sms_verification {condition}", values)))
        return [{**row, "id": getattr(row["id"], "hex", row["id"])} for row in rows]

    def restore(self, rows):
        """Makes `rows` the whole content of the table."""
        with self.connect() as database:
            database.execute("DELETE FROM sms_verification")
            self.insert(database, rows)

    def insert(self, database, rows):
        for row in rows:
            names = ", ".join(row)
            marks = ", ".join([self.database.mark] * len(row))
            database.execute(f"INSERT INTO sms_verification ({names}) VALUES ({marks})", list(row.values()))

    def connect(self):
        """Opens the database as a third program would; as a context manager it commits and closes."""
        return self.database.connect()


def start(arguments, folder, environment):
    """Starts a program that reads nothing and returns the process."""
    return subprocess.Popen(
        arguments,
        cwd=folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process, text=None):
    """Waits for `process` and returns its run."""
    stdout, stderr = process.communicate(text, timeout=120)
    return Run(process.returncode, stdout, stderr)


def as_toml(values, database, console):
    """Returns the settings of a Django site as a phone-verify.toml.

    A JSON string, number or boolean is the same in TOML, unless it is escaped as a surrogate pair.
    """
    as_value = functools.partial(json.dumps, ensure_ascii=False)
    values = dict(values)
    options = values.pop("OPTIONS", {})
    if console:
        values["BACKEND"], options = "console", {}
    lines = [f"{name.lower()} = {as_value(value)}" for name, value in values.items()]
    lines.append(f"secret_key = {as_value(settings.SECRET_KEY)}")
    lines.append("[options]")
    lines += [f"{name.lower()} = {as_value(value)}" for name, value in options.items()]
    name, value = database
    lines += ["[database]", f"{name} = {as_value(value)}"]
    return "\n".join(lines) + "\n"


def store(age=datetime.timedelta(0), whole_second=False, **fields):
    """Stores a record through Django's ORM, made `age` ago, and returns it as Django reads it back."""
    values = {"phone_number": NUMBER, "security_code": "271828", "session_token": "a token", **fields}
    record = SMSVerification.objects.create(**values)
    created_at = datetime.datetime.now(UTC) - age
    if whole_second:
        created_at = created_at.replace(microsecond=0)
    # Only update() gets past auto_now_add and auto_now.
    SMSVerification.objects.filter(pk=record.pk).update(created_at=created_at, modified_at=created_at)
    return SMSVerification.objects.get(pk=record.pk)


def rfc3339(moment):
    """Returns a time as phone-verify prints it."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
