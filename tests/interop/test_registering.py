"""Each program verifies what the other registered, and replaces what the other left."""

import pytest
from django.test import Client
from phone_verify.services import PhoneVerificationService
from support import (
    NEXMO,
    NEXMO_SANDBOX,
    NUMBER,
    OPTIONS,
    OTHER_NUMBER,
    SANDBOX_CODE,
    TWILIO,
    TWILIO_SANDBOX,
)

BACKENDS = pytest.mark.parametrize("backend", [TWILIO, NEXMO, TWILIO_SANDBOX, NEXMO_SANDBOX])
SANDBOXES = pytest.mark.parametrize("backend", [TWILIO_SANDBOX, NEXMO_SANDBOX])


@BACKENDS
def test_phone_verify_verifies_what_django_registered(both, backend):
    both.configure(BACKEND=backend)
    code, token = both.register_in_django()
    run = both.verify(code, token).expect(0)
    assert run.stdout == "Security code is valid.\n"
    assert both.record_of(NUMBER)["is_verified"] == 1


@BACKENDS
def test_phone_verify_verifies_what_django_registered_without_its_token(both, backend):
    both.configure(BACKEND=backend)
    code, _ = both.register_in_django()
    both.phone_verify("verify", NUMBER, code, "--any-session").expect(0)


@pytest.mark.parametrize("backend", [TWILIO, NEXMO])
def test_django_verifies_what_phone_verify_registered(both, backend):
    both.configure(BACKEND=backend, console=True)
    code, token = both.send()
    assert len(code) == 6 and code.isdigit()
    assert both.verify_in_django(code, token) == 0
    assert both.listed()[0]["is_verified"] is True


@SANDBOXES
def test_django_verifies_what_phone_verify_registered_in_a_sandbox(both, backend):
    both.configure(BACKEND=backend)
    code, token = both.send()
    assert code == SANDBOX_CODE
    # The token of the sandbox is valid for anything; the live backend has to find the stored code.
    live = {TWILIO_SANDBOX: TWILIO, NEXMO_SANDBOX: NEXMO}[backend]
    both.configure(BACKEND=live)
    assert both.verify_in_django(code, token) == 0


def test_a_site_without_the_secret_key_of_phone_verify_accepts_its_tokens(both):
    both.configure(console=True)
    settings_file = both.folder / "phone-verify.toml"
    lines = settings_file.read_text().splitlines(keepends=True)
    settings_file.write_text("".join(line for line in lines if not line.startswith("secret_key")))
    code, token = both.send()
    assert both.verify_in_django(code, token) == 0


def test_a_send_replaces_what_django_registered_for_the_number_alone(both):
    both.configure(console=True)
    old_code, old_token = both.register_in_django()
    other_code, other_token = both.register_in_django(OTHER_NUMBER)
    both.send()
    assert both.verify_in_django(old_code, old_token) == 4
    assert both.verify_in_django(other_code, other_token, OTHER_NUMBER) == 0


def test_a_registration_in_django_replaces_what_phone_verify_sent(both):
    both.configure(console=True)
    old_code, old_token = both.send()
    code, token = both.register_in_django()
    both.verify(old_code, old_token).expect(14)
    both.verify(code, token).expect(0)


def test_a_registration_for_a_number_in_another_form_is_found_by_both(both):
    both.configure(console=True)
    code, token = both.register_in_django("+1 (415) 555-2671")
    both.verify(code, token, "+1 415-555-2671").expect(0)
    both.phone_verify("send", "+1 415 555 2671").expect(0)
    record = both.record_of(NUMBER)
    assert both.verify_in_django(record["security_code"], record["session_token"], "+1 (415) 555-2671") == 0


def test_the_rest_api_of_the_library_verifies_what_phone_verify_sent(both):
    both.configure(console=True)
    code, token = both.send()
    # White space around a code is dropped by both.
    request = {"phone_number": NUMBER, "security_code": f" {code} ", "session_token": token}
    answer = Client().post("/api/phone/verify", request)
    assert (answer.status_code, answer.json()) == (200, {"message": "Security code is valid."})
    run = both.verify(f" {code} ", token).expect(13)
    assert run.stdout == "Security code is already verified.\n"


@pytest.mark.parametrize(
    "message",
    [
        "Welcome to {app}! Please use security code {security_code} to proceed.",
        "{security_code}",
        "{{{app}}} {{literally}} {security_code}{security_code}",
        "Grüße von {app}: {security_code} 👋",
    ],
)
@pytest.mark.parametrize("app_name", ["Phone Verify", "a {security_code} b", "Büro 中文"])
def test_both_write_the_same_message(both, message, app_name):
    options = OPTIONS[TWILIO_SANDBOX]
    both.configure(BACKEND=TWILIO_SANDBOX, OPTIONS=options, MESSAGE=message, APP_NAME=app_name)
    of_the_library = PhoneVerificationService(NUMBER)._generate_message(SANDBOX_CODE)
    run = both.phone_verify("--format", "json", "send", "--dry-run", NUMBER).expect(0)
    assert run.line()["text"] == of_the_library


def test_both_fill_further_placeholders_alike(both):
    both.configure(BACKEND=TWILIO_SANDBOX, MESSAGE="{greeting} {name}, {security_code}")
    context = {"greeting": "Hello", "name": "{app} = ü"}
    of_the_library = PhoneVerificationService(NUMBER)._generate_message(SANDBOX_CODE, context)
    arguments = [f"--context={key}={value}" for key, value in context.items()]
    run = both.phone_verify("--format", "json", "send", "--dry-run", *arguments, NUMBER).expect(0)
    assert run.line()["text"] == of_the_library
