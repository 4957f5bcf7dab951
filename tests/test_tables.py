"""Protects what the book's pages say of records, reports, licences, lessons and exercises.

Each directive's page is made from a small repository, and compared with what stands in it.
"""

import json
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import nbformat
import pytest
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import docutils_namespace

from cifarlab import figures, schema
from cifarlab_course.exercises.master import TEMPLATE
from cifarlab_course.sphinx import formulas, social, tables
from tests.helpers import tiny_record

ROOT = Path(__file__).resolve().parent.parent
ADDRESS = "https://github.com/somebody/fork"
FIRST, SECOND = "0123456789" * 4, "fedcba9876" * 4  # commits


# -------------------------------------------------------------------------- a small repository


def arm(name: str, commits: list[str], interval: list[float] | None) -> dict:
    runs = [{"commit": commit} for commit in commits]
    return {"name": name, "parameters": 54_321, "mean": 80.126, "interval": interval, "runs": runs}


EXPERIMENT = {
    "question": "What does `x` buy?",
    "arms": [
        arm("with x", [SECOND, FIRST, FIRST], [79.504, 80.756]),
        arm("with x | y", ["unknown"], None),
    ],
}
PACKAGES = [(f"package-{number}", f"{number}.1", f"Licence {number % 7}") for number in range(200)]
DATES = ["2026-01-31", "2026-02-01", "2026-11-26", "2027-01-02"]
LESSON = """# {title}

**You will be able to**

- {one};
- {two}.

**Time:** {minutes} minutes to read; one to run.
"""


def exercise(folder: Path, name: str, *changes: tuple[str, str]) -> None:
    """Write a master: a started exercise, with changes to its text."""
    text = TEMPLATE.read_text(encoding="utf-8").replace("NAME", name)
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    (folder / f"{name}.md").write_text(text, encoding="utf-8")


# All of the extension `tables` but what describes the package's own modules.
CONFIGURATION = f"""
from cifarlab_course.sphinx import tables
extensions = ["myst_parser", "sphinx_design", "sphinx.ext.extlinks"]
extensions += ["cifarlab_course.sphinx." + name for name in ("interactive", "practice", "teaching")]
exclude_patterns = ["validation", "lessons"]
myst_enable_extensions = ["colon_fence"]
html_theme_options = {{"repository_url": "{ADDRESS}", "repository_branch": "main"}}
def setup(app):
    for name in ("records", "experiments", "reports", "licences"):
        app.add_directive(name, getattr(tables, name.capitalize()))
    app.connect("config-inited", tables.addresses, priority=400)
    app.connect("doctree-read", tables.anchors, priority=900)
"""
# Each page holds one directive: its name, what it is given, and its body.
PAGES = {
    "book/records": "{records}",
    "book/experiments": "{experiments}",
    "book/reports": "{reports}",
    "book/licences": "{licences}",
    "book/play": "{interactive} convolution-stepper\nkernel: 5\npadding: 2",
    "book/practice/01-a": "{practice} 01-a",
    "book/teach/facts": "{lesson-facts} 01-a",
    "book/teach/outcomes": "{outcomes}\nlong-way: [1, 2]\nshort-way: 2",
    "book/teach/exercises": "{exercises}",
}


def fill(root: Path) -> None:
    """Make the repository."""
    shipped, tasks = root / "cifarlab/records/shipped", root / "lessons/exercises"
    for folder in (shipped / "experiments", tasks, root / "validation", root / "constraints"):
        folder.mkdir(parents=True)
    changes = {"seed": 3, "parameters": 123_456, "seconds": {"training": 10_020, "evaluation": 9}}
    carried = tiny_record(40.0, 71.254, commit=SECOND, **changes)
    on_a_gpu = replace(carried.sessions[0], commit=FIRST, processor="a GPU", epochs=1)
    carried = replace(carried, earlier_sessions=[on_a_gpu])
    recipe = SimpleNamespace(name="going-on", network="tiny", epochs=120)
    changes = {"test_accuracy": None, "seconds": {"training": 29, "evaluation": 0}}
    going_on = tiny_record(40.0, recipe=recipe, commit=f"{SECOND}-dirty", **changes)
    for record in (carried, going_on):
        (shipped / f"{record.name}.json").write_text(schema.text(record))
    (shipped / "experiments" / "x.json").write_text(json.dumps(EXPERIMENT))
    for date in DATES:
        (root / "validation" / f"{date}-cpu.md").write_text(f"# Of {date}\n\nAll passed.\n")
    (root / "validation" / "README.md").write_text("# No report\n")
    lines = ["# Written by hand:", *(f"{a}=={b}    # {c}" for a, b, c in PACKAGES)]
    (root / "constraints" / "ci.txt").write_text("\n".join(lines) + "\n")
    for name, title, minutes in (("01-a", "First steps", 20), ("02-b", "Further steps", 15)):
        text = LESSON.format(title=title, minutes=minutes, one="walk", two=f"do {title.lower()}")
        cell = nbformat.v4.new_markdown_cell(text)
        nbformat.write(nbformat.v4.new_notebook(cells=[cell]), root / "lessons" / f"{name}.ipynb")
    of_a = ("lesson: 04-dilated-convolutions", "lesson: 01-a")
    exercise(
        tasks,
        "long-way",
        of_a,
        ("minutes: 5", "minutes: 25"),
        ("level: 1", "level: 3"),
        ("# A title that says what is asked", "# The long way"),
        ("(2 points;", "(4 points;"),
    )
    exercise(
        tasks,
        "short-way",
        of_a,
        ("# A title that says what is asked", "# The short way"),
        ("(2 points;", "(1 point;"),
        (
            '      - {words: "how many steps',
            '      - {words: "twice the reach", add: 2}\n      - {words: "how many steps',
        ),
    )
    (root / "conf.py").write_text(CONFIGURATION)
    toctree = "\n".join(["{toctree}", *PAGES])
    for name, directive in {"index": toctree, **PAGES}.items():
        path = root / f"{name}.md"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"# Page\n\n## Section\n\n```{directive}\n```\n", encoding="utf-8")


