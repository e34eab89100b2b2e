"""Tables of every age: phone-verify makes what Django's migrations make, and leaves a Django site's to Django."""

import pytest
from django.core.management import call_command
from phone_verify.models import SMSVerification
from support import NUMBER, NUMBERS, ONLY_SQLITE, use

TABLE = "sms_verification"
# What phone-verify has beside the library's table, which knows none of it.
OWN_TABLES = ("sms_delivery", "sms_wrong_code", "phone_verify_lock", "sqlite_sequence")
HINT = "python manage.py migrate phone_verify"
OLDER = pytest.mark.parametrize("migration", ["0001", "0002"])


def migrate_django(*arguments):
    call_command("migrate", *arguments, verbosity=0)


def schema(both):
    """Returns the text of every table and index, by name, without phone-verify's own tables."""
    return {name: text for table, name, text in both.database.schema() if table not in OWN_TABLES}


def of_table(both):
    """Returns the texts of the library's table and of its unique index, if that isn't a part of the table."""
    return {name: sql for name, sql in schema(both).items() if name.startswith(TABLE)}


def indexes_of_phone_verify(both):
    return {name for name, sql in schema(both).items() if sql.startswith("CREATE INDEX")}


def insert_older_rows(both, migration):
    """Fills the table as `migration` has it and returns the rows as a table of today has to hold them."""
    names = {"0001": ("otp", "session_code"), "0002": ("security_code", "session_token")}[migration]
    expected = []
    for index, (code, token) in enumerate(
        [("123456", "a.b.c"), ("", ""), ("7" * 120, "t" * 500), ("ü'\"中", "👋\n; --"), ("0042", "NULL")]
    ):
        row = {
            "id": f"{index:08x}0000400080000000000000ff",
            "created_at": "2019-02-14 07:27:0" + (f"{index}.000001" if index % 2 else f"{index}"),
            "modified_at": f"2019-02-15 07:27:0{index}.999999",
            "phone_number": NUMBERS[index],
            names[0]: code,
            names[1]: token,
        }
        if migration == "0002":
            row["is_verified"] = bool(index % 2)
        with both.connect() as database:
            both.insert(database, [row])
    for row in both.rows():
        kept = {name: row[name] for name in ("id", "created_at", "modified_at", "phone_number")}
        new = {"security_code": row[names[0]], "session_token": row[names[1]], "is_verified": row.get("is_verified", 0)}
        expected.append({**kept, **new, "failed_attempts": 0})
    return expected


def forget_django(both):
    """Makes the site's database one without Django's record of migrations."""
    with both.connect() as database:
        database.execute("DROP TABLE django_migrations")


@pytest.fixture
def of_django(both):
    """What of_table returns as Django's own migrations leave it."""
    return of_table(both)


def clear(both):
    """Leaves a new database."""
    use(None)
    both.database.clear()
    use(both.database)


def schema_by_django_from(both, migration):
    """Returns what of_table returns where Django itself comes from `migration`, in a new database."""
    clear(both)
    migrate_django("phone_verify", migration)
    migrate_django("phone_verify")
    return of_table(both)


def check_that_django_sees_nothing_to_do(both):
    for arguments in (["migrate", "--check"], ["makemigrations", "--check", "--dry-run"]):
        run = both.manage(*arguments)
        assert run.code == 0, run


def test_a_new_database_has_the_table_and_the_index_that_django_makes(of_django, both):
    clear(both)
    both.phone_verify("migrate").expect(0)
    assert of_table(both) == of_django
    assert len(indexes_of_phone_verify(both)) == 2
    assert schema(both).keys() == {*of_django, *indexes_of_phone_verify(both)}


def test_django_works_on_a_database_that_phone_verify_made(both):
    clear(both)
    both.configure(console=True)
    both.phone_verify("migrate").expect(0)
    code, token = both.send()
    migrate_django("phone_verify", "--fake")
    migrate_django()
    check_that_django_sees_nothing_to_do(both)
    assert both.verify_in_django(code, token) == 0
    both.register_in_django()
    assert len(both.listed()) == 1


@OLDER
def test_an_older_table_without_django_is_upgraded_with_nothing_lost(untouched, migration):
    both = untouched
    migrate_django("phone_verify", migration)
    expected = insert_older_rows(both, migration)
    forget_django(both)

    both.phone_verify("migrate").expect(0)
    assert both.rows() == expected
    upgraded = of_table(both)
    assert len(indexes_of_phone_verify(both)) == 2
    assert upgraded == schema_by_django_from(both, migration)


