"""Grade a folder of submissions: each in a sandbox of its own, one bad file stopping none.

What has been graded is kept in a file of results, so that a batch can be cut and go on. No more
notebooks are in memory than are graded at a time.
"""

import hashlib
import json
import os
import platform
import re
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass, field, replace
from importlib.metadata import distributions
from pathlib import Path
from typing import NamedTuple

from tqdm import tqdm

import cifarlab
from cifarlab._files import replacing
from cifarlab_course.exercises.master import Exercise, hidden_steps
from cifarlab_course.grading.alike import structure
from cifarlab_course.grading.assignment import Assignment, bare, from_line, made_with
from cifarlab_course.grading.handed_in import Learner, file_number, files, within
from cifarlab_course.grading.judge import (
    Mark,
    NotStarted,
    Ran,
    Runner,
    expected,
    judged,
    marks,
)
from cifarlab_course.grading.reader import Unreadable
from cifarlab_course.grading.submission import (
    Notebook,
    Piece,
    Written,
    answered,
    attempts,
    contents,
    pieces,
    read,
    whole_answers,
    written,
)

COUNTS = ("answered", "last", "first", "best")  # which notebook of several
SMALL = 2**17  # characters of a notebook that is kept until it is graded
SEARCH = 2  # times the limit, for all attempts at a question from which the graded one is chosen
MISSING = re.compile(r"No module named '([\w.]{1,60})'")
TOLD = 10_000  # characters of what a learner is told of a check

Right = Mapping[str, list]  # the values that each exercise's reference computes


@dataclass
class Result:
    """What a submission earned, and what is to be said of it."""

    marks: dict[str, list[Mark]] = field(default_factory=dict)  # of each exercise
    open: dict[str, list[int]] = field(default_factory=dict)  # a person reads these cells
    elsewhere: list[int] = field(default_factory=list)  # and these, of no question
    flags: list[str] = field(default_factory=list)  # why a person should look at it
    reason: str = ""  # why nothing of it was graded
    structures: dict[str, str] = field(default_factory=dict)  # of answers, to find those alike

    @property
    def read(self) -> bool:
        """Was there a notebook that could be graded?"""
        return not self.reason

    @property
    def out_of_time(self) -> bool:
        """Did it run into the limit of time, as it may where the machine is busy?"""
        return any(re.search(r": it ran for more than .* seconds", flag) for flag in self.flags)


class Candidate(NamedTuple):
    """A notebook in a learner's folder."""

    path: Path
    digest: str  # of its bytes
    lines: list[str]  # that begin with "# assignment:"
    order: tuple  # answered cells, then when: Canvas's number of it, its last change, path
    notebook: Notebook | None = None  # what was read, unless it is large


class Folder(NamedTuple):
    """What a learner handed in."""

    learner: Learner
    notebooks: int
    candidates: list[Candidate]  # those of them that can be read
    reasons: list[str]  # why something can't
    names: tuple[str, ...] = ()  # of all files


@dataclass(frozen=True)
class Submission:
    """The notebook that counts, of those of a learner."""

    learner: Learner
    path: Path | None = None
    digest: str = ""  # of its bytes
    flags: tuple[str, ...] = ()
    reason: str = ""  # why there is none that can be read
    notebook: Notebook | None = None  # what was read, unless it is large
    others: tuple[str, ...] = ()  # names of the learner's files that do not count


# --------------------------------------------------------------------------- what was handed in


