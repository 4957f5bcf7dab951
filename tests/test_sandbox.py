"""Protects whoever grades from the programs that are handed in, and the points from what they say.

Whatever might harm a machine that does not hold it is bounded in itself.
"""

import ctypes
import json
import os
import signal
import socket
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from cifarlab_course.grading import assignment, grade, sandbox
from cifarlab_course.grading.judge import (
    IMPORTS,
    SENT,
    TEXT,
    Line,
    NotStarted,
    Ran,
    Runner,
    Stopped,
    expected,
    hidden_message,
    output,
)
from cifarlab_course.grading.submission import Piece, read
from tests.submissions import ASKED, FORGE, HOLES, NO_IDEA, TAKE, Draft, save

pytestmark = pytest.mark.sandbox
ROOT = Path(__file__).parent.parent
REFUSAL = sandbox.refusal()
BOXED = pytest.mark.skipif(bool(REFUSAL), reason=REFUSAL[:150])


@pytest.fixture(scope="module")
def boxed():
    """A sandbox for attempts that end well."""
    with sandbox.runner(60, "") as running:
        yield running


def error_of(boxed, source):
    """The kind of error that a cell ends with in a sandbox."""
    ran = boxed.run([source], [], [])
    assert not ran.trouble
    return ran.cells[0]["error"] and ran.cells[0]["error"][0]


# ---------------------------------------------------------------------- what the sandbox refuses

CALLS = {  # x86_64, aarch64; the first arguments
    "unshare(CLONE_NEWUSER)": ((272, 97), 0x10000000),
    "unshare(CLONE_NEWNS)": ((272, 97), 0x20000),
    "clone(CLONE_NEWUSER)": ((56, 220), 0x10000000 | signal.SIGCHLD),
    "clone3": ((435, 435), 0),
    "keyctl": ((250, 219), 0, -3, 0),
    "bpf": ((321, 280), 0, 0, 0),
    "perf_event_open": ((298, 241), 0, 0, -1, -1),
    "io_uring_setup": ((425, 425), 8, 0),
    "userfaultfd": ((323, 282), 0),
    "open_by_handle_at": ((304, 265), 0, 0, 0),
    "ptrace": ((101, 117), 0, 0, 0, 0),
    "shmget": ((29, 194), 0, 4096, 0o1600),
    "mq_open": ((240, 180), 0, 0o100, 0o600),
    "memfd_create": ((319, 279), 0, 0),
}
CALL = """
import ctypes, errno, platform
system = ctypes.CDLL(None, use_errno=True)
number = {numbers}[("x86_64", "aarch64").index(platform.machine())]
done = system.syscall(number, *map(ctypes.c_long, {arguments}))
if done == 0 and "clone" in {name!r}:
    system._exit(0)
assert done == -1, done
assert ctypes.get_errno() in (errno.EPERM, errno.ENOSYS), errno.errorcode[ctypes.get_errno()]
"""


@BOXED
@pytest.mark.parametrize("name", CALLS)
def test_the_kernel_refuses_what_a_notebook_has_no_use_for(boxed, name):
    """With permission or without: EFAULT and EINVAL would say that it had begun to do it."""
    numbers, *arguments = CALLS[name]
    source = CALL.format(numbers=numbers, arguments=arguments, name=name)
    assert error_of(boxed, source) is None


@BOXED
@pytest.mark.parametrize(
    "source",
    [
        "import os; os.memfd_create('x')",
        "import mmap; mmap.mmap(-1, 4096)",
        "import mmap, os; mmap.mmap(os.open('/dev/zero', os.O_RDWR), 4096)",
        "open('/proc/self/oom_score_adj', 'w').write('0')",
        "with open('big', 'wb') as file:\n    for _ in range(70): file.write(bytes(10**6))",
        "for n in '12345':\n    with open(f'/dev/shm/{n}', 'wb') as f: f.write(bytes(6 * 10**7))",
    ],
)
def test_no_memory_can_be_held_that_no_process_is_charged_for(boxed, source):
    """Files in /dev/shm are bounded together, each by less."""
    assert error_of(boxed, source) in ("PermissionError", "OSError")


@BOXED
def test_where_memory_ends_a_submission_ends_first(boxed):
    ran = boxed.run(["score = open('/proc/self/oom_score_adj').read()"], [], [("ask", "score", "")])
    assert ran.values == ["1000\n"]


