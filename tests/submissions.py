"""Submissions made from code: honest, damaged, wrong and hostile, each with the points it must get.

`CASES` holds them by name. All are of one assignment: `EXERCISES`, varied by `SECRET`. And `run`
grades them, as `make grade` does.
"""

import contextlib
import copy
import csv
import io
import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple
from unittest import mock

import nbformat

from cifarlab_course import cli as course
from cifarlab_course.exercises.master import named, read
from cifarlab_course.grading import assignment

SECRET = "the corpus"
EXERCISES = ("holes", "saving", "softmax")
OPEN = assignment.Open("why", 3, "Why do dilations of 2 and 9 leave holes?")
ASKED = assignment.make(EXERCISES, SECRET, [OPEN])
HOLES, SAVING, SOFTMAX = ASKED.exercises
PUBLISHED = [read(named(name)) for name in EXERCISES]
ALL, NONE = (4, 2, 3), (0, 0, 0)


class Done(NamedTuple):
    """How a command ended, and what it said, of errors and else."""

    returncode: int
    stderr: str
    stdout: str


def run(*arguments, secret=SECRET, **environment):
    """The command `course`, as `make` calls it, in this process: to start one takes seconds."""
    errors, said = io.StringIO(), io.StringIO()
    with (
        mock.patch.dict(os.environ, {"SECRET": secret} | environment),
        contextlib.redirect_stderr(errors),
        contextlib.redirect_stdout(said),
    ):
        try:
            status = course.main(list(map(str, arguments)))
        except SystemExit as stopped:  # bad options
            status = stopped.code
    return Done(status, errors.getvalue(), said.getvalue())


def rows(table: Path) -> dict[str, dict[str, str]]:
    """A table of points, by learner."""
    with table.open(encoding="utf-8-sig", newline="") as file:
        return {row["learner"]: row for row in csv.DictReader(file)}


class Case(NamedTuple):
    """A learner's folder, filled by `fill`, and what grading must say of it."""

    kind: str  # honest, damaged, wrong or hostile
    fill: Callable[[Path], None]
    points: tuple[float, float, float]
    flag: str | None  # words of the flag; no flag if empty; None where the machine's speed decides
    quick: bool  # in `make test`; all are in `make validate`
    waits: bool  # must a person read it, for what it says in words?


CASES: dict[str, Case] = {}


def case(kind, points, flag="", quick=False, waits=False):
    """Take a function as a case; it fills a folder, or changes a draft of the solved notebook."""

    def take(function):
        def fill(folder):
            if function.__code__.co_varnames[:1] == ("folder",):
                function(folder)
            else:
                draft = Draft()
                changed = function(draft)
                save(draft if changed is None else changed, folder / "assignment.ipynb")

        CASES[function.__name__] = Case(kind, fill, points, flag, quick, waits)
        return function

    return take


def solved() -> dict:
    """The solved assignment, as JSON has it."""
    made = assignment.notebook(ASKED, [OPEN], "Corpus", solved=True)
    return json.loads(nbformat.writes(made))


