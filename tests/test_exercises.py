"""Protects learners from unfair checks, and the book's readers from pages that lag behind."""

import ast
import html
import os
import re
import shutil
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from types import SimpleNamespace

import nbformat
import psutil
import pytest
from sphinx.errors import ExtensionError

from cifarlab_course import cli as course
from cifarlab_course.exercises import leaks, learner, master
from cifarlab_course.grading.judge import Mark, Ran, Runner, answer, expected, marks, same
from cifarlab_course.grading.prove import gaps
from cifarlab_course.lessons import notebooks, results
from cifarlab_course.lessons.notebooks import LESSONS, LINE, setup_cell
from cifarlab_course.sphinx import practice

ROOT = Path(__file__).parent.parent
WRITTEN = {path.stem: master.read(path) for path in master.MASTERS}
CANARY = "zyxq"  # with a digit behind it, a word that the search index keeps as it is


@pytest.fixture
def started(tmp_path):
    """The master that `make exercise` starts with, under the name `new-one`."""
    path = tmp_path / "new-one.md"
    path.write_text(master.TEMPLATE.read_text().replace("NAME", "new-one"))
    return path


# --------------------------------------------------------------------------------- the proofs


def gaps_of(path, choices, runner):
    """The gaps in one variant."""
    return list(gaps(runner, master.read(path, choices), master.read(path)))


@pytest.mark.parametrize("path", master.MASTERS, ids=lambda path: path.stem)
def test_the_checks_know_right_from_wrong_as_published_and_in_the_last_variant(path, runner):
    chosen = master.variants(path)
    for choices in (chosen[0], chosen[-1]):
        assert gaps_of(path, choices, runner) == [], choices


@pytest.mark.parametrize("name", WRITTEN)
def test_no_check_needs_what_an_earlier_one_may_not_have_come_to(name):
    """A check ends at its first assert that fails, or where the answer itself does."""
    exercise = WRITTEN[name]
    answer = set(master.names_defined(exercise.reference))
    there: set[str] = set()
    unsure: set[str] = set()
    for check in exercise.checks:
        own: set[str] = set()
        may_end = False
        for statement in ast.parse(check.visible).body:
            parts = list(ast.walk(statement))
            names = [part for part in parts if isinstance(part, ast.Name)]
            read = {each.id for each in names if isinstance(each.ctx, ast.Load)}
            made = {each.id for each in names if isinstance(each.ctx, ast.Store)}
            made |= {each.name for each in parts if isinstance(each, ast.FunctionDef)}
            assert not read & unsure - there - own, check.name
            own |= made
            defines = isinstance(statement, ast.FunctionDef)
            may_end |= isinstance(statement, ast.Assert) or (bool(read & answer) and not defines)
            (unsure if may_end else there).update(made)


@pytest.mark.long
@pytest.mark.parametrize("path", master.MASTERS, ids=lambda path: path.stem)
def test_the_checks_know_right_from_wrong_in_every_variant(path, runner):
    for choices in master.variants(path):
        assert gaps_of(path, choices, runner) == [], choices


def test_a_started_exercise_holds_its_proof(started, runner):
    for choices in master.variants(started):
        assert gaps_of(started, choices, runner) == [], choices


FIRST = "reach(draw.randint(5, 99), draw.randint(3, 9))"
SECOND = "reach(draw.randint(5, 99), 1)"
OTHER = 'add: "", other: " + 1", right: 4, swapped: 5, plain: 2, long: 6'
PUBLISHED = 'add: " + 1", other: "", right: 5, swapped: 4, plain: 3, long: 7'


