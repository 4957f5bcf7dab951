"""Write what a learning platform takes back: tables of points that it can match."""

import re
from collections.abc import Mapping
from pathlib import Path

from cifarlab_course.grading.gradebook import Row, beside, write_table
from cifarlab_course.grading.handed_in import CANVAS_ITS, MOODLE_ITS, Learner
from cifarlab_course.grading.roster import Roster

# By what Canvas matches: the ID, then one of the SIS, then the name; source: `process_student` in
# lib/gradebook_importer.rb of instructure/canvas-lms.
IDENTITY = ["Student", "ID", "SIS User ID", "SIS Login ID", "Section"]


def write(
    out: Path,
    rows: Mapping[str, Row],
    learners: Mapping[str, Learner],
    most: int,
    roster: Roster | None = None,
) -> None:
    """Write the table for Canvas, and Moodle's worksheet filled in, if that is the roster.

    A cell stays as it was while points are missing.

    Raises: OSError if one can't be written.
    """
    write_table(beside(out, "canvas.csv"), for_canvas(out.stem, rows, learners, most, roster))
    if roster and roster.platform == MOODLE_ITS:
        filled = worksheet(rows, learners, roster)
        write_table(beside(out, "moodle.csv"), filled, roster.sign, "utf-8")


def for_canvas(
    title: str,
    rows: Mapping[str, Row],
    learners: Mapping[str, Learner],
    most: int,
    roster: Roster | None,
) -> list[list]:
    """The columns of an exported gradebook with one assignment, which has the title.

    Where Canvas's gradebook is the roster, they are its own, and so is the assignment's number in
    brackets that follows its title.
    """
    header = IDENTITY
    if roster and roster.platform == CANVAS_ITS:
        header = roster.header[: (roster.column("section") or 0) + 1]
        own = re.compile(rf"{re.escape(title)}( \(\d+\))?")
        title = next((name for name in roster.header if own.fullmatch(name)), title)
    empty = [""] * (len(header) - 1)
    table: list[list] = [[*header, title], ["Points Possible", *empty, most]]
    for name, row in rows.items():
        learner = learners[name]
        if roster and roster.platform == CANVAS_ITS and learner.row is not None:
            identity = roster.rows[learner.row][: len(header)]
        else:
            known = learner.number if learner.platform == CANVAS_ITS else ""
            cells = {"Student": name, "ID": known, "SIS Login ID": "" if known else name}
            identity = [cells.get(column, "") for column in header]
        table.append([*identity, row.settled])
    return table


def worksheet(
    rows: Mapping[str, Row], learners: Mapping[str, Learner], roster: Roster
) -> list[list[str]]:
    """Moodle's own grading worksheet with its grades.

    Moodle finds learners by the identifier, takes the grade in its language's way of writing
    numbers, and compares the time of the last change: all other cells stay as they are. Source:
    mod/assign/feedback/offline/importgradeslib.php in moodle/moodle.
    """
    settled = {
        learner.row: rows[name].settled
        for name, learner in learners.items()
        if name in rows and learner.row is not None
    }
    place = roster.column("grade")
    filled = [list(row) for row in roster.rows]
    for number, row in enumerate(filled):
        if place is not None and place < len(row) and settled.get(number):
            comma = "," in roster.cell(row, "maximum grade")
            row[place] = settled[number].replace(".", ",") if comma else settled[number]
    return [roster.header, *filled]


def other_maximum(roster: Roster, most: int) -> str:
    """The maximum that Moodle knows, if it is not the points to be had."""
    for row in roster.rows if roster.platform == MOODLE_ITS else ():
        said = roster.cell(row, "maximum grade").replace(",", ".")
        if re.fullmatch(r"\d+(\.\d+)?", said) and float(said) != most:
            return f"{float(said):g}"
    return ""
