"""One process of a Django site that hits the table when it is told to, so that several do it at once.

Prints `ready`, waits for a line on stdin, does its work, prints what came of it as JSON.

    attempts.py verify CODE TOKEN NUMBER TIMES   the status of each attempt
    attempts.py register NUMBER                  the code and the token
"""

import json
import sys

import django


def main(work, *arguments):
    django.setup()
    from phone_verify.backends import get_sms_backend
    from phone_verify.models import SMSVerification

    # Everything that takes time is done before: the imports, the connection.
    SMSVerification.objects.count()
    number = arguments[2] if work == "verify" else arguments[0]
    backend = get_sms_backend(number)
    print("ready", flush=True)
    sys.stdin.readline()

    if work == "register":
        print(json.dumps(backend.create_security_code_and_session_token(number)))
        return
    code, token, _, times = arguments
    statuses = [backend.validate_security_code(code, number, token)[1] for _ in range(int(times))]
    print(json.dumps(statuses))


if __name__ == "__main__":
    main(*sys.argv[1:])
