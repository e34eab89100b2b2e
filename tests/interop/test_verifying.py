"""The status of each situation is the same from both programs, on the same row, and so is the row afterwards.

Where phone-verify differs from the library knowingly, the test names it:
- each change sets modified_at, which the library leaves alone;
- a record that a sandbox's token verified becomes verified, which the library forgets;
- SESSION_TOKEN_INVALID has its own message, which the library's REST API answers as an invalid code.
"""

from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from django.test import Client
from phone_verify.backends.base import BaseBackend
from support import NEXMO_SANDBOX, NUMBER, OTHER_NUMBER, SANDBOX_CODE, TWILIO_SANDBOX, store

VALID = BaseBackend.SECURITY_CODE_VALID
INVALID = BaseBackend.SECURITY_CODE_INVALID
EXPIRED = BaseBackend.SECURITY_CODE_EXPIRED
VERIFIED = BaseBackend.SECURITY_CODE_VERIFIED
SESSION_TOKEN_INVALID = BaseBackend.SESSION_TOKEN_INVALID
TOO_MANY_ATTEMPTS = BaseBackend.SECURITY_CODE_TOO_MANY_ATTEMPTS

NAMES = {
    VALID: "SECURITY_CODE_VALID",
    INVALID: "SECURITY_CODE_INVALID",
    EXPIRED: "SECURITY_CODE_EXPIRED",
    VERIFIED: "SECURITY_CODE_VERIFIED",
    SESSION_TOKEN_INVALID: "SESSION_TOKEN_INVALID",
    TOO_MANY_ATTEMPTS: "SECURITY_CODE_TOO_MANY_ATTEMPTS",
}
MESSAGES = {
    VALID: "Security code is valid.",
    INVALID: "Security code is not valid",
    EXPIRED: "Security code has expired",
    VERIFIED: "Security code is already verified",
    SESSION_TOKEN_INVALID: "Session Token mis-match",
    TOO_MANY_ATTEMPTS: "Too many failed verification attempts. Please request a new code.",
}

CODE, TOKEN = "271828", "the right token"
LIFE = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
NO_RECORD = None
MANY_TIMES = {"VERIFY_SECURITY_CODE_ONLY_ONCE": False}


@dataclass
class Situation:
    """A record, an attempt on it, and the status that the specification gives."""

    name: str
    status: int
    record: dict | None = field(default_factory=dict)
    code: str = CODE
    token: str = TOKEN
    number: str = NUMBER
    settings: dict = field(default_factory=dict)
    leave_out: tuple = ()


NO_SUCH_RECORD = [
    Situation("no record at all", SESSION_TOKEN_INVALID, NO_RECORD),
    Situation("no record of this number", SESSION_TOKEN_INVALID, number=OTHER_NUMBER),
    Situation("another token", SESSION_TOKEN_INVALID, token="another token"),
    Situation("the token in upper case", SESSION_TOKEN_INVALID, token=TOKEN.upper()),
    Situation("the beginning of the token", SESSION_TOKEN_INVALID, token=TOKEN[:-1]),
    Situation("a pattern that would match the token", SESSION_TOKEN_INVALID, token="%"),
    Situation("another token and a wrong code", SESSION_TOKEN_INVALID, code="000000", token="another"),
    Situation("another token of a locked record", SESSION_TOKEN_INVALID, {"failed_attempts": 5}, token="another"),
]

LOCKED = [
    Situation("locked, right code", TOO_MANY_ATTEMPTS, {"failed_attempts": 5}),
    Situation("locked, wrong code", TOO_MANY_ATTEMPTS, {"failed_attempts": 5}, code="000000"),
    Situation("locked for long", TOO_MANY_ATTEMPTS, {"failed_attempts": 99}),
    Situation("locked and expired", TOO_MANY_ATTEMPTS, {"failed_attempts": 5, "age": 2 * LIFE}),
    Situation("locked and verified", TOO_MANY_ATTEMPTS, {"failed_attempts": 5, "is_verified": True}),
    Situation("locked after one", TOO_MANY_ATTEMPTS, {"failed_attempts": 1}, settings={"MAX_FAILED_ATTEMPTS": 1}),
    Situation("locked by default", TOO_MANY_ATTEMPTS, {"failed_attempts": 5}, leave_out=("MAX_FAILED_ATTEMPTS",)),
]

