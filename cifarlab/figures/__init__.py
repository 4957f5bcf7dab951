"""Figures to play with, in a notebook's output and in a page of the book.

Each is one JavaScript file in this folder, drawn behind what `figure.js` gives to all of them. As
HTML it carries its script along: it needs no kernel, no file beside it and no network.
"""

import html
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parent
SHARED = "figure"  # the script that stands before every other one
# Seen only while no script runs: a browser then shows what stands inside an unknown element.
UNSCRIPTED = (
    "<p><em>Something to play with belongs here, and it needs a script. In a notebook: run this "
    "cell, or trust the notebook. In the book: allow scripts in your browser.</em></p>"
)


@dataclass(frozen=True)
class Figure:
    """A figure and what it starts with; the last line of a cell shows it."""

    name: str
    parameters: dict[str, Any] = field(repr=False)

    def _repr_html_(self) -> str:
        """The same text each time, so that a stored output can be compared."""
        parameters = html.escape(json.dumps(self.parameters, ensure_ascii=False))
        scripts = "\n".join(
            (FOLDER / f"{name}.js").read_text(encoding="utf-8") for name in (SHARED, self.name)
        )
        # The attribute tells JupyterLab that keys pressed in here are not its shortcuts.
        return (
            f'<cifarlab-{self.name} data-lm-suppress-shortcuts="true" parameters="{parameters}">\n'
            f"{UNSCRIPTED}\n</cifarlab-{self.name}>\n"
            # In a function: a page may hold many figures, and their scripts share no names.
            f"<script>\n(() => {{\n{scripts}}})();\n</script>\n"
        )


# ----------------------------------------------------------------------------------- quizzes

QUIZZES = FOLDER / "quizzes"


def quiz(topic: str) -> Figure:
    """The questions of `quizzes/<topic>.txt`; `topic` is the lesson's file name without number.

    Raises: ValueError if there is no such file, or one of its lines is not as it should be.
    """
    path = QUIZZES / f"{topic}.txt"
    if not path.is_file():
        known = ", ".join(sorted(path.stem for path in QUIZZES.glob("*.txt")))
        raise ValueError(f"there is no quiz {topic!r}; there are: {known}.")
    return Figure("quiz", {"questions": read_quiz(topic, path.read_text(encoding="utf-8"))})


def read_quiz(topic: str, text: str) -> list[dict]:
    """The questions of a quiz: a line `? question`, then two choices or more.

    A choice is a line `+ choice | feedback` if it is right, else `- choice | feedback`; a question
    has one that is right. `topic` is for messages.

    Raises: ValueError that names the topic, the line and what belongs there.
    """
    questions: list[dict] = []

    def demand(holds: bool, number: int, what: str) -> None:
        if not holds:
            raise ValueError(f"quiz {topic!r}, line {number}: {what}")

    def close(number: int) -> None:
        if questions:
            choices = questions[-1]["choices"]
            demand(len(choices) > 1, number, "the question before needs two choices or more.")
            right = sum(choice["right"] for choice in choices)
            demand(right == 1, number, f"the question before has {right} right choices (+), not 1.")

    lines = text.splitlines()
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        sign, words = line[0], line[1:].strip()
        demand(
            sign in "?+-" and line[1:2] == " " and words != "",
            number,
            f'{line!r} starts with none of "? ", "+ " and "- ", or ends there.',
        )
        if sign == "?":
            close(number)
            questions.append({"question": words, "choices": []})
            continue
        demand(questions != [], number, "a choice, but no question (?) stands before it.")
        choice, _, feedback = (part.strip() for part in words.partition("|"))
        demand(
            choice != "" and feedback != "",
            number,
            f'{line!r}: write "{sign} choice | feedback", and say in the feedback why.',
        )
        questions[-1]["choices"].append(
            {"choice": choice, "right": sign == "+", "feedback": feedback}
        )
    close(len(lines))
    demand(questions != [], max(len(lines), 1), "no question (?) in the whole file.")
    return questions
