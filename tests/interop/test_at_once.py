"""Several processes of a Django site and of phone-verify on one table at once."""

import json
from datetime import timedelta

import pytest
from databases import File
from support import NUMBER, NUMBERS, finish, store

PROCESSES = 10
CODE, TOKEN = "271828", "the right token"


@pytest.fixture(params=["delete", "wal"])
def shared(both, request):
    """Django leaves SQLite's own journal mode, phone-verify makes its databases in WAL mode; sites may do either."""
    if isinstance(both.database, File):
        with both.connect() as database:
            database.execute(f"PRAGMA journal_mode = {request.param}")
    elif request.param == "wal":
        pytest.skip("a server has no journal mode")
    return both


def all_at_once(both, site_arguments, arguments):
    """Lets the site's processes get ready, then releases them and starts phone-verify's among them.

    Returns what each process of the site printed, parsed, and each run of phone-verify.
    """
    waiting = [both.start_site("attempts.py", *each) for each in site_arguments]
    for process in waiting:
        ready = process.stdout.readline()
        assert ready == "ready\n", finish(process)
    started = []
    for each in arguments:
        started.append(both.start(*each))
        if len(started) <= len(waiting):
            release(waiting[len(started) - 1])
    runs = [finish(process) for process in started]
    answers = [json.loads(finish(process).expect(0).stdout) for process in waiting]
    return answers, runs


def release(process):
    process.stdin.write("go\n")
    process.stdin.flush()


def verify_at_once(both, code, times):
    """Verifies in PROCESSES processes of each program, `times` times in each of the site's.

    Returns the status numbers that Django answered and those that phone-verify answered.
    """
    answers, runs = all_at_once(
        both,
        [("verify", code, TOKEN, NUMBER, str(times))] * PROCESSES,
        [("verify", NUMBER, code, "--session-token", TOKEN)] * PROCESSES * times,
    )
    for run in runs:
        assert run.code == 0 or 11 <= run.code <= 15, run
        assert "locked" not in run.stderr, run
    return sum(answers, []), [run.code % 10 for run in runs]


def test_wrong_codes_at_once_are_all_counted_and_lock_the_record(shared):
    shared.configure(MAX_FAILED_ATTEMPTS=25)
    store(security_code=CODE, session_token=TOKEN)
    by_django, by_phone_verify = verify_at_once(shared, "000000", times=4)

    assert set(by_django + by_phone_verify) <= {1, 5}
    compared = (by_django + by_phone_verify).count(1)
    # The library reads and counts in two steps, so its own processes may each compare one more.
    assert 25 <= compared <= 25 + PROCESSES
    assert by_phone_verify.count(1) <= 25
    assert shared.record_of(NUMBER)["failed_attempts"] == compared
    shared.verify(CODE, TOKEN).expect(15)
    assert shared.verify_in_django(CODE, TOKEN) == 5


def test_of_right_codes_at_once_phone_verify_accepts_one_at_most(shared):
    store(security_code=CODE, session_token=TOKEN)
    by_django, by_phone_verify = verify_at_once(shared, CODE, times=1)

    assert set(by_django + by_phone_verify) <= {0, 3, 5}
    assert by_phone_verify.count(0) <= 1
    # The library reads and marks in two steps, so several of its own processes may be answered VALID.
    assert 1 <= (by_django + by_phone_verify).count(0) <= 1 + PROCESSES
    assert shared.record_of(NUMBER)["is_verified"] == 1


def test_registrations_sends_and_purges_at_once_lose_nothing(shared):
    shared.configure(console=True)
    for number in NUMBERS[50:]:
        store(phone_number=number, age=timedelta(days=2))
    of_django, of_phone_verify = NUMBERS[:PROCESSES], NUMBERS[PROCESSES : 2 * PROCESSES]
    commands = [command for number in of_phone_verify for command in (["send", number], ["purge"])]
    answers, runs = all_at_once(shared, [("register", number) for number in of_django], commands)

    for run in runs:
        run.expect(0)
        assert "locked" not in run.stderr, run
    assert sorted(row["phone_number"] for row in shared.rows()) == NUMBERS[: 2 * PROCESSES]
    for number, (code, token) in zip(of_django, answers, strict=True):
        shared.verify(code, token, number).expect(0)
    for number in of_phone_verify:
        record = shared.record_of(number)
        assert shared.verify_in_django(record["security_code"], record["session_token"], number) == 0
