"""Have an answer run by `runner`, and give points for the values that it computes.

The right values stay in this process. An answer, which runs in another, can tamper with all that
it can reach, and say what it likes of itself: that can cost points and never earns any. Points
come from values alone, and the inputs that they belong to are told when its cells have run.
"""

import builtins
import contextlib
import json
import math
import os
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cifarlab_course import ROOT
from cifarlab_course.exercises.master import Check, Exercise, hidden_steps, steps

SCRIPT = Path(__file__).with_name("runner.py")
START = 120  # seconds that a runner may take to load PyTorch, on a busy machine
# What takes seconds to import; the second is what the first optimizer of a process asks for.
IMPORTS = "torch,torch._dynamo,cifarlab.receptive_field"
SENT = 20 * 2**20  # bytes that an attempt may send
TEXT = 10_000  # characters of what a cell prints, and of an error
TICK = 0.1  # seconds from one look at a runner to the next

ENDED = "it ended its own process"


class Ran(NamedTuple):
    """What became of a notebook: for each cell and check {"text", "error"}, then all values.

    Where it ended early, these are only the cells and checks that had run by then.
    """

    cells: list[dict]
    checks: list[dict]
    values: list
    trouble: str  # why it ended early; empty if it did not
    lasted: float = 0.0  # seconds for which the next one had been running then

    @property
    def passed(self) -> bool:
        """Does it say that its checks found nothing? Only values can tell whether that is true."""
        return bool(self.checks) and not any(output["error"] for output in self.checks)


class Mark(NamedTuple):
    """The points for one check, and what the learner is told."""

    check: str
    points: int
    most: int
    told: str


class Stopped(Exception):
    """The attempt went over a limit, or ended."""


class NotStarted(Exception):
    """The runner could not be started, or was ended by us, which is no submission's fault."""


class Line:
    """A socket to somebody who may be hostile, on which nothing blocks.

    `look` is called again and again while it waits; it raises `Stopped` when that has been too
    long, and so do all methods.
    """

    def __init__(self, end: socket.socket, look: Callable[[], None]) -> None:
        end.setblocking(False)
        self.end, self.look = end, look
        self.rest, self.heard = b"", 0

    def wait(self, event: int) -> None:
        """Wait until something can be read (`select.POLLIN`) or written (`select.POLLOUT`)."""
        poll = select.poll()
        poll.register(self.end, event)
        self.look()
        while not poll.poll(1000 * TICK):
            self.look()

    def say(self, request: dict) -> None:
        """Send a line."""
        left = memoryview(json.dumps(request).encode() + b"\n")
        while left:
            self.wait(select.POLLOUT)
            try:
                left = left[self.end.send(left) :]
            except OSError as error:
                raise Stopped(ENDED) from error

    def hear(self) -> object:
        """The next line, as JSON has it."""
        parts = [self.rest]
        while b"\n" not in parts[-1]:
            self.wait(select.POLLIN)
            parts.append(self.part() or b"")
            if not parts[-1]:
                raise Stopped(ENDED)
        line, _, self.rest = b"".join(parts).partition(b"\n")
        try:
            return json.loads(line)
        except (ValueError, RecursionError) as error:
            raise Stopped("what it sent cannot be read") from error

    def part(self) -> bytes | None:
        """What has come so far: empty at its end, None if there is nothing yet."""
        try:
            part = self.end.recv(2**16)
        except BlockingIOError:
            return None
        except OSError:
            return b""
        self.heard += len(part)
        if self.heard > SENT:
            raise Stopped(f"it wrote more than {SENT // 2**20} MB")
        return part

    def expect_silence(self) -> None:
        """Nobody has been asked: raise `Stopped` if something was said."""
        if self.rest or self.part():
            raise Stopped("it said more than it was asked for")