@BOXED
def test_many_small_files_are_too_many():
    source = "import time\nfor n in range(30_000): open(f'{n}', 'w').close()\ntime.sleep(30)"
    with sandbox.runner(60, "") as running:
        assert running.run([source], [], []).trouble == "it made more than 20000 files"


def test_a_socket_counts_as_memory():
    """What waits in it is in no process."""
    before = sandbox.sockets(os.getpid())
    with socket.socket(socket.AF_UNIX), socket.socket(socket.AF_UNIX):
        assert sandbox.sockets(os.getpid()) == before + 2


def test_a_control_group_bounds_all_where_systemd_gives_one(tmp_path, monkeypatch):
    """A stand-in for systemd-run, which does what it is told with the words behind its own."""
    log = tmp_path / "log"
    stand_in = tmp_path / "systemd-run"
    stand_in.write_text(
        f'#!/bin/sh\necho "$XDG_RUNTIME_DIR $*" >> {log}\n'
        'while [ "${1#--}" != "$1" ]; do shift; done\nexec "$@"\n'
    )
    stand_in.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_RUNTIME_DIR", "/run/user/7")
    sandbox.bounded.cache_clear()
    try:
        words = sandbox.bounded()
        done = subprocess.run([*words, "env"], capture_output=True, text=True, env=os.environ)
    finally:
        sandbox.bounded.cache_clear()
    assert done.returncode == 0
    assert "XDG_RUNTIME_DIR" not in done.stdout  # the submission does not get it
    told = log.read_text().splitlines()[0]
    assert told.startswith("/run/user/7 --scope")
    assert f"MemoryMax={sandbox.MEMORY + sandbox.FOLDER + sandbox.SHARED}" in told
    assert ("--user" in told) == bool(os.geteuid())


# ----------------------------------------------------------------------- what it must not refuse


@BOXED
@pytest.mark.parametrize(
    "source",
    [
        "import multiprocessing\nwith multiprocessing.Pool(2) as pool: pool.map(abs, [1, 2])",
        "import multiprocessing\nmultiprocessing.Array('d', 10)[0] = 1.0",
        "import threading\none = threading.Thread(target=print)\none.start()\none.join()",
        "import subprocess\nsubprocess.run(['ls', '/'], check=True, capture_output=True)",
        "import tempfile\nwith tempfile.TemporaryFile() as file: file.write(b'x')",
        "import asyncio\nawait asyncio.sleep(0)",
        "open('/dev/shm/x', 'wb').write(bytes(5 * 10**7))",
        "import matplotlib.pyplot as plt\nplt.plot([1])\nplt.savefig('plot.png')",
    ],
)
def test_honest_work_is_let_through(boxed, source):
    assert error_of(boxed, source) is None


@BOXED
def test_every_attempt_finds_empty_folders_and_no_process_of_the_last_one(boxed):
    leave = (
        "import os, time\nos.makedirs('a/b')\nopen('a/b/c', 'w').close()\n"
        "open('/dev/shm/d', 'w').close()\nos.symlink('/usr', 'usr')\n"
        "if os.fork() == 0:\n    os.setsid()\n    time.sleep(600)"
    )
    assert not boxed.run([leave], [], []).trouble
    look = (
        "import os\n"
        "found = [os.listdir(place) for place in ('.', os.environ['HOME'], '/dev/shm')]\n"
        "found.append(sum(name.isdigit() for name in os.listdir('/proc')))"
    )
    assert boxed.run([look], [], [("ask", "found", "")]).values == [
        [[], [], [], 3]
    ]  # bubblewrap, the runner, itself


@BOXED
def test_what_cannot_be_cleared_away_costs_the_attempt_that_left_it():
    deep = "import os\nfor _ in range(3000):\n    os.mkdir('d')\n    os.chdir('d')"
    with sandbox.runner(60, "") as running:
        assert running.run([deep], [], []).trouble == "it ended its own process"
        assert running.run([], [], [("ask", "1", "")]).values == [1]


TAKEN = {  # from the process that makes the attempts, whose user is the same
    "files": "resource.prlimit(os.getppid(), resource.RLIMIT_NOFILE, (20, 20))",
    "time": "resource.prlimit(os.getppid(), resource.RLIMIT_CPU, (1, 1))",
    "priority": "os.setpriority(os.PRIO_PROCESS, os.getppid(), 19)",
    "processors": "os.sched_setaffinity(os.getppid(), [max(os.sched_getaffinity(0))])",
    "schedule": "os.sched_setscheduler(os.getppid(), os.SCHED_BATCH, os.sched_param(0))",
}
LEFT = (
    "[resource.getrlimit(resource.RLIMIT_NOFILE), resource.getrlimit(resource.RLIMIT_CPU),"
    " os.getpriority(os.PRIO_PROCESS, 0), len(os.sched_getaffinity(0)), os.sched_getscheduler(0)]"
)


