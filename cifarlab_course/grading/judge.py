"""Have an answer run by `runner`, and give points for the values that it computes.

The right values stay in this process. An answer, which runs in another, can tamper with all that
it can reach, and still has nothing but values to hand over.
"""

import contextlib
import json
import math
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from cifarlab_course import ROOT
from cifarlab_course.exercises.master import Check, Exercise, steps

SCRIPT = Path(__file__).with_name("runner.py")
START = 120  # seconds that a runner may take to load PyTorch, on a busy machine
SENT = 20 * 2**20  # bytes that a runner may send


class Ran(NamedTuple):
    """What became of a notebook: for each cell and check {"text", "error"}, then all values."""

    cells: list[dict]
    checks: list[dict]
    values: list
    trouble: str  # why it ended early; empty if it did not


class Mark(NamedTuple):
    """The points for one check, and what the learner is told."""

    check: str
    points: int
    most: int
    told: str


class Stopped(Exception):
    """The runner went over a limit, or ended."""


class NotStarted(Exception):
    """The runner could not be started, which is no submission's fault."""


class Runner:
    """A process that runs notebooks, one after the other, each in a child of its own.

    It has the rights of whoever starts it, unless `command` turns its command line into one that
    confines it; `environment` is then all that this one gets. `watch` is called with the process,
    several times a second, and raises `Stopped` where a limit is passed.
    """

    def __init__(
        self,
        seconds: float = 60,
        command: Callable[[list[str]], list[str]] = list,
        watch: Callable[[subprocess.Popen], None] = lambda process: None,
        environment: dict[str, str] | None = None,
        imports: str = "torch,cifarlab.receptive_field",
    ) -> None:
        self.seconds = seconds  # for one notebook
        self.imports = imports  # done once, before any notebook: PyTorch takes seconds
        self.command, self.watch, self.environment = command, watch, environment
        self.process: subprocess.Popen | None = None

    def __enter__(self) -> "Runner":
        return self

    def __exit__(self, *unused) -> None:
        self.stop()

    def start(self) -> None:
        """Start the process; that takes seconds, and is done when the first notebook comes.

        Raises: NotStarted.
        """
        path = os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")])
        ours = os.environ | {"PYTHONPATH": path, "MPLBACKEND": "agg"}
        self.process = subprocess.Popen(
            self.command([sys.executable, str(SCRIPT), self.imports]),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=ours if self.environment is None else self.environment,
            start_new_session=True,
        )
        self.received, self.sent = b"", 0
        deadline = time.monotonic() + START
        try:
            self.ask({"cells": [], "checks": []}, deadline)
            self.ask({"steps": []}, deadline)
            self.answer(deadline)
        except Stopped as reason:
            self.stop()
            raise NotStarted("the process that runs submissions does not start here") from reason

    def stop(self) -> None:
        """End the process and its children, all of which are in its group."""
        if self.process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.stdin.close()
            self.process.stdout.close()
            self.process.wait()
            self.process = None

    def ask(self, request: dict, deadline: float) -> dict:
        """Send a request; what comes back.

        Raises: Stopped.
        """
        try:
            self.process.stdin.write(json.dumps(request).encode() + b"\n")
            self.process.stdin.flush()
        except OSError as error:
            raise Stopped("it ended its own process") from error
        return self.answer(deadline)

    def answer(self, deadline: float) -> dict:
        """The next line that the runner sends.

        Raises: Stopped.
        """
        watched = 0.0
        while b"\n" not in self.received:
            now = time.monotonic()
            if now > deadline:
                raise Stopped(f"it ran for more than {self.seconds:g} seconds")
            if now > watched + 0.1:
                self.watch(self.process)
                watched = now
            if not select.select([self.process.stdout], [], [], 0.1)[0]:
                continue
            part = os.read(self.process.stdout.fileno(), 2**16)
            self.sent += len(part)
            if not part:
                raise Stopped("it ended its own process")
            if self.sent > SENT:
                raise Stopped(f"it wrote more than {SENT // 2**20} MB")
            self.received += part
        line, _, self.received = self.received.partition(b"\n")
        try:
            answer = json.loads(line)
        except (ValueError, RecursionError):
            answer = None
        if not isinstance(answer, dict):
            raise Stopped("what it sent cannot be read")
        return answer

    def run(self, cells: Sequence[str], checks: Sequence[str], asked: Sequence) -> Ran:
        """Run the cells, the checks, then take the hidden steps (kind, code, note).

        Raises: NotStarted.
        """
        if self.process is None:
            self.start()
        self.sent = 0
        ran: dict = {"cells": [], "checks": []}
        try:
            deadline = time.monotonic() + self.seconds
            ran = self.ask({"cells": list(cells), "checks": list(checks)}, deadline)
            if not well_formed(ran, len(cells), len(checks)):
                ran = {"cells": [], "checks": []}
                raise Stopped("it ended its own process")
            second = self.ask({"steps": [step[:2] for step in asked]}, deadline)
            values = second.get("values")
            if not isinstance(values, list):
                raise Stopped("it ended its own process")
            self.answer(deadline)
        except Stopped as reason:
            self.stop()
            return Ran(ran["cells"], ran["checks"], [], str(reason))
        return Ran(ran["cells"], ran["checks"], values, "")


