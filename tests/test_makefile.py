"""Protects what `make` itself does: its help, what it hands on, and the JupyterLab it opens."""

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import time
import urllib.request
import uuid
from pathlib import Path

import pytest
from tornado.websocket import WebSocketClosedError, websocket_connect

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(not shutil.which("make"), reason="there is no make")


def make(*arguments, old=".venv/all", **environment):
    """What `make` prints, taking the file `old` for up to date: nothing is installed."""
    command = [shutil.which("make"), "--silent", f"--old-file={old}", *arguments]
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


def test_install_fetches_all_that_is_needed_and_runs_nothing():
    """A learner wants to begin; the tests take a quarter of an hour."""
    told = make("--dry-run", "--always-make", "install", old="none")
    assert "--requirement requirements.txt --group book --group dev" in told
    assert not re.search("bin/(pytest|jupyter|course|mypy)", told)
    assert "make lab" in make("install")


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


@pytest.mark.slow
@pytest.mark.parametrize("by", ["argument", "environment"])
@pytest.mark.parametrize("text", TEXTS)
def test_what_a_caller_names_arrives_as_it_was_written(received, text, by):
    names = dict.fromkeys(["OUT", "TITLE", "OPEN", "SECRET_FILE"], text)
    if by == "argument":
        written = [f"{name}={value}" for name, value in names.items()]
        words, environment = received("assignment", "EXERCISES=holes saving", *written, SECRET=text)
    else:
        words, environment = received("assignment", EXERCISES="holes saving", SECRET=text, **names)
    options = ["--out", text, "--title", text, "--open", text, "--secret-file", text]
    assert words == ["assignment", "holes", "saving", *options]
    assert environment["SECRET"] == text
    assert received("exercise", f"NAME={text}")[0] == ["exercise", text]


def test_what_a_caller_does_not_name_does_not_arrive(received):
    """An option with nothing behind it would be a mistake."""
    assert received("assignment", "OUT=week4")[0] == ["assignment", "--out", "week4"]

    def graded(*more):
        words, _ = received("grade", "SUBMISSIONS=a b", "OUT=c d.csv", *more)
        assert words[0] == "grade"
        places = words.index("--submissions")
        assert words[places : places + 4] == ["--submissions", "a b", "--out", "c d.csv"]
        return words[1:places] + words[places + 4 :]

    assert graded("TIMEOUT=9", "UNSAFE=0") == ["--timeout", "9"]
    assert graded("UNSAFE=1", "JOBS=2") == ["--jobs", "2", "--unsafe"]
    assert graded("SCHEDULER=local:2") == ["--scheduler", "local:2"]
    named = graded("EXERCISES=holes", "AGAIN=Ada Byron", "OPEN=my questions.md")
    assert named == ["holes", "--again", "Ada Byron", "--open", "my questions.md"]
    assert received("leaderboard")[0] == ["leaderboard", "leaderboard"]
    words, _ = received("leaderboard", "SUBMISSIONS=a b", "OUT=c d.csv", "JOBS=1")
    assert words == ["leaderboard", "a b", "--out", "c d.csv", "--jobs", "1"]


@pytest.mark.parametrize(
    ("target", "given", "lacking"),
    [
        ("exercise", [], "NAME"),
        ("assignment", ["EXERCISES=holes"], "OUT"),
        ("grade", ["SUBMISSIONS=week4/all"], "OUT"),
        ("grade", ["OUT=week4.csv"], "SUBMISSIONS"),
    ],
)
def test_what_a_target_lacks_is_named_as_make_takes_it(received, target, given, lacking):
    with pytest.raises(subprocess.CalledProcessError) as refused:
        received(target, *given)
    assert f"{lacking}: name " in refused.value.stderr
    assert f"make {target} " in refused.value.stderr and f"{lacking}=" in refused.value.stderr


@pytest.mark.parametrize("target", ["assignment", "grade"])
def test_a_secret_on_the_command_line_is_refused(received, target):
    """What a process was called with, everybody on the machine may read."""
    with pytest.raises(subprocess.CalledProcessError) as refused:
        received(target, "SECRET=spring")
    assert "other users" in refused.value.stderr and "SECRET_FILE" in refused.value.stderr
    assert "spring" not in refused.value.stdout + refused.value.stderr


# -------------------------------------------------------------------------------- JupyterLab


@pytest.fixture
def lab(tmp_path):
    """The JupyterLab of `make lab`, without a browser: its address and token."""
    line = make("--dry-run", "lab").strip()
    command = f"exec {line} --no-browser --ServerApp.port=0 --ServerApp.allow_root=True"
    environment = {**os.environ, "JUPYTER_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)}
    with (tmp_path / "log").open("w") as log:
        server = subprocess.Popen(
            ["sh", "-c", command], cwd=ROOT, env=environment, stdout=log, stderr=log
        )
        try:
            deadline = time.monotonic() + 120
            while not (known := list(tmp_path.glob("jpserver-*.json"))):
                assert server.poll() is None and time.monotonic() < deadline, (
                    tmp_path / "log"
                ).read_text()
                time.sleep(0.2)
            yield json.loads(known[0].read_text())
        finally:
            server.terminate()
            server.wait(60)


async def length_in_kernel(lab, size):
    """How long a text of `size` bytes is when it has come to a kernel, through the websocket."""
    address = f"{lab['url']}api/kernels"
    token = {"Authorization": f"token {lab['token']}"}
    request = urllib.request.Request(address, b"{}", token, method="POST")
    with urllib.request.urlopen(request) as answer:
        kernel = json.load(answer)["id"]
    socket = await websocket_connect(
        f"{address.replace('http', 'ws', 1)}/{kernel}/channels?token={lab['token']}",
        max_message_size=2**27,  # of what comes back, for a kernel repeats what it was sent
    )
    header = {"msg_id": uuid.uuid4().hex, "msg_type": "execute_request", "version": "5.3"}
    header |= {"session": uuid.uuid4().hex, "username": "", "date": "2026-01-01T00:00:00Z"}
    message = {
        "header": header,
        "parent_header": {},
        "metadata": {},
        "content": {"code": f"text = '{'a' * size}'\nprint(len(text))", "silent": False},
        "channel": "shell",
    }
    try:
        await socket.write_message(json.dumps(message))
        while (answer := await socket.read_message()) is not None:
            answer = json.loads(answer)
            if answer["msg_type"] == "stream":
                return int(answer["content"]["text"])
    except WebSocketClosedError:
        pass
    finally:
        socket.close()
    return None  # the server hung up


@pytest.mark.browser
def test_a_photograph_of_more_than_10_mb_comes_to_the_kernel(lab):
    """Jupyter's own limit drops it, and the reader hears nothing."""
    assert asyncio.run(asyncio.wait_for(length_in_kernel(lab, 30_000_000), 120)) == 30_000_000
