"""Read what a learner handed in, however damaged, and find the cells of each question."""

import json
import os
import re
import stat
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from cifarlab_course.exercises.master import YOUR_TURN, Exercise, names_defined
from cifarlab_course.grading.assignment import Assignment

LARGEST = 20 * 2**20  # bytes of a notebook; JSON takes many times as much memory
SKIPPED = {".ipynb_checkpoints", "__MACOSX"}  # copies that programs leave beside a notebook
MARK = re.compile(r"^\s*# *(exercise|check): *([a-z0-9-]+)", re.MULTILINE)
OPEN = re.compile(r"<!-- *open: *([a-z0-9-]+)[^>\n]*>?")


class Unreadable(Exception):
    """There is no notebook that can be read: why."""


class Cell(NamedTuple):
    """One cell as it was handed in."""

    code: bool  # else text
    source: str
    metadata: dict


@dataclass(frozen=True)
class Piece:
    """A code cell, and what it belongs to."""

    source: str
    questions: frozenset[str]  # whose answer it is part of; none for a helper that all may use
    answers: bool  # a whole answer, rather than a helper below one
    check: bool = False


# ------------------------------------------------------------------------------------- the file


def notebooks(folder: Path) -> Iterator[Path]:
    """The files in a learner's folder that are called like a notebook."""
    for place, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if name not in SKIPPED)
        for name in sorted(files):
            if name.lower().endswith(".ipynb") and not name.startswith("._"):
                yield Path(place, name)


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
            return file.read(LARGEST)
    except OSError as error:
        if path.is_symlink():
            raise Unreadable(f"{path.name!r} is a link") from error
        raise Unreadable(f"{path.name!r} can't be opened: {error.strerror}") from error


def decoded(data: bytes) -> str:
    """The text of a file, in whichever form of Unicode it is; what is in none becomes a sign."""
    return data.decode(json.detect_encoding(data), "replace")


def cells(data: bytes) -> list[Cell]:
    """The cells of a notebook of any version, whole or not.

    Raises: Unreadable.
    """
    try:
        notebook = json.loads(decoded(data))
    except (ValueError, RecursionError) as error:
        raise Unreadable("it is no notebook: its JSON is damaged") from error
    found = listed(notebook, "cells")
    for sheet in listed(notebook, "worksheets"):  # as in versions before 4
        found += listed(sheet, "cells")
    read = [cell(each) for each in found if isinstance(each, dict)]
    if not read:
        raise Unreadable("it is JSON, but has no cells")
    return read


def listed(holder: object, name: str) -> list:
    """The list of that name, empty where there is none."""
    found = holder.get(name) if isinstance(holder, dict) else None
    return list(found) if isinstance(found, list) else []


def cell(raw: dict) -> Cell:
    """One cell, from what stands in the file."""
    source = raw.get("source", raw.get("input", ""))
    if isinstance(source, list):
        source = "".join(line for line in source if isinstance(line, str))
    text = source if isinstance(source, str) else ""
    text = text.replace("\r\n", "\n").replace("\r", "\n").encode(errors="replace").decode()
    metadata = raw.get("metadata")
    ours = metadata.get("cifarlab") if isinstance(metadata, dict) else None
    return Cell(raw.get("cell_type") == "code", text, ours if isinstance(ours, dict) else {})


def answered(found: Sequence[Cell]) -> int:
    """How many answer cells are no longer as they were handed out."""
    marked = [cell.source for cell in found if "exercise:" in cell.source]
    return sum(YOUR_TURN not in source for source in marked)


# ------------------------------------------------------------------------------ whose cell it is


