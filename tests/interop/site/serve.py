"""One process of a Django site that does what it reads on stdin, a line of JSON for each, and answers each with a line of JSON.

    ["register", NUMBER]               the code and the token
    ["verify", CODE, TOKEN, NUMBER]    the status

If the database refuses, the answer is {"error": …}.
"""

import json
import sys

import django


def answer(work, *arguments):
    from phone_verify.backends import get_sms_backend

    if work == "register":
        (number,) = arguments
        return get_sms_backend(number).create_security_code_and_session_token(number)
    code, token, number = arguments
    return get_sms_backend(number).validate_security_code(code, number, token)[1]


def main():
    django.setup()
    from django.db import DatabaseError
    from phone_verify.models import SMSVerification

    for line in sys.stdin:
        try:
            result = answer(*json.loads(line))
        # The library doesn't expect that a record is deleted while it is verified.
        except (DatabaseError, SMSVerification.DoesNotExist) as error:
            result = {"error": str(error)}
        print(json.dumps(result), flush=True)


if __name__ == "__main__":
    main()