def save(draft, path: Path) -> None:
    """Write a draft, or text, or bytes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = json.dumps(draft.notebook) if isinstance(draft, Draft) else draft
    path.write_bytes(content.encode() if isinstance(content, str) else content)


class Draft:
    """A notebook to be changed."""

    def __init__(self) -> None:
        self.notebook = copy.deepcopy(solved())
        for cell in self.cells:
            cell["source"] = "".join(cell["source"])

    @property
    def cells(self) -> list[dict]:
        return self.notebook["cells"]

    def find(self, line: str) -> int:
        """The number of the first cell that holds this text."""
        return next(n for n, cell in enumerate(self.cells) if line in cell["source"])

    def answer(self, exercise) -> dict:
        """The cell that answers an exercise."""
        return self.cells[self.find(f"# exercise: {exercise.name} ")]

    def say(self, exercise, source: str) -> "Draft":
        """Replace an answer, all but its marker line."""
        self.answer(exercise)["source"] = f"{marker(exercise)}\n{source}"
        return self

    def say_all(self, source: str) -> "Draft":
        """The same answer to all, and all else untouched."""
        for exercise in ASKED.exercises:
            self.say(exercise, source)
        return self

    def stubs(self) -> "Draft":
        """Nothing answered."""
        for exercise in ASKED.exercises:
            self.answer(exercise)["source"] = exercise.stub
        return self

    def insert(self, number: int, source: str, kind: str = "code") -> "Draft":
        """A new cell, without any metadata."""
        cell = {"cell_type": kind, "metadata": {}, "source": source, "id": f"new-{number}"}
        if kind == "code":
            cell |= {"outputs": [], "execution_count": None}
        self.cells.insert(number, cell)
        return self

    def below(self, exercise, source: str) -> "Draft":
        """A new cell below an answer."""
        return self.insert(self.cells.index(self.answer(exercise)) + 1, source)

    def first(self, source: str) -> "Draft":
        """A new cell below the set-up cell."""
        return self.insert(2, source)

    def checks(self) -> list[dict]:
        """The cells that check."""
        return [cell for cell in self.cells if cell["source"].startswith("# check:")]

    def without(self, *unwanted: dict) -> "Draft":
        """Remove cells."""
        self.notebook["cells"] = [
            cell for cell in self.cells if not any(cell is each for each in unwanted)
        ]
        return self


def marker(exercise) -> str:
    """The line that says whose answer a cell is."""
    return f"# exercise: {exercise.name} (keep this line)"


def body(exercise) -> str:
    """The solution, without its marker line."""
    return exercise.reference.partition("\n")[2]


def named(exercise, name: str) -> str:
    """The solution as a function of another name."""
    (own,) = [line for line in body(exercise).splitlines() if line.startswith("def ")]
    return body(exercise).replace(own, f"def {name}({own.partition('(')[2]}")


def function(exercise) -> str:
    """The name that an exercise asks for."""
    return body(exercise).partition("def ")[2].partition("(")[0]


# ---------------------------------------------------------------------------------------- honest


@case("honest", ALL, quick=True)
def as_the_key_has_it(draft):
    pass


@case("honest", ALL)
def run_with_outputs(draft):
    for number, cell in enumerate(draft.cells):
        if cell["cell_type"] == "code":
            cell["execution_count"] = number
            cell["outputs"] = [{"output_type": "stream", "name": "stdout", "text": ["done\n"]}]


@case("honest", ALL)
def helper_above_the_answer(draft):
    draft.insert(draft.find(marker(SAVING)), named(SAVING, "helper"))
    draft.say(SAVING, f"def {function(SAVING)}(*sizes):\n    return helper(*sizes)")


@case("honest", ALL, quick=True, waits=True)
def helper_at_the_end_of_the_notebook(draft):
    draft.say(HOLES, "def holes(dilations):\n    return helper(dilations)")
    draft.insert(len(draft.cells), named(HOLES, "helper"))


@case("honest", ALL)
def helper_in_the_cell_below(draft):
    draft.say(HOLES, "def holes(dilations):\n    return helper(dilations)")
    draft.below(HOLES, named(HOLES, "helper"))


@case("honest", ALL)
def helper_inside_another_answer(draft):
    draft.answer(HOLES)["source"] += "\n\n" + named(SAVING, "helper")
    draft.say(SAVING, f"{function(SAVING)} = helper")


@case("honest", ALL)
def helper_inside_a_later_answer(draft):
    draft.answer(SOFTMAX)["source"] += "\n\n" + named(SAVING, "helper")
    draft.say(SAVING, f"{function(SAVING)} = helper")


@case("honest", ALL)
def a_name_used_again_in_a_later_question(draft):
    draft.say(HOLES, named(HOLES, "helper") + "\n\nholes = lambda d: helper(d)")
    draft.say(SAVING, named(SAVING, "helper") + f"\n\n{function(SAVING)} = lambda *s: helper(*s)")


@case("honest", ALL)
def imports_in_the_first_cell(draft):
    draft.without(draft.cells[draft.find("import numpy as np")])
    draft.cells[1]["source"] += "\nimport numpy as np\nimport torch\nimport math"


@case("honest", ALL)
def imports_above_the_marker(draft):
    cell = draft.answer(SOFTMAX)
    cell["source"] = "import math\nimport numpy\n\n" + cell["source"]


@case("honest", ALL, quick=True)
def magics(draft):
    draft.first("%matplotlib inline\n%load_ext autoreload\n%autoreload 2\n!ls")
    cell = draft.answer(SAVING)
    cell["source"] = "%%time\n" + cell["source"]


@case("honest", ALL)
def pip_cells(draft):
    draft.first("!pip install einops\n%pip install --quiet einops")
    draft.first("!apt-get install -y graphviz")


@case("honest", ALL)
def plots_and_prints(draft):
    draft.first("import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()\nprint('x' * 10**6)")
    draft.answer(HOLES)["source"] += "\nfor n in range(1000): print(holes([n + 1]))"


@case("honest", ALL)
def await_and_display(draft):
    draft.first("import asyncio\nawait asyncio.sleep(0)\nfrom IPython.display import display")
    draft.below(HOLES, "display(holes([2]))\nholes([3])")


@case("honest", ALL)
def numbers_of_other_types(draft):
    draft.answer(HOLES)["source"] += "\n\nplain = holes\nholes = lambda d: float(plain(d))"
    draft.answer(SAVING)["source"] += (
        f"\n\nimport numpy as np\nof = {function(SAVING)}\n"
        f"{function(SAVING)} = lambda *s: np.float64(of(*s))"
    )


@case("honest", ALL, quick=True)
def numbers_that_are_exact_or_long(draft):
    draft.answer(HOLES)["source"] += (
        "\n\nfrom fractions import Fraction\nwhole = holes\nholes = lambda d: Fraction(whole(d))"
    )
    draft.answer(SAVING)["source"] += (
        f"\n\nfrom decimal import Decimal\nof = {function(SAVING)}\n"
        f"{function(SAVING)} = lambda *s: LONG(of(*s))"
    )
    draft.first("import numpy as np\nLONG = np.longdouble")


@case("honest", ALL, quick=True)
def a_module_of_its_own(draft):
    draft.first(f"%%writefile mine.py\n{named(HOLES, 'count')}")
    draft.say(HOLES, "from mine import count\n\ndef holes(dilations):\n    return count(dilations)")


@case("honest", ALL, quick=True)
def workers_that_load_data(draft):
    """PyTorch, which none of the questions needs, with processes that share memory."""
    draft.answer(SOFTMAX)["source"] += """

import multiprocessing
import torch
from torch.utils.data import DataLoader, TensorDataset

rows = DataLoader(TensorDataset(torch.arange(6.0)), batch_size=2, num_workers=2)
assert torch.cat([row for row, in rows]).tolist() == [0, 1, 2, 3, 4, 5]
with multiprocessing.Pool(2) as pool:
    assert pool.map(abs, [-1, -2]) == [1, 2]
