"""Write the leaderboard: one page with a table and a plot, and a table for other programs.

The page holds no scripts and fetches nothing; all that others wrote is escaped.
"""

import html
from collections.abc import Iterator
from pathlib import Path

from cifarlab import plots
from cifarlab._files import replacing
from cifarlab_course.grading.feedback import PAGE
from cifarlab_course.grading.gradebook import write_table
from cifarlab_course.leaderboard.check import Board, Row

HEADER = "rank entry ours parameters multiply_adds accuracy claimed epochs notes refused".split()
NUMBERED = 20  # markers that the plot gives their ranks
CELL = ' class="number"'
STYLE = """\
<style>
body { max-width: 62rem; }
table { border-collapse: collapse; width: 100%; overflow-wrap: normal; }
caption { text-align: left; font-weight: 600; }
th, td { padding: 0.2rem 0.8rem 0.2rem 0; text-align: left; vertical-align: top; }
thead th { border-bottom: 1px solid; }
th.number, td.number { text-align: right; font-variant-numeric: tabular-nums; }
tbody th, td.notes { overflow-wrap: break-word; font-weight: normal; min-width: 9rem; }
td.notes { min-width: 15rem; }
tr.ours { font-style: italic; }
.wide { overflow-x: auto; }
:focus-visible { outline: 3px solid #26859f; outline-offset: 2px; }
</style>
"""


def write(table: Path, board: Board) -> Path:
    """Write the table, and beside it the page, whose path comes back.

    Raises: OSError if they can't be written.
    """
    lines = []
    for rank, row in enumerate(board.rows, start=1):
        costs = row.parameters, row.multiply_adds
        claimed = "" if row.claimed is None else f"{row.claimed:.2f}"
        measured = f"{row.accuracy:.2f}", claimed, row.epochs
        ours = "yes" if row.ours else ""
        lines.append([rank, row.name, ours, *costs, *measured, "; ".join(row.notes), ""])
    lines += [["", name, *[""] * 7, reason] for name, reason in board.refused.items()]
    write_table(table, [HEADER, *lines])
    page = table.with_suffix(".html")
    body = "\n".join([STYLE, *introduction(board), *plot(board.rows), *rows(board.rows)])
    body += "\n".join(refusals(board.refused))
    with replacing(page) as temporary:
        text = PAGE.format(title="Leaderboard: fewer than 200,000 parameters", body=body)
        temporary.write_text(text, encoding="utf-8", errors="replace")
    return page


def introduction(board: Board) -> Iterator[str]:
    """What the numbers are."""
    handed_in = sum(not row.ours for row in board.rows)
    entries = "1 entry" if handed_in == 1 else f"{handed_in} entries"
    yield (
        f"<p>{entries} and the course's own networks (in italics). Accuracy is the share of the "
        "10,000 test images of CIFAR-10, measured when this page was made, in single precision; "
        "for the course's own it is what their records say. Parameters are all numbers that a "
        "network computes with, wherever it keeps them, and multiply-adds are those for one image. "
        "With 10,000 images, a difference of less than a point may be luck.</p>"
    )


def plot(rows: list[Row]) -> Iterator[str]:
    """Accuracy against parameters; the markers of the first have their ranks."""
    groups = {
        name: ([row.parameters / 1000 for row in own], [row.accuracy for row in own])
        for name, ours in (("handed in", False), ("the course's own", True))
        if (own := [row for row in rows if row.ours == ours])
    }
    chart = plots.designs(groups, "parameters (thousands)")
    for rank, row in enumerate(rows[:NUMBERED], start=1):
        place = row.parameters / 1000, row.accuracy
        chart.axes[0].annotate(
            str(rank), place, (7, 3), textcoords="offset points", fontsize=chart.WORDS
        )
    yield "<h2>Accuracy against parameters</h2>"
    yield chart._repr_html_()
    yield "<p>Numbers are ranks in the table below.</p>"


def rows(rows: list[Row]) -> Iterator[str]:
    """The table."""
    yield '<h2>All networks</h2><div class="wide" role="region" aria-label="Table" tabindex="0">'
    yield "<table><caption>Best accuracy first</caption><thead><tr>"
    for heading, number in (
        ("rank", True),
        ("network", False),
        ("accuracy (%)", True),
        ("claimed (%)", True),
        ("parameters", True),
        ("multiply-adds (millions)", True),
        ("epochs", True),
        ("remarks", False),
    ):
        yield f'<th scope="col"{number * CELL}>{heading}</th>'
    yield "</tr></thead><tbody>"
    for rank, row in enumerate(rows, start=1):
        yield '<tr class="ours">' if row.ours else "<tr>"
        claimed = "" if row.claimed is None else f"{row.claimed:.2f}"
        yield f"<td{CELL}>{rank}</td>"
        yield f'<th scope="row">{html.escape(row.name)}</th>'
        for text in (
            f"{row.accuracy:.2f}",
            claimed,
            f"{row.parameters:,}",
            f"{row.multiply_adds / 1e6:.1f}",
            f"{row.epochs:,}",
        ):
            yield f"<td{CELL}>{text}</td>"
        yield f'<td class="notes">{html.escape("; ".join(row.notes))}</td></tr>'
    yield "</tbody></table></div>"


def refusals(refused: dict[str, str]) -> Iterator[str]:
    """Which entries are not in the table, and why."""
    if refused:
        yield "\n<h2>Not taken in</h2><ul>"
        for name, reason in refused.items():
            yield f"<li>{html.escape(name)}: {html.escape(reason)}</li>"
        yield "</ul>"
