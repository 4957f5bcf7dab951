"""Read what a learner handed in, however damaged, and find the cells of each question.

A notebook is read, and made into HTML, in a process of its own: `reader.py` says within which
bounds. What is done here with its cells takes a time that grows with their size, and no faster.
"""

import functools
import json
import os
import re
import stat
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from cifarlab_course.exercises.master import YOUR_TURN, Exercise, names_defined
from cifarlab_course.grading.assignment import Assignment, bare, check_cell, digest_of
from cifarlab_course.grading.reader import LARGEST, REFUSED, SECONDS, Unreadable

READER = Path(__file__).with_name("reader.py")
PATIENCE = 10 * SECONDS  # on a machine that is very busy
# No pattern may cross lines: one that does takes, for many blank ones, the square of their number.
MARK = re.compile(r"^[ \t]*#[ \t]*(exercise|check):[ \t]*([a-z0-9-]+)", re.MULTILINE)
OPEN = re.compile(r"^[^\w\n]*open: *([a-z0-9-]+)[^\n]*$", re.MULTILINE)


class Cell(NamedTuple):
    """One cell as it was handed in."""

    code: bool  # else text
    source: str
    metadata: dict[str, str]  # ours: what the cell was handed out as


class Notebook(NamedTuple):
    """What a file holds, whatever its version."""

    cells: list[Cell]
    lines: list[str]  # that begin with "# assignment:"


@dataclass(frozen=True)
class Piece:
    """A code cell, and what it belongs to."""

    source: str
    questions: frozenset[str]  # whose answer it is part of; none for a helper that all may use
    answers: bool  # a whole answer, rather than a helper below one
    check: bool = False


# ------------------------------------------------------------------------------------- the file


def contents(path: Path) -> bytes:
    """The bytes of a file that a learner may have made a trap of.

    Raises: Unreadable.
    """
    try:
        # Neither follow a link nor wait at a named pipe.
        with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
            about = os.fstat(file.fileno())
            if not stat.S_ISREG(about.st_mode):
                raise Unreadable(f"{path.name!r} is no ordinary file")
            if about.st_size > LARGEST:
                size = about.st_size / 2**20
                most = LARGEST / 2**20
                raise Unreadable(f"{path.name!r} has {size:.0f} MB; {most:.0f} are allowed")
            return file.read(about.st_size)  # to name more would set as much aside
    except OSError as error:
        if path.is_symlink():
            raise Unreadable(f"{path.name!r} is a link") from error
        raise Unreadable(f"{path.name!r} can't be opened: {error.strerror}") from error


def read(data: bytes) -> Notebook:
    """The notebook in a file.

    Raises: Unreadable.
    """
    content = apart(data, "cells")
    return Notebook([Cell(*cell) for cell in content["cells"]], content["lines"])


def shown(data: bytes, numbers: Sequence[int]) -> list[str]:
    """These cells of the notebook as HTML without scripts.

    Raises: Unreadable.
    """
    return apart(data, "show", *map(str, numbers))


def apart(data: bytes, *task: str):
    """What `reader.py` makes of a file.

    Raises: Unreadable.
    """
    # To read cells takes no package, and a fifth less time where none is looked for.
    alone = ["-S"] if task == ("cells",) else []
    try:
        process = subprocess.run(
            [sys.executable, "-I", *alone, str(READER), *task],
            input=data,
            capture_output=True,
            timeout=PATIENCE,
            env={},
            start_new_session=True,  # Ctrl-C is for the one who grades
        )
    except subprocess.TimeoutExpired as error:
        raise Unreadable(f"reading it takes more than {PATIENCE} seconds") from error
    if process.returncode == REFUSED:
        raise Unreadable(process.stdout.decode())
    if process.returncode:
        raise Unreadable(f"reading it takes more than {SECONDS} seconds, or too much memory")
    return json.loads(process.stdout)


def answered(cells: Sequence[Cell]) -> int:
    """How many answer cells are no longer as they were handed out."""
    marked = [cell.source for cell in cells if "exercise:" in cell.source]
    return sum(YOUR_TURN not in source for source in marked)


# ------------------------------------------------------------------------------ whose cell it is


def pieces(cells: Sequence[Cell], exercises: Sequence[Exercise]) -> list[Piece]:
    """The code cells in order, each with the questions that it belongs to."""
    names = {exercise.name for exercise in exercises}
    checks = {check.name: check for exercise in exercises for check in exercise.checks}
    visible = {bare(check.visible) for check in checks.values()}
    visible |= {bare(check_cell(check, exercises)) for check in checks.values()}
    parts = []
    current: frozenset[str] = frozenset()
    for cell in cells:
        marks = MARK.findall(cell.source)
        answers = frozenset(name for kind, name in marks if kind == "exercise" and name in names)
        checked = any(kind == "check" and name in checks for kind, name in marks)
        if not (answers or checked):  # the marker line is gone, metadata may not be
            answers = frozenset({cell.metadata.get("answer")}) & names
            checked = not answers and cell.metadata.get("check") in checks
        if answers:
            current = answers
            parts.append(Piece(cell.source, answers, answers=True))
        elif checked:
            current = frozenset()
            if bare(cell.source) not in visible:  # something was written into it
                parts.append(Piece(cell.source, frozenset(), answers=False, check=True))
        elif cell.code:
            parts.append(Piece(cell.source, current, answers=False))
        elif cell.source.lstrip().startswith("#"):  # a heading: the next question
            current = frozenset()
    for exercise in exercises:
        parts = recognized(parts, exercise)
    return without_spare_stubs(parts, exercises)


