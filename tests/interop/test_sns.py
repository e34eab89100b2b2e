"""The page's program for Amazon SNS, run by phone-verify, with the real aws command against a double of the service.

The double speaks the Query protocol of https://docs.aws.amazon.com/sns/latest/api/API_Publish.html.
"""

import http.server
import os
import re
import socket
import sys
import threading
import urllib.parse
from pathlib import Path

import pytest
from support import NUMBER, finish, start

PAGE = Path(__file__).parents[2] / "docs" / "providers.md"
MESSAGE_ID = "567910cd-659e-55d4-8ccb-5aaf14679dc0"
MESSAGE = 'message = \'\'\'"{security_code}" {{is}} yours & \\ + % 🔑\nsecond line\'\'\'\n'
ACCEPTED = (
    200,
    '<PublishResponse xmlns="https://sns.amazonaws.com/doc/2010-03-31/"><PublishResult>'
    f"<MessageId>{MESSAGE_ID}</MessageId></PublishResult><ResponseMetadata>"
    "<RequestId>d74b8436-ae13-5ab4-a9ff-ce54dfea72a0</RequestId></ResponseMetadata></PublishResponse>",
)
NO_MESSAGE_ID = (200, re.sub("<MessageId>.*</MessageId>", "", ACCEPTED[1]))
LOST = None


def error(status, code, words):
    """Returns the answer of a service that refuses."""
    return (
        status,
        '<ErrorResponse xmlns="http://sns.amazonaws.com/doc/2010-03-31/"><Error><Type>Sender</Type>'
        f"<Code>{code}</Code><Message>{words}</Message></Error>"
        "<RequestId>42d59b56-7407-4c4a-be0f-4c88daeea257</RequestId></ErrorResponse>",
    )


def block(language):
    """Returns the first block of this language below the page's heading for SNS."""
    section = PAGE.read_text().split("\n## Amazon SNS\n")[1]
    return re.search(f"```{language}\n(.*?)```\n", section, re.DOTALL).group(1)


class Sns(http.server.ThreadingHTTPServer):
    """A service that answers as scripted, and with acceptance when the script is over."""

    def __init__(self):
        super().__init__(("127.0.0.1", 0), Request)
        self.script = []
        self.requests = []
        self.process_list = ""
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        """A client that goes away is no failure of the service."""


class Request(http.server.BaseHTTPRequestHandler):
    def do_POST(self):
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        fields = dict(urllib.parse.parse_qsl(body, keep_blank_values=True, strict_parsing=True))
        self.server.requests.append((self.path, self.headers, fields))
        self.server.process_list += process_list()
        answer = self.server.script.pop(0) if self.server.script else ACCEPTED
        if answer is LOST:
            self.close_connection = True
            return
        status, document = answer
        self.send_response(status)
        self.send_header("Content-Type", "text/xml")
        self.send_header("Content-Length", str(len(document)))
        self.end_headers()
        self.wfile.write(document.encode())

    def log_message(self, *_):
        """Logs nothing."""


def process_list():
    """Returns the arguments of every process, as anybody on the machine can read them."""
    lines = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            lines.append(path.read_text(errors="replace"))
        except OSError:
            pass  # It has ended in the meantime.
    return "\n".join(lines)


