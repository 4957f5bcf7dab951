"""The practice pages: a lesson's exercises, read from their masters at build time.

The environment variable EDITION chooses what they show: "full", or "students" without solutions.
A page's own source names the lesson and nothing else, so `_sources` holds no solution either.
"""

import functools
import os
from pathlib import Path

from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ExtensionError

from cifarlab_course.exercises.master import LEVELS, Exercise, read
from cifarlab_course.sphinx.tables import Markdown

EDITIONS = ("full", "students")


class Practice(Markdown):
    """`{practice} LESSON`: the exercises of that lesson, those of the lowest level first."""

    required_arguments = 1

    def lines(self, root: Path) -> list[str]:
        """Their Markdown, with each title one level deeper than in its master."""
        paths = sorted(root.glob("lessons/exercises/*.md"))
        self.read(paths)
        wanted = [each for each in map(master, paths) if each.lesson == self.arguments[0]]
        if not wanted:
            raise self.error(f"no exercise belongs to the lesson {self.arguments[0]!r}")
        solved = self.config.edition == "full"
        lines = []
        for exercise in sorted(wanted, key=lambda each: (each.level, each.minutes)):
            lines += page(exercise, solved=solved)
        return lines


@functools.cache  # every page asks for all of them
def master(path: Path) -> Exercise:
    """The exercise as published."""
    return read(path)


def page(exercise: Exercise, *, solved: bool) -> list[str]:
    """An exercise as lines of Markdown: statement, stub and hints in order, then what is folded."""
    colab = f"{{colab}}`Open “{exercise.title}” in Colab <lessons/exercises/{exercise.name}.ipynb>`"
    facts = f"*{LEVELS[exercise.level].capitalize()}, {exercise.minutes} minutes.* {colab}"
    lines = [f"## {exercise.title}", "", facts, ""]
    for kind, source in exercise.cells:
        if kind == "text":
            lines += [*source.removeprefix(f"# {exercise.title}").splitlines(), ""]
        elif kind in ("given", "answer"):
            lines += code(exercise.stub if kind == "answer" else source)
    lines += folded("Checks", [line for check in exercise.checks for line in code(check.visible)])
    if solved:
        lines += folded("Solution", code(exercise.reference))
    return lines


def code(source: str) -> list[str]:
    """A block of Python."""
    return ["```python", *source.splitlines(), "```", ""]


def folded(title: str, lines: list[str]) -> list[str]:
    """Lines that open when their title is pressed."""
    return [f"<details><summary>{title}</summary>", "", *lines, "</details>", ""]


def edition(app: Sphinx, config: Config) -> None:
    """Take the edition from the environment.

    Raises: ExtensionError if there is none of that name.
    """
    config.edition = os.environ.get("EDITION") or "full"
    if config.edition not in EDITIONS:
        raise ExtensionError(f"EDITION={config.edition!r}; take one of: {', '.join(EDITIONS)}.")


def forget(app: Sphinx) -> None:
    """Let the students' search index begin anew: Sphinx keeps the words of an older edition."""
    if app.config.edition == "students":
        (Path(app.outdir) / "searchindex.js").unlink(missing_ok=True)


def setup(app: Sphinx) -> dict:
    """Add the directive and its setting."""
    app.add_config_value("edition", "full", "env")
    app.connect("config-inited", edition)
    app.connect("builder-inited", forget)
    app.add_directive("practice", Practice)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