@pytest.mark.parametrize(
    ("changes", "gap"),
    [
        (
            {FIRST: "reach(3, 1)"},
            "missing', asserts deleted, gets the points of new-one-a (draw 0)",
        ),
        (
            {"draw.randint(3, 9)": "draw.randint(1, 2)"},
            "'The dilation is missing', asserts deleted",
        ),
        ({FIRST: "reach(5, 3)", SECOND: "reach(7, 1)"}, "has the same values for each draw"),
        ({FIRST: "draw.random()", SECOND: "0"}, "an object equal to everything gets 2 of 2 points"),
        ({OTHER: PUBLISHED}, "the published solution gets 2"),
        ({OTHER: PUBLISHED, "found == {{ ask.right }}": "False"}, "does not pass"),
        ({SECOND: "float('nan')"}, "its own solution, run again, gets 0"),
        ({'"The dilation is missing."': '"No."'}, "is told: 'No.'"),
        (
            {'"The dilation is missing."': '"Between 3 taps lie only 2 steps."'},
            "is also told what is",
        ),
        ({"# wrong: Expected": "# a cell that is given"}, "3 wrong answers are listed; 4"),
        ({"str | list | None": "str", "{found}": "this"}, "an answer that is None is told"),
        (
            {"{found!r}": "this"},
            "an answer that is str is told: AssertionError: 'Give back a number",
        ),
    ],
)
def test_a_gap_in_the_checks_is_found(started, runner, changes, gap):
    for old, new in changes.items():
        assert old in started.read_text()
        started.write_text(started.read_text().replace(old, new))
    try:
        found = [each for c in ({}, {"ask": 1}) for each in gaps_of(started, c, runner)]
    except ValueError as error:
        found = [str(error)]
    assert any(gap in each for each in found), found


def test_a_solution_that_fails_its_own_check_is_no_reference(started, runner):
    started.write_text(started.read_text().replace("found == {{", "found == 1 + {{"))
    with pytest.raises(ValueError, match="its own solution does not pass"):
        expected(runner, master.read(started))


# --------------------------------------------------------------------------------- the masters


def test_every_lesson_with_exercises_has_two_or_more():
    assert len(WRITTEN) >= 24
    assert min(Counter(exercise.lesson for exercise in WRITTEN.values()).values()) >= 2


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        (("  minutes: 5\n", ""), "header lacks exercise: minutes"),
        (("level: 1", "level: 4"), "level 4"),
        (("lesson: 04-dilated-convolutions", "lesson: dilation"), "no lesson's file name"),
        (("# A title", "A title"), "must begin with a title"),
        (("# exercise: new-one", "# exercise: new"), "must begin with '# exercise: new-one"),
        (("# check: new-one-a (2 points;", "# check: new-one-a (2 marks;"), "no marker looks like"),
        (("# check: new-one-a", "# check: other-a"), "must be called new-one-a"),
        (("### BEGIN HIDDEN TESTS\n", ""), "has no '### BEGIN HIDDEN"),
        (("### BEGIN SOLUTION\n", ""), "has no '### BEGIN SOLUTION"),
        (("{{ ask.words }}. Say", "{{ ask.word }}. Say"), "not under exercise: vary"),
    ],
)
def test_a_fault_in_a_master_is_named(started, change, fault):
    text = started.read_text()
    assert change[0] in text
    started.write_text(text.replace(*change))
    with pytest.raises(ValueError, match=fault):
        master.read(started)


def test_hidden_tests_fall_into_statements_expressions_and_notes():
    hidden = "import math\nf(1,\n  2)  # two lines\nx = 3\n[f(each) for each in (x, 4)]"
    assert master.steps(hidden) == [
        ("do", "import math", ""),
        ("ask", "f(1,\n  2)", "two lines"),
        ("do", "x = 3", ""),
        ("ask", "[f(each) for each in (x, 4)]", ""),
    ]


