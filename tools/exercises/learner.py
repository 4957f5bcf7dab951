"""Make the notebook that a learner gets: statement, hints, stub and visible checks."""

from pathlib import Path

import nbformat
from nbformat import NotebookNode, v4
from notebooks import normalize, setup_cell

from cifarlab.files import replacing
from exercises.master import FOLDER, Exercise


def notebook(exercise: Exercise) -> NotebookNode:
    """The exercise without its solution, its hidden tests and the mistakes it knows."""
    shown = {"answer": [exercise.stub], "check": [check.visible for check in exercise.checks]}
    cells = []
    for kind, source in exercise.cells:
        if kind == "text":
            cells.append(v4.new_markdown_cell(source))
        elif kind != "wrong":
            cells.append(v4.new_code_cell(shown[kind].pop(0) if kind in shown else source))
    cells.insert(1, v4.new_code_cell(setup_cell()))
    for number, cell in enumerate(cells):
        cell.id = f"{exercise.name}-{number}"
    made = v4.new_notebook(cells=cells)
    normalize(made)
    return made


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
