"""Write what a learning platform takes back: points and feedback that it can match."""

import json
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path

from cifarlab._files import replacing
from cifarlab_course.grading.feedback import body, file_name
from cifarlab_course.grading.grade import Submission
from cifarlab_course.grading.gradebook import Row, beside, write_table
from cifarlab_course.grading.handed_in import CANVAS, CANVAS_ITS, MOODLE_ITS, Learner
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


# ------------------------------------------------------------------------------------- feedback


def write_feedback(
    out: Path,
    pages: Path,
    groups: Mapping[str, Submission],
    everybody: Mapping[str, Submission],
    roster: Roster | None,
) -> None:
    """Write the `pages` as the zips that Canvas and Moodle take back.

    Canvas gives a file to all who handed it in, so it gets one for each of the `groups`, among
    which those who work alone are counted. Moodle takes one for each learner, and knows them by
    the participant's number, which only its worksheet makes sure.

    Raises: OSError if one can't be written.
    """
    for_canvas_zip = {
        place.name: feedback_notebook(pages / file_name(name))
        for name, submission in groups.items()
        if (place := canvas_file(submission)) and (pages / file_name(name)).exists()
    }
    for_moodle_zip = {
        moodle_name(submission.learner): (pages / file_name(name)).read_bytes()
        for name, submission in everybody.items()
        if roster and roster.platform == MOODLE_ITS and submission.learner.row is not None
        if (submission.path or submission.others) and (pages / file_name(name)).exists()
    }
    for platform, files in (("canvas", for_canvas_zip), ("moodle", for_moodle_zip)):
        place = beside(out, f"feedback-{platform}.zip")
        if files:
            write_zip(place, files)
        else:
            place.unlink(missing_ok=True)  # of an earlier run


def canvas_file(submission: Submission) -> Path | None:
    """The file by whose name Canvas knows whose feedback it is; none if it isn't from there.

    Source: `infer_comment_context_from_filename` in app/models/assignment.rb of
    instructure/canvas-lms.
    """
    places = [submission.path] if submission.path else []
    places += submission.learner.places
    named = ((place, CANVAS.fullmatch(place.name)) for place in places)
    return next((place for place, match in named if match and match["file"]), None)


def feedback_notebook(page: Path) -> bytes:
    """A page as a notebook: Canvas gives it the name of the file that was handed in."""
    output = {
        "output_type": "display_data",
        "data": {"text/html": body(page.read_text(encoding="utf-8"))},
        "metadata": {},
    }
    cell: dict = {
        "cell_type": "code",
        "execution_count": None,
        "id": "feedback",
        "metadata": {},
        "outputs": [output],
        "source": "# Your feedback stands below. There is nothing to run.",
    }
    made = {"cells": [cell], "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(made, ensure_ascii=False).encode()


def moodle_name(learner: Learner) -> str:
    """What Moodle expects a learner's file to be called.

    Source: `is_valid_filename_for_import` in mod/assign/feedback/file/importziplib.php of
    moodle/moodle, which counts the underscores.
    """
    name = re.sub(r"[_/\\]", " ", learner.name)
    return f"{name}_{learner.number}_assignfeedback_file_feedback.html"


def write_zip(path: Path, files: Mapping[str, bytes]) -> None:
    """Write files as a zip, the same for the same files."""
    with replacing(path) as temporary, zipfile.ZipFile(temporary, "w") as made:
        for name, data in sorted(files.items()):
            made.writestr(zipfile.ZipInfo(name), data, zipfile.ZIP_DEFLATED)
