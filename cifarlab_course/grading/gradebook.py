"""Put results together with what a person enters: tables to import, and a page for each learner."""

import csv
import html
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from cifarlab._files import replacing
from cifarlab_course.grading.assignment import YOUR_WORDS, Assignment, counted
from cifarlab_course.grading.grade import Result

HEADER = ["learner", "question", "points", "comment"]


class ByHand(NamedTuple):
    """What a person says of a learner's answer to a question; no points yet if None."""

    points: float | None
    comment: str


Entries = dict[tuple[str, str], ByHand]  # by learner and question


# ------------------------------------------------------------------------------------- by hand


def read_by_hand(path: Path, learners: set[str], most: Mapping[str, int]) -> tuple[Entries, str]:
    """What a person entered, and the sign between columns: spreadsheets write either.

    Raises: ValueError that names the line and what is wrong with it.
    """
    if not path.exists():
        return {}, ","
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not in UTF-8; save it as 'CSV UTF-8'.") from error
    sign = ";" if ";" in text.partition("\n")[0] else ","
    rows = list(csv.reader(io.StringIO(text, newline=""), delimiter=sign))
    if not rows or [name.strip().lower() for name in rows[0]] != HEADER:
        raise ValueError(f"{path} must begin with the line {','.join(HEADER)}.")
    entries: Entries = {}
    for number, row in enumerate(rows[1:], start=2):
        if any(row):
            learner, question, points, comment = [*row, "", "", "", ""][:4]
            where = f"{path}, row {number}"
            if learner not in learners:
                raise ValueError(f"{where}: no folder is called {learner!r}; correct the name.")
            if question not in most:
                raise ValueError(f"{where}: {question!r}; take one of: {', '.join(most)}.")
            if (learner, question) in entries:
                raise ValueError(f"{where}: a second row for {learner} and {question}; keep one.")
            entries[learner, question] = ByHand(number_in(points, most[question], where), comment)
    return entries, sign


def number_in(text: str, most: int, where: str) -> float | None:
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
        raise ValueError(f"{where}: {text!r} points; give a number from 0 to {most}, or none yet.")
    return points


def to_be_read(result: Result, name: str) -> bool:
    """Must a person give the points for this open question? Not where nothing was written."""
    return result.read and result.open.get(name) not in ("", YOUR_WORDS)


def write_by_hand(
    path: Path, results: Mapping[str, Result], assignment: Assignment, entries: Entries, sign: str
) -> None:
    """Write the entries back, each as it was, and below them a row for each answer to be read."""
    new = [
        (learner, name)
        for learner, result in results.items()
        for name in assignment.open
        if (learner, name) not in entries and to_be_read(result, name)
    ]
    if path.exists() and not new:
        return
    rows = [
        [*place, "" if entry.points is None else f"{entry.points:g}", entry.comment]
        for place, entry in entries.items()
    ]
    write_table(path, [HEADER, *rows, *([*place, "", ""] for place in new)], sign)


def write_table(path: Path, rows: Sequence[Sequence], sign: str = ",") -> None:
    """Write rows as CSV."""
    made = io.StringIO(newline="")
    csv.writer(made, delimiter=sign, lineterminator="\n").writerows(rows)
    write_text(path, made.getvalue())


def write_text(path: Path, text: str) -> None:
    """Write a file, whole or not at all; letters that have no form in UTF-8 become "?"."""
    with replacing(path) as temporary:
        temporary.write_bytes(text.encode("utf-8", "replace"))


# ------------------------------------------------------------------------------------ the book


class Row(NamedTuple):
    """What stands in the book for a learner."""

    points: dict[str, float | None]  # None: waits for a person
    flags: list[str]

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
            entry = entries.get((learner, name))
            if entry and entry.points is not None:
                points[name] = entry.points
            elif name in assignment.open:
                points[name] = None if to_be_read(result, name) else 0
            else:
                points[name] = sum(mark.points for mark in result.marks[name])
        waits = [name for name in points if points[name] is None]
        flags = [*result.flags, *(f"{name}: waits for points by hand" for name in waits)]
        rows[learner] = Row(points, flags)
    return rows


def write(
    path: Path, results: Mapping[str, Result], assignment: Assignment, entries: Entries
) -> dict[str, Row]:
    """Write the table of points, the one for Canvas, and a page of feedback for each learner.

    Raises: OSError if one can't be written.
    """
    rows = book(results, assignment, entries)
    most = sum(assignment.most.values())
    table = [["learner", *assignment.most, "total", "most", "flags"]]
    canvas = [
        ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", path.stem],
        ["Points Possible", "", "", "", "", most],
    ]
    for learner, row in rows.items():
        points = ["" if each is None else f"{each:g}" for each in row.points.values()]
        table.append([learner, *points, f"{row.total:g}", most, "; ".join(row.flags)])
        canvas.append([learner, "", "", learner, "", f"{row.total:g}"])
        feedback = page(learner, row, results[learner], assignment, entries)
        write_text(beside(path, "feedback") / f"{learner}.html", feedback)
    write_table(beside(path, "canvas.csv"), canvas)
    write_table(path, table)
    return rows


def beside(path: Path, name: str) -> Path:
    """The place of what belongs to a table: the table's name first."""
    return path.with_name(f"{path.stem}-{name}")


# ------------------------------------------------------------------------------------ feedback

PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 45rem; margin: 0 auto; padding: 1rem; }}
pre {{ white-space: pre-wrap; overflow-wrap: anywhere; border-left: 3px solid; }}
pre {{ padding-left: 1rem; }}
</style>
</head>
<body>
<main>
<h1>{title}</h1>
{body}
</main>
</body>
</html>
"""


def page(learner: str, row: Row, result: Result, assignment: Assignment, entries: Entries) -> str:
    """What a learner is told, as a page without scripts. All texts of others are escaped."""
    titles = {exercise.name: exercise.title for exercise in assignment.exercises}
    lines = [f"<p>{row.total:g} of {counted(sum(assignment.most.values()))}.</p>"]
    for number, (name, points) in enumerate(row.points.items(), start=1):
        most = counted(assignment.most[name])
        lines.append(f"<h2>{number}. {html.escape(titles.get(name, name))}</h2>")
        lines.append("<p>No points yet.</p>" if points is None else f"<p>{points:g} of {most}.</p>")
        for mark in result.marks.get(name, []):
            if mark.told:
                lines.append(f"<p>{mark.check}, {mark.points} of {counted(mark.most)}:</p>")
                lines.append(f"<pre>{html.escape(mark.told)}</pre>")
            else:
                lines.append(f"<p>{mark.check}, {mark.points} of {counted(mark.most)}.</p>")
        if (answer := result.open.get(name)) and answer != YOUR_WORDS:
            lines.append(f"<p>Your answer:</p>\n<pre>{html.escape(answer)}</pre>")
        if (entry := entries.get((learner, name))) and entry.comment:
            lines.append(f"<p>Comment: {html.escape(entry.comment)}</p>")
    return PAGE.format(title=f"Feedback for {html.escape(learner)}", body="\n".join(lines))
