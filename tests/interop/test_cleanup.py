"""`phone-verify purge` and the library's cleanup_phone_verifications agree on what is older."""

import io
import re
from datetime import timedelta

import pytest
from django.core.management import call_command
from phone_verify.models import SMSVerification
from support import NUMBERS, store

DAY = timedelta(days=1)
MINUTE = timedelta(minutes=1)


@pytest.fixture
def aged(both):
    """A table with records on both sides of 1, 7, 30 and 365 days, with and without decimals."""
    ages = [days * DAY + offset for days in (1, 7, 30, 365) for offset in (-MINUTE, MINUTE)]
    for index, age in enumerate([timedelta(0), *ages]):
        for whole_second in (False, True):
            store(
                phone_number=NUMBERS[2 * index + whole_second],
                age=age,
                whole_second=whole_second,
                is_verified=index % 3 == 0,
            )
    return both


def cleanup(*arguments):
    """Runs the library's command and returns the number of records that it names."""
    output = io.StringIO()
    call_command("cleanup_phone_verifications", *arguments, stdout=output)
    text = output.getvalue()
    if text.startswith("No verification records"):
        return 0
    return int(re.search(r"(\d+) verification record", text).group(1))


def left_by(both, rows, clean):
    """Returns what `clean` answers and the ids that it leaves of `rows`."""
    both.restore(rows)
    answer = clean()
    return answer, {row["id"] for row in both.rows()}


@pytest.mark.parametrize("days", [1, 7, 30, 365])
def test_both_delete_the_same_records(aged, days):
    rows = aged.rows()
    older_than = f"--older-than={days}d"

    count, left = left_by(aged, rows, lambda: cleanup("--days", str(days)))
    purged, left_by_purge = left_by(
        aged, rows, lambda: aged.phone_verify("--format", "json", "purge", older_than).expect(0).line()
    )
    assert 0 < count < len(rows)
    assert (purged["deleted"], left_by_purge) == (count, left)
    assert cleanup("--days", str(days)) == 0


@pytest.mark.parametrize("days", [1, 7, 30, 365])
def test_a_dry_run_of_both_counts_the_same_and_deletes_nothing(aged, days):
    rows = aged.rows()
    purged = aged.phone_verify("purge", f"--older-than={days}d", "--dry-run").expect(0)
    assert purged.stdout == f"Would delete {cleanup('--days', str(days), '--dry-run')} records.\n"
    assert aged.rows() == rows


def test_the_retention_of_the_settings_means_the_same_to_both(aged):
    aged.configure(RECORD_RETENTION_DAYS=7)
    rows = aged.rows()
    count, left = left_by(aged, rows, cleanup)
    purge = lambda: aged.phone_verify("purge").expect(0).stdout  # noqa: E731
    assert left_by(aged, rows, purge) == (f"Deleted {count} records.\n", left)


def test_without_a_retention_phone_verify_removes_expired_records_where_the_library_keeps_30_days(aged):
    """The one knowing difference: an expired code is of no more use, and its number is a personal datum."""
    rows = aged.rows()
    _, left_by_cleanup = left_by(aged, rows, cleanup)
    aged.restore(rows)
    live = {record.id.hex for record in SMSVerification.objects.all() if not record.is_expired}
    assert 0 < len(live) < len(left_by_cleanup)
    _, left_by_purge = left_by(aged, rows, lambda: aged.phone_verify("purge").expect(0))
    assert left_by_purge == live
