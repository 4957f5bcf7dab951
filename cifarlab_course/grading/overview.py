"""Write what a class made of an assignment on one page: points, checks, mistakes, answers alike.

Like the pages of feedback it holds no scripts and fetches nothing.
"""

import html
import statistics
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from cifarlab._files import replacing
from cifarlab_course.exercises.master import Exercise
from cifarlab_course.grading import alike
from cifarlab_course.grading.assignment import IN_WORDS, Assignment, counted
from cifarlab_course.grading.feedback import PAGE
from cifarlab_course.grading.grade import Result
from cifarlab_course.grading.gradebook import Row

BARS = 10  # of the points, at most
MESSAGES = 5  # that are told of a check
LONGEST = 300  # characters of a message
STYLE = """\
<style>
table { border-collapse: collapse; width: 100%; }
caption { text-align: left; font-weight: 600; }
th, td { padding: 0.2rem 0.8rem 0.2rem 0; text-align: left; vertical-align: top; }
td.bar { width: 50%; }
td.bar div { background: #26859f; height: 1.1rem; }
</style>
"""


def write(
    path: Path, rows: Mapping[str, Row], results: Mapping[str, Result], assignment: Assignment
) -> None:
    """Write the page.

    Raises: OSError if it can't be written.
    """
    read = {name: result for name, result in results.items() if result.read}
    lines = [STYLE, *points(rows, assignment)]
    for number, exercise in enumerate(assignment.exercises, start=1):
        lines.append(f"<h2>{number}. {html.escape(exercise.title)}</h2>")
        lines += checks(exercise, read)
        lines += answers_alike(exercise, read)
    for number, (name, most) in enumerate(assignment.open.items(), len(assignment.exercises) + 1):
        lines.append(f"<h2>{number}. {IN_WORDS}: {html.escape(name)}</h2>")
        lines += by_hand([row.points[name] for row in rows.values()], most)
    title = html.escape(f"{path.stem}. Learners: {len(rows)}, notebooks graded: {len(read)}")
    with replacing(path) as temporary:
        text = PAGE.format(title=title, body="\n".join(lines))
        temporary.write_text(text, encoding="utf-8", errors="replace")


def table(caption: str, headings: Sequence[str], lines: Sequence[tuple[Sequence[str], float]]):
    """A table as HTML: cells, and behind each row's a bar for its share, 0 to 1."""
    yield f"<table><caption>{caption}</caption>"
    yield "<tr>" + "".join(f'<th scope="col">{each}</th>' for each in headings) + "<td></td></tr>"
    for (first, *others), share in lines:
        cells = "".join(f"<td>{each}</td>" for each in others)
        bar = f'<td class="bar"><div style="width: {share:.1%}"></div></td>'
        yield f'<tr><th scope="row">{first}</th>{cells}{bar}</tr>'
    yield "</table>"


def points(rows: Mapping[str, Row], assignment: Assignment) -> Iterator[str]:
    """The distribution of the totals, of those whose answers all have points."""
    totals = sorted(row.total for row in rows.values() if not row.waiting)
    most = sum(assignment.most.values())
    if waiting := len(rows) - len(totals):
        yield f"<p>Learners who wait for points by hand, and are not counted here: {waiting}.</p>"
    if not totals:
        return
    yield (
        f"<p>Of {counted(most)}: mean {statistics.mean(totals):.1f}, median "
        f"{statistics.median(totals):g}, from {totals[0]:g} to {totals[-1]:g}.</p>"
    )
    width = -(-most // BARS) or 1  # whole points
    bins = Counter(min(int(total // width), (most - 1) // width) for total in totals)
    highest = max(bins.values())
    lines = []
    for number in range((most - 1) // width + 1):
        low, high = number * width, min((number + 1) * width, most)
        upto = f"{low} to {high}" if high == most else f"{low} to below {high}"
        lines.append(((upto, str(bins[number])), bins[number] / highest))
    yield from table("Points", ["points", "learners"], lines)


def checks(exercise: Exercise, results: Mapping[str, Result]) -> Iterator[str]:
    """How many passed each check, and what those heard who didn't, the most frequent first."""
    marks = [result.marks[exercise.name] for result in results.values()]
    lines, heard = [], []
    for number, check in enumerate(exercise.checks):
        own = [each[number] for each in marks]
        passed = sum(not mark.told for mark in own)
        share = passed / len(own) if own else 0
        lines.append(((html.escape(check.name), f"{passed} of {len(own)}"), share))
        messages = Counter(mark.told[:LONGEST] for mark in own if mark.told)
        for message, count in messages.most_common(MESSAGES):
            often = "once" if count == 1 else f"{count} times"
            heard.append(f"<li>{check.name}, {often}: {html.escape(message)}</li>")
    yield from table("Checks", ["check", "passed"], lines)
    if heard:
        yield "<p>What those heard who did not pass:</p>"
        yield "<ul>" + "\n".join(heard) + "</ul>"


def answers_alike(exercise: Exercise, results: Mapping[str, Result]) -> Iterator[str]:
    """Who answered alike, but for names, with the points of each group's first."""
    structures = {
        name: result.structures.get(exercise.name, "") for name, result in results.items()
    }
    found = alike.groups(structures, exercise.reference)
    if found:
        yield (
            "<p>The same but for names, comments and layout. That is a hint at most: people work "
            "together, and read the same page.</p>"
        )
        yield "<ul>"
        for group in found:
            earned = sum(mark.points for mark in results[group[0]].marks[exercise.name])
            names = html.escape("; ".join(group))
            yield f"<li>{names} ({earned} of {counted(exercise.points)})</li>"
        yield "</ul>"


def by_hand(given: Sequence[float | None], most: int) -> Iterator[str]:
    """The points that a person gave for an answer in words."""
    there = [points for points in given if points is not None]
    if waiting := len(given) - len(there):
        yield f"<p>Waiting for points: {waiting}.</p>"
    counts = Counter(there)
    lines = [
        ((f"{points:g} of {counted(most)}", str(count)), count / max(counts.values()))
        for points, count in sorted(counts.items())
    ]
    if lines:
        yield from table("Points", ["points", "learners"], lines)
