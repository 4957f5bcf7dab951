"""The instructors' guide: what it says of lessons and exercises, read from them at build time."""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import NamedTuple

import nbformat
import yaml
from docutils.nodes import make_id
from sphinx.application import Sphinx

from cifarlab_course.exercises.master import LEVELS, Exercise, variants
from cifarlab_course.sphinx.practice import master
from cifarlab_course.sphinx.tables import Markdown

PACKAGES = {"numpy": "NumPy", "torch": "PyTorch", "cifarlab": "the course's package"}
AROUND = 30  # minutes of a session for the first question, the board, the quiz and what is asked


class Lesson(NamedTuple):
    """What the guide says of a lesson."""

    name: str  # of its file
    title: str
    time: str  # as the lesson says it
    minutes: int  # to read
    outcomes: list[str]  # what a learner will be able to do


def lesson(path: Path) -> Lesson:
    """A lesson's own words about itself, from its first cell.

    Raises: ValueError if the cell lacks the outcomes or the time.
    """
    cell = nbformat.read(path, as_version=4).cells[0].source
    title = cell.partition("\n")[0].removeprefix("# ")
    promised = re.search(r"\*\*You will be able to\*\*\n\n((?:- .+\n)+)", cell)
    time = re.search(r"\*\*Time:\*\* ((\d+) minutes to read.*)", cell)
    if not promised or not time:
        raise ValueError(f"{path.name}: its first cell must say what it teaches, and in what time")
    here = promised[1].replace("](../book/", "](../")  # the guide lies in book/teach
    outcomes = [line.removeprefix("- ").rstrip(";.") for line in here.splitlines()]
    return Lesson(path.stem, title, time[1], int(time[2]), outcomes)


class Teaching(Markdown):
    """A directive that speaks of lessons and exercises."""

    def lessons(self, root: Path) -> dict[str, Lesson]:
        """All lessons that there are, by the names of their files."""
        paths = sorted(root.glob("lessons/*.ipynb"))
        self.read(paths)
        return {path.stem: lesson(path) for path in paths}

    def exercises(self, root: Path) -> list[Exercise]:
        """All exercises, in the order of the lessons, those of the lowest level first."""
        paths = sorted(root.glob("lessons/exercises/*.md"))
        self.read(paths)
        found = map(master, paths)
        return sorted(found, key=lambda each: (each.lesson, each.level, each.minutes))


class LessonFacts(Teaching):
    """`{lesson-facts} LESSON`: its time, its exercises, and how long a session they make."""

    required_arguments = 1

    def lines(self, root: Path) -> list[str]:
        """Three items of a list."""
        name = self.arguments[0]
        lessons = self.lessons(root)
        if name not in lessons:
            raise self.error(f"there is no lesson {name!r}; there are: {', '.join(lessons)}")
        about = lessons[name]
        tasks = [each for each in self.exercises(root) if each.lesson == name]
        practice = sum(each.minutes for each in tasks)
        listed = "; ".join(
            f"{link(each)} ({LEVELS[each.level]}, {each.minutes} minutes, {points(each)})"
            for each in tasks
        )
        return [
            f"- *Lesson:* [{about.title}](../../lessons/{name}.ipynb). {about.time}",
            f"- *Exercises:* {listed}.",
            f"- *A session of {about.minutes + practice + AROUND} minutes:* {about.minutes} for "
            f"the lesson, {practice} for the exercises, {AROUND // 2} for the first question and "
            f"the board, {AROUND // 2} for the quiz and what is asked.",
            "",
        ]


class Exercises(Teaching):
    """`{exercises}`: a table of all exercises."""

    def lines(self, root: Path) -> list[str]:
        """One row an exercise."""
        return table(self.exercises(root), self.lessons(root), root / "lessons" / "exercises")


def table(exercises: Iterable[Exercise], lessons: Mapping[str, Lesson], folder: Path) -> list[str]:
    """The lines of a table with a row for each exercise, whose masters lie in `folder`."""
    rows = []
    for each in exercises:
        about = lessons.get(each.lesson)
        cells = [
            about.title if about else topic(each),
            f"{link(each)} `{each.name}`",
            LEVELS[each.level],
            each.minutes,
            each.points,
            len(variants(folder / f"{each.name}.md")),
            ", ".join(PACKAGES.get(name, name) for name in each.packages),
        ]
        rows.append("| " + " | ".join(map(str, cells)) + " |")
    head = "| Lesson | Exercise, name | Level | Minutes | Points | Variants | Needs |"
    return [head, "| --- | --- | --- | --: | --: | --: | --- |", *rows]


class Outcomes(Teaching):
    """`{outcomes}`: what each lesson teaches, and the exercises that ask for it.

    The body says which, as YAML: `exercise: number of the lesson's outcome`, or several numbers.
    """

    has_content = True

    def lines(self, root: Path) -> list[str]:
        """A heading for each lesson, and a list of its outcomes."""
        asked = yaml.safe_load("\n".join(self.content)) or {}
        asked = {name: each if isinstance(each, list) else [each] for name, each in asked.items()}
        lessons, exercises = self.lessons(root), self.exercises(root)
        for fault in misplaced(asked, lessons, exercises):
            raise self.error(fault)
        lines = []
        for about in lessons.values():
            lines += [f"### {about.title}", ""]
            for number, outcome in enumerate(about.outcomes, start=1):
                tasks = [
                    link(each)
                    for each in exercises
                    if each.lesson == about.name and number in asked[each.name]
                ]
                lines.append(f"- {outcome}" + (f": **{', '.join(tasks)}**" if tasks else ""))
            lines.append("")
        return lines


def misplaced(asked: dict, lessons: dict[str, Lesson], exercises: list[Exercise]) -> list[str]:
    """What is wrong with a map from exercises to outcomes, one sentence each."""
    taught = {each.name: lessons[each.lesson] for each in exercises if each.lesson in lessons}
    faults = [f"no lesson has an exercise {name!r}" for name in asked if name not in taught]
    for name, about in taught.items():
        numbers = range(1, len(about.outcomes) + 1)
        if not asked.get(name) or not set(asked[name]) <= set(numbers):
            faults.append(
                f"{name}: {asked.get(name)}; say which outcome of {about.name} it asks for, "
                f"from 1 to {numbers[-1]}"
            )
    return faults


class FullEdition(Markdown):
    """`{full-edition} FILE`: a Markdown file beside the page, left out of the students' edition."""

    required_arguments = 1

    def lines(self, root: Path) -> list[str]:
        """The file's text, or nothing."""
        path = Path(self.env.doc2path(self.env.docname)).with_name(self.arguments[0])
        (text,) = self.read([path])
        return text.splitlines() if self.config.edition == "full" else []


def topic(exercise: Exercise) -> str:
    """What its practice page is about, where that has no lesson."""
    return exercise.lesson[3:].replace("-", " ").capitalize()


def points(exercise: Exercise) -> str:
    """Its points, in words."""
    return f"{exercise.points} point{'s' if exercise.points > 1 else ''}"


def link(exercise: Exercise) -> str:
    """Its title, as a link to its place on the practice page."""
    return f"[{exercise.title}](../practice/{exercise.lesson}.md#{make_id(exercise.title)})"


def setup(app: Sphinx) -> dict:
    """Add the directives."""
    app.add_directive("exercises", Exercises)
    app.add_directive("full-edition", FullEdition)
    app.add_directive("lesson-facts", LessonFacts)
    app.add_directive("outcomes", Outcomes)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