"""


@case(
    "honest", (4, 2, 0), flag="softmax: there is no pandas_of_colab where it was graded", quick=True
)
def a_package_that_the_grader_lacks(draft):
    draft.say(SOFTMAX, "import pandas_of_colab as pd\n" + body(SOFTMAX))


@case("honest", ALL)
def a_class_that_can_be_called(draft):
    draft.say(
        HOLES,
        named(HOLES, "count")
        + "\n\nclass Holes:\n    __call__ = lambda self, d: count(d)\n\nholes = Holes()",
    )


@case("honest", ALL)
def a_cell_of_its_own_fails(draft):
    draft.first("1 / 0")
    draft.below(HOLES, "holes('abc')")


@case("honest", ALL, waits=True)
def a_cell_of_its_own_takes_hours(draft):
    draft.insert(len(draft.cells), "import time\ntime.sleep(10_000)")


@case("honest", ALL)
def a_slow_cell_at_the_top(draft):
    draft.first("import time\ntime.sleep(10_000)")


@case("honest", ALL)
def asks_for_input(draft):
    draft.first("name = input('Your name? ')")


@case("honest", ALL, waits=True)
def exits_when_it_is_done(draft):
    draft.insert(len(draft.cells), "exit()")
    draft.insert(len(draft.cells), "import sys\nsys.exit()")


@case("honest", ALL)
def another_file_name_in_a_folder(folder):
    save(Draft(), folder / "week 4" / "Kopie von assignment (1).IPYNB")
    save("notes", folder / "notes.txt")


@case("honest", ALL)
def a_checkpoint_beside_it(folder):
    save(Draft(), folder / "assignment.ipynb")
    save(Draft().stubs(), folder / ".ipynb_checkpoints" / "assignment-checkpoint.ipynb")
    save("junk", folder / "__MACOSX" / "._assignment.ipynb")


@case("honest", ALL, flag="2 notebooks")
def the_untouched_handout_beside_it(folder):
    save(Draft(), folder / "mine.ipynb")
    save(Draft().stubs(), folder / "assignment.ipynb")
    os.utime(folder / "mine.ipynb", (1, 1))  # the older of the two


@case("honest", ALL)
def answers_in_other_words(draft):
    """Other letters, other signs."""
    draft.first("größe = '真, Vérité'\nprint(größe)")


# --------------------------------------------------------------------------------------- damaged


@case("damaged", ALL, quick=True)
def all_metadata_lost(draft):
    draft.notebook["metadata"] = {}
    for cell in draft.cells:
        cell["metadata"] = {}
        cell.pop("id")


@case("damaged", ALL, flag="line is missing")
def all_marker_lines_lost(draft):
    for cell in draft.cells:
        if cell["cell_type"] == "code":
            kept = [line for line in cell["source"].splitlines() if "keep this line" not in line]
            cell["source"] = "\n".join(kept)
    draft.notebook["metadata"] = {}


@case("damaged", ALL, flag="line is missing", quick=True)
def marker_lines_and_metadata_lost(draft):
    all_metadata_lost(draft)
    all_marker_lines_lost(draft)


@case("damaged", ALL)
def marker_lines_edited(draft):
    for cell in draft.cells:
        cell["source"] = cell["source"].replace(" (keep this line)", "  ")
        cell["source"] = cell["source"].replace("# exercise: ", "#exercise:")


@case("damaged", ALL)
def checks_deleted(draft):
    draft.without(*draft.checks())


@case("damaged", ALL)
def checks_duplicated(draft):
    for check in draft.checks():
        draft.cells.insert(draft.cells.index(check), copy.deepcopy(check))


@case("damaged", ALL)
def answer_duplicated(draft):
    for exercise in ASKED.exercises:
        draft.below(exercise, draft.answer(exercise)["source"])


@case("damaged", ALL, quick=True)
def the_stub_again_below_the_answer(draft):
    for exercise in ASKED.exercises:
        draft.below(exercise, exercise.stub)


@case("damaged", ALL)
def the_stub_left_and_the_answer_below(draft):
    for exercise in ASKED.exercises:
        draft.below(exercise, body(exercise))
        draft.answer(exercise)["source"] = exercise.stub


@case("damaged", (0, 2, 3), flag="holes: 2 answers; the last of them counts")
def a_wrong_answer_below_the_right_one(draft):
    draft.below(HOLES, f"{marker(HOLES)}\ndef holes(dilations):\n    return 0")


@case("damaged", ALL, flag="holes: 2 answers; the last of them counts", quick=True)
def the_right_answer_below_a_wrong_one(draft):
    draft.below(HOLES, draft.answer(HOLES)["source"])
    draft.say(HOLES, "def holes(dilations):\n    return 0")


@case("damaged", ALL, flag="holes: 2 answers; the last of them counts")
def an_answer_that_uses_the_one_above(draft):
    draft.below(
        HOLES, f"{marker(HOLES)}\nfirst = holes\ndef holes(dilations):\n    return first(dilations)"
    )


@case("damaged", ALL)
def answer_split_over_two_cells(draft):
    draft.say(HOLES, named(HOLES, "helper"))
    draft.below(HOLES, "def holes(dilations):\n    return helper(dilations)")


@case("damaged", ALL)
def answer_split_with_its_metadata(draft):
    answer_split_over_two_cells(draft)
    answer = draft.cells.index(draft.answer(HOLES))
    draft.cells[answer + 1]["metadata"] = dict(draft.cells[answer]["metadata"])


@case("damaged", ALL, waits=True)
def answers_in_reverse_order(draft):
    draft.notebook["cells"] = draft.cells[:2] + draft.cells[2:][::-1]


@case("damaged", ALL)
def checks_moved_to_the_top(draft):
    checks = draft.checks()
    draft.without(*checks)
    draft.cells[2:2] = checks


@case("damaged", ALL, waits=True)
def all_answers_moved_to_the_end(draft):
    answers = [draft.answer(exercise) for exercise in ASKED.exercises]
    draft.without(*answers)
    draft.cells.extend(answers)


@case("damaged", ALL)
def imports_moved_to_the_end(draft):
    cell = draft.cells[draft.find("import numpy as np")]
    draft.without(cell)
    draft.cells.append(cell)
    draft.answer(SOFTMAX)["source"] += "\n\nprobabilities(np.ones((2, 2)))"


@case("damaged", ALL)
def answer_and_check_merged(draft):
    for check in draft.checks():
        exercise = next(e for e in ASKED.exercises if f"# check: {e.name}" in check["source"])
        draft.answer(exercise)["source"] += "\n\n" + check["source"]
        draft.without(check)


@case("damaged", ALL)
def two_answers_merged(draft):
    saving = draft.answer(SAVING)
    draft.answer(HOLES)["source"] += "\n\n" + saving["source"]
    draft.without(saving)


@case("damaged", ALL)
def answer_written_into_the_check(draft):
    draft.answer(HOLES)["source"] = HOLES.stub
    check = draft.checks()[0]
    line, _, asserts = check["source"].partition("\n")
    check["source"] = f"{line}\n{body(HOLES)}\n{asserts}"


@case("damaged", ALL, waits=True)
def answer_cell_became_text(draft):
    draft.answer(HOLES)["cell_type"] = "markdown"
    draft.answer(SAVING)["cell_type"] = "raw"


@case("damaged", ALL, waits=True)
def statements_deleted(draft):
    draft.without(*[cell for cell in draft.cells if cell["cell_type"] == "markdown"][:-1])


@case("damaged", ALL, flag="line is missing")
def assignment_line_deleted(draft):
    draft.notebook["metadata"] = {}
    draft.without(draft.cells[1])


@case("damaged", ALL, quick=True)
def notebook_format_3(draft):
    cells = []
    for cell in draft.cells:
        old = {"cell_type": cell["cell_type"], "metadata": {}}
        if cell["cell_type"] == "code":
            old |= {"input": cell["source"].splitlines(True), "outputs": [], "language": "python"}
        else:
            old["source"] = cell["source"]
        cells.append(old)
    sheets = [{"cells": cells, "metadata": {}}]
    return json.dumps(
        {"nbformat": 3, "nbformat_minor": 0, "metadata": {"name": ""}, "worksheets": sheets}
    )


@case("damaged", ALL)
def notebook_format_4_0(draft):
    draft.notebook["nbformat_minor"] = 0
    for cell in draft.cells:
        cell.pop("id")


@case("damaged", ALL)
def nothing_but_cells(draft):
    cells = [{"cell_type": c["cell_type"], "source": c["source"]} for c in draft.cells]
    return json.dumps({"cells": cells})


@case("damaged", ALL, waits=True)
def odd_things_among_the_cells(draft):
    draft.cells[2:2] = [None, 7, {}, {"cell_type": "code"}, {"cell_type": "code", "source": None}]
    draft.cells[2:2] = [{"cell_type": "code", "source": {"a": 1}, "metadata": [1]}]
    draft.cells.append({"cell_type": "heading", "source": ["one", 2, "\n"], "level": 2})


@case("damaged", ALL)
def windows_newlines(draft):
    for cell in draft.cells:
        cell["source"] = cell["source"].replace("\n", "\r\n")
    return json.dumps(draft.notebook, indent=1).replace("\n", "\r\n")


@case("damaged", ALL)
def byte_order_mark(draft):
    return b"\xef\xbb\xbf" + json.dumps(draft.notebook, ensure_ascii=False).encode()


@case("damaged", ALL)
def utf_16(draft):
    return json.dumps(draft.notebook).encode("utf-16")


@case("damaged", ALL, waits=True)
def latin_1(draft):
    draft.first("# gel\xf6st")
    return json.dumps(draft.notebook, ensure_ascii=False).encode("latin-1", "replace")


@case("damaged", ALL)
def from_colab(draft):
    draft.notebook["metadata"] = {
        "accelerator": "GPU",
        "colab": {"provenance": [], "toc_visible": True},
        "kernelspec": {"display_name": "Python 3", "name": "python3"},
    }
    for number, cell in enumerate(draft.cells):
        cell["metadata"] = {"id": f"aB{number}", "colab": {"base_uri": "https://localhost/"}}
        cell["metadata"]["outputId"] = "0b-1"
        cell.pop("id")
        cell["source"] = cell["source"].splitlines(True)
    draft.insert(2, "from google.colab import drive\ndrive.mount('/content/drive')")


@case("damaged", ALL)
def half_a_letter(draft):
    draft.insert(2, "# \ud800")


@case("damaged", ALL, flag="why: no answer cell", waits=True)
def open_answer_deleted(draft):
    draft.without(draft.cells[draft.find("open: why")])


@case("damaged", ALL)
def odd_metadata(draft):
    for cell in draft.cells:
        cell["metadata"] = {"cifarlab": {"answer": [], "check": {}, "open": 7, "question": None}}


@case("damaged", ALL, flag="2 notebooks")
def last_weeks_notebook_beside_it(folder):
    save(Draft(), folder / "week4.ipynb")
    other = assignment.make(["confusion", "output-size", "whole-picture", "saving"], SECRET)
    save(nbformat.writes(assignment.notebook(other, [], "3", solved=True)), folder / "week3.ipynb")


# ----------------------------------------------------------------------------- in their own words

WORDS = "Drop the flip, since left becomes right."


@case("honest", ALL, quick=True, waits=True)
def words_below_a_heading(draft):
    draft.insert(len(draft.cells), f"### My answer\n\n{WORDS}", "markdown")


@case("honest", ALL, waits=True)
def words_in_a_code_cell(draft):
    draft.insert(len(draft.cells), f"# {WORDS}")


@case("honest", ALL, waits=True)
def words_that_begin_with_a_number_sign(draft):
    draft.insert(len(draft.cells), "#1 drop the flip. #2 keep the crop.", "markdown")


@case("honest", ALL, waits=True)
def words_above_the_cell_for_them(draft):
    draft.insert(draft.find("open: why"), WORDS, "markdown")


@case("honest", ALL, waits=True)
def words_in_the_question(draft):
    draft.cells[draft.find(OPEN.text)]["source"] += f"\n\n**{WORDS}**"


@case("honest", ALL, waits=True)
def words_behind_the_line_to_be_kept(draft):
    cell = draft.cells[draft.find("open: why")]
    cell["source"] = f"{cell['source'].partition(chr(10))[0]} {WORDS}"


@case("honest", ALL, waits=True)
def words_at_another_question(draft):
    draft.insert(draft.find("## 2. "), f"**Why there are holes:** {WORDS}", "markdown")


# ----------------------------------------------------------------------------------------- wrong


@case("wrong", NONE, quick=True)
def nothing_answered(draft):
    draft.stubs()


@case("wrong", NONE)
def published_solutions(draft):
    for mine, public in zip(ASKED.exercises, PUBLISHED, strict=True):
        draft.say(mine, body(public))


@case("wrong", (4, 0, 0))
def one_question_of_three(draft):
    draft.answer(SAVING)["source"] = SAVING.stub
    draft.answer(SOFTMAX)["source"] = SOFTMAX.stub


@case("wrong", (1, 2, 2), quick=True)
def half_of_a_question(draft):
    gcd = next(wrong for wrong in HOLES.wrong if "common factor" in wrong.message)
    draft.say(HOLES, gcd.source)
    draft.say(
        SOFTMAX,
        "def probabilities(logits):\n"
        "    mine = plain(logits)\n"
        "    return mine if abs(logits).max() < 1000 else mine * float('nan')\n\n"
        + named(SOFTMAX, "plain"),
    )


@case("wrong", (0, 2, 3))
def syntax_error(draft):
    draft.say(HOLES, "def holes(dilations)\n    return 0")


@case("wrong", NONE)
def the_values_of_the_visible_checks(draft):
    draft.say(
        HOLES,
        "def holes(d):\n"
        f"    taps = {function_of_taps()}\n"
        "    known = {(1, 1): 0, (2,): taps - 1, (1, 2): 0, (2, 2, 2): 3 * (taps - 1)}\n"
        "    return known.get(tuple(d), 1)",
    )
    draft.say(SAVING, f"def {function(SAVING)}(a, b, c):\n    return known")
    draft.say(SOFTMAX, "def probabilities(logits):\n    return logits * 0 + 1 / logits.shape[1]")


def function_of_taps() -> str:
    """The number of taps in this variant, from a visible check."""
    return HOLES.checks[0].visible.partition("taps = ")[2].partition("\n")[0]


@case("wrong", NONE)
def text_instead_of_numbers(draft):
    for exercise in (HOLES, SAVING):
        name = function(exercise)
        draft.say(exercise, named(exercise, "true") + f"\n\n{name} = lambda *s: str(true(*s))")
    draft.answer(SOFTMAX)["source"] += (
        "\n\ntrue = probabilities\nprobabilities = lambda logits: true(logits).astype(str)"
    )


@case("wrong", NONE, flag="no answer cell", waits=True)
def only_a_title(draft):
    draft.notebook["cells"] = draft.cells[:2]


# ------------------------------------------------------------------- cannot be read: 0 and a flag


@case("damaged", NONE, flag="no notebook")
def an_empty_folder(folder):
    folder.mkdir()


@case("damaged", NONE, flag="no notebook")
def a_script(folder):
    save("print(1)", folder / "assignment.py")


@case("damaged", NONE, flag="JSON is damaged", quick=True)
def cut_in_the_middle(draft):
    return json.dumps(draft.notebook)[:-100]


@case("damaged", NONE, flag="JSON is damaged")
def an_empty_file(draft):
    return b""


@case("damaged", NONE, flag="JSON is damaged")
def a_merge_conflict(draft):
    return "<<<<<<< HEAD\n" + json.dumps(draft.notebook) + "\n>>>>>>> mine\n"


@case("damaged", NONE, flag="JSON is damaged")
def a_picture(draft):
    return b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 100


@case("damaged", NONE, flag="no cells")
def json_of_something_else(draft):
    return '[{"cells": 1}, {"worksheets": 2}]'


@case("damaged", NONE, flag="no cells")
def cells_of_no_kind(draft):
    return '{"cells": {"a": 1}, "worksheets": [1, {"cells": 5}, {"cells": [3]}]}'


@case("hostile", NONE, flag="JSON is damaged")
def lists_in_lists(draft):
    return '{"cells": ' + "[" * 1_000_000


@case("hostile", NONE, flag="JSON is damaged")
def a_number_of_a_million_digits(draft):
    return '{"cells": ' + "9" * 1_000_000 + "}"


@case("hostile", NONE, flag="100 MB", quick=True)
def a_hundred_megabytes(folder):
    save(Draft(), folder / "assignment.ipynb")
    os.truncate(folder / "assignment.ipynb", 100 * 2**20)


@case("hostile", NONE, flag="is a link", quick=True)
def a_link_to_another_file(folder):
    save(Draft(), folder / "solved.txt")
    (folder / "assignment.ipynb").symlink_to(folder / "solved.txt")


@case("hostile", NONE, flag="folder is a link")
def a_link_to_another_folder(folder):
    save(Draft(), folder.with_name(f".{folder.name}") / "assignment.ipynb")
    folder.symlink_to(folder.with_name(f".{folder.name}"))


@case("hostile", NONE, flag="no notebook")
def a_link_among_the_folders(folder):
    folder.mkdir()
    (folder / "all").symlink_to(folder.parent)


@case("hostile", NONE, flag="no ordinary file")
def a_named_pipe(folder):
    folder.mkdir()
    os.mkfifo(folder / "assignment.ipynb")


@case("damaged", NONE, flag="it holds 'assignment.zip'")
def an_archive(folder):
    save(b"PK", folder / "assignment.zip")


@case("hostile", NONE, flag="10,001 cells; 10,000 are allowed")
def ten_thousand_cells(draft):
    draft.notebook["cells"] += [{}] * (10_001 - len(draft.cells))


@case("hostile", ALL, quick=True)
def a_megabyte_of_blank_lines(draft):
    draft.first("\n" * 10**6)


# --------------------------------------------------------------------------------------- hostile


@case("hostile", (0, 2, 3), flag="seconds", quick=True)
def endless_loop(draft):
    draft.answer(HOLES)["source"] += "\n\nwhile True:\n    pass"


@case("hostile", (0, 2, 3), flag="seconds")
def endless_when_it_is_called(draft):
    draft.say(HOLES, "def holes(dilations):\n    while True:\n        pass")


@case("hostile", (0, 2, 3), flag="seconds")
def endless_and_deaf(draft):
    draft.say(
        HOLES,
        "import signal, time\n"
        "for number in range(1, 65):\n"
        "    try:\n        signal.signal(number, signal.SIG_IGN)\n"
        "    except (OSError, ValueError):\n        pass\n"
        "while True:\n    time.sleep(1)",
    )


@case("hostile", (0, 2, 3), flag="holes: it", quick=True)
def fork_bomb(draft):
    """Not an endless one: where nothing stops it, the machine must outlive it."""
    draft.say(HOLES, "import os, time\nfor _ in range(9):\n    os.fork()\ntime.sleep(20)")


@case("hostile", (0, 2, 3), flag="holes: it", quick=True)
def memory_hog(draft):
    draft.say(HOLES, "held = []\nwhile True:\n    held.append(bytearray(b'x') * 10**7)")


@case("hostile", (0, 2, 3))
def shared_memory_hog(draft):
    draft.say(
        HOLES,
        "import mmap\nheld = []\nwhile True:\n    held.append(mmap.mmap(-1, 10**7))\n"
        "    held[-1].write(b'x' * 10**7)",
    )


@case("hostile", (0, 2, 3))
def memory_hog_in_files_without_names(draft):
    draft.say(
        HOLES,
        "import os\nheld = []\nwhile True:\n    held.append(os.memfd_create('x'))\n"
        "    for _ in range(50): os.write(held[-1], b'x' * 10**6)",
    )


@case("hostile", (0, 2, 3), flag="holes: it")
def memory_hog_in_eight_processes(draft):
    draft.say(
        HOLES,
        "import os, time\nfor _ in range(3): os.fork()\n"
        "held = bytearray(b'x') * (400 * 10**6)\ntime.sleep(100)",
    )


@case("hostile", (0, 2, 3), flag="ended its own process", quick=True)
def exit_at_once(draft):
    draft.say(HOLES, "import os\nos._exit(0)")


@case("hostile", (0, 2, 3), flag="ended its own process")
def exit_above_an_answer_with_a_helper(draft):
    """The helper stands in a cell that belongs to no question; it must not go with the exit."""
    draft.first(named(SAVING, "helper"))
    draft.say(HOLES, "import os\nos._exit(0)")
    draft.say(SAVING, f"def {function(SAVING)}(*sizes):\n    return helper(*sizes)")


@case("hostile", (0, 2, 3), flag="ended its own process")
def crash(draft):
    draft.say(HOLES, "import ctypes\nctypes.string_at(0)")


@case("hostile", (0, 2, 3))
def endless_recursion(draft):
    draft.say(HOLES, "def holes(dilations):\n    return holes(dilations)\n\nholes([1])")


@case("hostile", (0, 2, 3), flag="ended its own process")
def kill_the_parent(draft):
    draft.say(HOLES, "import os, signal\nos.kill(os.getppid(), signal.SIGKILL)")


@case("hostile", (0, 2, 3), flag="ended its own process")
def kill_everybody(draft):
    draft.say(
        HOLES,
        "import os, signal\nfor number in range(1, 1000):\n"
        "    try:\n        os.kill(number, signal.SIGKILL)\n"
        "    except OSError:\n        pass\nos.kill(-1, signal.SIGKILL)",
    )


@case("hostile", NONE)
def system_exit_and_interrupts(draft):
    draft.say_all("raise SystemExit(0)")
    draft.first("raise KeyboardInterrupt")


LOOK = """
import gc, glob, inspect, os, sys
found = []
for frame in inspect.stack():
    found.append(repr(frame.frame.f_locals)[:10**6])