@OLDER
def test_django_reads_an_upgraded_table_once_its_migrations_are_faked(untouched, migration):
    both = untouched
    migrate_django("phone_verify", migration)
    expected = insert_older_rows(both, migration)
    forget_django(both)
    both.phone_verify("migrate").expect(0)

    migrate_django("phone_verify", "0003", "--fake")
    check_that_django_sees_nothing_to_do(both)
    read = [
        (record.id.hex, record.security_code, record.session_token, int(record.is_verified), record.failed_attempts)
        for record in SMSVerification.objects.order_by("id")
    ]
    names = ("id", "security_code", "session_token", "is_verified", "failed_attempts")
    assert read == [tuple(row[name] for name in names) for row in expected]
    assert [record["id"].replace("-", "") for record in both.listed()][::-1] == [row["id"] for row in expected]

    record = SMSVerification.objects.get(phone_number=NUMBERS[0])
    assert both.verify_in_django("123456", record.session_token, NUMBERS[0]) == 2
    both.verify("123456", record.session_token, NUMBERS[0]).expect(12)


@OLDER
def test_an_older_table_of_a_django_site_is_left_to_django(untouched, migration):
    both = untouched
    migrate_django("phone_verify", migration)
    expected = insert_older_rows(both, migration)
    table, rows = schema(both)[TABLE], both.rows()

    run = both.phone_verify("migrate").expect(1)
    assert "hint: " in run.stderr and HINT in run.stderr
    assert (schema(both)[TABLE], both.rows()) == (table, rows)

    run = both.manage("migrate", "phone_verify")
    assert run.code == 0, run
    both.phone_verify("migrate").expect(0)
    assert len(indexes_of_phone_verify(both)) == 2
    assert both.rows() == expected
    check_that_django_sees_nothing_to_do(both)


@OLDER
def test_other_commands_on_an_older_table_point_to_djangos_migration(untouched, migration):
    both = untouched
    both.configure(console=True)
    migrate_django("phone_verify", migration)
    insert_older_rows(both, migration)
    before = both.rows()
    for arguments in (["list"], ["verify", NUMBER, "1", "--session-token", "t"], ["purge"], ["send", NUMBER]):
        run = both.phone_verify(*arguments).expect(1)
        assert f"hint: {HINT}" in run.stderr, run
    assert both.rows() == before


def test_a_django_site_without_the_table_is_left_to_django(untouched):
    both = untouched
    both.configure(console=True)
    migrate_django("phone_verify")
    migrate_django("phone_verify", "zero")
    before = schema(both)
    assert TABLE not in before

    run = both.phone_verify("migrate").expect(1)
    assert "hint: " in run.stderr and HINT in run.stderr
    both.phone_verify("send", NUMBER).expect(1)
    assert schema(both) == before


def test_a_current_table_of_a_django_site_gets_the_indexes_alone(both, of_django):
    before, rows = schema(both), both.rows()
    both.phone_verify("migrate").expect(0)
    both.phone_verify("migrate").expect(0)
    after = schema(both)
    added = indexes_of_phone_verify(both)
    assert len(added) == 2 and not added & before.keys()
    assert {name: sql for name, sql in after.items() if name not in added} == before
    assert both.rows() == rows
    check_that_django_sees_nothing_to_do(both)


def test_django_migrates_back_and_forth_over_the_indexes(both, of_django):
    both.phone_verify("migrate").expect(0)
    both.register_in_django()
    rows = both.rows()
    migrate_django("phone_verify", "0002")
    migrate_django("phone_verify")
    assert both.rows() == rows
    both.phone_verify("migrate").expect(0)
    assert len(indexes_of_phone_verify(both)) == 2
    assert of_table(both) == of_django


@ONLY_SQLITE
def test_the_journal_mode_of_a_django_site_stays(both):
    both.configure(console=True)
    code, token = both.send()
    both.phone_verify("migrate").expect(0)
    both.verify(code, token).expect(0)
    both.phone_verify("purge").expect(0)
    with both.connect() as database:
        assert database.execute("PRAGMA journal_mode").fetchone()[0] == "delete"
    assert not list(both.folder.glob("*-wal"))