def recognized(parts: list[Piece], exercise: Exercise) -> list[Piece]:
    """The pieces, where no cell says that it answers `exercise` those that define what it asks."""
    if any(exercise.name in piece.questions for piece in parts):
        return parts
    question = frozenset({exercise.name})
    return [
        Piece(piece.source, piece.questions | question, answers=True)
        if not piece.check and defines(piece, exercise)
        else piece
        for piece in parts
    ]


def defines(piece: Piece, exercise: Exercise) -> bool:
    """Does it define what the exercise asks for?"""
    return bool(definition(exercise.reference).search(piece.source))


@functools.cache
def definition(reference: str) -> re.Pattern:
    """What a cell holds that defines what this solution does."""
    names = "|".join(map(re.escape, names_defined(reference)))
    return re.compile(rf"^(def|class) +({names})\b|^({names})\b *=[^=]", re.MULTILINE)


def without_spare_stubs(parts: list[Piece], exercises: Sequence[Exercise]) -> list[Piece]:
    """The pieces without untouched stubs of questions that are answered in another cell."""
    for exercise in exercises:
        stub = bare(exercise.stub)
        others = [piece for piece in parts if bare(piece.source) != stub]
        if any(defines(piece, exercise) for piece in others):
            parts = others
    return parts


def attempts(parts: Sequence[Piece], exercise: Exercise) -> Iterator[list[Piece]]:
    """The ways to run a question's cells, the safest first; all that honest work may need.

    In a learner's kernel cells may have run in any order, and helpers may stand anywhere. Of
    several answers the last one counts: those before it run only where all runs, for what else
    they define.
    """
    older = whole_answers(parts, exercise)[:-1]
    every = parts
    parts = [piece for piece in parts if not any(piece is other for other in older)]
    code = [piece for piece in parts if not piece.check]
    places = [number for number, piece in enumerate(code) if exercise.name in piece.questions]
    last = max(places, default=len(code))
    own = [code[number] for number in places]
    free = [piece for piece in code if not piece.questions]
    before = [
        piece
        for number, piece in enumerate(code)
        if number <= last and (exercise.name in piece.questions or not piece.questions)
    ]
    top = [piece for piece in every if not piece.check]
    ways = [
        before,  # no other question's cells, which may use the same names or never end
        top[: len(top) - len(code) + last + 1],  # as it runs from the top
        [*free, *own],  # a helper stands further down
        [*parts, *own],  # it needs another question's helper, or stands in a check
        [*free, *whole_answers(parts, exercise)],  # what follows the answer spoils it
        own,  # another cell never ends
    ]
    tried = []
    for way in ways:
        if way not in tried:
            tried.append(way)
            yield way


def whole_answers(parts: Sequence[Piece], exercise: Exercise) -> list[Piece]:
    """The cells that answer a question, in order: all that define what it asks for."""
    return [
        piece for piece in parts if exercise.name in piece.questions and defines(piece, exercise)
    ]


# ------------------------------------------------------------------------------ open questions


class Written(NamedTuple):
    """What a person must look at, by the numbers of its cells."""

    answers: dict[str, list[int]]  # only of open questions that are not as they were handed out
    elsewhere: list[int]  # text cells of the learner's own that stand at no open question
    lost: list[str]  # open questions whose answer cell is gone


def written(cells: Sequence[Cell], assignment: Assignment) -> Written:
    """What a learner wrote in words, wherever it stands.

    An open question is as it was handed out only if nothing from there to the next question was
    added, changed or taken away, and no text was added elsewhere: else a person sees all of it.
    """
    answers: dict[str, list[int]] = {name: [] for name in assignment.open}
    elsewhere: list[int] = []
    digests, present = set(), set()
    current = None
    for number, cell in enumerate(cells):
        current = begins(cell, assignment) or current
        present.add(answer_cell(cell))
        text = bare(cell.source)
        digests.add(digest := digest_of(text))
        if digest in assignment.digests.values() or assignment.handed_out(text):
            continue
        if current in assignment.open:
            answers[current].append(number)
        elif not cell.code:
            elsewhere.append(number)
    for name, digest in assignment.digests.items():
        if not answers[name] and not elsewhere and name in present and digest in digests:
            del answers[name]
    return Written(answers, elsewhere, [name for name in assignment.open if name not in present])


def answer_cell(cell: Cell) -> str | None:
    """The open question for whose answer a cell was handed out."""
    mark = OPEN.search(cell.source)
    return mark[1] if mark else cell.metadata.get("open")


def begins(cell: Cell, assignment: Assignment) -> str | None:
    """The question that a cell belongs to, if it is one of ours at which a question is known."""
    for name in (answer_cell(cell), cell.metadata.get("question")):
        if name in assignment.open:
            return name
    line = cell.source.lstrip().partition("\n")[0].rstrip()
    return None if cell.code else assignment.headings.get(line)