class Site:
    """A folder with the page's settings and program."""

    def __init__(self, folder, endpoint):
        self.folder = folder
        self.environment = {
            "HOME": str(folder),
            "PATH": f"{Path(sys.executable).parent}:/usr/bin:/bin",
            "AWS_ENDPOINT_URL": endpoint,
            "AWS_DEFAULT_REGION": "us-east-1",
            "AWS_ACCESS_KEY_ID": "AKIDEXAMPLE",
            "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY",
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        (folder / "phone-verify.toml").write_text(MESSAGE + block("toml"))
        program = folder / "sns-publish"
        program.write_text(block("python"))
        program.chmod(0o755)

    def run(self, *arguments):
        command = [os.environ["PHONE_VERIFY_BINARY"], *arguments]
        return finish(start(command, self.folder, self.environment))

    def send(self, code):
        """Sends and returns the line."""
        return self.run("--format", "json", "send", NUMBER).expect(code).line()

    def codes(self):
        return [record["security_code"] for record in self.run("--format", "json", "list").expect(0).lines()]


@pytest.fixture
def sns():
    with Sns() as server:
        yield server
        server.shutdown()


@pytest.fixture
def site(tmp_path, sns):
    return Site(tmp_path, f"http://127.0.0.1:{sns.server_address[1]}")


def test_a_message_is_published_as_documented_and_told_with_its_id(site, sns):
    line = site.send(0)
    assert (line["message_id"], line["backend"]) == (MESSAGE_ID, "command")
    [(path, headers, fields)] = sns.requests
    [code] = site.codes()
    assert path == "/"
    assert headers["Authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/")
    assert fields == {
        "Action": "Publish",
        "Version": "2010-03-31",
        "PhoneNumber": NUMBER,
        "Message": f'"{code}" {{is}} yours & \\ + % 🔑\nsecond line',
        "MessageAttributes.entry.1.Name": "AWS.SNS.SMS.SMSType",
        "MessageAttributes.entry.1.Value.DataType": "String",
        "MessageAttributes.entry.1.Value.StringValue": "Transactional",
    }
    assert "sns\0publish" in sns.process_list
    assert code not in sns.process_list


@pytest.mark.parametrize(
    "status, code, words",
    [
        (400, "InvalidParameter", "Invalid parameter: PhoneNumber Reason: not valid to publish to"),
        (403, "AuthorizationError", "User is not authorized to perform: SNS:Publish"),
        (403, "InvalidClientTokenId", "The security token included in the request is invalid."),
    ],
)
def test_a_refusal_is_told_in_the_services_words_and_leaves_the_earlier_code(site, sns, status, code, words):
    site.send(0)
    codes = site.codes()
    sns.script = [error(status, code, words)]
    told = site.send(1)["error"]
    assert (told["kind"], told["code"]) == ("rejected", "1")
    assert f"({code})" in told["message"] and words in told["message"]
    assert (site.codes(), len(sns.requests)) == (codes, 2)


@pytest.mark.parametrize(
    "answer",
    [
        error(400, "ThrottlingException", "Rate exceeded"),
        error(503, "ServiceUnavailable", "The request has failed due to a temporary failure."),
        (503, ""),
    ],
)
def test_what_was_throttled_is_published_again(site, sns, answer):
    sns.script = [answer]
    assert site.send(0)["message_id"] == MESSAGE_ID
    assert [fields for _, _, fields in sns.requests] == [sns.requests[0][2]] * 2


@pytest.mark.parametrize(
    "answer",
    [error(500, "InternalError", "Internal failure"), (500, ""), (200, "no XML"), NO_MESSAGE_ID, LOST],
)
def test_where_nobody_can_know_whether_it_was_published_nothing_is_sent_twice(site, sns, answer):
    sns.script = [answer]
    line = site.send(1)
    assert line["error"]["kind"] == "unknown", line
    assert (len(sns.requests), len(site.codes())) == (1, 1)


def test_a_service_out_of_reach_is_unavailable(site, sns):
    # Only a server that no longer polls its socket gives it up at once; until then the kernel takes connections.
    sns.shutdown()
    sns.server_close()
    with (site.folder / "phone-verify.toml").open("a") as settings:
        settings.write("[delivery]\nmax_attempts = 2\n")
    line = site.send(1)
    assert line["error"]["kind"] == "unavailable", line
    assert site.codes() == []


def test_a_service_that_takes_no_connection_is_unavailable(tmp_path):
    with socket.socket() as listener, socket.socket() as first:
        listener.bind(("127.0.0.1", 0))
        # Behind the first connection, which nobody takes over, there is room for no other: the kernel drops what it is sent.
        listener.listen(0)
        first.connect(listener.getsockname())
        site = Site(tmp_path, f"http://127.0.0.1:{listener.getsockname()[1]}")
        with (site.folder / "phone-verify.toml").open("a") as settings:
            settings.write("[delivery]\nmax_attempts = 1\n")
        line = site.send(1)
    assert line["error"]["kind"] == "unavailable", line
    assert site.codes() == []


@pytest.mark.parametrize("variable", ["AWS_ACCESS_KEY_ID", "AWS_DEFAULT_REGION"])
def test_what_aws_lacks_to_call_the_service_is_a_refusal(site, sns, variable):
    del site.environment[variable]
    line = site.send(1)
    assert (line["error"]["kind"], line["error"]["code"]) == ("rejected", "2"), line
    assert (sns.requests, site.codes()) == ([], [])