@BOXED
@pytest.mark.parametrize("what", TAKEN)
def test_no_attempt_takes_anything_from_those_of_other_learners_after_it(what):
    if what == "processors" and len(os.sched_getaffinity(0)) == 1:
        pytest.skip("there is but one processor")
    with sandbox.runner(60, "") as running:
        look = (["import os, resource"], [], [("ask", LEFT, "")])
        before = running.run(*look).values
        ran = running.run([f"import os, resource\n{TAKEN[what]}"], [], [])
        assert ran.trouble == "it ended its own process"
        assert running.run(*look).values == before


@BOXED
def test_a_sandbox_serves_many_submissions_until_one_makes_trouble():
    runners = grade.Runners(lambda imports: sandbox.runner(5, imports))

    def process(source="x = 1"):
        with runners.lend("") as running:
            running.run([source], [], [])
            return running.process and running.process.pid

    first = process()
    assert first == process() != None  # noqa: E711
    assert process("import os\nos._exit(0)") is None
    second = process()
    assert second not in (None, first)
    with runners.lend("") as one, runners.lend("") as other, runners.lend("json") as third:
        assert one is not other and third.imports == "json"
    runners.close()
    assert all(running.process is None for running in runners.all)


def test_without_a_sandbox_each_submission_has_a_process_of_its_own():
    runners = grade.Runners(lambda imports: sandbox.runner(60, imports, unsafe=True))
    seen = []
    for _ in range(2):
        with runners.lend("") as running:
            running.run([], [], [])
            seen.append(running.process.pid)
        assert running.process is None
    assert seen[0] != seen[1]


def test_a_runner_outside_a_sandbox_clears_nothing_away(tmp_path):
    """It would end every process and empty the folders."""
    (tmp_path / "kept").write_text("")
    outside = os.readlink("/proc/self/ns/pid")
    running = Runner(60, lambda words: [*words, outside, str(tmp_path), "1", "1", "1", "0"])
    with pytest.raises(NotStarted, match="this is no sandbox"):
        running.run([], [], [])
    assert (tmp_path / "kept").exists()


def test_a_module_of_ones_own_can_be_imported(runner):
    ran = runner.run(["%%writefile mine.py\nx = 7", "import mine"], [], [("ask", "mine.x", "")])
    assert ran.values == [7]


# -------------------------------------------------------------------------------- what is said


@pytest.mark.parametrize("end", ["os._exit(0)", "os._exit(1)", "os.kill(os.getpid(), 9)"])
def test_an_attempt_that_ends_before_it_is_asked_has_trouble(runner, end):
    ran = runner.run([f"import os; {end}"], [], [("ask", "1", "")])
    assert (ran.values, ran.trouble) == ([], "it ended its own process")


def forged(runner, end):
    """An attempt that serves itself, in a way that ends like this."""
    return runner.run([FORGE + TAKE + end], ["assert False"], [("ask", "1", ""), ("ask", "2", "")])


@pytest.mark.parametrize(
    ("end", "trouble"),
    [
        ("forge(lambda reads, writes, values: reads.readline())", "it ended its own process"),
        ("forge(lambda *all: [take(*all), take(*all)])", "it ended its own process"),
        (
            "forge(lambda *all: [take(*all), print('{}', file=all[1], flush=True)])",
            "it said more than it was asked for",
        ),
        (
            "forge(lambda *all: [print('{}', file=all[1], flush=True), take(*all)])",
            "it said more than it was asked for",
        ),
        (
            "forge(lambda reads, writes, values: take(reads, writes, lambda steps: [1]))",
            "it ended its own process",
        ),
    ],
)
def test_who_speaks_out_of_turn_has_trouble(runner, end, trouble):
    ran = forged(runner, end)
    ended = "it ended its own process"  # where that is seen first
    assert ran.trouble in (trouble, "it said more than it was asked for", ended)
    assert ran.values == []