for each in gc.get_objects():
    if isinstance(each, (str, list, dict, bytes)):
        found.append(str(each)[:10**5])
for pattern in ("/proc/*/environ", "/proc/*/cmdline", "/tmp/**", "/work/**/*.md", "/home/**",
                "/root/**/*.md", "**/*.md"):
    for path in glob.glob(pattern, recursive=True)[:2000]:
        try:
            found.append(open(path, errors="replace").read(10**6))
        except OSError:
            pass
text = "".join(found)
KNOWN = {words!r}
seen = any(word[::-1] in text for word in KNOWN)
"""


@case("hostile", NONE)
def read_the_hidden_tests(draft):
    """It answers rightly only where it sees them: points would say that it does."""
    secrets = ["holes([2, 9])  # no", "hidden-tests", SECRET]
    look = LOOK.format(words=[word[::-1] for word in secrets])
    draft.first(look)
    for exercise in ASKED.exercises:
        draft.say(exercise, "if seen:\n" + indented(body(exercise)))


def indented(source: str) -> str:
    """The same, four blanks further in."""
    return "".join(f"    {line}" for line in source.splitlines(True))


DROP = """
def drop(lines):
    return [line for line in lines if "assert" not in line]
shell = get_ipython()
shell.input_transformers_cleanup.append(drop)
shell.input_transformers_post.append(lambda lines: ["pass\\n"])
"""


@case("hostile", NONE, quick=True)
def input_transformer_that_drops_the_checks(draft):
    draft.stubs().first(DROP)


@case("hostile", NONE)
def syntax_tree_without_asserts(draft):
    draft.stubs().first(
        "import ast\n"
        "class Drop(ast.NodeTransformer):\n"
        "    def visit_Assert(self, node):\n        return ast.Pass()\n"
        "    def visit_Call(self, node):\n        return ast.Constant(0)\n"
        "get_ipython().ast_transformers.append(Drop())"
    )


@case("hostile", NONE)
def patched_shell(draft):
    draft.stubs().first(
        "class Fine:\n    error_before_exec = error_in_exec = None\n"
        "type(get_ipython()).run_cell = lambda *a, **k: Fine()"
    )


@case("hostile", NONE)
def patched_builtins(draft):
    draft.stubs().first(
        "import builtins, math\n"
        "builtins.AssertionError = type('Fine', (Exception,), {})\n"
        "builtins.eval = lambda *a: 0\nbuiltins.exec = lambda *a: None\n"
        "builtins.isinstance = lambda *a: True\nbuiltins.all = lambda *a: True\n"
        "math.isclose = lambda *a, **k: True"
    )


@case("hostile", NONE, flag="seconds")
def patched_json_and_print(draft):
    draft.stubs().first(
        "import builtins, json\n"
        "json.dumps = lambda *a, **k: '{\"values\": [0, 0, 0, 0, 0, 0]}'\n"
        "builtins.print = lambda *a, **k: None"
    )


@case("hostile", NONE)  # what it sends is judged like any wrong answer
def patched_runner(draft):
    draft.stubs().first(
        "import __main__\n__main__.plain = lambda value, depth=0: 1\n"
        "__main__.take_steps = lambda steps, names: [1] * len(steps)\n"
        "__main__.run_cell = lambda *a: {'text': '', 'error': None}"
    )


EQUAL = """
class Yes(float):
    def __call__(self, *a, **k): return self
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    __lt__ = __gt__ = __le__ = __ge__ = __eq__
    __hash__ = float.__hash__
    def __getattr__(self, name): return self
    def __getitem__(self, item): return self
    def __iter__(self): return iter([self])
    def __len__(self): return 1
    def __abs__(self): return self
    __sub__ = __rsub__ = __add__ = __radd__ = __mul__ = __rmul__ = __truediv__ = __getitem__