def test_an_exercise_can_be_started_once(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(master, "FOLDER", tmp_path)
    assert course.main(["exercise", "my-task"]) == 0
    assert master.read(tmp_path / "my-task.md").name == "my-task"
    assert course.main(["exercise", "my-task"]) == 2
    assert "take another name" in capsys.readouterr().err
    assert course.main(["exercise", "My Task"]) == 2


# -------------------------------------------------------------------------- learners' notebooks


@pytest.mark.slow
@pytest.mark.parametrize("exercise", WRITTEN.values(), ids=WRITTEN)
def test_a_learners_notebook_is_what_its_master_gives(exercise):
    assert learner.place(exercise).read_text(encoding="utf-8") == learner.text(exercise)


@pytest.mark.slow
def test_a_stale_a_missing_and_an_orphaned_notebook_are_named(tmp_path, monkeypatch, capsys):
    for path in master.MASTERS:
        shutil.copy(path, tmp_path)
    for module in (master, learner):
        monkeypatch.setattr(module, "FOLDER", tmp_path)
    monkeypatch.setattr(master, "MASTERS", masters := sorted(tmp_path.glob("*.md")))
    for module, name in ((notebooks, "LESSONS"), (results, "PAGES")):
        monkeypatch.setattr(module, name, [])  # they have tests of their own
    assert course.main(["store", *map(str, masters)]) == 0
    assert course.main(["check"]) == 0
    (tmp_path / "holes.ipynb").write_text("{}")
    (tmp_path / "saving.ipynb").unlink()
    (tmp_path / "gone.ipynb").write_text("{}")
    capsys.readouterr()
    assert course.main(["check"]) == 1
    told = capsys.readouterr().out
    assert "holes.ipynb is not" in told
    assert "saving.ipynb is not" in told
    assert "gone.ipynb has no master" in told


@pytest.mark.slow
@pytest.mark.parametrize("path", master.MASTERS, ids=lambda path: path.stem)
def test_a_learner_sees_the_task_and_no_secret_in_any_variant(path):
    for choices in master.variants(path):
        exercise = master.read(path, choices)
        cells = nbformat.reads(learner.text(exercise), as_version=4).cells
        code = [cell.source for cell in cells if cell.cell_type == "code"]
        assert code[0] == setup_cell()
        assert master.YOUR_TURN in "\n".join(code)
        lines = [line for source in code[1:] for line in source.splitlines()]
        assert [line for line in lines if len(line) > LINE] == []
        shown = leaks.squeezed("\n".join(cell.source for cell in cells))
        for kind, text in leaks.secrets(exercise):
            assert leaks.squeezed(text) not in shown, kind


def leftovers(source):
    """What no person writes: sums and products that change nothing, constants compared."""
    yield from re.findall(r"(?<!\w)\(\w+\) [*/]|[*/] \(\w+\)", source)
    for node in ast.walk(ast.parse(source)):
        match node:
            case (
                ast.BinOp(
                    op=ast.Mult() | ast.Pow() | ast.Div() | ast.FloorDiv(),
                    right=ast.Constant(value=1),
                )
                | ast.BinOp(op=ast.Mult(), left=ast.Constant(value=1))
                | ast.BinOp(op=ast.Add() | ast.Sub(), right=ast.Constant(value=0))
                | ast.Compare(left=ast.Constant(), comparators=[ast.Constant()])
            ):
                yield ast.unparse(node)
            case ast.Assign(targets=[ast.Name(id=name)], value=ast.Name(id=same)) if name == same:
                yield ast.unparse(node)


@pytest.mark.slow
@pytest.mark.parametrize("path", master.MASTERS, ids=lambda path: path.stem)
def test_no_variant_shows_what_the_choices_of_another_one_need(path):
    for choices in master.variants(path):
        exercise = master.read(path, choices)
        shown = [exercise.reference, *(check.visible for check in exercise.checks)]
        assert [each for source in shown for each in leftovers(source)] == [], choices


# ---------------------------------------------------------------------------- the book's pages

CONFIGURATION = """
extensions = ["myst_parser", "sphinx.ext.extlinks", "cifarlab_course.sphinx.practice"]
extlinks = {"colab": ("https://example.org/%s", None)}
html_theme = "basic"
exclude_patterns = ["lessons"]
"""


def build(folder, edition):
    """Build a page of exercises, each secret of which holds the canary; the folder of the pages."""
    tasks = folder / "lessons" / "exercises"
    tasks.mkdir(parents=True, exist_ok=True)
    for path in master.MASTERS:
        text = path.read_text(encoding="utf-8")
        text = text.replace("### END SOLUTION", f"# {CANARY}1\n    ### END SOLUTION")
        text = text.replace("### END HIDDEN", f"# {CANARY}2\n### END HIDDEN")
        (tasks / path.name).write_text(text.replace("# wrong: ", f"# wrong: {CANARY}3 "))
    (folder / "conf.py").write_text(CONFIGURATION)
    lessons = sorted({exercise.lesson for exercise in WRITTEN.values()})
    pages = [f"```{{practice}} {lesson}\n```\n" for lesson in lessons]
    (folder / "index.md").write_text("# Practice\n\n" + "\n".join(pages))
    sphinx = [sys.executable, "-m", "sphinx", "-q", "-W", "-E", str(folder), str(folder / edition)]
    environment = os.environ | {"EDITION": edition}
    done = subprocess.run(sphinx, env=environment, capture_output=True, text=True)
    return done, folder / edition


def holders(folder, word):
    """Names of the files that hold a word, in any case."""
    return {p.name for p in folder.rglob("*") if p.is_file() and word in p.read_bytes().lower()}


@pytest.mark.book
def test_the_students_edition_holds_no_secret_and_the_full_one_only_the_solutions(tmp_path):
    done, students = build(tmp_path, "students")
    assert done.returncode == 0, done.stderr
    assert holders(students, CANARY.encode()) == set()
    assert "index.html" in holders(students, b"count the holes")
    done, full = build(tmp_path, "full")
    assert done.returncode == 0, done.stderr
    # The positive control: were it there, it would be found, in the search index too.
    assert {"index.html", "searchindex.js"} <= holders(full, f"{CANARY}1".encode())
    assert holders(full, f"{CANARY}2".encode()) == set()
    assert holders(full, f"{CANARY}3".encode()) == set()


def test_an_unknown_edition_is_told_which_there_are(monkeypatch):
    monkeypatch.setenv("EDITION", "teachers")
    with pytest.raises(ExtensionError, match="full, students"):
        practice.edition(None, SimpleNamespace())


def test_a_leak_is_found_behind_markup_and_in_a_notebook(tmp_path):
    exercise = WRITTEN["hold-out"]
    solution = master.SOLUTION.search(exercise.sources("answer")[0])[2]
    marked = solution.replace("np", "<span>np</span>").replace("[", "&#91;")
    (tmp_path / "page.html").write_text(f"<pre>{marked}</pre>")
    hidden = nbformat.v4.new_code_cell(exercise.checks[0].hidden)
    nbformat.write(nbformat.v4.new_notebook(cells=[hidden]), tmp_path / "copy.ipynb")
    (tmp_path / "fine.html").write_text(exercise.stub)
    assert list(leaks.leaks(tmp_path, [exercise])) == [
        "copy.ipynb holds a hidden test of hold-out",
        "page.html holds a solution of hold-out",
    ]


@pytest.mark.parametrize("name", WRITTEN)
def test_every_secret_is_found_on_a_page_that_shows_it_as_it_is_typed(name, tmp_path):
    """Python's < and > are no markup."""
    exercise = WRITTEN[name]
    for number, (_, text) in enumerate(leaks.secrets(exercise)):
        (tmp_path / f"{number}.html").write_text(f"<pre>{html.escape(text)}</pre>")
        found = list(leaks.leaks(tmp_path, [exercise]))
        long = len(re.sub(r"\W", "", text)) >= leaks.SHORT
        assert any(line.startswith(f"{number}.html ") for line in found) == long, text


def test_a_leak_is_found_between_comparisons_in_a_notebook(tmp_path):
    exercise = WRITTEN["hold-out"]
    solution = master.SOLUTION.search(exercise.sources("answer")[0])[2]
    cells = [nbformat.v4.new_code_cell(source) for source in ("a < b", solution, "c > d")]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), tmp_path / "copy.ipynb")
    assert list(leaks.leaks(tmp_path, [exercise])) == ["copy.ipynb holds a solution of hold-out"]