def test_a_forged_verdict_is_worth_nothing(runner):
    """It can say that its checks passed; its values are still those that it computes."""
    ran = forged(runner, "forge(take)")
    assert ran.passed and ran.values == [1, 2]
    draft = Draft().say(HOLES, NO_IDEA + FORGE + TAKE + "forge(take)")
    right = {each.name: expected(runner, each) for each in ASKED.exercises}
    notebook = read(json.dumps(draft.notebook).encode())
    result = grade.graded(notebook, ASKED, right, lambda imports: Lent(runner))
    assert [mark.points for mark in result.marks["holes"]] == [0, 0]


class Lent:
    """A runner that somebody else stops."""

    def __init__(self, runner):
        self.runner = runner

    def __enter__(self):
        return self.runner

    def __exit__(self, *unused):
        pass


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("count-weights", "A bias belongs to an output channel"),
        ("field-of-a-chain", "The first kernel has 5 taps"),
        ("repair-cutout", "Rows and columns are swapped"),
        ("separable-block", "yours also holds ReLU"),
    ],
)
def test_a_known_mistake_earns_no_more_by_a_forged_verdict(runner, name, message):
    exercise = assignment.varied(name, "nine green bottles")
    right = expected(runner, exercise)
    (wrong,) = [each.source for each in exercise.wrong if message in each.message]
    points = []
    for source in (wrong, f"{wrong}\n{FORGE}{TAKE}forge(take)"):
        piece = Piece(source, frozenset({name}), answers=True)
        marks, _ = grade.best(runner, exercise, right, [[piece]])
        points.append([mark.points for mark in marks])
    assert points[0] == points[1]
    assert sum(points[0]) < exercise.points


def test_the_secret_draws_what_is_asked_so_that_no_list_of_answers_helps(runner):
    first, again, other = (assignment.varied("saving", word) for word in ("one", "one", "two"))
    assert first == again
    assert first.seed != other.seed
    asked = replace(first, seed=other.seed)
    assert expected(runner, first) == expected(runner, again) != expected(runner, asked)


def test_what_a_cell_says_is_cut_before_it_is_kept():
    cell = output({"text": "x" * 10**6, "error": ["E" * 10**6, "y" * 10**6]})
    assert [len(text) for text in (cell["text"], *cell["error"])] == [TEXT] * 3


@pytest.mark.parametrize(
    "said",
    [None, [], {}, 1, {"text": 1, "error": None}, {"text": ""}, {"text": "", "error": ["a"]},
     {"text": "", "error": [1, "a"]}, [{"text": "", "error": None}]],
)  # fmt: skip
def test_what_no_runner_sends_is_trouble(said):
    with pytest.raises(Stopped):
        output(said)


def test_an_error_that_cannot_say_what_it_is_is_an_error_like_others(runner):
    silent = "class Silent(Exception):\n    def __str__(self): raise ValueError\n\nraise Silent"
    ran = runner.run([silent], [], [("ask", "1", "")])
    assert ran.cells[0]["error"]
    assert (ran.values, ran.trouble) == ([1], "")


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        ("Fraction(1, 2)", 0.5),
        ("Decimal('1.5')", 1.5),
        ("np.longdouble(2)", 2.0),
        ("np.ones(2, np.longdouble)", [1.0, 1.0]),
        ("np.int8(3)", 3),
        ("np.bool_(True)", True),
        ("True", True),
        ("tv_tensors.Image(torch.ones(1, 1, 2))", [[[1.0, 1.0]]]),
        ("nn.Parameter(torch.ones(2))", [1.0, 1.0]),
        ("torch.ones(2, dtype=torch.bfloat16)", [1.0, 1.0]),
        ("torch.Size([1, 2])", [1, 2]),
        ("(1, [2.0, 'x'], None)", [1, [2.0, "x"], None]),
        ("{1: 2}", {"unfit": "dict"}),
        ("1j", {"unfit": "complex"}),
        ("1 / 0", {"error": "ZeroDivisionError"}),
    ],
)
def test_a_value_is_sent_as_what_it_is_worth(runner, value, plain):
    names = (
        "from fractions import Fraction\nfrom decimal import Decimal\nimport numpy as np\n"
        "import torch\nfrom torch import nn\nfrom torchvision import tv_tensors"
    )
    assert runner.run([names], [], [("ask", value, "")]).values == [plain]