def opened(learner: Learner) -> Folder:
    """What a learner handed in, each notebook read once."""
    own_files = files(learner)
    candidates, reasons = [], list(own_files.reasons)
    for path in own_files.notebooks:
        try:
            data = contents(path)
            notebook = read(data)
            when = (file_number(path), path.stat().st_mtime_ns, str(path))
            order = (answered(notebook.cells), *when)
            digest = hashlib.sha256(data).hexdigest()
            small = sum(len(cell.source) for cell in notebook.cells) <= SMALL
            kept = notebook if small else None  # all learners' at once are to fit into memory
            candidates.append(Candidate(path, digest, notebook.lines, order, kept))
        except Unreadable as error:
            reasons.append(str(error))
        except Exception as error:  # whatever it is, the others are to be graded
            reasons.append(f"{path.name!r} can't be read: {error!r}")
    if not own_files.notebooks and learner.places:
        names = [repr(path.name) for path in own_files.others]
        listing = f"; it holds {', '.join(names[:3])}{' …' * (len(names) > 3)}" if names else ""
        reasons.append(f"no notebook (.ipynb) in it{listing}")
    everything = own_files.notebooks + own_files.others
    listed = tuple(within(learner, path) for path in everything)
    return Folder(learner, len(own_files.notebooks), candidates, reasons, listed)


def chosen(folder: Folder, assignment: Assignment, counts: str = "answered") -> Submission:
    """The notebook that counts: of this assignment rather than of another one, then by the rule.

    Where the best `counts`, that is to be found by `rivals`.
    """
    flags = [*folder.learner.flags]
    if not folder.candidates:
        reason = "; ".join(folder.reasons)
        return Submission(folder.learner, flags=tuple(flags), reason=reason, others=folder.names)
    able = of_this(folder, assignment)
    if counts == "first":
        counted = min(able, key=lambda candidate: candidate.order[1:])
    else:
        start = 1 if counts == "last" else 0
        counted = max(able, key=lambda candidate: candidate.order[start:])
    if counts == "best" and len(able) > 1:
        flags.append(f"{folder.notebooks} notebooks; all are graded, the best counts")
    elif folder.notebooks > 1:
        rule = f", the {counts}" if counts in ("first", "last") else ""
        flags.append(f"{folder.notebooks} notebooks; graded {counted.path.name!r}{rule}")
    return submission_of(folder, counted, [*flags, *folder.reasons])


def submission_of(folder: Folder, counted: Candidate, flags: Iterable[str]) -> Submission:
    """The submission in which this notebook counts."""
    own_name = within(folder.learner, counted.path)
    others = tuple(name for name in folder.names if name != own_name)
    return Submission(
        folder.learner, counted.path, counted.digest, tuple(flags), "", counted.notebook, others
    )


def of_this(folder: Folder, assignment: Assignment) -> list[Candidate]:
    """A learner's notebooks of this assignment; all, if none says so."""
    able = [candidate for candidate in folder.candidates if is_of(assignment, candidate.lines)]
    return able or folder.candidates


def rivals(folder: Folder, assignment: Assignment) -> list[Submission]:
    """A submission for each notebook of a learner's, if there are several; the best shall count.

    They come with the most answered one last, each under a name of its own.
    """
    able = sorted(of_this(folder, assignment), key=lambda candidate: candidate.order)
    found = []
    for number, candidate in enumerate(able if len(able) > 1 else [], start=1):
        said = f"{folder.notebooks} notebooks; graded all, {candidate.path.name!r} is the best"
        flags = [*folder.learner.flags, said, *folder.reasons]
        one = submission_of(folder, candidate, flags)
        named = replace(one.learner, name=f"{one.learner.name}, notebook {number}")
        found.append(replace(one, learner=named))
    return found


def earned(result: Result) -> float:
    """The points that the machine gives."""
    return sum(mark.points for marks in result.marks.values() for mark in marks)


def is_of(assignment: Assignment, lines: Iterable[str]) -> bool:
    """Does a line name this assignment?"""
    return any(assignment.line.startswith(line) for line in lines)


def check_secret(folders: Iterable[Folder], secret: str) -> None:
    """Refuse a secret that isn't that of most submissions: nearly all of their answers would fail.

    Raises: ValueError.
    """
    able = [folder.candidates for folder in folders if folder.candidates]
    lines = [[line for candidate in each for line in candidate.lines] for each in able]
    wrong = sum(bool(own) and not any(made_with(secret, line) for line in own) for own in lines)
    if wrong > len(able) / 2:
        raise ValueError(
            f"{wrong} of {len(able)} submissions: their assignment was made with another secret "
            "than the one you gave (typed, by --secret-file or by SECRET), so nearly all answers "
            "would fail. Give the assignment's own. Where two classes are mixed, grade each in a "
            "folder of its own."
        )