class Runner:
    """A process that runs notebooks, one after the other, each in a child of its own.

    It has the rights of whoever starts it, unless `command` turns its command line into one that
    confines it; `environment` is then all that this one gets. `watch` is called with the process,
    several times a second, and raises `Stopped` where a limit is passed. Nothing here waits for
    a submission without looking at the clock.
    """

    def __init__(
        self,
        seconds: float = 60,
        command: Callable[[list[str]], list[str]] = list,
        watch: Callable[[subprocess.Popen], None] = lambda process: None,
        environment: dict[str, str] | None = None,
        imports: str = IMPORTS,
        *,
        lasting: bool = False,
    ) -> None:
        self.lasting = lasting  # it clears up after each attempt, and may serve many submissions
        self.seconds = seconds  # for one notebook
        self.imports = imports  # done once, before any notebook
        self.command, self.watch, self.environment = command, watch, environment
        self.process: subprocess.Popen | None = None
        self.cancelled, self.looked = False, 0.0

    def __enter__(self) -> "Runner":
        return self

    def __exit__(self, *unused) -> None:
        self.stop()

    def start(self) -> None:
        """Start the process; that takes seconds, and is done when the first notebook comes.

        Raises: NotStarted, with what the process says of it.
        """
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        environment = os.environ | {"PYTHONPATH": path, "MPLBACKEND": "agg"}
        self.control, theirs = socket.socketpair()
        with tempfile.TemporaryFile() as complaints:
            with theirs:
                self.process = subprocess.Popen(
                    self.command([sys.executable, str(SCRIPT), self.imports]),
                    stdin=theirs.fileno(),
                    stdout=subprocess.DEVNULL,
                    stderr=complaints,
                    env=environment if self.environment is None else self.environment,
                    start_new_session=True,
                )
            try:
                deadline = time.monotonic() + START

                def look() -> None:
                    if self.cancelled or time.monotonic() > deadline:
                        raise Stopped(f"it was not ready after {START} seconds")

                Line(self.control, look).hear()
            except Stopped as reason:
                self.stop()
                complaints.seek(0)
                lines = complaints.read(TEXT).decode(errors="replace").strip().splitlines()
                why = lines[-1] if lines else str(reason)
                raise NotStarted(f"no process to run submissions: {why}") from reason

    def stop(self) -> None:
        """End the process and its children, all of which are in its group."""
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            with contextlib.suppress(subprocess.TimeoutExpired):  # the kernel may hold it longer
                self.process.wait(timeout=10)
            self.control.close()
            self.process = None

    def cancel(self) -> None:
        """End the process for good; the thread that waits for it gets `NotStarted`, at once."""
        self.cancelled = True
        if process := self.process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)

    def look(self, deadline: float) -> None:
        """Look at the clock and, if the last time is long enough ago, at the process.

        Raises: Stopped.
        """
        if self.cancelled:
            raise Stopped("it was cancelled")
        if time.monotonic() > deadline:
            raise Stopped(f"it ran for more than {self.seconds:g} seconds")
        if self.process and time.monotonic() > self.looked + TICK:
            self.watch(self.process)
            self.looked = time.monotonic()

    def run(
        self,
        cells: Sequence[str],
        checks: Sequence[str],
        hidden: Sequence,
        provided: Callable[[Ran], bool] = lambda ran: True,
    ) -> Ran:
        """Run the cells and the checks, then the hidden steps (kind, code, note).

        They are not sent, and no values come back, unless `provided` likes how the checks went.
        Raises: NotStarted.
        """
        if self.process is None:
            self.start()
        began = last = time.monotonic()

        def look() -> None:
            self.look(began + self.seconds)

        ran, values = Ran([], [], [], ""), []
        ours, theirs = socket.socketpair()
        try:
            with ours:
                with theirs:
                    socket.send_fds(self.control, [b"."], [theirs.fileno()])
                attempt = Line(ours, look)
                attempt.say({"cells": list(cells), "checks": list(checks)})
                for asked, outputs in ((cells, ran.cells), (checks, ran.checks)):
                    for _ in asked:
                        outputs.append(output(attempt.hear()))
                        last = time.monotonic()
                if provided(ran):
                    attempt.expect_silence()
                    attempt.say({"steps": [step[:2] for step in hidden]})
                    values = listed(attempt.hear(), sum(kind == "ask" for kind, *_ in hidden))
                ours.shutdown(socket.SHUT_WR)  # nothing more is asked
                if Line(self.control, look).hear() != 0:
                    raise Stopped(ENDED)
                attempt.expect_silence()
        except (Stopped, OSError) as reason:
            self.stop()
            if self.cancelled:
                raise NotStarted("Grading was stopped.") from reason
            trouble = str(reason) if isinstance(reason, Stopped) else ENDED
            return ran._replace(trouble=trouble, lasted=time.monotonic() - last)
        return ran._replace(values=values)


def output(said: object) -> dict:
    """What `runner` sends when a cell has run, if it is that: a hostile one may have sent it.

    Raises: Stopped.
    """
    match said:
        case {"text": str(text), "error": None}:
            return {"text": text[:TEXT], "error": None}
        case {"text": str(text), "error": [str(kind), str(message)]}:
            return {"text": text[:TEXT], "error": [kind[:TEXT], message[:TEXT]]}
    raise Stopped(ENDED)


def listed(said: object, count: int) -> list:
    """The values that `runner` sends, if it is that.

    Raises: Stopped.
    """
    values = said.get("values") if isinstance(said, dict) else None
    if not isinstance(values, list) or len(values) != count:
        raise Stopped(ENDED)
    return values