def test_a_hidden_test_names_the_kind_of_a_value_and_nothing_that_an_answer_made_up():
    def told(value):
        return hidden_message([value], [1], ["many layers"])

    assert "about: many layers. Your answer gives back complex there" in told({"unfit": "complex"})
    assert told({"error": "IndexError"}).endswith("ends there with an error (IndexError).")
    assert "hidden steps" not in told({"unfit": "hidden steps"})
    assert "hidden steps" not in told({"error": "hidden steps"})
    assert told({"unfit": ["x"]}) == told({}) == told(2)


def test_what_the_steps_name_does_not_change_what_an_answer_sees(runner):
    cells = ["factor = 2\ndef twice(number): return factor * number"]
    ran = runner.run(cells, [], [("do", "factor = 100", ""), ("ask", "twice(3)", "")])
    assert ran.values == [6]


# --------------------------------------------------------------------------- nothing holds it up


def line_to(deaf):
    """A line to somebody who does not read or does not write, for a second."""
    ours, theirs = socket.socketpair()
    deadline = time.monotonic() + 1

    def look():
        if time.monotonic() > deadline:
            raise Stopped("too long")

    return Line(ours, look), theirs


def test_nobody_is_told_anything_for_longer_than_the_time_allows():
    line, theirs = line_to("deaf")
    with line.end, theirs, pytest.raises(Stopped, match="too long"):
        line.say({"x": "y" * 10**7})


def test_nobody_is_heard_for_longer_than_the_time_allows():
    line, theirs = line_to("dumb")
    with line.end, theirs, pytest.raises(Stopped, match="too long"):
        theirs.send(b'{"half a line')
        line.hear()


def test_nobody_is_heard_who_says_too_much():
    line, theirs = line_to("")
    with line.end, theirs, pytest.raises(Stopped, match="more than 20 MB"):
        line.heard = SENT - 10
        theirs.send(b"x" * 100)
        line.hear()


@BOXED
def test_a_stopped_runner_costs_its_time_and_no_more():
    """It stops the process that reads from us, which wakes after a minute."""
    stop = (
        "import os, signal, time\nos.kill(os.getppid(), signal.SIGSTOP)\ntime.sleep(60)\n"
        "os.kill(os.getppid(), signal.SIGCONT)"
    )
    with sandbox.runner(5, "") as running:
        began = time.monotonic()
        ran = running.run(["x = '" + "y" * 10**7 + "'", stop], [], [])
        assert ran.trouble == "it ran for more than 5 seconds"
        assert time.monotonic() - began < 40
        assert running.run([], [], [("ask", "1", "")]).values == [1]


@BOXED
def test_one_interrupt_ends_all_at_once_and_names_who_was_graded(tmp_path):
    draft = Draft().say(HOLES, "while True:\n    pass")
    for name in ("ada", "emmy"):
        save(draft.first(f"# {name}"), tmp_path / "in" / name / "assignment.ipynb")
    options = ("--submissions", tmp_path / "in", "--out", tmp_path / "out.csv", "--timeout", 3000)
    process = subprocess.Popen(
        [sys.executable, "-m", "cifarlab_course.cli", "grade", *map(str, options), "--jobs", "2"],
        env=os.environ | {"SECRET": "the corpus"},
        stderr=subprocess.PIPE,
        text=True,
    )

    def boxes():
        try:
            found = psutil.Process(process.pid).children(recursive=True)
            return [child for child in found if child.name() == "bwrap"]
        except psutil.NoSuchProcess:
            return []

    deadline = time.monotonic() + 200
    while len(boxes()) < 4 and time.monotonic() < deadline:  # two for each sandbox
        time.sleep(0.2)
    time.sleep(3)
    inside = boxes()
    began = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert time.monotonic() - began < 30
    assert process.returncode == 130
    assert "stopped while it graded ada, emmy; the same command goes on" in told
    assert psutil.wait_procs(inside, timeout=20)[1] == []
    kept = (tmp_path / "out-results.jsonl").read_text()
    assert kept == ""  # nobody has a result that our own end brought about


# ---------------------------------------------------------------------------- one answer counts


class Told(Runner):
    """Runs nothing, and says of each attempt what it is told to."""

    def __init__(self, *says):
        super().__init__(seconds=1)
        self.says, self.asked = list(says), []

    def run(self, cells, checks, asked, provided=lambda ran: True):
        ran = self.says.pop(0) if len(self.says) > 1 else self.says[0]
        self.asked.append(provided(ran))
        if ran.trouble:
            time.sleep(1)
        return ran