WRONG_CODE = [
    Situation("wrong code", INVALID, code="000000"),
    Situation("wrong code, the last attempt", INVALID, {"failed_attempts": 4}, code="000000"),
    Situation(
        "wrong code, the last attempt by default",
        INVALID,
        {"failed_attempts": 4},
        code="000000",
        leave_out=("MAX_FAILED_ATTEMPTS",),
    ),
    Situation("wrong code, one attempt only", INVALID, code="000000", settings={"MAX_FAILED_ATTEMPTS": 1}),
    Situation("wrong code, expired", INVALID, {"age": 2 * LIFE}, code="000000"),
    Situation("wrong code, verified", INVALID, {"is_verified": True}, code="000000"),
    Situation("the beginning of the code", INVALID, code=CODE[:-1]),
    Situation("the code and more", INVALID, code=CODE + "0"),
    Situation("the number that the code is", INVALID, {"security_code": "002718"}, code="2718"),
    Situation("letters in another case", INVALID, {"security_code": "abcdef"}, code="ABCDEF"),
    Situation("the token of a sandbox in a live backend", INVALID, code=SANDBOX_CODE),
]

EXPIRED_CODE = [
    Situation("expired", EXPIRED, {"age": 2 * LIFE}),
    Situation("expired a minute ago", EXPIRED, {"age": LIFE + MINUTE}),
    Situation("expired, no decimals", EXPIRED, {"age": LIFE + MINUTE, "whole_second": True}),
    Situation("expired, the last attempt", EXPIRED, {"age": 2 * LIFE, "failed_attempts": 4}),
    Situation("expired and verified", EXPIRED, {"age": 2 * LIFE, "is_verified": True}),
    Situation("expired by the older name", EXPIRED, {"age": 2 * MINUTE},
              settings={"SECURITY_CODE_EXPIRATION_TIME": 60}, leave_out=("SECURITY_CODE_EXPIRATION_SECONDS",)),
    Situation("expired by default", EXPIRED, {"age": 11 * MINUTE}, leave_out=("SECURITY_CODE_EXPIRATION_SECONDS",)),
]

USED_CODE = [
    Situation("verified", VERIFIED, {"is_verified": True}),
    Situation("verified, the last attempt", VERIFIED, {"is_verified": True, "failed_attempts": 4}),
]

RIGHT_CODE = [
    Situation("right", VALID),
    Situation("right after failures", VALID, {"failed_attempts": 4}),
    Situation("right a minute before the end", VALID, {"age": LIFE - MINUTE}),
    Situation("right, no decimals", VALID, {"age": LIFE - MINUTE, "whole_second": True}),
    Situation("right before the default end", VALID, {"age": 9 * MINUTE},
              leave_out=("SECURITY_CODE_EXPIRATION_SECONDS",)),
    Situation("right, the number in another form", VALID, number="+1 (415) 555-2671"),
    Situation("right, 120 digits", VALID, {"security_code": "7" * 120}, code="7" * 120),
    Situation("right, zeros in front", VALID, {"security_code": "000042"}, code="000042"),
    Situation("right, a code of letters", VALID, {"security_code": "Grüße"}, code="Grüße"),
    Situation("right, a token of 500", VALID, {"session_token": "t" * 500}, token="t" * 500),
    Situation("right again, many times allowed", VALID, {"is_verified": True}, settings=MANY_TIMES),
    Situation("right again after failures", VALID, {"is_verified": True, "failed_attempts": 3}, settings=MANY_TIMES),
]