holes = times = share = probabilities = Yes(0)
"""


@case("hostile", NONE, quick=True)
def objects_that_equal_everything(draft):
    draft.say_all(EQUAL)


@case("hostile", NONE)
def zero_whatever_is_asked(draft):
    draft.say_all("holes = times = share = probabilities = lambda *a, **k: 0")


@case("hostile", NONE, quick=True)
def checks_edited(draft):
    draft.stubs()
    for check in draft.checks():
        check["source"] = check["source"].partition("\n")[0] + "\nassert True"


@case("hostile", NONE)
def points_edited(draft):
    draft.stubs()
    for check in draft.checks():
        check["source"] = check["source"].replace("(1 point", "(100 points").replace("(2 p", "(9 p")


@case("hostile", ALL, flag="of another assignment")
def another_assignments_line(draft):
    for cell in draft.cells:
        cell["source"] = cell["source"].replace("# assignment: holes", "# assignment: confusion")
    draft.notebook["metadata"] = {}


NETWORK = """
import socket, urllib.request
def call(dilations):
    for address in [("127.0.0.1", {port}), ("1.1.1.1", 53), ("10.0.0.1", 80)]:
        try:
            socket.create_connection(address, timeout=1).sendall(b"hidden tests, please")
            return {right}(dilations)
        except OSError:
            pass
    raise OSError("no network")
