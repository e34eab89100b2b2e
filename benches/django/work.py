"""Does with django-phone-verify what the benches measure, as a management command on `phone-verify.sqlite3`.

    work.py send NUMBER                  with a backend that prints the message
    work.py send-file FILE URL           with the library's backend for Twilio, whose server is replaced by that one
    work.py verify NUMBER CODE TOKEN     ends with the status of the library
    work.py newest | search DIGITS       shows 20 records
    work.py csv | json                   shows all records
    work.py purge SECONDS                deletes older records

The last line of stderr is how many seconds it took without the start of Python and of Django.
"""

import csv
import sys
import time

import django
from django.conf import settings
from django.core import serializers
from django.core.management import BaseCommand, call_command
from twilio.base.domain import Domain

TWILIO = "phone_verify.backends.twilio.TwilioBackend"

settings.configure(
    SECRET_KEY="a key for the benches and for nothing else",
    INSTALLED_APPS=["phone_verify"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "phone-verify.sqlite3"}},
    USE_TZ=True,
    PHONE_VERIFICATION={
        "BACKEND": TWILIO if sys.argv[1] == "send-file" else "__main__.Console",
        "OPTIONS": {"SID": "AC00000000000000000000000000000000", "SECRET": "fake", "FROM": "+14755292729"},
        "TOKEN_LENGTH": 6,
        "MESSAGE": "Welcome to {app}! Please use security code {security_code} to proceed.",
        "APP_NAME": "Phone Verify",
        "SECURITY_CODE_EXPIRATION_SECONDS": 7200,
        "VERIFY_SECURITY_CODE_ONLY_ONCE": True,
    },
)
django.setup()

from phone_verify.backends import get_sms_backend  # noqa: E402
from phone_verify.backends.base import BaseBackend  # noqa: E402
from phone_verify.models import SMSVerification  # noqa: E402
from phone_verify.services import send_security_code_and_generate_session_token  # noqa: E402

NEWEST_FIRST = SMSVerification.objects.order_by("-created_at")


class Console(BaseBackend):
    """Prints the message."""

    def send_sms(self, number, message):
        print(number, message)

    def send_bulk_sms(self, numbers, message):
        raise NotImplementedError


def send_file(file, url):
    original = Domain.__init__
    Domain.__init__ = lambda self, client, base_url: original(self, client, url)
    with open(file, encoding="ascii") as numbers:
        for number in numbers.read().split():
            send_security_code_and_generate_session_token(number)


def verify(number, code, token):
    return get_sms_backend(number).validate_security_code(code, number, token)[1]


def show(records):
    csv.writer(sys.stdout).writerows(records.values_list().iterator())


def purge(seconds):
    # The command counts in whole days, but only where it reads its command line.
    call_command("cleanup_phone_verifications", days=float(seconds) / 86_400)


WORKS = {
    "send": send_security_code_and_generate_session_token,
    "send-file": send_file,
    "verify": verify,
    "newest": lambda: show(NEWEST_FIRST[:20]),
    "search": lambda digits: show(NEWEST_FIRST.filter(phone_number__endswith=digits)[:20]),
    "csv": lambda: show(NEWEST_FIRST),
    "json": lambda: serializers.serialize("json", NEWEST_FIRST.iterator(), stream=sys.stdout),
    "purge": purge,
}


class Command(BaseCommand):
    """What manage.py would find in an app."""

    def add_arguments(self, parser):
        parser.add_argument("arguments", nargs="*")

    def handle(self, *args, **options):
        start = time.perf_counter()
        result = WORKS[sys.argv[1]](*options["arguments"])
        print(time.perf_counter() - start, file=sys.stderr)
        sys.exit(result if sys.argv[1] == "verify" else 0)


Command().run_from_argv(["manage.py", *sys.argv[1:]])
