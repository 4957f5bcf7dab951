"""Protects what `make` itself does: its help, and that it hands on what a caller wrote."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="there is no make")


def make(*arguments, **environment):
    """What `make` prints; nothing is installed."""
    command = [shutil.which("make"), "--silent", "--old-file=.venv/all", *arguments]
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**inherited, **environment},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


def test_the_help_names_every_command_and_needs_only_awk(tmp_path):
    """Slim systems have no `column`; awk is part of every Unix."""
    for name in ("sh", "awk"):
        (tmp_path / name).symlink_to(shutil.which(name))
    lines = make(PATH=str(tmp_path)).splitlines()
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    documented = re.findall(r"^([a-z-]+):.*## (.*)$", text, flags=re.MULTILINE)
    assert len(documented) > 10
    assert [tuple(line.removeprefix("make ").split(maxsplit=1)) for line in lines] == documented
    (column,) = {line.index(line.split(maxsplit=2)[2]) for line in lines}
    assert column > 5


@pytest.fixture
def received(tmp_path):
    """received(*arguments): what the command `course` gets from `make`, and its environment."""
    recorder = tmp_path / "recorder.py"
    recorder.write_text(
        "import json, os, sys\nprint(json.dumps([sys.argv[1:], dict(os.environ)]))\n"
    )

    def run(*arguments, **environment):
        course = f"COURSE='{sys.executable}' '{recorder}'"
        return json.loads(make(*arguments, course, **environment))

    return run


TEXTS = [
    'Week "4"',
    "a `date` b",
    "$HOME $(date) $5 $$ ${PATH}",
    "it's",
    "back\\slash \\n",
    "50 % & ; | < > * ? ! # ~ (a) {b}",
    "two  blanks",
    "Übung 猫",
]


@pytest.mark.parametrize("by", ["argument", "environment"])
@pytest.mark.parametrize("text", TEXTS)
def test_what_a_caller_names_arrives_as_it_was_written(received, text, by):
    names = dict.fromkeys(["OUT", "TITLE", "OPEN", "SECRET"], text)
    if by == "argument":
        written = [f"{name}={value}" for name, value in names.items()]
        words, environment = received("assignment", "EXERCISES=holes saving", *written)
    else:
        words, environment = received("assignment", EXERCISES="holes saving", **names)
    options = ["--out", text, "--title", text, "--open", text]
    assert words == ["assignment", "holes", "saving", *options]
    assert environment["SECRET"] == text
    assert received("exercise", f"NAME={text}")[0] == ["start", text]


def test_what_a_caller_does_not_name_arrives_empty(received):
    assert received("assignment")[0] == ["assignment", *"--out  --title  --open ".split(" ")]
    words, environment = received("grade", "SUBMISSIONS=a b", "TIMEOUT=9", "SECRET=c")
    assert words == "grade --submissions|a b|--out||--timeout|9|--jobs||--unsafe|".replace(
        "grade ", "grade|"
    ).split("|")
    assert environment["SECRET"] == "c"