def well_formed(ran: dict, cells: int, checks: int) -> bool:
    """Is this what `runner` sends after running cells? A hostile cell may have sent it."""

    def fine(output) -> bool:
        if not isinstance(output, dict) or not isinstance(output.get("text"), str):
            return False
        error = output.get("error")
        return error is None or (
            isinstance(error, list) and len(error) == 2 and all(isinstance(e, str) for e in error)
        )

    return all(
        isinstance(ran.get(part), list) and len(ran[part]) == count and all(map(fine, ran[part]))
        for part, count in (("cells", cells), ("checks", checks))
    )


def same(got, expected) -> bool:
    """Is a value the reference's? Numbers to 4 digits, whatever their type; all else exactly."""
    if isinstance(expected, list):
        return isinstance(got, list) and len(got) == len(expected) and all(map(same, got, expected))
    numbers = (int, float)
    if type(expected) in numbers:
        if type(got) not in numbers:
            return False
        try:
            return math.isclose(got, expected, rel_tol=1e-4, abs_tol=1e-6)
        except OverflowError:  # a whole number beyond all floats
            return got == expected
    return type(got) is type(expected) and got == expected


def hidden_steps(checks: Sequence[Check]) -> list[tuple[str, str, str]]:
    """The hidden tests of all checks, one after the other."""
    return [step for check in checks for step in steps(check.hidden)]


def answer(runner: Runner, exercise: Exercise, source: str) -> Ran:
    """Run one answer cell of `exercise`, between what is given and the checks."""
    cells = [*exercise.sources("given"), source]
    visible = [check.visible for check in exercise.checks]
    return runner.run(cells, visible, hidden_steps(exercise.checks))


def expected(runner: Runner, exercise: Exercise) -> list:
    """The values that the reference computes in the hidden tests.

    Raises: ValueError if it fails at a check or gives a value that can't be compared.
    """
    ran = answer(runner, exercise, exercise.reference)
    failed = [output["error"] for output in ran.cells + ran.checks if output["error"]]
    unfit = [value for value in ran.values if isinstance(value, dict)]
    if ran.trouble or failed or unfit:
        told = ran.trouble or failed or unfit
        raise ValueError(f"{exercise.name}: its own solution does not pass: {told}.")
    return ran.values


def marks(checks: Sequence[Check], right: Sequence, ran: Ran) -> list[Mark]:
    """Points for each check: all of them, or none. Its asserts and its hidden tests must pass."""
    found = []
    left, values = list(right), list(ran.values)
    for number, check in enumerate(checks):
        notes = [note for kind, _, note in steps(check.hidden) if kind == "ask"]
        wanted, left = left[: len(notes)], left[len(notes) :]
        got, values = values[: len(notes)], values[len(notes) :]
        error = ran.checks[number]["error"] if number < len(ran.checks) else None
        if ran.trouble:
            told = f"Not run to its end: {ran.trouble}."
        elif error:
            told = error[1] if error[0] == "AssertionError" else ": ".join(error)
        elif not same(got, wanted):
            told = hidden_message(got, wanted, notes)
        else:
            found.append(Mark(check.name, check.points, check.points, ""))
            continue
        found.append(Mark(check.name, 0, check.points, told))
    return found


def hidden_message(got: list, wanted: list, notes: list[str]) -> str:
    """What a learner is told of the first hidden test that does not pass."""
    note = next(
        note
        for number, note in enumerate(notes)
        if number >= len(got) or not same(got[number], wanted[number])
    )
    about = f" It asks about: {note}." if note else ""
    return f"The asserts above pass, but a hidden test does not.{about}"
