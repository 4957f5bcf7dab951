"""Write the page on which a person gives points for answers in words, without seeing names.

It stands alone: it fetches nothing, sends nothing, and runs no script but its own, `words.js`. What
is typed there stays in the browser until the table is saved, which `grade` then reads.
"""

import base64
import hashlib
import html
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from cifarlab._files import replacing
from cifarlab_course.grading.assignment import Assignment, counted
from cifarlab_course.grading.feedback import PAGE, answer
from cifarlab_course.grading.gradebook import HEADER

SCRIPT = Path(__file__).with_suffix(".js")
BUTTONS = 10  # points for which there is a button, at most
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
    words: Mapping[tuple[str, str], list[str]],
    assignment: Assignment,
) -> None:
    """Write the page of the answers `words`, as HTML by learner and question.

    `rows` are those of the `table` of what a person enters: one for each answer, perhaps others.

    Raises: OSError if it can't be written.
    """
    places = {(row[0], row[1]): number for number, row in enumerate(rows)}
    lines = [STYLE, *introduction(table)]
    for name, most in assignment.open.items():
        own = [(learner, cells) for (learner, question), cells in words.items() if question == name]
        own.sort(key=lambda pair: hashlib.sha256(f"{name} {pair[0]}".encode()).digest())
        lines.append(f"<h2>{html.escape(name)}, {counted(most)}</h2>")
        for number, (learner, cells) in enumerate(own, start=1):
            lines += one(f"Answer {number} of {len(own)}", cells, most, places[learner, name])
    data = json.dumps(
        {"rows": [[*row, "", ""][:4] for row in rows], "header": HEADER, "file": table.name}
    ).replace("<", "\\u003c")
    script = SCRIPT.read_text(encoding="utf-8")
    lines.append(f'<script type="application/json" id="table">{data}</script>')
    lines.append(f'<script type="module">{script}</script>')
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    page = PAGE.format(title=f"Answers in words: {html.escape(table.stem)}", body="\n".join(lines))
    page = page.replace("default-src 'none';", f"default-src 'none'; script-src 'sha256-{digest}';")
    with replacing(path) as temporary:
        temporary.write_text(page, encoding="utf-8", errors="replace")


def introduction(table: Path) -> Iterator[str]:
    """What to do here, and the buttons that stay in sight."""
    yield (
        "<p>Answers come question by question, shuffled, without names. Press a digit while an "
        "answer is framed, and the next one is; half points and comments can be typed. All stays "
        f"in this browser. In the end save the table as <code>{html.escape(table.name)}</code>, "
        "over the one that is there, and grade again.</p>"
    )
    yield '<p class="bar"><button type="button" id="save">Save the table</button>'
    yield '<span id="count" role="status"></span></p>'


def one(title: str, cells: list[str], most: int, row: int) -> Iterator[str]:
    """An answer, and where its points are given."""
    yield f'<article tabindex="0" data-row="{row}" aria-label="{title}"><h3>{title}</h3>'
    yield from answer("", cells)
    yield "<p>"
    for points in range(most + 1) if most <= BUTTONS else ():
        yield f'<button type="button" value="{points}">{points}</button>'
    yield f'<label>Points <input class="points" type="number" min="0" max="{most}" step="0.5">'
    yield "</label></p>"
    yield '<label>Comment <textarea class="comment" rows="2"></textarea></label></article>'