def same(got, expected) -> bool:
    """Is a value the reference's? Broken numbers to 4 digits, whole ones and all else exactly."""
    if isinstance(expected, list):
        return isinstance(got, list) and len(got) == len(expected) and all(map(same, got, expected))
    numbers = (int, float)
    if type(expected) in numbers:
        if type(got) not in numbers:
            return False
        try:
            if type(expected) is int:
                return math.isclose(got, expected, rel_tol=1e-12)
            return math.isclose(got, expected, rel_tol=1e-4, abs_tol=1e-6)
        except OverflowError:  # a whole number beyond all floats
            return got == expected
    return type(got) is type(expected) and got == expected


def answer(runner: Runner, exercise: Exercise, source: str) -> Ran:
    """Run one answer cell of `exercise`, between what is given and the checks.

    Raises: NotStarted.
    """
    cells = [*exercise.sources("given"), source]
    visible = [check.visible for check in exercise.checks]
    return judged(runner, exercise, runner.run(cells, visible, hidden_steps(exercise)))


def judged(runner: Runner, exercise: Exercise, ran: Ran) -> Ran:
    """The same run, with what the exercise's verdicts make of its values, if it has any.

    They are for answers of which many are right. The answer says what it is, as plain values; the
    verdict looks at these, in a process in which nothing of the answer has run.

    Raises: NotStarted.
    """
    if ran.trouble or not ran.values or not any(check.verdict for check in exercise.checks):
        return ran
    verdict_steps: list[tuple[str, str, str]] = []
    left = list(ran.values)
    for check in exercise.checks:
        count = sum(kind == "ask" for kind, _, _ in steps(check.hidden))
        own, left = json.dumps(left[:count]), left[count:]
        verdict_steps.append(("do", f"import json\nvalues = json.loads({own!r})", ""))
        verdict_steps += steps(check.verdict or "\n".join(f"values[{n}]" for n in range(count)))
    verdict = runner.run(exercise.sources("given"), [], verdict_steps)
    return ran._replace(values=verdict.values, trouble=verdict.trouble)


def expected(runner: Runner, exercise: Exercise) -> list:
    """The values that the reference computes in the hidden tests.

    Raises: ValueError if it fails at a check or gives a value that can't be compared.
    """
    ran = answer(runner, exercise, exercise.reference)
    failed = [output["error"] for output in ran.cells + ran.checks if output["error"]]
    unfit = [value for value in ran.values if isinstance(value, dict)]
    if ran.trouble or failed or unfit:
        reason = ran.trouble or failed or unfit
        raise ValueError(f"{exercise.name}: its own solution does not pass: {reason}.")
    return ran.values


def marks(checks: Sequence[Check], right: Sequence, ran: Ran) -> list[Mark]:
    """Points for each check: all of them, or none. Its asserts and its hidden tests must pass."""
    graded = []
    left, values = list(right), list(ran.values)
    for number, check in enumerate(checks):
        count = len(check.asked)
        expected, left = left[:count], left[count:]
        got, values = values[:count], values[count:]
        error = ran.checks[number]["error"] if number < len(ran.checks) else None
        if ran.trouble:
            message = f"Not run to its end: {ran.trouble}."
        elif error:
            message = error[1] if error[0] == "AssertionError" else ": ".join(error)
        elif not same(got, expected):
            message = hidden_message(got, expected, check.asked)
        else:
            graded.append(Mark(check.name, check.points, check.points, ""))
            continue
        graded.append(Mark(check.name, 0, check.points, message))
    return graded


def hidden_message(got: list, expected: list, notes: list[str]) -> str:
    """What a learner is told of the first hidden test that does not pass."""
    number = next(n for n in range(len(notes)) if n >= len(got) or not same(got[n], expected[n]))
    about = f" It asks about: {notes[number]}." if notes[number] else ""
    kind = remark(got[number]) if number < len(got) else ""  # it may have ended before
    return f"The asserts pass, but a hidden test does not.{about}{kind}"


def remark(value: Any) -> str:
    """A sentence on a value that is none, or that can't be compared; else nothing.

    An answer that has seen the hidden tests may name a class after them: so only names that we
    know are told.
    """
    name = value.get("error", value.get("unfit")) if isinstance(value, dict) else None
    if not isinstance(name, str):
        return ""
    known = name if hasattr(builtins, name) else "something else"
    if "error" in value:
        return f" Your answer ends there with an error ({known})."
    return f" Your answer gives back {known} there; give numbers, lists or arrays of them."