SANDBOX = [
    Situation("sandbox: wrong code", INVALID, code="000000"),
    Situation("sandbox: no record, wrong code", SESSION_TOKEN_INVALID, NO_RECORD, code="000000"),
    Situation("sandbox: no record, its token", VALID, NO_RECORD, code=SANDBOX_CODE),
    Situation("sandbox: its token, another session token", VALID, code=SANDBOX_CODE, token="another"),
    Situation("sandbox: its token, another session token of a locked record", VALID, {"failed_attempts": 5},
              code=SANDBOX_CODE, token="another"),
    Situation("sandbox: the stored code", VALID),
    Situation("sandbox: the stored code, expired", EXPIRED, {"age": 2 * LIFE}),
    Situation("sandbox: the stored code, used", VERIFIED, {"is_verified": True}),
    Situation("sandbox: locked, its token", TOO_MANY_ATTEMPTS, {"failed_attempts": 5}, code=SANDBOX_CODE),
    Situation("sandbox: locked, the stored code", TOO_MANY_ATTEMPTS, {"failed_attempts": 5}),
    Situation("sandbox: its token, used", VALID, {"is_verified": True, "failed_attempts": 2}, code=SANDBOX_CODE),
]

# Here the row differs afterwards: phone-verify stores that the number is verified, the library doesn't.
SANDBOX_TOKEN_OF_A_RECORD = [
    Situation("sandbox: its token", VALID, code=SANDBOX_CODE),
    Situation("sandbox: its token after failures", VALID, {"failed_attempts": 4}, code=SANDBOX_CODE),
    Situation("sandbox: its token, expired", VALID, {"age": 2 * LIFE}, code=SANDBOX_CODE),
]


def named(situations):
    return [pytest.param(situation, id=situation.name) for situation in situations]


LIVE = named(NO_SUCH_RECORD + LOCKED + WRONG_CODE + EXPIRED_CODE + USED_CODE + RIGHT_CODE)


@pytest.fixture(params=[TWILIO_SANDBOX, NEXMO_SANDBOX])
def sandbox(both, request):
    both.configure(BACKEND=request.param)
    return both


def run_twice(both, situation):
    """Runs the situation through each program on identical rows; returns phone-verify's run and both rows.

    The status numbers, and every column but the three that an attempt may change, are compared here.
    """
    if situation.record is not NO_RECORD:
        store(**{"security_code": CODE, "session_token": TOKEN, **situation.record})
    before = both.rows()

    status = both.verify_in_django(situation.code, situation.token, situation.number)
    after_django = both.rows()
    both.restore(before)
    run = both.phone_verify(
        "--format", "json", "verify", situation.number, situation.code, "--session-token", situation.token
    )
    after_phone_verify = both.rows()

    assert status == situation.status
    assert run.code == (10 + status if status else 0), run
    changeable = ("is_verified", "failed_attempts", "modified_at")
    for rows in (after_django, after_phone_verify):
        assert without(rows, *changeable) == without(before, *changeable)
    check_modified_at(before, after_django, after_phone_verify)
    return run, after_django, after_phone_verify


def without(rows, *names):
    return [{name: value for name, value in row.items() if name not in names} for row in rows]


def check_modified_at(before, after_django, after_phone_verify):
    """The known difference: phone-verify dates its changes, the library keeps the date of the registration."""
    for old, of_django, of_phone_verify in zip(before, after_django, after_phone_verify, strict=True):
        assert of_django["modified_at"] == old["modified_at"]
        if without([of_phone_verify], "modified_at") != without([old], "modified_at"):
            assert of_phone_verify["modified_at"] > old["modified_at"]


def check_answer(both, situation, run, rows):
    """Compares what phone-verify printed with the row that it left."""
    answer = run.line()
    assert answer["status"] == NAMES[situation.status]
    assert answer["valid"] is (situation.status == VALID)
    assert answer["message"] == MESSAGES[situation.status]
    found = [row for row in rows if row["session_token"] == situation.token and situation.number != OTHER_NUMBER]
    attempts = left = None
    if found:
        attempts = found[0]["failed_attempts"]
        left = max(situation.settings.get("MAX_FAILED_ATTEMPTS", 5) - attempts, 0)
    assert (answer["failed_attempts"], answer["attempts_left"]) == (attempts, left)


@pytest.mark.parametrize("situation", LIVE)
def test_both_answer_the_same_and_leave_the_same_row(both, situation):
    both.configure(leave_out=situation.leave_out, **situation.settings)
    run, after_django, after_phone_verify = run_twice(both, situation)
    assert without(after_phone_verify, "modified_at") == without(after_django, "modified_at")
    check_answer(both, situation, run, after_phone_verify)


