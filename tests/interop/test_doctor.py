"""What `phone-verify doctor` says of a site's database."""

from django.test.utils import override_settings
from support import ONLY_SQLITE


def created_at(both):
    """Returns the check of the records' times."""
    checks = both.phone_verify("--format", "json", "doctor", "--offline").expect(0).lines()
    return next(check for check in checks if check["check"] == "database.created_at")


@ONLY_SQLITE
def test_a_site_without_time_zones_is_told_to_have_them(both):
    both.register_in_django()
    assert created_at(both)["status"] == "ok"
    with override_settings(USE_TZ=False, TIME_ZONE="Asia/Tokyo"):
        both.register_in_django()
    check = created_at(both)
    assert check["status"] == "warning", check
    assert "USE_TZ = True" in check["hint"], check
