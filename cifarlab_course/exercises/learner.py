"""Make the notebook that a learner gets: statement, hints, stub and visible checks."""

from pathlib import Path

import nbformat
from nbformat import NotebookNode, v4

from cifarlab._files import replacing
from cifarlab_course.exercises.master import FOLDER, Exercise
from cifarlab_course.lessons.notebooks import normalize, setup_cell


def cells(exercise: Exercise, *, solved: bool = False) -> list[NotebookNode]:
    """What a learner sees of an exercise (`solved`: with its solution), no hidden test in it."""
    checks = iter(exercise.checks)
    notebook_cells = []
    for kind, source in exercise.cells:
        if kind == "text":
            notebook_cells.append(v4.new_markdown_cell(source))
        elif kind == "given":
            notebook_cells.append(v4.new_code_cell(source))
        elif kind == "answer":
            answer = exercise.reference if solved else exercise.stub
            notebook_cells.append(v4.new_code_cell(answer))
        elif kind == "check":
            notebook_cells.append(v4.new_code_cell(next(checks).visible))
    return notebook_cells


def notebook(exercise: Exercise) -> NotebookNode:
    """An exercise as a notebook of its own, after the lessons' first cell."""
    first, *rest = cells(exercise)
    return assembled([first, v4.new_code_cell(setup_cell()), *rest], exercise.name)


def assembled(cells: list[NotebookNode], name: str) -> NotebookNode:
    """A notebook of these cells, each with an id made of `name` and its number."""
    for number, cell in enumerate(cells):
        cell.id = f"{name}-{number}"
    document = v4.new_notebook(cells=cells)
    normalize(document)
    return document


def place(exercise: Exercise) -> Path:
    """Where the learner's notebook of an exercise lies, for Colab to open."""
    return FOLDER / f"{exercise.name}.ipynb"


def write(exercise: Exercise, path: Path) -> None:
    """Write the learner's notebook."""
    with replacing(path) as temporary:
        temporary.write_text(text(exercise), encoding="utf-8")


def text(exercise: Exercise) -> str:
    """The learner's notebook as it stands in its file."""
    return nbformat.writes(notebook(exercise)) + "\n"