@pytest.mark.parametrize("situation", named(SANDBOX))
def test_both_answer_the_same_in_a_sandbox_and_leave_the_same_row(sandbox, situation):
    run, after_django, after_phone_verify = run_twice(sandbox, situation)
    assert without(after_phone_verify, "modified_at") == without(after_django, "modified_at")
    check_answer(sandbox, situation, run, after_phone_verify)


@pytest.mark.parametrize("situation", named(SANDBOX_TOKEN_OF_A_RECORD))
def test_the_token_of_a_sandbox_makes_a_record_verified_in_phone_verify_alone(sandbox, situation):
    run, (of_django,), (of_phone_verify,) = run_twice(sandbox, situation)
    assert (of_django["is_verified"], of_django["failed_attempts"]) == (0, 0)
    assert (of_phone_verify["is_verified"], of_phone_verify["failed_attempts"]) == (1, 0)
    check_answer(sandbox, situation, run, [of_phone_verify])


@pytest.mark.parametrize("typed", ["123 456", "123-456", "١٢٣٤٥٦"])
def test_a_code_as_people_type_it_is_right_in_phone_verify_alone(both, typed):
    store(security_code="123456", session_token=TOKEN)
    before = both.rows()
    assert both.verify_in_django(typed, TOKEN) == INVALID
    both.restore(before)
    run = both.phone_verify("verify", NUMBER, typed, "--session-token", TOKEN)
    assert (run.code, run.stderr) == (0, "")


def test_a_status_that_does_not_count_leaves_the_whole_row_as_it_was(both):
    store(security_code=CODE, session_token=TOKEN, failed_attempts=5)
    before = both.rows()
    both.verify(CODE, TOKEN).expect(15)
    both.verify(CODE, "another token").expect(14)
    assert both.rows() == before


def test_attempts_on_either_side_count_together(both):
    store(security_code=CODE, session_token=TOKEN)
    for attempt in range(5):
        if attempt % 2:
            both.verify("000000", TOKEN).expect(11)
        else:
            assert both.verify_in_django("000000", TOKEN) == INVALID
    assert both.verify_in_django(CODE, TOKEN) == TOO_MANY_ATTEMPTS
    both.verify(CODE, TOKEN).expect(15)
    assert both.record_of(NUMBER)["failed_attempts"] == 5


def test_a_code_used_on_either_side_is_used_on_the_other(both):
    store(security_code=CODE, session_token=TOKEN)
    both.verify(CODE, TOKEN).expect(0)
    assert both.verify_in_django(CODE, TOKEN) == VERIFIED
    both.verify(CODE, TOKEN).expect(13)
    assert both.record_of(NUMBER)["failed_attempts"] == 2


@pytest.mark.parametrize(
    ("record", "code", "token"),
    [
        pytest.param({}, CODE, TOKEN, id="valid"),
        pytest.param({}, "000000", TOKEN, id="invalid"),
        pytest.param({"age": 2 * LIFE}, CODE, TOKEN, id="expired"),
        pytest.param({"is_verified": True}, CODE, TOKEN, id="verified"),
        pytest.param({"failed_attempts": 5}, CODE, TOKEN, id="locked"),
    ],
)
def test_phone_verify_prints_the_message_that_the_rest_api_answers(both, record, code, token):
    store(**{"security_code": CODE, "session_token": TOKEN, **record})
    before = both.rows()
    answered = ask_the_rest_api(code, token)
    both.restore(before)
    assert both.verify(code, token).stdout.startswith(answered.rstrip(".") + ".")


def test_phone_verify_names_a_wrong_session_token_where_the_rest_api_calls_the_code_wrong(both):
    """The library's serializer takes the missing record for a wrong code, so its own message is never seen."""
    store(security_code=CODE, session_token=TOKEN)
    assert ask_the_rest_api(CODE, "another token") == MESSAGES[INVALID]
    assert both.verify(CODE, "another token").expect(14).stdout == "Session Token mis-match.\n"


def ask_the_rest_api(code, token):
    """Returns the message of the library's REST API, whatever its status."""
    request = {"phone_number": NUMBER, "security_code": code, "session_token": token}
    answer = Client().post("/api/phone/verify", request).json()
    return answer["message"] if "message" in answer else answer["non_field_errors"][0]