@pytest.fixture(scope="module")
def book(tmp_path_factory):
    """book(page): the page as a tree, made by the book's own directives; nothing was warned of."""
    root = tmp_path_factory.mktemp("repository")
    fill(root)
    with pytest.MonkeyPatch.context() as patch, docutils_namespace():
        patch.setenv("EDITION", "full")
        folders = {"srcdir": root, "confdir": root, "outdir": root / "_", "doctreedir": root / "_"}
        application = Sphinx(**folders, buildername="dummy", status=None, warningiserror=True)
        application.builder.build_all()
        yield application.env.get_doctree


def section(tree: nodes.document, title: str) -> nodes.section:
    """The section of that title."""
    (found,) = [each for each in tree.findall(nodes.section) if each[0].astext() == title]
    return found


def rows_of_tables(tree: nodes.Node) -> list[list[list[str]]]:
    """The texts of all tables, row by row."""
    return [
        [[cell.astext() for cell in row] for row in table.findall(nodes.row)]
        for table in tree.findall(nodes.table)
    ]


def links(tree: nodes.Node) -> list[tuple[str, str]]:
    """All links to other sites: their words, and where they lead."""
    found = tree.findall(nodes.reference)
    return [(link.astext(), link["refuri"]) for link in found if "refuri" in link]


# ------------------------------------------------------------------------------------ the tests


@pytest.mark.slow
def test_a_row_of_runs_says_what_the_record_says(book):
    """10,020 seconds are 167 minutes, 29 are half of one; a lost session would hide a machine."""
    runs = book("book/records")
    assert rows_of_tables(runs) == [
        [
            "Recipe|Seed|Epochs|Test accuracy|Parameters|Training|Commit|Processor".split("|"),
            "going-on|0|1 of 120|unfinished|960|0 min|fedcba9 (changed)|a processor".split("|"),
            [
                *("tiny", "3", "2 of 2", "71.25 %", "123,456", "167 min"),
                "0123456; then fedcba9",
                "a GPU; then a processor",
            ],
        ]
    ]
    assert links(runs) == [
        ("fedcba9", f"{ADDRESS}/commit/{SECOND}"),
        ("0123456", f"{ADDRESS}/commit/{FIRST}"),
        ("fedcba9", f"{ADDRESS}/commit/{SECOND}"),
    ]


def test_a_row_of_an_experiment_says_what_its_arm_says(book):
    experiments = book("book/experiments")
    assert "What does x buy?" in experiments.astext()
    assert rows_of_tables(experiments) == [
        [
            "Arm|Parameters|Runs|Mean test accuracy|Its 95 % interval|Commit".split("|"),
            "with x|54,321|3|80.13 %|79.50 to 80.76\N{NO-BREAK SPACE}%|0123456, fedcba9".split("|"),
            "with x / y|54,321|1|80.13 %|one run|unknown".split("|"),
        ]
    ]
    assert links(experiments) == [
        ("0123456", f"{ADDRESS}/commit/{FIRST}"),
        ("fedcba9", f"{ADDRESS}/commit/{SECOND}"),
    ]


def test_reports_stand_newest_first_below_a_heading_of_their_own(book):
    reports = book("book/reports")
    parts = [each for each in section(reports, "Section") if isinstance(each, nodes.section)]
    assert [each[0].astext() for each in parts] == [f"Of {date}" for date in reversed(DATES)]
    assert all("All passed." in each.astext() for each in parts)


@pytest.mark.slow
def test_every_package_stands_among_the_licences(book):
    licences = book("book/licences")
    assert "200 packages, with their versions and licences" in licences.astext()
    assert rows_of_tables(licences) == [[["Package", "Version", "Licence"], *map(list, PACKAGES)]]


