"""Make an assignment: exercises varied by a secret, for learners; and the key, for instructors."""

import functools
import hashlib
import hmac
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import NamedTuple

import nbformat
from nbformat import NotebookNode, v4

from cifarlab._files import replacing
from cifarlab_course.exercises import learner
from cifarlab_course.exercises.master import (
    ANSWER,
    CHECK,
    Check,
    Exercise,
    first_line,
    hidden_steps,
    named,
    read,
    surely,
    variants,
)
from cifarlab_course.grading.judge import IMPORTS
from cifarlab_course.grading.reader import LARGEST, LINE
from cifarlab_course.lessons.notebooks import setup_cell

QUESTION = re.compile(r"## (?P<name>[a-z][a-z0-9-]*) \((?P<points>\d+) points?\)")
RUBRIC = "## Rubric"
IN_WORDS = "In your own words"
OPEN = "`open: {name} ({points}; keep this line)`"
YOUR_WORDS = "*Replace this line by your answer.*"
HAND_OUT, KEY = "hand-out", "instructor"  # the folders of an assignment


class Open(NamedTuple):
    """An open question: its points are given by hand."""

    name: str
    points: int
    text: str
    rubric: str = ""  # how it is graded, for learners too


@dataclass(frozen=True)
class Assignment:
    """What is asked, in order: exercises as the secret varies them, then open questions."""

    exercises: tuple[Exercise, ...]
    open: dict[str, int]  # the points of each open question
    digests: dict[str, str]  # of the cell in which each open question stands
    line: str  # begins with "# assignment:"

    @property
    def most(self) -> dict[str, int]:
        """The points to be had for each question."""
        return {exercise.name: exercise.points for exercise in self.exercises} | self.open

    def imports(self, *, torch: bool = False) -> str:
        """The modules that an exercise uses and Python does not bring, or (`torch`) a submission.

        They are imported once, in 0.1 s for NumPy, and not in each attempt.
        """
        packages = {name for exercise in self.exercises for name in exercise.packages}
        if torch or packages & {"torch", "cifarlab"}:
            return ",".join([IMPORTS, *sorted(packages - {"torch", "cifarlab"})])
        return ",".join(sorted(packages))

    @functools.cached_property
    def headings(self) -> dict[str, str]:
        """The first line of each question, and the question's name."""
        titles = [(exercise.name, exercise.title) for exercise in self.exercises]
        titles += [(name, IN_WORDS) for name in self.open]
        return {heading(number, title): name for number, (name, title) in enumerate(titles, 1)}

    @functools.cached_property
    def cells(self) -> frozenset[str]:
        """The text of each cell, but for titles and open questions, which are not known here."""
        tasks = (task(exercise, number, self) for number, exercise in enumerate(self.exercises, 1))
        marks = [OPEN.format(name=name, points=counted(most)) for name, most in self.open.items()]
        texts = [set_up(self), *(cell.source for cells in tasks for cell in cells)]
        texts += ["", YOUR_WORDS, *marks, *(f"{mark}\n\n{YOUR_WORDS}" for mark in marks)]
        return frozenset(map(bare, texts))

    def handed_out(self, text: str) -> bool:
        """Is this a cell as it was handed out?"""
        below_title = text.partition("\n")[2].strip()
        return text in self.cells or below_title == introduction(self)


def digest(secret: str, text: str) -> str:
    """64 hexadecimal digits that nobody can tell without the secret."""
    return hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest()


def varied(name: str, secret: str) -> Exercise:
    """An exercise in the variant that the secret chooses, which is never the published one.

    Raises: ValueError if there is no such exercise, or only one variant of it.
    """
    path = named(name)
    _, *others = variants(path)
    if not others:
        raise ValueError(f"{name} has no variant but the published one; take another exercise.")
    exercise = read(path, others[int(digest(secret, name), 16) % len(others)])
    return replace(exercise, seed=digest(secret, f"hidden tests of {name}"))


def make(exercises: Sequence[str], secret: str, questions: Iterable[Open] = ()) -> Assignment:
    """The assignment of these exercises and open questions.

    Raises: ValueError that names what can't be assigned.
    """
    if not secret:
        raise ValueError("the secret is empty; give a word that only the instructors know.")
    questions = list(questions)
    names = [*exercises, *(question.name for question in questions)]
    if not names:
        raise ValueError("no exercise is named; name some, such as: holes saving.")
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{', '.join(twice)}: named twice; each question needs its own name.")
    digests = {
        question.name: digest_of(question_text(question, number))
        for number, question in enumerate(questions, start=len(exercises) + 1)
    }
    points = {question.name: question.points for question in questions}
    items = [*exercises, *(f"{name}:{points[name]}:{digests[name]}" for name in points)]
    listed = " ".join(items)
    line = f"# assignment: {listed} {digest(secret, listed)[:16]} (keep this line)"
    return Assignment(tuple(varied(name, secret) for name in exercises), points, digests, line)


