"""Every field reads as the other program wrote it, and both write the same raw text and types."""

import re
import uuid
from datetime import timedelta

from django.db import connection
from phone_verify.models import SMSVerification
from support import (
    NUMBER,
    NUMBERS,
    ONLY_SQLITE,
    OTHER_NUMBER,
    PHONE_VERIFICATION,
    TWILIO_SANDBOX,
    rfc3339,
    store,
)

LIFE = timedelta(seconds=PHONE_VERIFICATION["SECURITY_CODE_EXPIRATION_SECONDS"])
HOUR = timedelta(hours=1)


def state_of(record):
    """Returns what has become of a record that has no newer one and no SMS that failed."""
    if record.failed_attempts >= PHONE_VERIFICATION["MAX_FAILED_ATTEMPTS"]:
        return "locked"
    if record.is_expired:
        return "expired"
    is_used = record.is_verified and PHONE_VERIFICATION["VERIFY_SECURITY_CODE_ONLY_ONCE"]
    return "used" if is_used else "live"


def as_listed(record, delivery=None):
    """Returns what `list --format json` has to show for an object of Django's ORM.

    A record that the library registered has no delivery, since the library keeps no ledger.
    """
    return {
        "id": str(record.id),
        "phone_number": record.phone_number.as_e164,
        "security_code": record.security_code,
        "session_token": record.session_token,
        "is_verified": record.is_verified,
        "is_valid": not record.is_expired,
        "failed_attempts": record.failed_attempts,
        "created_at": rfc3339(record.created_at),
        "modified_at": rfc3339(record.modified_at),
        "expires_at": rfc3339(record.created_at + LIFE),
        "delivery": delivery,
        "state": state_of(record),
    }


def types_of(both, number):
    """Returns SQLite's storage class of each column of the one row whose phone_number meets `number`."""
    names = [column.column for column in SMSVerification._meta.concrete_fields]
    columns = ", ".join(f"typeof({name})" for name in names)
    with both.connect() as database:
        (row,) = database.execute(f"SELECT {columns} FROM sms_verification WHERE phone_number {number}")
    return dict(zip(names, row))


def test_phone_verify_reads_every_field_as_django_wrote_it(both):
    store(phone_number=NUMBERS[0])
    store(phone_number=NUMBERS[1], is_verified=True, failed_attempts=3, age=HOUR / 2)
    store(phone_number=NUMBERS[2], whole_second=True, age=HOUR / 4)
    store(phone_number=NUMBERS[3], age=2 * LIFE)
    store(phone_number=NUMBERS[4], failed_attempts=5, is_verified=True, age=3 * LIFE)
    store(phone_number=NUMBERS[5], security_code="9" * 120, session_token="t" * 500, age=4 * LIFE)
    store(phone_number=NUMBERS[6], security_code="0042", session_token='"quoted", ü 中 \' ; --', age=5 * LIFE)
    expected = [as_listed(record) for record in SMSVerification.objects.order_by("-created_at")]
    assert both.listed() == expected


def test_phone_verify_reads_a_record_that_django_registered_and_used(both):
    code, token = both.register_in_django()
    both.verify_in_django("not the code", token)
    assert both.listed() == [as_listed(SMSVerification.objects.get())]
    both.verify_in_django(code, token)
    assert both.listed() == [as_listed(SMSVerification.objects.get())]


def test_django_reads_every_field_as_phone_verify_wrote_it(both):
    both.configure(console=True)
    code, token = both.send()
    record = SMSVerification.objects.get()
    assert both.listed() == [as_listed(record, "accepted")]
    assert (record.security_code, record.session_token) == (code, token)
    assert (record.is_verified, record.failed_attempts) == (False, 0)
    assert record.id.version == 4 and record.id.variant == uuid.RFC_4122


def test_django_reads_a_record_that_phone_verify_used(both):
    both.configure(console=True)
    code, token = both.send()
    both.verify("not the code", token).expect(11)
    record = SMSVerification.objects.get()
    assert (record.is_verified, record.failed_attempts) == (False, 1)
    assert both.listed() == [as_listed(record, "accepted")]
    both.verify(code, token).expect(0)
    record = SMSVerification.objects.get()
    assert (record.is_verified, record.failed_attempts) == (True, 0)
    assert both.listed() == [as_listed(record, "accepted")]


