"""Grade a folder of submissions: each in a sandbox of its own, one bad file stopping none.

What has been graded is kept in a file of results, so that a batch can be cut and go on.
"""

import hashlib
import json
import os
import re
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import distributions
from pathlib import Path

from tqdm import tqdm

import cifarlab
from cifarlab._files import replacing
from cifarlab_course.exercises.master import Exercise, hidden_steps
from cifarlab_course.grading.assignment import LINE, Assignment, from_line
from cifarlab_course.grading.judge import (
    IMPORTS,
    Mark,
    NotStarted,
    Ran,
    Runner,
    expected,
    judged,
    marks,
)
from cifarlab_course.grading.submission import (
    Cell,
    Piece,
    Unreadable,
    answered,
    attempts,
    bare,
    cells,
    contents,
    decoded,
    notebooks,
    pieces,
    whole_answers,
    written,
)

SEARCH = 2  # times the limit, for all attempts at a question from which the graded one is chosen
MISSING = re.compile(r"No module named '([\w.]{1,60})'")


@dataclass
class Result:
    """What a submission earned, and what is to be said of it."""

    marks: dict[str, list[Mark]] = field(default_factory=dict)  # of each exercise
    open: dict[str, str] = field(default_factory=dict)  # answers that a person reads
    flags: list[str] = field(default_factory=list)  # why a person should look at it
    read: bool = True  # could the notebook be read?


@dataclass(frozen=True)
class Submission:
    """The notebook that counts, of those in a learner's folder."""

    learner: str
    data: bytes = b""
    flags: tuple[str, ...] = ()
    reason: str = ""  # why there is none that can be read


# --------------------------------------------------------------------------- what was handed in


def learners(folder: Path) -> list[Path]:
    """The learners' folders: all in `folder` but hidden ones.

    Raises: ValueError if there is none.
    """
    if not folder.is_dir():
        raise ValueError(f"SUBMISSIONS={folder}: no such folder.")
    found = sorted(each for each in folder.iterdir() if not each.name.startswith("."))
    found = [each for each in found if each.is_dir() or each.is_symlink()]
    if not found:
        raise ValueError(f"{folder} holds no folders; it must have one for each learner.")
    return found


def submission(folder: Path) -> Submission:
    """What a learner's folder holds."""
    if folder.is_symlink():
        return Submission(folder.name, reason="the folder is a link")
    readable, reasons = [], []
    for path in notebooks(folder):
        try:
            data = contents(path)
            readable.append(
                ((answered(cells(data)), path.stat().st_mtime_ns, str(path)), path, data)
            )
        except Unreadable as error:
            reasons.append(str(error))
        except Exception as error:  # whatever it is, the others are to be graded
            reasons.append(f"{path.name!r} can't be read: {error!r}")
    if not readable:
        return Submission(folder.name, reason="; ".join(reasons) or "no notebook (.ipynb) in it")
    _, path, data = max(readable)
    others = len(readable) + len(reasons) - 1
    flags = (f"{others + 1} notebooks; graded {str(path.relative_to(folder))!r}",) * bool(others)
    return Submission(folder.name, data, flags)


def assignment_of(submissions: list[Submission], secret: str) -> Assignment:
    """The assignment that most submissions name in their "# assignment:" line.

    Raises: ValueError if none was made with this secret, or two are named as often.
    """
    named: Counter[str] = Counter()
    made: dict[str, Assignment] = {}
    wrong = 0
    for each in submissions:
        for line in {line[0]: line for line in lines(each.data)}.values():
            found = from_line(line, secret)
            if found is None:
                wrong += 1
            else:
                named[found.line] += 1
                made[found.line] = found
    first, second = [*named.most_common(2), ("", 0), ("", 0)][:2]
    if not made:
        told = f"{wrong} name another secret's" if wrong else "none has its '# assignment:' line"
        raise ValueError(
            f"No submission is of an assignment made with this secret: {told}. "
            "Give that of the assignment, or name the exercises that were asked."
        )
    if first[1] == second[1]:
        raise ValueError(
            f"The submissions are of two assignments, {first[0]!r} and {second[0]!r}. "
            "Grade each in a folder of its own."
        )
    return made[first[0]]


def lines(data: bytes) -> Iterator:
    """All that looks like an assignment's line in a file, cell or metadata."""
    return LINE.finditer(decoded(data))


# ---------------------------------------------------------------------------- one submission