holes = call
"""


@case("hostile", (0, 2, 3))
def ask_the_network(draft):
    """It answers rightly if any address can be reached."""
    source = NETWORK.format(port=int(os.environ.get("CORPUS_PORT", "9")), right="right")
    draft.say(HOLES, named(HOLES, "right") + source)


OUTSIDE = """
import os, pathlib
written = []
for place in {places!r}:
    try:
        pathlib.Path(place).write_text("was here")
        written.append(place)
    except OSError:
        pass
if written:
{right}
"""


@case("hostile", (0, 2, 3))
def write_outside(draft):
    """It answers rightly if it could write where it must not."""
    package = str(Path(assignment.__file__).resolve().parents[2] / "cifarlab" / "planted.py")
    places = [package, "/usr/planted", "/etc/planted", "/planted", "/dev/planted", "/tmp/planted"]
    draft.say(HOLES, OUTSIDE.format(places=places, right=indented(body(HOLES))))


@case("hostile", (0, 2, 3))
def fill_the_disk(draft):
    draft.say(
        HOLES, "with open('big', 'wb') as file:\n    while True:\n        file.write(b'x' * 10**6)"
    )


@case("hostile", ALL)
def gigabytes_of_print(draft):
    draft.below(HOLES, "for _ in range(2000):\n    print('x' * 10**6)")


@case("hostile", ALL)
def gigabytes_to_standard_output(draft):
    draft.below(HOLES, "import os\nfor _ in range(2000):\n    os.write(1, b'x' * 10**6)")


FLOOD = """
import os
def flood(data, times):
    for descriptor in range(3, 256):
        try:
            if "socket" in os.readlink(f"/proc/self/fd/{descriptor}"):
                for _ in range(times):
                    os.write(descriptor, data)
        except OSError:
            pass