def assignment_of(folders: Iterable[Folder], secret: str) -> Assignment:
    """The assignment that most learners' notebooks name in their "# assignment:" line.

    Raises: ValueError if no notebook can be read, none was made with this secret, or two are named
    as often.
    """
    folders = list(folders)
    if folders and not any(folder.candidates for folder in folders):
        worst = max(folders, key=lambda folder: folder.notebooks)
        raise ValueError(
            f"No notebook can be read. {worst.learner.name}: {'; '.join(worst.reasons)}."
        )
    votes: Counter[str] = Counter()
    for folder in folders:
        votes.update({line for candidate in folder.candidates for line in candidate.lines})
    assignments = {line: assignment for line in votes if (assignment := from_line(line, secret))}
    first, second = [*(line for line, _ in votes.most_common() if line in assignments), "", ""][:2]
    if not first:
        wrong = votes.total()
        reason = f"{wrong} name another secret's" if wrong else "none has its '# assignment:' line"
        raise ValueError(
            f"No submission is of an assignment made with this secret: {reason}. "
            "Give that of the assignment, or name the exercises (and --open) that were asked."
        )
    if votes[first] == votes[second]:
        raise ValueError(
            f"The submissions are of two assignments, {first!r} and {second!r}. "
            "Grade each in a folder of its own."
        )
    return assignments[first]


# ---------------------------------------------------------------------------- one submission


class Lost(Exception):
    """Whoever graded it was lost, again and again; it says so in a flag's words."""


def run(runner: Runner, exercise: Exercise, way: list[Piece], *, anyhow: bool = False) -> Ran:
    """Run the pieces between what the key gives and its checks.

    The hidden tests follow if the checks pass, or `anyhow`.

    Raises: NotStarted.
    """
    sources = [*exercise.sources("given"), *(piece.source for piece in way)]
    visible = [check.visible for check in exercise.checks]
    hidden = hidden_steps(exercise)
    ran = runner.run(sources, visible, hidden, lambda ran: anyhow or ran.passed)
    return judged(runner, exercise, ran)


def graded_run(
    runner: Runner, exercise: Exercise, ways: Iterable[list[Piece]]
) -> tuple[list[Piece], Ran, str]:
    """The way in which an answer is graded, how it went, and what troubled this one or another.

    Which one that is, the checks decide that the learner sees. The hidden tests are sent once
    for a question, to this one: so nothing is to be had by guessing, however often it is tried.

    Raises: NotStarted.
    """
    outcomes: list[tuple[tuple, list[Piece], Ran]] = []
    trouble, began = "", time.monotonic()
    for number, way in enumerate(ways):
        if trouble and not all(exercise.name in piece.questions for piece in way):
            continue  # each such attempt may take all of its time
        if time.monotonic() > began + SEARCH * runner.seconds:
            break
        ran = run(runner, exercise, way)
        trouble = trouble or ran.trouble
        if ran.passed and len(ran.checks) == len(exercise.checks):  # the time may have ended first
            return way, ran, trouble
        seen = zip(exercise.checks, ran.checks, strict=False)
        points = 0 if ran.trouble else sum(c.points for c, output in seen if not output["error"])
        # Of those that pass as much, the one "from the top" is as the learner saw it.
        outcomes.append(((points, not ran.trouble, number == 1), way, ran))
        if never_ends(exercise, way, ran, runner.seconds):
            break
    (points, *_), way, ran = max(outcomes, key=lambda outcome: outcome[0])
    if points and not ran.trouble:
        ran = run(runner, exercise, way, anyhow=True)
    return way, ran, trouble or ran.trouble


def never_ends(exercise: Exercise, way: list[Piece], ran: Ran, seconds: float) -> bool:
    """Is it the answer's own cell, or a check of it, that used up the time?

    Then it does so in any other way, too. (Where other cells had most of the time, it may not.)
    """
    place = len(ran.cells) - len(exercise.sources("given"))  # of the piece that did not end
    own = place == len(way) or (place >= 0 and exercise.name in way[place].questions)
    return bool(ran.trouble) and own and ran.lasted > seconds / 2