def run(runner: Runner, exercise: Exercise, way: list[Piece], *, anyhow: bool = False) -> Ran:
    """Run the pieces between what the key gives and its checks.

    The hidden tests follow if the checks pass, or `anyhow`.

    Raises: NotStarted.
    """
    sources = [*exercise.sources("given"), *(piece.source for piece in way)]
    visible = [check.visible for check in exercise.checks]
    asked = hidden_steps(exercise)
    ran = runner.run(sources, visible, asked, lambda ran: anyhow or ran.passed)
    return judged(runner, exercise, ran)


def graded_run(
    runner: Runner, exercise: Exercise, ways: Iterable[list[Piece]]
) -> tuple[list[Piece], Ran, str]:
    """The way in which an answer is graded, how it went, and what troubled this one or another.

    Which one that is, the checks decide that the learner sees. The hidden tests are sent once
    for a question, to this one: so nothing is to be had by guessing, however often it is tried.

    Raises: NotStarted.
    """
    tried: list[tuple[tuple, list[Piece], Ran]] = []
    trouble, began = "", time.monotonic()
    for number, way in enumerate(ways):
        if trouble and not all(exercise.name in piece.questions for piece in way):
            continue  # each such attempt may take all of its time
        if time.monotonic() > began + SEARCH * runner.seconds:
            break
        ran = run(runner, exercise, way)
        trouble = trouble or ran.trouble
        if ran.passed:
            return way, ran, trouble
        seen = zip(exercise.checks, ran.checks, strict=False)
        points = sum(check.points for check, output in seen if not output["error"])
        # Of those that pass as much, the one "from the top" is as the learner saw it.
        tried.append(((points, not ran.trouble, number == 1), way, ran))
    (points, *_), way, ran = max(tried, key=lambda each: each[0])
    if points and not ran.trouble:
        ran = run(runner, exercise, way, anyhow=True)
    return way, ran, trouble or ran.trouble


def best(
    runner: Runner, exercise: Exercise, right: list, ways: Iterable[list[Piece]]
) -> tuple[list[Mark], list[str]]:
    """The marks of a question, and what a person should know of it if points are lacking.

    Raises: NotStarted.
    """
    way, ran, trouble = graded_run(runner, exercise, ways)
    got = marks(exercise.checks, right, ran)
    if sum(mark.points for mark in got) == exercise.points:
        return got, []
    errors = [output["error"] for output in ran.cells + ran.checks if output["error"]]
    missing = {
        name[1]
        for kind, text in errors
        if kind == "ModuleNotFoundError" and (name := MISSING.fullmatch(text))
    }
    lacking = [f"there is no {name} where it was graded" for name in sorted(missing)]
    return explained(got, exercise, way, ran), [trouble] * bool(trouble) + lacking


def explained(got: list[Mark], exercise: Exercise, way: list[Piece], ran: Ran) -> list[Mark]:
    """The marks, with the error of the answer's own cell, which may explain those of the checks."""
    outputs = ran.cells[len(exercise.sources("given")) :]
    errors = [
        output["error"]
        for piece, output in zip(way, outputs, strict=False)
        if exercise.name in piece.questions and output["error"]
    ]
    if not errors:
        return got
    kind, text = errors[-1]
    said = f" Your cell ended with {kind}: {text[:300].strip()}"
    return [mark if mark.points else mark._replace(told=mark.told + said) for mark in got]


def graded(
    data: bytes, assignment: Assignment, right: Mapping[str, list], make: Callable[[], Runner]
) -> Result:
    """What the notebook in `data` earns, run in a runner of its own.

    Raises: NotStarted; Unreadable.
    """
    found = cells(data)
    result = Result(open=written(found, assignment))
    if assignment.exercises:
        made = pieces(found, assignment.exercises)
        with make() as runner:
            if any(re.search(r"\btorch", piece.source) for piece in made):
                runner.imports = IMPORTS  # its seconds are not taken from the answer's
            for exercise in assignment.exercises:
                ways = list(attempts(made, exercise))
                if result.flags:  # a cell that all share may be to blame: begin without them
                    ways = [*ways[-1:], *ways[:-1]]
                got, remarks = best(runner, exercise, right[exercise.name], ways)
                result.marks[exercise.name] = got
                result.flags += [f"{exercise.name}: {remark}" for remark in remarks]
        for exercise in assignment.exercises:
            answers = len({bare(piece.source) for piece in whole_answers(made, exercise)})
            if answers > 1:
                result.flags.append(f"{exercise.name}: {answers} answers; the last of them counts")
    result.flags += list(oddities(data, found, assignment))
    return result


