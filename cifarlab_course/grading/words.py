"""Write the page on which a person gives points for answers in words, without seeing names.

It stands alone: it fetches nothing, sends nothing, and runs no script but its own, `words.js`. What
is typed there stays in the browser until the table is saved, which `grade` then reads.
"""

import base64
import hashlib
import html
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from cifarlab._files import replacing
from cifarlab_course.grading.assignment import Assignment, Open, counted
from cifarlab_course.grading.feedback import PAGE, answer
from cifarlab_course.grading.gradebook import HEADER
from cifarlab_course.grading.submission import shown

SCRIPT = Path(__file__).with_suffix(".js")
BUTTONS = 10  # points for which there is a button, at most
LEVEL = re.compile(r"^\| *(\d) *\|", re.MULTILINE)  # a row of a rubric's table
STYLE = """\
<style>
article { border-top: 1px solid; padding: 1rem 0; }
button, input, textarea { font: inherit; margin: 0 0.4rem 0.4rem 0; }
button { min-width: 2.5rem; min-height: 2.25rem; }
button[aria-pressed="true"] { font-weight: 700; outline: 3px solid; outline-offset: -3px; }
input { width: 5rem; }
textarea { box-sizing: border-box; display: block; width: 100%; }
:focus-visible { outline: 3px solid #26859f; outline-offset: 2px; }
.bar { position: sticky; top: 0; background: Canvas; padding: 0.5rem 0; }
</style>
"""


def write(
    path: Path,
    table: Path,
    rows: Sequence[Sequence[str]],
    sign: str,
    words: Mapping[tuple[str, str], list[str]],
    assignment: Assignment,
    asked: Mapping[str, Open],
) -> None:
    """Write the page of the answers `words`, as HTML by learner and question.

    `rows` are those of the `table` of what a person enters: one for each answer, perhaps others.
    It is saved as it is there, with this `sign` between columns.
    Of a question that was `asked` in these words, its text stands there, and its rubric's levels.

    Raises: OSError if it can't be written.
    """
    places = {tuple(row[:2]): number for number, row in enumerate(rows)}
    worth = {name: levels(question) for name, question in asked.items()}
    keys = {name: buttons(most, worth.get(name, {})) for name, most in assignment.open.items()}
    lines = [STYLE, *introduction(table, any(keys.values()), any(worth.values()))]
    for name, most in assignment.open.items():
        own = [(learner, cells) for (learner, question), cells in words.items() if question == name]
        own.sort(key=lambda pair: hashlib.sha256(f"{name} {pair[0]}".encode()).digest())
        lines.append(f"<h2>{html.escape(name)}, {counted(most)}</h2>")
        if name in asked:
            lines += told(asked[name])
        for number, (learner, cells) in enumerate(own, start=1):
            title, row = f"Answer {number} of {len(own)}", places[learner, name]
            lines += one(title, cells, most, row, keys[name])
    data = json.dumps(
        {"rows": [*map(list, rows)], "header": HEADER, "file": table.name, "sign": sign}
    ).replace("<", "\\u003c")
    script = SCRIPT.read_text(encoding="utf-8")
    lines.append(f'<script type="application/json" id="table">{data}</script>')
    lines.append(f'<script type="module">{script}</script>')
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = PAGE.format(title=f"Answers in words: {html.escape(table.stem)}", body="\n".join(lines))
    page = page.replace("default-src 'none';", f"default-src 'none'; script-src 'sha256-{digest}';")
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="replace")


def levels(question: Open) -> dict[str, float]:
    """What each level of a question's rubric is worth: its share of the highest, in half points.

    A level is a row of a table that begins with its digit; without such rows there is none.
    """
    found = LEVEL.findall(question.rubric)
    highest = int(max(found, default="0"))
    if not highest:
        return {}
    return {level: round(2 * question.points * int(level) / highest) / 2 for level in sorted(found)}


def told(question: Open) -> Iterator[str]:
    """A question as it was asked, and its rubric, folded up."""
    sources = [question.text, question.rubric]
    cells = [{"cell_type": "markdown", "metadata": {}, "source": source} for source in sources]
    notebook = {"cells": cells, "metadata": {}, "nbformat": 4, "nbformat_minor": 5}
    text, rubric = shown(json.dumps(notebook).encode(), range(2))
    yield f"<details><summary>The question</summary>{text}</details>"
    if question.rubric:
        yield f"<details><summary>The rubric</summary>{rubric}</details>"


def buttons(most: int, worth: Mapping[str, float]) -> dict[str, tuple[float, str]]:
    """The points and the words of each button of a question, by the key that presses it.

    There is one for each level, if they are `worth` something; else, if these are few, for each
    point.
    """
    if worth:
        return {level: (points, f"Level {level}: {points:g}") for level, points in worth.items()}
    return {str(points): (points, str(points)) for points in range(most + 1) if most <= BUTTONS}


def introduction(table: Path, by_key: bool, by_level: bool) -> Iterator[str]:
    """What to do here, and the buttons that stay in sight."""
    digit = "the digit of a level" if by_level else "a digit"
    press = f"Press {digit} while an answer is framed, and the next one is; half points"
    yield (
        "<p>Answers come question by question, shuffled, without names. "
        f"{press if by_key else 'Points'} and comments can be typed. All stays "
        f"in this browser. In the end save the table as <code>{html.escape(table.name)}</code>, "
        "over the one that is there, and grade again.</p>"
    )
    yield '<p class="bar"><button type="button" id="save">Save the table</button>'
    yield '<span id="count" role="status"></span></p>'


def one(
    title: str, cells: list[str], most: int, row: int, keys: Mapping[str, tuple[float, str]]
) -> Iterator[str]:
    """An answer, and where its points are given: by `keys`, if it has `buttons`."""
    yield f'<article tabindex="0" data-row="{row}" aria-label="{title}"><h3>{title}</h3>'
    yield from answer("", cells)
    yield "<p>"
    for key, (points, words) in keys.items():
        yield f'<button type="button" data-key="{key}" value="{points:g}">{words}</button>'
    yield f'<label>Points <input class="points" type="number" min="0" max="{most}" step="0.5">'
    yield "</label></p>"
    yield '<label>Comment <textarea class="comment" rows="2"></textarea></label></article>'
