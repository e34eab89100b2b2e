#!/usr/bin/env python3
"""Counts the instructions of whole processes, which are nearly the same on every machine, and holds them against figures.

    benches/instructions.py target/release/phone-verify             fails if a command takes more than the figure and 3 %
    benches/instructions.py target/release/phone-verify --update    writes the figures down

It needs valgrind and works on a database of its own, with 1,000 records. Another compiler may need other figures.
"""

import argparse
import datetime
import json
import os
import pathlib
import re
import sqlite3
import subprocess
import sys
import tempfile
import uuid

FIGURES = pathlib.Path(__file__).with_name("instructions.json")
MARGIN = 0.03
# Hash tables and ids are random, so the same command differs a little from run to run.
RUNS = 3
RECORDS = 1_000
CODE = "271828"
SETTINGS = 'backend = "console"\nsecurity_code_expiration_time = 2592000\n'
# Each run needs a code that isn't used yet.
COMMANDS = {
    "--version": "--version",
    "verify": f"verify +99900000000{{run}} {CODE} --session-token token-{{run}}",
    "list": "list",
    "list --all as CSV": "--format csv list --all",
    "send": "send +1202555010{run}",
}


def make_database(directory, program):
    (directory / "phone-verify.toml").write_text(SETTINGS)
    (directory / "phone-verify.toml").chmod(0o600)
    run([program, "migrate"], directory)
    now = datetime.datetime.now(datetime.timezone.utc)
    with sqlite3.connect(directory / "phone-verify.sqlite3") as connection:
        for number in range(RECORDS):
            time = (now - datetime.timedelta(seconds=5 * number)).strftime("%Y-%m-%d %H:%M:%S.000001")
            token = f"token-{number}"
            values = (uuid.UUID(int=number, version=4).hex, time, time, f"+999{number:09}", CODE, token, 0, 0)
            connection.execute("INSERT INTO sms_verification VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)
    connection.close()


def run(command, directory):
    environment = {"HOME": str(directory), "PATH": os.environ["PATH"]}
    ended = subprocess.run(
        command, cwd=directory, env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True
    )
    if ended.returncode != 0:
        sys.exit(f"{command} ended with {ended.returncode}:\n{ended.stderr}")
    return ended.stderr


def count(program, command, directory):
    valgrind = ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", program]
    reports = [run(valgrind + command.format(run=index).split(), directory) for index in range(RUNS)]
    return min(int(re.search(r"Collected : (\d+)", report)[1]) for report in reports)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("program", type=pathlib.Path)
    parser.add_argument("--update", action="store_true")
    arguments = parser.parse_args()
    program = str(arguments.program.resolve())
    compiler = subprocess.run(["rustc", "--version"], capture_output=True, text=True, check=True).stdout.strip()
    with tempfile.TemporaryDirectory() as directory:
        make_database(pathlib.Path(directory), program)
        counts = {name: count(program, command, pathlib.Path(directory)) for name, command in COMMANDS.items()}
    if arguments.update:
        FIGURES.write_text(json.dumps({"compiler": compiler, "instructions": counts}, indent=4) + "\n")
        return
    figures = json.loads(FIGURES.read_text())
    slower = []
    for name, counted in counts.items():
        change = counted / figures["instructions"][name] - 1
        print(f"{name:<20} {counted:>12,} {change:>+7.1%}")
        if change > MARGIN:
            slower.append(name)
    if slower:
        sys.exit(
            f"{', '.join(slower)}: more than {MARGIN:.0%} above benches/instructions.json. Make it faster, or run this again with "
            f"--update and say why. The figures are those of {figures['compiler']}; this is {compiler}."
        )


if __name__ == "__main__":
    main()