def made_with(secret: str, line: str) -> bool:
    """Was the assignment that a submission's line names made with this secret?"""
    match = surely(LINE.fullmatch(line))
    return hmac.compare_digest(digest(secret, match["items"])[:16], match["code"])


def from_line(line: str, secret: str) -> Assignment | None:
    """The assignment that a submission's line names; None if it was made with another secret."""
    if not made_with(secret, line):
        return None
    match = surely(LINE.fullmatch(line))
    items = {name: rest for name, *rest in (item.split(":") for item in match["items"].split(" "))}
    questions = {name: [*rest, ""] for name, rest in items.items() if rest}  # old lines: no digest
    return Assignment(
        tuple(varied(name, secret) for name, rest in items.items() if not rest),
        {name: int(points) for name, (points, *_) in questions.items()},
        {name: known for name, (_, known, *_) in questions.items()},
        f"{line})",
    )


def bare(source: str) -> str:
    """A cell's text without what editors change by themselves."""
    return "\n".join(line.rstrip() for line in source.strip().splitlines())


def digest_of(source: str) -> str:
    """Eight hexadecimal digits by which the text of a cell is known again."""
    return hashlib.sha256(bare(source).encode()).hexdigest()[:8]


def read_open(path: Path) -> list[Open]:
    """The open questions in an instructor's Markdown file, and the rubric that may stand there.

    Raises: ValueError if it has none, OSError if it can't be read.
    """
    head, *parts = re.split(r"^(?=## )", path.read_text(encoding="utf-8-sig"), flags=re.MULTILINE)
    questions, rubric = [], ""
    for part in parts:
        title, _, text = part.partition("\n")
        if title.rstrip() == RUBRIC:
            rubric = text.strip()
        elif match := QUESTION.fullmatch(title.rstrip()):
            questions.append(Open(match["name"], int(match["points"]), text.strip()))
        else:
            raise ValueError(f"{path}: {title!r} is no heading such as '## why-holes (3 points)'.")
    if head.strip() or not questions:
        raise ValueError(f"{path} must begin with a heading such as '## why-holes (3 points)'.")
    return [question._replace(rubric=rubric) for question in questions]


# --------------------------------------------------------------------------------- the notebooks


def notebook(
    assignment: Assignment, questions: Iterable[Open], title: str, *, solved: bool = False
) -> NotebookNode:
    """One notebook with all questions: for learners, or (`solved`) with the solutions."""
    cells = [
        v4.new_markdown_cell(f"# {title}\n\n{introduction(assignment)}"),
        v4.new_code_cell(set_up(assignment)),
    ]
    for number, exercise in enumerate(assignment.exercises, start=1):
        cells += task(exercise, number, assignment, solved=solved)
    for number, question in enumerate(questions, start=len(assignment.exercises) + 1):
        question_cell = v4.new_markdown_cell(question_text(question, number))
        question_cell.metadata["cifarlab"] = {"question": question.name}
        mark = OPEN.format(name=question.name, points=counted(question.points))
        answer_cell = v4.new_markdown_cell(f"{mark}\n\n{YOUR_WORDS}")
        answer_cell.metadata["cifarlab"] = {"open": question.name}
        cells += [question_cell, answer_cell]
    document = learner.assembled(cells, "assignment")
    document.metadata["cifarlab"] = {"assignment": assignment.line}
    return document


def introduction(assignment: Assignment) -> str:
    """What learners read first, below the title."""
    paragraphs = [
        f"{counted(sum(assignment.most.values()))}. Answer below each question, in the cell that "
        "says so; cells of your own are welcome. Keep the lines that ask to be kept: your points "
        "are found by them."
    ]
    if assignment.exercises:
        paragraphs.append(
            "Run the first code cell first. A check that passes says so and adds up its points; "
            "hidden tests with other numbers have the last word on them."
        )
    if assignment.open:
        paragraphs.append(
            "A person reads all that you write between a question in your own words and the next "
            "question: text, code, formulas, and pictures that the notebook holds."
        )
    paragraphs.append(
        "Before you hand it in, restart the kernel, run all cells, and save. A file of more than "
        f"{LARGEST // 2**20} MB cannot be graded: clear outputs that print or draw very much."
    )
    return "\n\n".join(paragraphs)