def best(
    runner: Runner, exercise: Exercise, right: list, ways: Iterable[list[Piece]]
) -> tuple[list[Mark], list[str]]:
    """The marks of a question, and what a person should know of it if points are lacking.

    Raises: NotStarted.
    """
    way, ran, trouble = graded_run(runner, exercise, ways)
    given = marks(exercise.checks, right, ran)
    if sum(mark.points for mark in given) == exercise.points:
        return given, []
    errors = [output["error"] for output in ran.cells + ran.checks if output["error"]]
    missing = {
        name[1]
        for kind, text in errors
        if kind == "ModuleNotFoundError" and (name := MISSING.fullmatch(text))
    }
    lacking = [f"there is no {name} where it was graded" for name in sorted(missing)]
    return explained(given, exercise, way, ran), [trouble] * bool(trouble) + lacking


def explained(marks: list[Mark], exercise: Exercise, way: list[Piece], ran: Ran) -> list[Mark]:
    """The marks, with the error of the answer's own cell, which may explain those of the checks."""
    outputs = ran.cells[len(exercise.sources("given")) :]
    errors = [
        output["error"]
        for piece, output in zip(way, outputs, strict=False)
        if exercise.name in piece.questions and output["error"]
    ]
    if not errors:
        return marks
    kind, text = errors[-1]
    hint = f" Your cell ended with {kind}: {text[:300].strip()}"
    return [mark if mark.points else mark._replace(told=mark.told + hint) for mark in marks]


def graded(
    notebook: Notebook,
    assignment: Assignment,
    right: Right,
    lend: Callable[[str], AbstractContextManager[Runner]],
) -> Result:
    """What a notebook earns, run in a runner that is lent for it, by what it must import.

    Raises: NotStarted.
    """
    words = written(notebook.cells, assignment)
    result = Result(open=words.answers, elsewhere=words.elsewhere)
    if assignment.exercises:
        parts = pieces(notebook.cells, assignment.exercises)
        uses_torch = any(re.search(r"\btorch", piece.source) for piece in parts)
        # What is imported beforehand takes no time from an answer.
        with lend(assignment.imports(torch=uses_torch)) as runner:
            for exercise in assignment.exercises:
                ways = list(attempts(parts, exercise))
                if result.flags:  # a cell that all share may be to blame: begin without them
                    ways = [*ways[-1:], *ways[:-1]]
                marks, remarks = best(runner, exercise, right[exercise.name], ways)
                result.marks[exercise.name] = [
                    mark._replace(told=mark.told[:TOLD] + " …" * (len(mark.told) > TOLD))
                    for mark in marks
                ]
                result.flags += [f"{exercise.name}: {remark}" for remark in remarks]
        for exercise in assignment.exercises:
            answers = [bare(piece.source) for piece in whole_answers(parts, exercise)]
            result.structures[exercise.name] = structure(answers[-1]) if answers else ""
            if (count := len({*answers})) > 1:
                result.flags.append(f"{exercise.name}: {count} answers; the last of them counts")
    result.flags += list(oddities(notebook, words, assignment))
    return result


def oddities(notebook: Notebook, words: Written, assignment: Assignment) -> Iterator[str]:
    """What a person may want to know of a notebook that can be read."""
    if not notebook.lines:
        yield "its '# assignment:' line is missing"
    elif not is_of(assignment, notebook.lines):
        yield "its '# assignment:' line is of another assignment"
    for name in words.lost:
        yield f"{name}: no answer cell found"


def nothing(assignment: Assignment, reason: str) -> Result:
    """No points, for a reason that is flagged."""
    marks = {
        exercise.name: [
            Mark(check.name, 0, check.points, f"{reason}.") for check in exercise.checks
        ]
        for exercise in assignment.exercises
    }
    return Result(marks, flags=[reason], reason=reason)


# --------------------------------------------------------------------------------- the batch


