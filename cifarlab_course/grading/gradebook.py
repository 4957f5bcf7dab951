"""Put results together with what a person enters: tables to import."""

import csv
import io
import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cifarlab._files import replacing
from cifarlab_course.grading.assignment import Assignment
from cifarlab_course.grading.grade import Result, Submission

HEADER = ["learner", "question", "points", "comment"]
FAULTS = 10  # of a table that are told at once


# ------------------------------------------------------------------------------------- by hand


class ByHand(NamedTuple):
    """What a person says of a learner's answer to a question; no points yet if None."""

    points: float | None
    comment: str


class Entries(NamedTuple):
    """A person's table."""

    given: dict[tuple[str, str], ByHand]  # by learner and question
    rows: list[list[str]]  # as they stand there
    sign: str  # between columns: spreadsheets write either


def read_by_hand(path: Path, learners: Collection[str], most: Mapping[str, int]) -> Entries:
    """What a person entered. A row of who is gone is kept and, without points or comment, ignored.

    Raises: ValueError that names each row and what is wrong with it.
    """
    if not path.exists():
        return Entries({}, [], ",")
    sign, (header, *rows) = read_table(path)
    if [name.strip().lower() for name in header] != HEADER:
        raise ValueError(f"{path} must begin with the line {','.join(HEADER)}.")
    entries = Entries({}, [row for row in rows if any(row)], sign)
    faults = []
    for number, row in enumerate(rows, start=2):
        if any(row):
            try:
                take(row, entries.given, learners, most)
            except ValueError as error:
                faults.append(f"row {number}: {error}")
    if faults:
        more = f" And {len(faults) - FAULTS} more." if len(faults) > FAULTS else ""
        raise ValueError(f"{path}, {' '.join(faults[:FAULTS])}{more}")
    return entries


def take(
    row: Sequence[str],
    by_hand: dict[tuple[str, str], ByHand],
    learners: Collection[str],
    most: Mapping[str, int],
) -> None:
    """Take what a row says.

    Raises: ValueError if it can't be.
    """
    learner, question, points, comment = [*row, "", "", "", ""][:4]
    if learner not in learners:
        if not points.strip() and not comment.strip():
            return  # whoever it was has left
        raise ValueError(f"no submission is of {learner!r}; correct the name, or remove the row.")
    if question not in most:
        raise ValueError(f"{question!r}; take one of: {', '.join(most)}.")
    if (learner, question) in by_hand:
        raise ValueError(f"a second row for {learner} and {question}; keep one.")
    by_hand[learner, question] = ByHand(number_in(points, most[question]), comment)


def number_in(text: str, most: int) -> float | None:
    """Points as a person writes them, with a comma or a point; None if there are none yet.

    Raises: ValueError if they are no number from 0 to `most`.
    """
    if not text.strip():
        return None
    try:
        points = float(text.strip().replace(",", "."))
    except ValueError:
        points = -1.0
    if not 0 <= points <= most:
        raise ValueError(f"{text!r} points; give a number from 0 to {most}, or none yet.")
    return points


def waits(result: Result, name: str) -> bool:
    """Must a person give the points for this open question? Not where nothing was written."""
    return result.read and name in result.open


def write_by_hand(
    path: Path, results: Mapping[str, Result], assignment: Assignment, entries: Entries
) -> list[list[str]]:
    """Write the rows back as they stood, below them one for each answer to be read; all rows."""
    rows_there = {tuple(row[:2]) for row in entries.rows}
    new = [
        [learner, name, "", ""]
        for learner, result in results.items()
        for name in assignment.open
        if (learner, name) not in rows_there and waits(result, name)
    ]
    rows = [*entries.rows, *new]
    if new or not path.exists():
        write_table(path, [HEADER, *rows], entries.sign)
    return rows


