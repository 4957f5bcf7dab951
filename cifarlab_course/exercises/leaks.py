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
    """Letters and digits only, so that no layout hides anything."""
    return re.sub(r"\W", "", html.unescape(text).replace("\\n", " "))


def forms(text: str) -> set[str]:
    """A text squeezed without its markup, which may hide things, and as it is.

    For what stands between Python's < and > is no markup.
    """
    return {squeezed(re.sub(r"<[^<>]*>", "", text)), squeezed(text)}


def secrets(exercise: Exercise) -> Iterator[tuple[str, str]]:
    """What a students' edition must not show: its kind, and its text."""
    for _, solution in SOLUTION.findall(exercise.sources("answer")[0]):
        yield "solution", solution
    for source in exercise.sources("check"):
        yield "hidden test", surely(HIDDEN.search(source))[1]
    for mistake in exercise.wrong:
        yield "wrong answer", mistake.source


def answers(text: str) -> Iterator[tuple[str, str]]:
    """What a students' edition must not show of the model answers: each of their paragraphs."""
    for paragraph in text.split("\n\n"):
        if not paragraph.startswith("#"):
            yield "a model answer", paragraph


def leaks(folder: Path, exercises: Iterable[Exercise]) -> Iterator[str]:
    """One line for each file in `folder` and each secret that stands in it."""
    passages = [
        (f"a {kind} of {exercise.name}", text)
        for exercise in exercises
        for kind, text in secrets(exercise)
    ]
    passages += answers(ANSWERS.read_text(encoding="utf-8"))
    hidden = [
        (what, [form for form in forms(text) if len(form) >= SHORT]) for what, text in passages
    ]
    for path in sorted(folder.rglob("*")):
        if path.is_file() and path.suffix in TEXTS:
            pages = forms(path.read_text(encoding="utf-8", errors="replace"))
            for what, secret in hidden:
                if any(form in page for form in secret for page in pages):
                    yield f"{path.relative_to(folder)} holds {what}"