def set_up(assignment: Assignment) -> str:
    """The first code cell: it fetches what the exercises import, and no more."""
    modules = sorted({name for exercise in assignment.exercises for name in exercise.packages})
    lines = [assignment.line]
    if "cifarlab" in modules:
        lines.insert(0, setup_cell())
    elif modules:
        lines.insert(0, FETCH.format(modules=", ".join(modules), packages=" ".join(modules)))
    if assignment.exercises:
        lines.append("so_far = {}  # the points of checks that passed")
    return "\n".join(lines)


FETCH = """\
try:
    import {modules}
except ModuleNotFoundError:  # Colab has all of them
    %pip install --quiet {packages}"""


def heading(number: int, title: str) -> str:
    """The first line of a question."""
    return f"## {number}. {title}"


def question_text(question: Open, number: int) -> str:
    """The cell in which an open question stands."""
    parts = [heading(number, IN_WORDS), f"*{counted(question.points)}.*", question.text]
    if question.rubric:
        parts += ["<details><summary>How it is graded</summary>", question.rubric, "</details>"]
    return "\n\n".join(parts)


def task(
    exercise: Exercise, number: int, assignment: Assignment, *, solved: bool = False
) -> list[NotebookNode]:
    """The cells of one exercise, in whose metadata stands once more what each is."""
    cells = learner.cells(exercise, solved=solved)
    facts = f"*{counted(exercise.points)}, about {exercise.minutes} minutes.*"
    cells[0].source = cells[0].source.replace(
        f"# {exercise.title}", f"{heading(number, exercise.title)}\n\n{facts}", 1
    )
    checks = {check.name: check for check in exercise.checks}
    for cell in cells:
        if match := ANSWER.match(first_line(cell.source)):
            cell.metadata["cifarlab"] = {"answer": match["name"]}
        elif match := CHECK.match(first_line(cell.source)):
            cell.metadata["cifarlab"] = {"check": match["name"]}
            cell.source = check_cell(checks[match["name"]], assignment.exercises)
    return cells


def check_cell(check: Check, exercises: Iterable[Exercise]) -> str:
    """A check as learners get it: passed, it says so, and how many points they have so far."""
    mark, _, asserts = check.visible.rstrip().partition("\n")
    most = sum(exercise.points for exercise in exercises)
    return "\n".join(
        [
            mark,
            f'so_far["{check.name}"] = 0  # a NameError? Run the first code cell.',
            asserts,
            f'so_far["{check.name}"] = {check.points}',
            f'print("Passed. Points of checks so far:", sum(so_far.values()), "of {most}.")',
        ]
    )


def counted(points: float) -> str:
    """So many points, in words."""
    return f"{points:g} point{'' if points == 1 else 's'}"


def hidden_tests(assignment: Assignment) -> Iterator[str]:
    """The hidden tests, as lines of Markdown."""
    yield "# Hidden tests"
    yield (
        "Each expression must have the value that the solution gives it; where a verdict follows, "
        "the verdict's expressions on these `values` must. Never hand this out."
    )
    for exercise in assignment.exercises:
        yield f"## {exercise.name}: {exercise.title}"
        yield f"```python\n{hidden_steps(exercise)[0][1]}\n```"
        for check in exercise.checks:
            yield f"{check.name}, {counted(check.points)}:"
            yield f"```python\n{check.hidden}\n```"
            if check.verdict:
                yield f"and the verdict:\n\n```python\n{check.verdict}\n```"


def write(
    assignment: Assignment, questions: Sequence[Open], title: str, folder: Path
) -> list[Path]:
    """Write what is handed out and, in another folder, what is not; the files.

    Raises: OSError if one can't be written.
    """
    texts = {
        f"{HAND_OUT}/assignment.ipynb": nbformat.writes(notebook(assignment, questions, title)),
        f"{KEY}/solutions.ipynb": nbformat.writes(
            notebook(assignment, questions, f"{title}: solutions", solved=True)
        ),
        f"{KEY}/hidden-tests.md": "\n\n".join(hidden_tests(assignment)),
    }
    for name, text in texts.items():
        with replacing(folder / name) as temporary:
            temporary.write_text(f"{text}\n", encoding="utf-8")
    return [folder / name for name in texts]