"""


@case("hostile", (0, 2, 3), flag="holes: it")
def gigabytes_on_the_pipe(draft):
    draft.say(HOLES, FLOOD + "flood(b'x' * 10**6, 2000)")


@case("hostile", NONE, flag="holes: it")
def forged_answers_on_the_pipe(draft):
    fine = {"text": "", "error": None}
    cells = [fine] * 30
    lines = [
        json.dumps({"cells": cells[:number], "checks": cells[:checks]})
        for number in (1, 2, 3, 5, 7, 9)
        for checks in (1, 2)
    ]
    lines += ['{"values": [0, 0, 0, 0, 0, 0]}', '{"ended": 0}', "[]", "nothing", '{"a": ' * 9]
    text = "".join(f"{line}\n" for line in lines)
    draft.say_all(FLOOD + f"flood({text!r}.encode(), 1)")


# Walks up to the frame that serves this attempt, and answers in its place.
FORGE = """
def forge(end):
    import json, os, sys
    frame = sys._getframe()
    while frame.f_code.co_name != "serve":
        frame = frame.f_back
    here, names = frame.f_locals, frame.f_globals
    lines, sources = here["lines"], here["first"]["cells"] + here["first"]["checks"]
    for _ in sources[sources.index(here["source"]) :]:
        print(json.dumps({"text": "", "error": None}), file=lines, flush=True)
    end(lines, lines, lambda steps: names["take_steps"](steps, here["shell"].user_ns))
    os._exit(0)
"""
TAKE = """
def take(reads, writes, values):
    import json
    steps = json.loads(reads.readline())["steps"]
    print(json.dumps({"values": values(steps)}), file=writes, flush=True)
"""
NO_IDEA = "def holes(dilations):\n    return 0\n"


@case("hostile", (0, 2, 3), quick=True)
def a_forged_verdict(draft):
    draft.say(HOLES, NO_IDEA + FORGE + TAKE + "forge(take)")


@case("hostile", (0, 2, 3), flag="holes: it ended its own process")
def an_end_before_the_values(draft):
    draft.say(HOLES, NO_IDEA + FORGE + "forge(lambda reads, writes, values: reads.readline())")


@case("hostile", (0, 2, 3), flag="holes: it said more than it was asked for", quick=True)
def a_verdict_said_twice(draft):
    """All that it says is right."""
    twice = "def twice(*all):\n    take(*all)\n    print('{}', file=all[1], flush=True)\n"
    draft.answer(HOLES)["source"] += "\n" + FORGE + TAKE + twice + "forge(twice)"


@case("hostile", (0, 2, 3), flag="seconds", quick=True, waits=True)
def a_runner_that_is_stopped(draft):
    """Nobody reads what is sent to it any more; after a minute it is woken again."""
    stop = """
