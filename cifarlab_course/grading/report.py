"""Say, before anything is graded, how what was handed in was read."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from cifarlab_course.grading.archive import Note
from cifarlab_course.grading.grade import Submission
from cifarlab_course.grading.gradebook import write_table
from cifarlab_course.grading.handed_in import HandedIn, shown, within

HEADER = ["learner", "number", "notebook that counts", "left out", "notes"]
FEW = 12  # rows in a terminal
WIDEST = 40  # characters of a cell there
MOST = 20  # names in a cell


def table(
    submissions: Mapping[str, Submission],
    rivals: Mapping[str, Sequence[Submission]],
    handed: HandedIn,
    notes: Iterable[Note],
) -> list[list[str]]:
    """A row for each learner, and one for whatever else lay there or came in an odd way.

    Of `rivals` the best counts, which is not known yet.
    """
    rows = []
    for name, submission in submissions.items():
        learner, path = submission.learner, submission.path
        counts = within(learner, path) if path else ""
        left = submission.others
        if own := rivals.get(name):
            counts = "the best"
            left = tuple(other for other in left if all(other in each.others for each in own))
        others = ", ".join(left[:MOST]) + ", …" * (len(left) > MOST)
        said = [submission.reason] * bool(submission.reason) + list(submission.flags)
        if learner.members:
            said.append(f"members: {', '.join(member.name for member in learner.members)}")
        rows.append([name, learner.number, counts, others, "; ".join(said)])
    rows += [["", "", "", name, "no learner's"] for name in handed.left]
    rows += [["", "", "", shown(note.name), note.said] for note in notes]
    return rows


def write(path: Path, rows: list[list[str]]) -> None:
    """Write all rows.

    Raises: OSError if they can't be written.
    """
    write_table(path, [HEADER, *rows])


def in_short(rows: list[list[str]]) -> str:
    """A few rows for a terminal: first those of which there is something to see."""
    first = sorted(rows, key=lambda row: not (row[3] or row[4]))[:FEW]
    cells = [[short(cell) for cell in row] for row in (HEADER, *first)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ["  ".join(map(str.ljust, row, widths)).rstrip() for row in cells]
    if len(rows) > FEW:
        lines.append(f"and {len(rows) - FEW} more")
    return "\n".join(lines)


def short(text: str) -> str:
    """The text, cut if it is long."""
    return text if len(text) <= WIDEST else f"{text[: WIDEST - 2]} …"