class Kept:
    """Results in a file, a line each, by the digest of what they depend on."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = threading.Lock()
        self.known: dict[str, Result] = {}
        lines = []
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
            try:
                entry = json.loads(line)
                result = Result(**entry["result"])
                result.marks = {q: [Mark(*m) for m in marks] for q, marks in result.marks.items()}
                self.known[entry["digest"]] = result
                lines.append(line)
            except (ValueError, KeyError, TypeError):
                continue  # cut while it was written
        self.before = frozenset(self.known)  # from an earlier run
        with replacing(path) as temporary:
            temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")

    def add(self, digest: str, result: Result) -> None:
        """Keep a result, at once and for good."""
        line = json.dumps({"digest": digest, "result": asdict(result)})
        with self.lock, self.path.open("a", encoding="utf-8") as file:
            file.write(f"{line}\n")
            file.flush()
            os.fsync(file.fileno())
            self.known[digest] = result


def installed() -> dict[str, str]:
    """What points may depend on besides the submission: our code, Python and the packages."""
    course = Path(__file__).parents[1]
    folders = course / "exercises", course / "grading", Path(cifarlab.__file__).parent
    code = [path.read_bytes() for folder in folders for path in sorted(folder.rglob("*.py"))]
    return {
        "the course": hashlib.sha256(b"".join(code)).hexdigest(),
        "Python": platform.python_version(),
        **dict(sorted((package.name, package.version) for package in distributions())),
    }


def settings_digest(assignment: Assignment, seconds: float) -> bytes:
    """Changes whenever the same notebook might earn other points."""
    return hashlib.sha256(repr((assignment, seconds, installed())).encode()).digest()


class Runners:
    """Runners, each lent to one submission at a time: so PyTorch is imported once for many.

    A sandbox is cleared after each attempt, whosesoever it is, and one that ran into trouble is
    thrown away with its process; where there is no sandbox, each submission has a new one.
    """

    def __init__(self, make: Callable[[str], Runner]) -> None:
        self.make = make  # by what it is to import
        self.lock = threading.Lock()
        self.all: list[Runner] = []
        self.idle: dict[str, list[Runner]] = {}
        self.cancelled = False

    @contextmanager
    def lend(self, imports: str) -> Iterator[Runner]:
        """A runner that has imported this, or will."""
        with self.lock:
            waiting = self.idle.setdefault(imports, [])
            if waiting:
                runner = waiting.pop()
            else:
                runner = self.make(imports)
                self.all.append(runner)
            if self.cancelled:
                runner.cancel()
        try:
            yield runner
        finally:
            if runner.lasting:
                with self.lock:
                    waiting.append(runner)
            else:
                runner.stop()

    def cancel(self) -> None:
        """End them all, at once and for good."""
        with self.lock:
            self.cancelled = True
            for runner in self.all:
                runner.cancel()

    def close(self) -> None:
        """End them all; nothing is graded any more."""
        with self.lock:
            for runner in self.all:
                runner.stop()


class Crew:
    """Who grades, so many submissions at a time: here, in runners that are made for it.

    A sandbox ends with the thread that started it: so these threads last as long as the runners.
    """

    def __init__(self, make: Callable[[str], Runner], *, seconds: float, jobs: int) -> None:
        self.runners, self.seconds = Runners(make), seconds  # an attempt
        self.pool = ThreadPoolExecutor(jobs)

    def grade(self, notebook: Notebook, assignment: Assignment, right: Right) -> Result:
        """What a notebook earns. Called in a thread of the pool.

        Raises: NotStarted, or Lost.
        """
        return graded(notebook, assignment, right, self.runners.lend)

    def cancel(self) -> None:
        """End all that is being graded, at once and for good."""
        self.runners.cancel()
        self.pool.shutdown(cancel_futures=True)

    def close(self) -> None:
        """End; nothing is graded any more, not even what waits after an error."""
        self.pool.shutdown(cancel_futures=True)
        self.runners.close()


def references(assignment: Assignment) -> Right:
    """What the reference of each exercise computes."""
    with Runner(seconds=120, imports=assignment.imports()) as trusted:
        return {exercise.name: expected(trusted, exercise) for exercise in assignment.exercises}


class Progress:
    """How far a batch is: a bar on a terminal, elsewhere a line for each tenth of the way.

    Of what an earlier run has graded it says only how much that is.
    """

    def __init__(self, total: int, before: int) -> None:
        if before:
            print(f"{before} of {total} kept from before", file=sys.stderr, flush=True)
        self.bar = tqdm(total=total, initial=before, unit="submission", disable=None)
        self.total, self.done = total, before

    def step(self) -> None:
        """One more is done."""
        self.bar.update()
        self.done += 1
        if self.bar.disable and self.done * 10 // self.total > (self.done - 1) * 10 // self.total:
            print(f"graded {self.done} of {self.total}", file=sys.stderr, flush=True)


def grade(
    submissions: Sequence[Submission],
    assignment: Assignment,
    right: Right,
    kept: Kept,
    crew: Crew,
    *,
    again: Container[str] = (),
) -> dict[str, Result]:
    """The result of each learner, from the file of results or newly graded by the `crew`.

    Graded anew is whose name is in `again`, and what ran into the limit of time: such a result is
    not kept, for a busy machine may be to blame.

    Raises: NotStarted, after the others have been graded, if a sandbox did not start;
    KeyboardInterrupt with the learners whose submissions were running.
    """
    settings = settings_digest(assignment, crew.seconds)
    results: dict[str, Result] = {}
    failures: list[NotStarted] = []

    def key(digest: str) -> str:
        return hashlib.sha256(settings + digest.encode()).hexdigest()

    def is_in(known: Container[str], submission: Submission) -> bool:
        return key(submission.digest) in known and submission.learner.name not in again

    def one(submission: Submission) -> Result:
        if submission.path is None:
            return nothing(assignment, submission.reason)
        if is_in(kept.known, submission):
            return kept.known[key(submission.digest)]
        try:
            notebook, digest = submission.notebook, submission.digest
            if notebook is None:
                data = contents(submission.path)
                notebook, digest = read(data), hashlib.sha256(data).hexdigest()
            result = crew.grade(notebook, assignment, right)
        except NotStarted:
            raise
        except Lost as error:
            return nothing(assignment, str(error))
        except Exception as error:  # whatever it is, the others are to be graded
            return nothing(assignment, f"it can't be graded: {error!r}")
        if not result.out_of_time:
            kept.add(key(digest), result)
        return result

    running = {crew.pool.submit(one, submission): submission for submission in submissions}
    before = {each.learner.name for each in submissions if is_in(kept.before, each)}
    progress = Progress(len(running), len(before))
    try:
        for future in as_completed(running):
            submission = running[future]
            if submission.learner.name not in before:
                progress.step()
            try:
                result = future.result()
                flags = [*submission.flags, *result.flags]
                results[submission.learner.name] = replace(result, flags=flags)
            except NotStarted as error:
                failures.append(error)
    except KeyboardInterrupt:
        names = [
            submission.learner.name for future, submission in running.items() if future.running()
        ]
        crew.cancel()
        raise KeyboardInterrupt(", ".join(names)) from None
    finally:
        progress.bar.close()
    if failures:
        raise NotStarted(f"{failures[0]}, for {len(failures)} of {len(submissions)} submissions")
    # Whoever was done first: the tables and pages stand in the order of the submissions.
    results = {
        submission.learner.name: results[submission.learner.name] for submission in submissions
    }
    tell_the_same(submissions, results)
    return results


def tell_the_same(submissions: Iterable[Submission], results: Mapping[str, Result]) -> None:
    """Flag those who handed in the very same file, if there is anything of their own in it."""
    alike: dict[str, list[str]] = {}
    for submission in submissions:
        if submission.path:
            alike.setdefault(submission.digest, []).append(submission.learner.name)
    for names in alike.values():
        for name in names if len(names) > 1 else ():
            if earned(results[name]) or results[name].open:
                others = ", ".join(sorted({*names} - {name})[:5])
                results[name].flags.append(f"the very same file as that of {others}")