def test_no_lesson_gives_an_exercise_away(tmp_path):
    """A learner would copy it, and the students' edition could not be built."""
    for path in [*LESSONS, *(ROOT / "book").glob("*.md")]:
        shutil.copy(path, tmp_path)
    assert list(leaks.leaks(tmp_path, WRITTEN.values())) == []


# ------------------------------------------------------------------------------------ the judge


@pytest.mark.parametrize(
    ("got", "value", "verdict"),
    [
        (7.0, 7, True),
        (0.33334, 1 / 3, True),
        (0.334, 1 / 3, False),
        (True, 1, False),
        (1, True, False),
        ("7", 7, False),
        ([1, [2.0]], [1, [2]], True),
        ([1], [1, 2], False),
        ({"unfit": "Yes"}, 7, False),
        (None, None, True),
        (10**400, 5, False),
        (10**400, 10**400, True),
        (5.0, 10**400, False),
        (200_001, 200_000, False),
        (200_001.0, 200_000, False),
        (200_001.0, 200_000.0, True),
    ],
)
def test_a_value_is_right_by_number_and_kind(got, value, verdict):
    assert same(got, value) is verdict


@pytest.mark.sandbox
@pytest.mark.parametrize(
    ("source", "trouble"),
    [
        ("import os; os._exit(0)", "ended its own process"),
        ("while True: pass", "more than 2 seconds"),
        ("import os, signal; os.kill(os.getppid(), signal.SIGKILL)", "ended its own process"),
    ],
)
def test_an_answer_that_never_comes_back_costs_its_points_and_nothing_else(source, trouble):
    exercise = WRITTEN["whole-picture"]
    with Runner(seconds=60) as limited:
        right = expected(limited, exercise)
        limited.seconds = 2
        ran = answer(limited, exercise, source)
        assert trouble in ran.trouble
        assert sum(mark.points for mark in marks(exercise.checks, right, ran)) == 0
        limited.seconds = 60
        assert answer(limited, exercise, exercise.reference).values == right