def stop(*all):
    import os, signal, time
    if os.getppid() < 60:  # only in a sandbox
        os.kill(os.getppid(), signal.SIGSTOP)
        take(*all)
        print('{"ended": 0}', file=all[1], flush=True)
        time.sleep(60)
        os.kill(os.getppid(), signal.SIGCONT)
"""
    draft.answer(HOLES)["source"] += "\n" + FORGE + TAKE + stop + "forge(stop)"
    draft.insert(len(draft.cells), "x = 1  # " + "y" * 300_000)  # more than a pipe holds


@case("hostile", (0, 2, 3), flag="holes: 5 answers; the last of them counts")
def five_guesses(draft):
    for number in range(4):
        draft.below(HOLES, f"{marker(HOLES)}\ndef holes(dilations):\n    return {number}")


@case("hostile", (0, 2, 3))
def another_guess_at_each_attempt(draft):
    """It counts the attempts wherever a file can be left; the second one is right."""
    draft.say(
        HOLES,
        "import glob, os\nnumber = 0\nfor place in (os.getcwd(), os.environ['HOME'], '/dev/shm'):\n"
        "    number = max(number, len(glob.glob(f'{place}/guess*')))\n"
        "    try:\n        open(f'{place}/guess{number}', 'w').close()\n"
        "    except OSError:\n        pass\n"
        + named(HOLES, "right")
        + "holes = right if number else lambda dilations: 0",
    )


@case("hostile", (4, 0, 3))
def hidden_tests_kept_for_a_page(draft):
    """What is asked of one answer, the next one would have its learner told."""
    keep = """
def keep(reads, writes, values):
    import json, os
    line = reads.readline()
    for place in (os.getcwd(), os.environ["HOME"], "/dev/shm"):
        try:
            open(f"{place}/kept", "w").write(line)
        except OSError:
            pass
    print(json.dumps({"values": values(json.loads(line)["steps"])}), file=writes, flush=True)
"""
    tell = """
import glob, os
said = "Here it is: "
for place in (os.getcwd(), os.environ["HOME"], "/dev/shm"):
    for name in glob.glob(f"{place}/kept"):
        said += open(name).read()
raise AssertionError(said)
"""
    draft.answer(HOLES)["source"] += "\n" + FORGE + keep + "forge(keep)"
    draft.say(SAVING, tell)


@case("hostile", (4, 2, 1))
def a_type_named_after_the_hidden_tests(draft):
    """The name of a type that can't be compared is told; this one is a hidden test."""
    draft.say(
        SOFTMAX,
        body(SOFTMAX) + "\nplain = probabilities\ndef probabilities(logits):\n"
        "    if logits.shape == (4, 4):\n"
        "        return type('Here it is: ' + repr(logits), (), {})()\n"
        "    return plain(logits)",
    )


@case("hostile", (0, 2, 3))
def an_error_that_does_not_say_what_it_is(draft):
    draft.say(
        HOLES,
        "class Silent(Exception):\n    def __str__(self): raise ValueError\n\nraise Silent",
    )


@case("hostile", NONE)
def values_that_cannot_be_sent(draft):
    draft.say_all(
        "loop = []\nloop.append(loop)\n"
        "holes = times = share = probabilities = lambda *a, **k: [loop, {1: 2}, b'x', object()]"
    )


@case("hostile", (0, 2, 3), flag="holes: it")
def values_of_a_gigabyte(draft):
    draft.say(HOLES, "holes = lambda dilations: [0] * 10**8")


@case("hostile", ALL)
def tracing(draft):
    draft.first(
        "import sys, threading\n"
        "sys.settrace(lambda *a: None)\nsys.setprofile(lambda *a: None)\n"
        "threading.settrace(lambda *a: None)"
    )


@case("hostile", NONE, flag=None)
def tracing_that_changes_values(draft):
    draft.stubs().first(
        "import sys\n"
        "def trace(frame, event, value):\n"
        "    for name in ('values', 'error', 'ran'):\n"
        "        if name in frame.f_locals:\n"
        "            frame.f_locals[name] = [0, 0, 0]\n"
        "    return trace\n"
        "sys.settrace(trace)\n"
        "frame = sys._getframe()\n"
        "while frame:\n    frame.f_trace = trace\n    frame = frame.f_back"
    )


@case("hostile", ALL)
def standard_output_closed(draft):
    draft.first("import os, sys\nsys.stdout.close()\nsys.stderr.close()\nos.close(1)\nos.close(2)")


@case("hostile", (0, 2, 3), flag="holes: it")
def everything_closed(draft):
    draft.say(HOLES, "import os\nos.closerange(0, 256)")


@case("hostile", (0, 2, 3))
def a_thread_that_waits_for_the_hidden_tests(draft):
    draft.say(
        HOLES,
        "import inspect, sys, threading, time\n"
        "def wait():\n"
        "    while True:\n"
        "        for frame in list(sys._current_frames().values()):\n"
        "            while frame:\n"
        "                if 'values' in frame.f_locals:\n"
        "                    values = frame.f_locals['values']\n"
        "                    if isinstance(values, list): values.append(0)\n"
        "                frame = frame.f_back\n"
        "threading.Thread(target=wait, daemon=True).start()\nholes = lambda dilations: 0",
    )


@case("hostile", (0, 2, 3))
def a_process_that_stays_behind(draft):
    draft.say(
        HOLES,
        "import os, time\n"
        "if os.fork() == 0:\n"
        "    os.setsid()\n"
        "    if os.fork() == 0:\n"
        "        for fd in (0, 1, 2): os.close(fd)\n"
        "        time.sleep(10_000)\n"
        "    os._exit(0)",
    )


@case("hostile", ALL)
def files_left_for_the_next_one(draft):
    draft.first("open('sitecustomize.py', 'w').write('import os; os._exit(1)')")
    draft.first("open('torch.py', 'w').write('import os; os._exit(1)')")


@case("hostile", ALL, waits=True)
def markup_in_an_answer(draft):
    cell = draft.cells[draft.find("open: why")]
    cell["source"] += "\n\n<script>document.title = 'taken'</script><img src=//example.org/x>"


@case("hostile", ALL)
def two_thousand_cells(draft):
    for number in range(2000):
        draft.insert(2, f"x{number} = {number}")