def oddities(data: bytes, found: list[Cell], assignment: Assignment) -> Iterator[str]:
    """What a person may want to know of a notebook that can be read."""
    named = {line[0] for line in lines(data)}
    if not named:
        yield "its '# assignment:' line is missing"
    elif not any(assignment.line.startswith(line) for line in named):
        yield "its '# assignment:' line is of another assignment"
    answers = written(found, assignment)
    for name in assignment.open:
        if name not in answers:
            yield f"{name}: no answer cell found"


def nothing(assignment: Assignment, reason: str) -> Result:
    """No points, for a reason that is flagged."""
    marks = {
        each.name: [Mark(check.name, 0, check.points, f"{reason}.") for check in each.checks]
        for each in assignment.exercises
    }
    return Result(marks, {}, [reason], read=False)


# --------------------------------------------------------------------------------- the batch


class Kept:
    """Results in a file, a line each, by the digest of what they depend on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = threading.Lock()
        self.known: dict[str, Result] = {}
        whole = []
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
            try:
                entry = json.loads(line)
                result = Result(**entry["result"])
                result.marks = {q: [Mark(*m) for m in found] for q, found in result.marks.items()}
                self.known[entry["digest"]] = result
                whole.append(line)
            except (ValueError, KeyError, TypeError):
                continue  # cut while it was written
        with replacing(path) as temporary:
            temporary.write_text("".join(f"{line}\n" for line in whole), encoding="utf-8")

    def add(self, digest: str, result: Result) -> None:
        """Keep a result, at once and for good."""
        line = json.dumps({"digest": digest, "result": asdict(result)})
        with self.lock, self.path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
            file.flush()
            os.fsync(file.fileno())
            self.known[digest] = result


def settings_digest(assignment: Assignment, seconds: float) -> bytes:
    """Changes whenever the same notebook might earn other points."""
    ours = Path(__file__).parents[1]
    folders = ours / "exercises", ours / "grading", Path(cifarlab.__file__).parent
    code = [path.read_bytes() for folder in folders for path in sorted(folder.rglob("*.py"))]
    packages = sorted((each.name, each.version) for each in distributions())
    asked = repr((assignment, seconds, packages)).encode()
    return hashlib.sha256(b"".join([asked, *code])).digest()


def grade(
    submissions: list[Submission],
    assignment: Assignment,
    kept: Kept,
    make: Callable[[], Runner],
    *,
    seconds: float,
    jobs: int,
) -> dict[str, Result]:
    """The result of each learner, from the file of results or newly graded.

    Raises: NotStarted, after the others have been graded, if a sandbox did not start;
    KeyboardInterrupt with the learners whose submissions were running.
    """
    settings = settings_digest(assignment, seconds)
    with Runner(seconds=120, imports=assignment.imports) as trusted:
        right = {each.name: expected(trusted, each) for each in assignment.exercises}
    results: dict[str, Result] = {}
    failures: list[NotStarted] = []
    runners: list[Runner] = []
    stopped = threading.Event()

    def start() -> Runner:
        runner = make()
        runners.append(runner)
        if stopped.is_set():
            runner.cancel()
        return runner

    def one(each: Submission) -> Result:
        if each.reason:
            return nothing(assignment, each.reason)
        digest = hashlib.sha256(settings + each.data).hexdigest()
        if digest not in kept.known:
            try:
                kept.add(digest, graded(each.data, assignment, right, start))
            except NotStarted:
                raise
            except Exception as error:  # whatever it is, the others are to be graded
                return nothing(assignment, f"it can't be graded: {error!r}")
        known = kept.known[digest]
        return replace(known, flags=[*each.flags, *known.flags])

    with ThreadPoolExecutor(jobs) as pool:
        running = {pool.submit(one, each): each.learner for each in submissions}
        bar = tqdm(total=len(running), unit="submission", disable=None)
        try:
            for done in as_completed(running):
                bar.update()
                try:
                    results[running[done]] = done.result()
                except NotStarted as error:
                    failures.append(error)
        except KeyboardInterrupt:
            names = [learner for future, learner in running.items() if future.running()]
            stopped.set()
            for runner in tuple(runners):
                runner.cancel()
            pool.shutdown(cancel_futures=True)
            raise KeyboardInterrupt(", ".join(names)) from None
        finally:
            bar.close()
    if failures:
        raise NotStarted(f"{failures[0]}, for {len(failures)} of {len(submissions)} submissions")
    return results