def said(*passed, trouble=""):
    """What an attempt says whose checks passed or not."""
    error = {True: None, False: ["AssertionError", "no"]}
    return Ran([], [{"text": "", "error": error[each]} for each in passed], [], trouble)


WAYS = [[], [], [], [], [], []]


@pytest.mark.parametrize(
    ("says", "asked"),
    [
        ([said(True, True)], [True]),
        ([said(False, True), said(True, True)], [False, True]),
        ([said(True, False)], [False] * 6 + [True]),
        ([said(False, False)], [False] * 6),
    ],
)
def test_the_hidden_tests_are_sent_once_for_a_question_at_most(says, asked):
    teller = Told(*says)
    grade.graded_run(teller, HOLES, WAYS)
    assert teller.asked == asked


def test_the_way_that_passes_most_of_what_a_learner_sees_is_graded():
    teller = Told(said(False, False), said(False, True), said(True, False), said(False, False))
    ways = [[Piece(word, frozenset(), answers=True)] for word in "abcd"]
    way, _, _ = grade.graded_run(teller, HOLES, ways)
    assert way == ways[1]  # three points, rather than one


def test_an_answer_without_an_end_costs_three_times_the_limit_at_most():
    teller = Told(said(trouble="it ran for more than 1 seconds"))
    began = time.monotonic()
    grade.graded_run(teller, HOLES, WAYS)
    assert len(teller.asked) <= 3
    assert time.monotonic() - began < 10


def test_an_answer_that_never_ends_by_itself_is_run_once():
    own, helper = (Piece(name, frozenset({name}), answers=True) for name in ("holes", "saving"))
    fine = {"text": "", "error": None}
    given = [fine] * len(HOLES.sources("given"))
    late = Ran(given, [], [], "it ran for more than 1 seconds", lasted=1.0)
    for way, ran, times in [
        ([own], late, 1),
        ([own], late._replace(cells=[*given, fine]), 1),  # in a check
        ([helper, own], late._replace(cells=[*given, fine]), 1),
        ([helper, own], late, 2),  # another cell is to blame
        ([helper, own], late._replace(cells=[*given, fine], lasted=0.4), 2),  # it had most
        ([own], late._replace(trouble="it ended its own process", lasted=0.0), 2),
    ]:
        teller = Told(ran)
        grade.graded_run(teller, HOLES, [way, [own, own], [helper]])
        assert len(teller.asked) == times


def test_an_attempt_out_of_time_says_what_had_run_and_for_how_long_the_next_one_had(runner):
    with Runner(seconds=1.5, imports="") as running:
        ran = running.run(["x = 1", "import time; time.sleep(0.5)"], ["while x: pass"], [])
    assert [len(ran.cells), len(ran.checks), ran.values] == [2, 0, []]
    assert ran.trouble == "it ran for more than 1.5 seconds" and 0.5 < ran.lasted <= 1.1


def test_all_attempts_at_a_question_run_for_four_times_the_limit_at_most(monkeypatch):
    """The third begins just before twice the limit; then the hidden tests go to the best."""
    now = [0.0]
    monkeypatch.setattr(grade, "time", SimpleNamespace(monotonic=lambda: now[0]))

    class Slow(Told):
        def run(self, *what):
            now[0] += 0.999 * self.seconds
            return super().run(*what)

    teller = Slow(said(True, False))
    grade.graded_run(teller, HOLES, WAYS)
    assert teller.asked == [False] * 3 + [True]


def test_time_to_import_pytorch_is_not_taken_from_an_answer(runner):
    for text, imports in (("import torch", f"{IMPORTS},numpy"), ("x = 1", "numpy")):
        draft, wanted = Draft().first(text), []
        right = {each.name: expected(runner, each) for each in ASKED.exercises}
        notebook = read(json.dumps(draft.notebook).encode())
        grade.graded(
            notebook, ASKED, right, lambda wish, wanted=wanted: wanted.append(wish) or Lent(runner)
        )
        assert wanted == [imports]


def test_a_filter_is_made_for_the_processor_that_it_runs_on():
    """8 bytes an instruction, of which the first reads the architecture."""
    code = Path(sandbox.filter_file().name).read_bytes()
    assert len(code) % 8 == 0 and len(code) > 8 * len(sandbox.REFUSED)
    assert ctypes.c_uint32.from_buffer_copy(code, 4).value == 4  # seccomp_data.arch
