"""Look for solutions, hidden tests, known mistakes and model answers in a built book."""

import html
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from cifarlab_course import ROOT
from cifarlab_course.exercises.master import HIDDEN, SOLUTION, Exercise, surely

ANSWERS = ROOT / "book" / "teach" / "model-answers.md"  # to open questions
SHORT = 20  # letters and digits; what is shorter stands in a book by chance
TEXTS = {".html", ".md", ".txt", ".js", ".json", ".ipynb", ".svg", ".xml", ".inv", ".py"}


def squeezed(text: str) -> str:
    """Letters and digits only, so that neither markup nor layout hides anything."""
    bare = html.unescape(re.sub(r"<[^<>]*>", "", text)).replace("\\n", " ")
    return re.sub(r"\W", "", bare)


def secrets(exercise: Exercise) -> Iterator[tuple[str, str]]:
    """What a students' edition must not show: its kind, and its text squeezed."""
    for _, solution in SOLUTION.findall(exercise.sources("answer")[0]):
        yield "solution", squeezed(solution)
    for source in exercise.sources("check"):
        yield "hidden test", squeezed(surely(HIDDEN.search(source))[1])
    for mistake in exercise.wrong:
        yield "wrong answer", squeezed(mistake.source)


def answers(text: str) -> Iterator[tuple[str, str]]:
    """What a students' edition must not show of the model answers: each of their paragraphs."""
    for paragraph in text.split("\n\n"):
        if not paragraph.startswith("#"):
            yield "a model answer", squeezed(paragraph)


def leaks(folder: Path, exercises: Iterable[Exercise]) -> Iterator[str]:
    """One line for each file in `folder` and each secret that stands in it."""
    passages = [
        (f"a {kind} of {exercise.name}", text)
        for exercise in exercises
        for kind, text in secrets(exercise)
    ]
    passages += answers(ANSWERS.read_text(encoding="utf-8"))
    passages = [(what, text) for what, text in passages if len(text) >= SHORT]
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix in TEXTS:
            shown = squeezed(path.read_text(encoding="utf-8", errors="replace"))
            for what, text in passages:
                if text in shown:
                    yield f"{path.relative_to(folder)} holds {what}"