def test_a_figure_in_a_page_starts_with_what_the_page_says(book):
    (raw,) = book("book/play").findall(nodes.raw)
    expected = figures.show("convolution-stepper", kernel=5, padding=2)
    assert raw.astext() == expected._repr_html_()


def test_a_lesson_s_facts_add_up_to_a_session(book):
    """20 minutes of the lesson, 5 and 25 of its exercises, 15 before and 15 after."""
    facts = book("book/teach/facts")
    assert [item.astext() for item in facts.findall(nodes.list_item)] == [
        "Lesson: First steps. 20 minutes to read; one to run.",
        "Exercises: The short way (a first step, 5 minutes, 1 point); "
        "The long way (a challenge, 25 minutes, 4 points).",
        "A session of 80 minutes: 20 for the lesson, 30 for the exercises, 15 for the first "
        "question and the board, 15 for the quiz and what is asked.",
    ]


def test_a_row_of_exercises_says_what_the_master_says(book):
    assert rows_of_tables(book("book/teach/exercises")) == [
        [
            ["Lesson", "Exercise, name", "Level", "Minutes", "Points", "Variants", "Needs"],
            ["First steps", "The short way short-way", "a first step", "5", "1", "3", ""],
            ["First steps", "The long way long-way", "a challenge", "25", "4", "2", ""],
        ]
    ]


def test_behind_an_outcome_stand_the_exercises_that_ask_for_it(book):
    outcomes = book("book/teach/outcomes")
    found = {
        each[0].astext(): [item.astext() for item in each.findall(nodes.list_item)]
        for each in section(outcomes, "Section")
        if isinstance(each, nodes.section)
    }
    assert found == {
        "First steps": ["walk: The long way", "do first steps: The short way, The long way"],
        "Further steps": ["walk", "do further steps"],
    }


def test_a_practice_page_has_its_exercises_from_the_lowest_level_on(book):
    """Task, stub and hint in order; then, folded up, the checks and the solution."""
    page = book("book/practice/01-a")
    titles = [each[0].astext() for each in page.findall(nodes.section)]
    assert titles == ["Page", "Section", "The short way", "The long way"]
    short = section(page, "The short way")
    assert short[1].astext() == "A first step, 5 minutes. Open “The short way” in Colab"
    stub, checks, solution = (block.astext() for block in short.findall(nodes.literal_block))
    assert 'raise NotImplementedError("Your turn' in stub
    assert "found = reach(3, 2)" in checks and "HIDDEN" not in checks
    assert solution.endswith("return dilation * (kernel - 1) + 1\n")
    folds = [each.astext() for each in short.findall(nodes.raw) if "<summary>" in each.astext()]
    for fold, title in zip(folds, ("Hint 1", "Checks", "Solution"), strict=True):
        assert f"<details><summary>{title}</summary>" in fold
    host = "https://colab.research.google.com/github/somebody/fork/blob/main/lessons/exercises/"
    assert links(short) == [("Open “The short way” in Colab", f"{host}short-way.ipynb")]


# ------------------------------------------------------------------------ the other extensions


def test_every_public_module_of_the_package_stands_on_the_api_page_once():
    """In the order of the course; what is called _private does not."""
    page = SimpleNamespace(read=lambda paths: [path.read_text("utf-8") for path in paths])
    lines = tables.Modules.lines(page, ROOT)
    named = [line.removeprefix("## cifarlab.") for line in lines if line.startswith("## ")]
    files = [path.relative_to(ROOT / "cifarlab") for path in ROOT.glob("cifarlab/**/*.py")]
    names = [".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in files]
    public = [name for name in names if "_" not in (name[0], name.rpartition(".")[2][0])]
    assert sorted(named) == sorted(public)
    flow = [named.index(name) for name in ("data", "model", "recipes", "engine", "runs", "cli")]
    assert flow == sorted(flow) and flow[0] == 0
    assert lines.count("   :members:") == len(named)


def test_a_formula_is_written_without_a_script():
    formula = formulas.mathml(nodes.math(text=r"\frac{a}{2}"))
    assert re.findall(r"<(\w+)[^>]*>([^<]*)", re.sub(r"\s*\n\s*", "", formula)) == [
        *(("math", ""), ("mfrac", ""), ("mi", "a"), ("mn", "2"))
    ]


def test_the_card_shows_nine_taps_with_gaps_between_and_another_colour_in_the_middle():
    card = social.card()
    assert card.size == (1200, 630)
    ground, tap, middle = (card.getpixel(place) for place in ((10, 10), (130, 165), (280, 315)))
    assert len({ground, tap, middle}) == 3
    for row in range(3):
        for column in range(3):
            x, y = 130 + 150 * column, 165 + 150 * row
            assert card.getpixel((x, y)) == (middle if row == column == 1 else tap)
            assert card.getpixel((x + 60, y)) == card.getpixel((x, y + 60)) == ground