def read_table(path: Path) -> tuple[str, list[list[str]]]:
    """The sign between the columns of a file of CSV, and its rows, at least one.

    Raises: ValueError if it isn't in UTF-8, or no CSV; OSError.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not in UTF-8; save it as 'CSV UTF-8'.") from error
    first = re.split(r"\r\n?|\n", text, maxsplit=1)[0]
    try:
        columns = {sign: len(next(csv.reader([first], delimiter=sign), [])) for sign in ",;\t"}
        sign = max(columns, key=columns.__getitem__)
        return sign, list(csv.reader(io.StringIO(text, newline=""), delimiter=sign)) or [[]]
    except csv.Error as error:
        raise ValueError(f"{path} can't be read: {error}; save it as 'CSV UTF-8'.") from error


def write_table(
    path: Path, rows: Sequence[Sequence], sign: str = ",", encoding: str = "utf-8-sig"
) -> None:
    """Write rows as CSV, by default with the mark by which Excel knows that it is UTF-8."""
    buffer = io.StringIO(newline="")
    csv.writer(buffer, delimiter=sign, lineterminator="\n").writerows(rows)
    with replacing(path) as temporary:
        temporary.write_text(buffer.getvalue(), encoding=encoding, errors="replace")


# ------------------------------------------------------------------------------------ the book


class Row(NamedTuple):
    """What stands in the book for a learner."""

    points: dict[str, float | None]  # None: waits for a person
    flags: list[str]

    @property
    def waiting(self) -> list[str]:
        """The questions whose points a person must give."""
        return [name for name, points in self.points.items() if points is None]

    @property
    def settled(self) -> str:
        """The total as a platform takes it: nothing while a person must give points."""
        return "" if self.waiting else f"{self.total:g}"

    @property
    def total(self) -> float:
        """The points that there are."""
        return sum(points for points in self.points.values() if points is not None)


def book(results: Mapping[str, Result], assignment: Assignment, entries: Entries) -> dict[str, Row]:
    """The points of each learner for each question; what a person entered goes first."""
    rows = {}
    for learner, result in sorted(results.items()):
        points: dict[str, float | None] = {}
        for name in assignment.most:
            entry = entries.given.get((learner, name))
            if entry and entry.points is not None:
                points[name] = entry.points
            elif name in assignment.open:
                points[name] = None if waits(result, name) else 0
            else:
                points[name] = sum(mark.points for mark in result.marks[name])
        rows[learner] = Row(points, result.flags)
    return rows


def write(
    path: Path,
    rows: Mapping[str, Row],
    submissions: Mapping[str, Submission],
    assignment: Assignment,
) -> None:
    """Write the table of points.

    Raises: OSError if it can't be written.
    """
    most = sum(assignment.most.values())
    table: list[list[Any]] = [
        ["learner", "number", *assignment.most, "total", "most", "waiting", "flags"]
    ]
    for name, row in rows.items():
        learner = submissions[name].learner
        points = ["" if value is None else f"{value:g}" for value in row.points.values()]
        notes = [", ".join(row.waiting), "; ".join(row.flags)]
        table.append([name, learner.number, *points, f"{row.total:g}", most, *notes])
    write_table(path, table)


def write_changes(path: Path, rows: Mapping[str, Row]) -> None:
    """Write what differs between the table at `path`, if there is one, and `rows`.

    So one sees whose points change, when a check was mended and all graded anew.

    Raises: OSError if it can't be written.
    """
    try:
        _, (header, *lines) = read_table(path)
        table = [dict(zip(header, line, strict=False)) for line in lines if line]
        before = {line["learner"]: line for line in table}
    except (FileNotFoundError, ValueError, KeyError):  # none, or no table of ours
        before = {}
    changes = []
    for name, row in rows.items() if before else ():
        for question, value in row.points.items():
            old = before.get(name, {}).get(question) or ""
            new = "" if value is None else f"{value:g}"
            if old != new:
                changes.append([name, question, old, new])
    write_table(beside(path, "changes.csv"), [["learner", "question", "before", "now"], *changes])


def changed(path: Path) -> int:
    """How many points the last run changed in the table at `path`."""
    _, rows = read_table(beside(path, "changes.csv"))
    return len(rows) - 1  # without the header


def beside(path: Path, name: str) -> Path:
    """The place of what belongs to a table: the table's name first."""
    return path.with_name(f"{path.stem}-{name}")