def pieces(found: Sequence[Cell], exercises: Sequence[Exercise]) -> list[Piece]:
    """The code cells in order, each with the questions that it belongs to."""
    names = {exercise.name for exercise in exercises}
    checks = {check.name for exercise in exercises for check in exercise.checks}
    visible = {bare(check.visible) for exercise in exercises for check in exercise.checks}
    made = []
    current: frozenset[str] = frozenset()
    for each in found:
        marks = MARK.findall(each.source)
        answers = frozenset(name for kind, name in marks if kind == "exercise" and name in names)
        checked = any(kind == "check" and name in checks for kind, name in marks)
        if not (answers or checked):  # the marker line is gone, metadata may not be
            answers = frozenset({each.metadata.get("answer")}) & names
            checked = not answers and each.metadata.get("check") in checks
        if answers:
            current = answers
            made.append(Piece(each.source, answers, answers=True))
        elif checked:
            current = frozenset()
            if bare(each.source) not in visible:  # something was written into it
                made.append(Piece(each.source, frozenset(), answers=False, check=True))
        elif each.code:
            made.append(Piece(each.source, current, answers=False))
        elif each.source.lstrip().startswith("#"):  # a heading: the next question
            current = frozenset()
    for exercise in exercises:
        made = recognized(made, exercise)
    return without_spare_stubs(made, exercises)


def recognized(made: list[Piece], exercise: Exercise) -> list[Piece]:
    """The pieces, where no cell says that it answers `exercise` those that define what it asks."""
    if any(exercise.name in piece.questions for piece in made):
        return made
    ours = frozenset({exercise.name})
    return [
        Piece(piece.source, piece.questions | ours, answers=True)
        if not piece.check and defines(piece, exercise)
        else piece
        for piece in made
    ]


def defines(piece: Piece, exercise: Exercise) -> bool:
    """Does it define what the exercise asks for?"""
    names = "|".join(map(re.escape, names_defined(exercise.reference)))
    return bool(re.search(rf"^(def|class) +({names})\b|^({names})\b *=[^=]", piece.source, re.M))


def without_spare_stubs(made: list[Piece], exercises: Sequence[Exercise]) -> list[Piece]:
    """The pieces without untouched stubs of questions that are answered in another cell."""
    for exercise in exercises:
        stub = bare(exercise.stub)
        others = [piece for piece in made if bare(piece.source) != stub]
        if any(defines(piece, exercise) for piece in others):
            made = others
    return made


def bare(source: str) -> str:
    """A cell's text without what editors change by themselves."""
    return "\n".join(line.rstrip() for line in source.strip().splitlines())


def attempts(made: Sequence[Piece], exercise: Exercise) -> Iterator[list[Piece]]:
    """The ways to run a question's cells, the safest first; all that honest work may need.

    In a learner's kernel cells may have run in any order, and helpers may stand anywhere. Of
    several answers the last one counts: those before it run only where all runs, for what else
    they define.
    """
    older = whole_answers(made, exercise)[:-1]
    every = made
    made = [piece for piece in made if not any(piece is other for other in older)]
    code = [piece for piece in made if not piece.check]
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
        [*made, *own],  # it needs another question's helper, or stands in a check
        [*free, *whole_answers(made, exercise)],  # what follows the answer spoils it
        own,  # another cell never ends
    ]
    tried = []
    for way in ways:
        if way not in tried:
            tried.append(way)
            yield way


def whole_answers(made: Sequence[Piece], exercise: Exercise) -> list[Piece]:
    """The cells that answer a question, in order: all that define what it asks for."""
    return [
        piece for piece in made if exercise.name in piece.questions and defines(piece, exercise)
    ]


def written(found: Sequence[Cell], assignment: Assignment) -> dict[str, str]:
    """The answers to the open questions, as far as they can be found."""
    answers: dict[str, str] = {}
    current = None
    for each in found:
        mark = OPEN.search(each.source)
        name = mark[1] if mark else each.metadata.get("open")
        if name in assignment.open:
            current = name
            text = OPEN.sub("", each.source).strip()
        elif each.code or each.source.lstrip().startswith("#"):
            current = None
        else:  # an answer that goes on in a second cell
            text = each.source
        if current:
            answers[current] = f"{answers.get(current, '')}\n\n{text}".strip()
    return answers