@ONLY_SQLITE
def test_a_row_of_phone_verify_has_the_raw_text_that_django_would_write(both):
    both.configure(console=True)
    both.send()
    (raw,) = both.rows()
    record = SMSVerification.objects.get()
    for name in ("created_at", "modified_at"):
        assert raw[name] == connection.ops.adapt_datetimefield_value(getattr(record, name))
    assert raw["created_at"] == raw["modified_at"]
    assert re.fullmatch(r"[0-9a-f]{32}", raw["id"])
    # Saving what Django read must not change one byte, or the two would disagree on equality.
    times = {"created_at": record.created_at, "modified_at": record.modified_at}
    both.restore([])
    record.save(force_insert=True)
    SMSVerification.objects.update(**times)
    assert both.rows() == [raw]


@ONLY_SQLITE
def test_a_change_by_phone_verify_writes_modified_at_as_django_would(both):
    code, token = both.register_in_django()
    both.verify(code, token).expect(0)
    (raw,) = both.rows()
    modified_at = SMSVerification.objects.get().modified_at
    assert raw["modified_at"] == connection.ops.adapt_datetimefield_value(modified_at)
    assert raw["modified_at"] > raw["created_at"]


@ONLY_SQLITE
def test_both_store_each_column_in_the_same_type(both):
    both.configure(BACKEND=TWILIO_SANDBOX)
    both.send()
    both.register_in_django(OTHER_NUMBER)
    of_django, of_phone_verify = f"= '{OTHER_NUMBER}'", f"<> '{OTHER_NUMBER}'"
    expected = types_of(both, of_django)
    assert types_of(both, of_phone_verify) == expected
    assert (expected["is_verified"], expected["failed_attempts"]) == ("integer", "integer")
    assert (expected["created_at"], expected["security_code"]) == ("text", "text")

    # A row that the other program changed keeps its types.
    both.verify("not the code", both.record_of(OTHER_NUMBER)["session_token"], OTHER_NUMBER).expect(11)
    both.verify_in_django("not the code", both.record_of(NUMBER)["session_token"])
    assert types_of(both, of_phone_verify) == types_of(both, of_django) == expected


def test_newest_first_means_the_same_to_both_with_and_without_decimals(both):
    # Whole seconds apart by more than one: the clock moves on while they are stored, and of two equal ones none is newer.
    moments = [timedelta(seconds=seconds) for seconds in (10, 10.25, 13, 13.5, 16, 3600, 86400)]
    for index, age in enumerate(moments):
        store(phone_number=NUMBERS[index], age=age, whole_second=index % 2 == 0)
    # Two of one second: the text of the one ends where the decimals of the other begin.
    base = SMSVerification.objects.get(phone_number=NUMBERS[0]).created_at
    for index, microseconds in ((20, 0), (21, 1), (22, 999999)):
        record = store(phone_number=NUMBERS[index])
        SMSVerification.objects.filter(pk=record.pk).update(
            created_at=base + timedelta(hours=1, microseconds=microseconds)
        )
    of_django = [r.phone_number.as_e164 for r in SMSVerification.objects.order_by("-created_at")]
    assert [record["phone_number"] for record in both.listed()] == of_django


def test_the_filters_of_list_select_what_the_fields_say_in_django(both):
    for index in range(12):
        store(
            phone_number=NUMBERS[index],
            age=index * LIFE / 5,
            is_verified=index % 2 == 0,
            failed_attempts=5 if index % 3 == 0 else 0,
        )
    records = list(SMSVerification.objects.order_by("-created_at"))
    for option, chosen in {
        "--verified": lambda record: record.is_verified,
        "--unverified": lambda record: not record.is_verified,
        "--valid": lambda record: not record.is_expired,
        "--expired": lambda record: record.is_expired,
        "--locked": lambda record: record.failed_attempts >= 5,
    }.items():
        expected = [as_listed(record) for record in records if chosen(record)]
        assert 0 < len(expected) < len(records)
        assert both.listed(option) == expected, option
