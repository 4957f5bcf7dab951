"""Protects instructors: what the guide says of lessons and exercises is true, and stays secret."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from cifarlab_course.exercises import leaks, master
from cifarlab_course.sphinx import teaching

ROOT = Path(__file__).resolve().parent.parent
GUIDE = ROOT / "book" / "teach"
LESSONS = sorted((ROOT / "lessons").glob("*.ipynb"))
CANARY = "canary37"


def test_every_lesson_has_a_teaching_note():
    notes = (GUIDE / "lessons.md").read_text(encoding="utf-8")
    assert re.findall(r"\{lesson-facts\} (\S+)", notes) == [path.stem for path in LESSONS]


@pytest.mark.parametrize("path", LESSONS, ids=lambda path: path.stem)
def test_a_lesson_says_what_it_teaches_and_in_what_time(path):
    about = teaching.lesson(path)
    assert 10 <= about.minutes <= 50
    assert len(about.outcomes) >= 3
    assert all(outcome[0].islower() and outcome[-1] != ";" for outcome in about.outcomes)


@pytest.mark.parametrize(
    ("asked", "fault"),
    [
        ({"output-size": [1], "sizes": [1]}, "no lesson has an exercise 'sizes'"),
        ({"output-size": [3]}, "from 1 to 2"),
        ({"output-size": []}, "output-size: []"),
        ({}, "output-size: None"),
    ],
)
def test_an_exercise_asks_for_an_outcome_that_its_lesson_has(asked, fault):
    exercise = master.read(master.FOLDER / "output-size.md")
    about = teaching.Lesson(exercise.lesson, "Sizes", "5 minutes", 5, ["one", "two"])
    (found,) = teaching.misplaced(asked, {about.name: about}, [exercise])
    assert fault in found


def test_the_table_of_exercises_says_which_need_pytorch():
    """An instructor plans machines and time by it."""
    table = teaching.table(map(master.read, master.MASTERS), {}, master.FOLDER)
    rows = [[cell.strip() for cell in line.split("|")] for line in table]
    place, name = rows[0].index("Needs"), rows[0].index("Exercise, name")
    needs = {row[name].split("`")[1]: row[place] for row in rows[2:]}
    assert needs["design-a-net"] == "the course's package, PyTorch"
    assert (needs["softmax"], needs["holes"]) == ("NumPy", "")
    texts = {path.stem: path.read_text(encoding="utf-8") for path in master.MASTERS}
    line = re.compile(r"^ *(import|from) torch", re.MULTILINE)
    torch = {stem for stem, text in texts.items() if line.search(text)}
    assert {stem for stem, text in needs.items() if "PyTorch" in text} == torch
    assert len(torch) > 5


def test_the_guide_names_only_exercises_and_questions_that_there_are():
    text = "\n".join(path.read_text(encoding="utf-8") for path in sorted(GUIDE.glob("*.md")))
    named = " ".join(re.findall(r'EXERCISES="(.*?)"', text)).split()
    assert named and {*named} <= {path.stem for path in master.MASTERS}
    questions = (GUIDE / "questions.md").read_text(encoding="utf-8")
    asked = re.findall(r"^## ([a-z0-9-]+) \(\d+ points\)$", questions, re.MULTILINE)
    answers = (GUIDE / "model-answers.md").read_text(encoding="utf-8")
    assert re.findall(r"^### For (.+)$", answers, re.MULTILINE) == asked


# ------------------------------------------------------------------------- the two editions

CONFIGURATION = """
extensions = [
    "myst_parser", "cifarlab_course.sphinx.practice", "cifarlab_course.sphinx.teaching"
]
html_theme = "basic"
exclude_patterns = ["answers.md"]
"""


def build(folder, edition):
    """Build a page that includes model answers with the canary; the folder of the pages."""
    (folder / "conf.py").write_text(CONFIGURATION)
    (folder / "index.md").write_text("# Questions\n\n```{full-edition} answers.md\n```\n")
    (folder / "answers.md").write_text(f"## Answers\n\n{CANARY}\n")
    pages = folder / "pages"  # of both editions, as in `make book`
    sphinx = [sys.executable, "-m", "sphinx", "-q", "-W", "-E", str(folder), str(pages)]
    subprocess.run(sphinx, env=os.environ | {"EDITION": edition}, check=True)
    return pages


@pytest.mark.slow
def test_only_the_full_edition_holds_model_answers(tmp_path):
    def holders(folder):
        return {
            p.name for p in folder.rglob("*") if p.is_file() and CANARY.encode() in p.read_bytes()
        }

    assert {"index.html", "searchindex.js"} <= holders(build(tmp_path, "full"))
    assert holders(build(tmp_path, "students")) == set()


def test_a_leaked_model_answer_is_found_behind_markup(tmp_path):
    paragraphs = leaks.ANSWERS.read_text(encoding="utf-8").split("\n\n")
    (answer,) = [each for each in paragraphs if "a chessboard" in each]
    marked = re.sub(r"\*\*(.*?)\*\*", r"<strong>\1</strong>", answer).replace('"', "&#8220;")
    (tmp_path / "page.html").write_text(f"<p>{marked}</p>")
    (tmp_path / "fine.html").write_text((GUIDE / "questions.md").read_text(encoding="utf-8"))
    assert list(leaks.leaks(tmp_path, [])) == ["page.html holds a model answer"]
