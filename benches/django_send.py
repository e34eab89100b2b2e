"""Sends to the numbers in the file `numbers` with django-phone-verify's Twilio backend, and prints the seconds that it took.

The only argument is the address of a server that replaces Twilio's.
"""

import sys
import time

import django
from django.conf import settings
from twilio.base.domain import Domain

settings.configure(
    SECRET_KEY="not a secret",
    INSTALLED_APPS=["phone_verify"],
    DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": "db.sqlite3"}},
    USE_TZ=True,
    PHONE_VERIFICATION={
        "BACKEND": "phone_verify.backends.twilio.TwilioBackend",
        "OPTIONS": {"SID": "AC00000000000000000000000000000000", "SECRET": "fake", "FROM": "+14755292729"},
        "TOKEN_LENGTH": 6,
        "MESSAGE": "Welcome to {app}! Please use security code {security_code} to proceed.",
        "APP_NAME": "Phone Verify",
        "SECURITY_CODE_EXPIRATION_SECONDS": 600,
        "VERIFY_SECURITY_CODE_ONLY_ONCE": True,
    },
)
django.setup()

from django.core.management import call_command  # noqa: E402
from phone_verify.services import send_security_code_and_generate_session_token  # noqa: E402

original = Domain.__init__
Domain.__init__ = lambda self, client, base_url: original(self, client, sys.argv[1])

call_command("migrate", verbosity=0)
with open("numbers", encoding="ascii") as numbers:
    numbers = numbers.read().split()
start = time.perf_counter()
for number in numbers:
    send_security_code_and_generate_session_token(number)
print(time.perf_counter() - start)
