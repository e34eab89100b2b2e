"""A session token of either program is one that the other could have made."""

import jwt
import pytest
from django.conf import settings
from support import NUMBER


@pytest.fixture
def tokens(both):
    """A token of the library and one of phone-verify, for the same number."""
    both.configure(console=True)
    _, of_django = both.register_in_django()
    _, of_phone_verify = both.send()
    return of_django, of_phone_verify


def decode(token, key=None):
    return jwt.decode(token, key or settings.SECRET_KEY, algorithms=["HS256"])


def test_the_token_of_each_decodes_with_the_secret_key_to_the_same_claims(tokens):
    for token in tokens:
        claims = decode(token)
        assert claims.keys() == {"phone_number", "nonce"}
        assert claims["phone_number"] == NUMBER
        assert type(claims["nonce"]) in (int, float)


def test_both_write_the_same_header(tokens):
    of_django, of_phone_verify = tokens
    assert jwt.get_unverified_header(of_phone_verify) == {"alg": "HS256", "typ": "JWT"}
    # Encoded too: the header's bytes, and base64url without padding.
    assert of_phone_verify.split(".")[0] == of_django.split(".")[0]


def test_neither_decodes_with_another_key(tokens):
    for token in tokens:
        with pytest.raises(jwt.InvalidSignatureError):
            decode(token, "another key, which is just as long as the right one")


def test_two_sends_to_one_number_have_different_tokens(both):
    both.configure(console=True)
    (_, first), (_, second) = both.send(), both.send()
    assert first != second
    assert decode(first)["nonce"] != decode(second)["nonce"]


def test_a_token_fits_the_column(tokens):
    assert all(len(token) <= 500 for token in tokens)
