"""Write a page for each learner: points, what the checks said, and the answers in words.

The pages hold no scripts, and fetch nothing: all that others wrote is escaped, or made safe by
`reader.py`, and the browser is told besides.
"""

import hashlib
import html
import re
import urllib.parse
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from cifarlab._files import replacing
from cifarlab_course.grading.assignment import IN_WORDS, Assignment, counted
from cifarlab_course.grading.grade import Result, Submission
from cifarlab_course.grading.gradebook import Entries, Row
from cifarlab_course.grading.reader import Unreadable
from cifarlab_course.grading.submission import contents, read, shown

LONGEST = 100  # bytes of a file's name, before ".html"
LARGE = 200_000  # characters of an answer that stands on one page with those of a whole class
TYPED = 100_000  # characters of a cell that can't be shown as it was meant
PAGE = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; style-src 'unsafe-inline'; img-src data:">
<title>{title}</title>
<style>
body {{ font: 1rem/1.5 system-ui, sans-serif; max-width: 45rem; margin: 0 auto; padding: 1rem; }}
body {{ overflow-wrap: anywhere; }}
pre, .answer {{ white-space: pre-wrap; border-left: 3px solid; padding-left: 1rem; }}
.answer {{ white-space: normal; }}
img {{ max-width: 100%; background: white; }}
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


def file_name(learner: str) -> str:
    """The name of a learner's page: no path, and never longer than a file's name may be."""
    plain = re.sub(r"[/\\]", " ", learner)
    data = learner.encode()
    if plain == learner and len(data) <= LONGEST:
        return f"{learner}.html"
    cut = plain.encode()[:LONGEST].decode(errors="ignore")
    return f"{cut}-{hashlib.sha256(data).hexdigest()[:8]}.html"


def body(page: str) -> str:
    """What a page says, without what a browser needs to show it alone."""
    return page.partition("<main>\n")[2].rpartition("\n</main>")[0]


class Told(NamedTuple):
    """What came of writing the pages."""

    failed: dict[str, str]  # for each learner whose page can't be written, why
    words: dict[tuple[str, str], list[str]]  # by learner and question: an answer's cells, as HTML


def write(
    folder: Path,
    rows: Mapping[str, Row],
    results: Mapping[str, Result],
    submissions: Mapping[str, Submission],
    assignment: Assignment,
    entries: Entries,
    jobs: int,
) -> Told:
    """Write all pages; what went wrong, and the answers in words that stand there."""
    told = Told({}, {})

    def one(name: str) -> None:
        result = results[name]
        try:
            answers = answers_in(submissions[name], result)
            text = page(rows[name], result, submissions[name], assignment, entries, answers)
            place = folder / file_name(name)
            with replacing(place) as temporary:
                temporary.write_text(text, encoding="utf-8", errors="replace")
            for question, numbers in result.open.items():
                cells = [answers[number] for number in numbers]
                if sum(map(len, cells)) > LARGE:
                    link = urllib.parse.quote(f"{folder.name}/{place.name}")
                    cells = [f'<p>Too large to stand here: see <a href="{link}">its page</a>.</p>']
                told.words[name, question] = cells
        except Exception as error:  # whatever it is, the others are to have theirs
            told.failed[name] = f"the page of feedback can't be written: {error}"

    with ThreadPoolExecutor(jobs) as pool:
        list(pool.map(one, rows))
    return told


def page(
    row: Row,
    result: Result,
    submission: Submission,
    assignment: Assignment,
    entries: Entries,
    answers: Mapping[int, str],
) -> str:
    """What a learner is told; `answers` are the cells in words, as HTML, by their numbers."""
    name = submission.learner.name
    exercises = {exercise.name: exercise for exercise in assignment.exercises}
    lines = [f"<p>{so_far(row, assignment)}</p>"]
    if result.reason:
        lines.append(f"<p>Nothing was graded: {html.escape(result.reason)}.</p>")
    for number, (question, points) in enumerate(row.points.items(), start=1):
        exercise = exercises.get(question)
        title = exercise.title if exercise else f"{IN_WORDS}: {question}"
        lines.append(f"<h2>{number}. {html.escape(title)}</h2>")
        most = counted(assignment.most[question])
        lines.append("<p>No points yet.</p>" if points is None else f"<p>{points:g} of {most}.</p>")
        if exercise and result.read:
            lines += checks(exercise, result)
        if question in result.open:
            lines += answer("Your answer:", [answers[cell] for cell in result.open[question]])
        entry = entries.given.get((name, question))
        if entry and entry.comment:
            lines.append(f"<p>Comment: {html.escape(entry.comment)}</p>")
    if result.elsewhere:
        lines.append("<h2>Elsewhere in your notebook</h2>")
        lines += answer("You wrote:", [answers[cell] for cell in result.elsewhere])
    return PAGE.format(title=f"Feedback for {html.escape(name)}", body="\n".join(lines))


def so_far(row: Row, assignment: Assignment) -> str:
    """The points, and of how many: those that wait for a person are not among them."""
    waiting = sum(assignment.most[name] for name in row.waiting)
    settled = counted(sum(assignment.most.values()) - waiting)
    are = "is" if waiting == 1 else "are"
    later = f" so far; {waiting:g} more {are} still to be graded" if waiting else ""
    return f"{row.total:g} of {settled}{later}."


def checks(exercise, result: Result) -> Iterator[str]:
    """What each check of an exercise gave, and of one that was not passed what it asks."""
    visible = {check.name: check.visible for check in exercise.checks}
    for mark in result.marks.get(exercise.name, []):
        gave = f"{mark.check}, {mark.points} of {counted(mark.most)}"
        if not mark.told:
            yield f"<p>{gave}.</p>"
            continue
        source = html.escape(visible[mark.check])
        yield f"<p>{gave}:</p>"
        yield f"<details><summary>The check</summary>\n<pre>{source}</pre>\n</details>"
        yield f"<pre>{html.escape(mark.told)}</pre>"


def answer(title: str, cells: list[str]) -> list[str]:
    """Cells of a learner's, as they were meant."""
    if not cells:
        return ["<p>No cell for your answer was found.</p>"]
    return [f"<p>{title}</p>", *(f'<div class="answer">\n{cell}\n</div>' for cell in cells)]


def answers_in(submission: Submission, result: Result) -> dict[int, str]:
    """The cells that a person reads, as HTML, by their numbers in the notebook."""
    numbers = [*dict.fromkeys(n for cells in result.open.values() for n in cells)]
    numbers += result.elsewhere
    if submission.path is None or not numbers:
        return {}
    data = contents(submission.path)
    try:
        parts = shown(data, numbers)
    except Unreadable as error:
        why = f"<p>Shown as it was typed: {html.escape(str(error))}.</p>\n"
        sources = [cell.source for cell in read(data).cells]
        parts = [f"{why}<pre>{html.escape(sources[number][:TYPED])}</pre>" for number in numbers]
    return dict(zip(numbers, parts, strict=True))