@pytest.mark.sandbox
def test_nothing_runs_on_when_a_runner_is_stopped(tmp_path):
    note = tmp_path / "process"
    endless = f"import os\nopen({str(note)!r}, 'w').write(str(os.getpid()))\nwhile True: pass"
    with Runner(seconds=60) as limited:
        limited.run([], [], [])
        limited.seconds = 5
        limited.run([endless], [], [])
    number = int(note.read_text())
    for _ in range(600):  # the system takes a moment to end it, a busy one longer
        if not psutil.pid_exists(number) or psutil.Process(number).status() == "zombie":
            return
        time.sleep(0.1)
    pytest.fail("the endless cell runs on")


def test_what_one_answer_defines_the_next_does_not_see(runner):
    runner.run(["left_behind = 1"], [], [])
    ran = runner.run(["print(left_behind)"], [], [])
    assert ran.cells[0]["error"][0] == "NameError"


def test_a_cell_sees_nothing_of_the_hidden_tests(runner):
    look = (
        "import gc, os, sys\n"
        "held = [each for each in gc.get_objects() if isinstance(each, (list, dict))]\n"
        "print(CANARY in repr(held))".replace("CANARY", "'zyx' + 'secret'")
    )
    ran = runner.run([look], [], [("ask", "'zyxsecret'", "")])
    assert ran.values == ["zyxsecret"]
    assert ran.cells[0]["text"].splitlines()[-1] == "False"


def test_a_cell_may_print_much_but_little_is_kept(runner):
    ran = runner.run(["print('x' * 10**7)"], [], [("ask", "1 + 1", "")])
    assert len(ran.cells[0]["text"]) == 10_000
    assert ran.values == [2]


def test_magics_plots_and_awaits_run_as_in_a_notebook(runner):
    cells = [
        "%matplotlib inline\nimport matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()",
        "%%time\nx = 3",
        "import asyncio\nawait asyncio.sleep(0)\ny = x + 1",
        "!echo done",
    ]
    ran = runner.run(cells, [], [("ask", "y", "")])
    assert [cell["error"] for cell in ran.cells] == [None] * 4
    assert ran.values == [4]


def check_of(error=None, values=(2, 4), trouble=""):
    """What becomes of a run of one check."""
    return Ran([], [{"text": "", "error": error}], list(values), trouble)


HIDDEN_ONE = "The asserts pass, but a hidden test does not."


@pytest.mark.parametrize(
    ("ran", "told"),
    [
        (check_of(), ""),
        (check_of(trouble="it wrote too much"), "Not run to its end: it wrote too much."),
        (check_of(["AssertionError", "Too few."]), "Too few."),
        (check_of(["NameError", "name 'x' is not defined"]), "NameError: name 'x' is not defined"),
        (check_of(values=(3, 4)), HIDDEN_ONE),
        (check_of(values=(2, 5)), f"{HIDDEN_ONE} It asks about: a sum."),
        (check_of(values=[2]), f"{HIDDEN_ONE} It asks about: a sum."),
    ],
)
def test_a_learner_is_told_why_a_check_earns_nothing(ran, told):
    check = master.Check("a-sum", 3, "", "1 + 1\n2 + 2  # a sum")
    (mark,) = marks([check], [2, 4], ran)
    assert mark == Mark("a-sum", 0 if told else 3, 3, told)


def test_a_hidden_test_that_fails_says_what_it_asks_about(runner):
    exercise = WRITTEN["whole-picture"]
    right = expected(runner, exercise)
    known = (
        "def full_views(size, field):\n    return {(32, 35): 4, (8, 99): 8}.get((size, field), 0)"
    )
    found = marks(exercise.checks, right, answer(runner, exercise, known))
    told = (
        "The asserts pass, but a hidden test does not. "
        "It asks about: a field wider than the picture."
    )
    assert found[0] == Mark("whole-picture-a", 0, 2, told)
