"""Make an assignment: exercises varied by a secret, for learners; and the key, for instructors."""

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
    Exercise,
    first_line,
    hidden_steps,
    named,
    read,
    variants,
)
from cifarlab_course.lessons.notebooks import setup_cell

# Which exercises and open questions, and a code that only the secret gives. Grading reads it.
LINE = re.compile(r"# assignment: (?P<items>[a-z0-9: -]+) (?P<code>[0-9a-f]{16}) \(keep this line")
QUESTION = re.compile(r"## (?P<name>[a-z][a-z0-9-]*) \((?P<points>\d+) points?\)")
OPEN = "<!-- open: {name} ({points} points; keep this line) -->"
YOUR_WORDS = "*Replace this line by your answer.*"


class Open(NamedTuple):
    """An open question: its points are given by hand."""

    name: str
    points: int
    text: str


@dataclass(frozen=True)
class Assignment:
    """What is asked, in order: exercises as the secret varies them, then open questions."""

    exercises: tuple[Exercise, ...]
    open: dict[str, int]  # the points of each open question
    line: str  # begins with "# assignment:"

    @property
    def most(self) -> dict[str, int]:
        """The points to be had for each question."""
        return {each.name: each.points for each in self.exercises} | self.open

    @property
    def imports(self) -> str:
        """The modules that take long to import and are used by an exercise."""
        text = "\n".join(cell.source for each in self.exercises for cell in each.cells)
        return "torch,cifarlab.receptive_field" if re.search(r"\b(torch|cifarlab)\b", text) else ""


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
    points = {question.name: question.points for question in questions}
    items = [*exercises, *(f"{name}:{most}" for name, most in points.items())]
    if not items:
        raise ValueError("no exercise is named; name some, such as: holes saving.")
    names = [*exercises, *(question.name for question in questions)]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise ValueError(f"{', '.join(twice)}: named twice; each question needs its own name.")
    listed = " ".join(items)
    line = f"# assignment: {listed} {digest(secret, listed)[:16]} (keep this line)"
    return Assignment(tuple(varied(name, secret) for name in exercises), points, line)


def from_line(line: re.Match, secret: str) -> Assignment | None:
    """The assignment that a submission's line names; None if it was made with another secret."""
    if not hmac.compare_digest(digest(secret, line["items"])[:16], line["code"]):
        return None
    items = [item.partition(":") for item in line["items"].split(" ")]
    questions = [Open(name, int(points), "") for name, colon, points in items if colon]
    return make([name for name, colon, _ in items if not colon], secret, questions)


def read_open(path: Path) -> list[Open]:
    """The open questions in an instructor's Markdown file.

    Raises: ValueError if it has none, OSError if it can't be read.
    """
    head, *parts = re.split(r"^(?=## )", path.read_text(encoding="utf-8-sig"), flags=re.MULTILINE)
    found = []
    for part in parts:
        title, _, text = part.partition("\n")
        if not (heading := QUESTION.fullmatch(title.rstrip())):
            raise ValueError(f"{path}: {title!r} is no heading such as '## why-holes (3 points)'.")
        found.append(Open(heading["name"], int(heading["points"]), text.strip()))
    if head.strip() or not found:
        raise ValueError(f"{path} must begin with a heading such as '## why-holes (3 points)'.")
    return found


# --------------------------------------------------------------------------------- the notebooks


def notebook(
    assignment: Assignment, questions: Iterable[Open], title: str, *, solved: bool = False
) -> NotebookNode:
    """One notebook with all questions: for learners, or (`solved`) with the solutions."""
    points = sum(assignment.most.values())
    cells = [
        v4.new_markdown_cell(
            f"# {title}\n\n{counted(points)}. Answer below each question, in the cell that says "
            "so; cells of your own are welcome. Keep the lines that ask to be kept: your points "
            "are found by them. Before you hand it in, restart the kernel and run all cells."
        ),
        v4.new_code_cell(f"{setup_cell()}\n{assignment.line}"),
    ]
    for number, exercise in enumerate(assignment.exercises, start=1):
        cells += task(exercise, number, solved=solved)
    for number, question in enumerate(questions, start=len(assignment.exercises) + 1):
        facts = f"*{counted(question.points)}.*"
        heading = f"## {number}. In your own words\n\n{facts}\n\n{question.text}"
        mark = OPEN.format(name=question.name, points=question.points)
        answer = v4.new_markdown_cell(f"{mark}\n\n{YOUR_WORDS}")
        answer.metadata["cifarlab"] = {"open": question.name}
        cells += [v4.new_markdown_cell(heading), answer]
    made = learner.assembled(cells, "assignment")
    made.metadata["cifarlab"] = {"assignment": assignment.line}
    return made


def task(exercise: Exercise, number: int, *, solved: bool) -> list[NotebookNode]:
    """The cells of one exercise, in whose metadata stands once more what each is."""
    made = learner.cells(exercise, solved=solved)
    facts = f"*{counted(exercise.points)}, about {exercise.minutes} minutes.*"
    made[0].source = made[0].source.replace(
        f"# {exercise.title}", f"## {number}. {exercise.title}\n\n{facts}", 1
    )
    for cell in made:
        if found := ANSWER.match(first_line(cell.source)):
            cell.metadata["cifarlab"] = {"answer": found["name"]}
        elif found := CHECK.match(first_line(cell.source)):
            cell.metadata["cifarlab"] = {"check": found["name"]}
    return made


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
    made = {
        "hand-out/assignment.ipynb": nbformat.writes(notebook(assignment, questions, title)),
        "instructor/solutions.ipynb": nbformat.writes(
            notebook(assignment, questions, f"{title}: solutions", solved=True)
        ),
        "instructor/hidden-tests.md": "\n\n".join(hidden_tests(assignment)),
    }
    for name, text in made.items():
        with replacing(folder / name) as temporary:
            temporary.write_text(f"{text}\n", encoding="utf-8")
    return [folder / name for name in made]
