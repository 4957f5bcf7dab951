"""Protects the page on which answers in words get their points: nameless, by keyboard, safe."""

import csv
import io
import json
import re
from pathlib import Path

import pytest
from playwright.sync_api import expect

from cifarlab_course import ROOT
from cifarlab_course.grading import assignment, gradebook, words
from tests.submissions import rows, save
from tests.test_gradebook import HOSTILE
from tests.test_handed_in import ASKED, grading, hand_in, notebook

SAY = {"ada": "Odd and even.", "ben": 'Both are "even", or odd.', "cleo": "No idea; sorry."}


@pytest.fixture
def graded(tmp_path):
    """A class of three, graded once; the folder with its tables."""
    for name, text in SAY.items():
        hand_in(tmp_path / "handed-in" / name / "a.ipynb", text)
    (tmp_path / "grades-by-hand.csv").write_text(
        'learner,question,points,comment\ncleo,why,"0,5","Ask, next time"\n'
    )
    done, _ = grading(tmp_path / "handed-in")
    assert done.returncode == 0, done.stderr
    return tmp_path


@pytest.fixture
def page(browser, graded):
    """The page, open in a browser."""
    page = browser.new_page()
    page.goto((graded / "grades-words.html").as_uri())
    yield page
    page.close()


def articles(page):
    """The answers, in their order: who wrote each, by its words."""
    texts = page.get_by_role("article").all_inner_texts()
    return [next(name for name, said in SAY.items() if said in text) for text in texts]


def saved_bytes(page):
    """What the button saves: the file's name, and its bytes."""
    with page.expect_download() as download:
        page.get_by_role("button", name="Save the table").click()
    return download.value.suggested_filename, download.value.path().read_bytes()


def saved(page):
    """What the button saves: the file's name, and its rows."""
    name, data = saved_bytes(page)
    return name, list(csv.reader(io.StringIO(data.decode("utf-8-sig"))))


def points(page):
    """The points that stand in the page, by who wrote the answer."""
    fields = page.get_by_label("Points").all()
    return dict(zip(articles(page), [field.input_value() for field in fields], strict=True))


def opened_again(page, **expected):
    """Open the page anew, until these points stand there: a busy Chromium keeps things late."""
    for _ in range(20):
        page.reload()
        if points(page) == expected:
            return
        page.wait_for_timeout(500)
    assert points(page) == expected


def test_each_answer_stands_there_once_and_nobody_s_name(page):
    assert sorted(articles(page)) == sorted(SAY)
    assert not re.search("ada|ben|cleo", page.locator("main").inner_text())
    expect(page.get_by_role("status")).to_have_text("1 of 3 have points.")


def test_points_given_by_keyboard_are_saved_and_graded(page, graded):
    first, second, third = articles(page)
    page.get_by_role("article").first.focus()
    for _ in range(3):
        page.keyboard.press("2")  # and on to the next
    expect(page.get_by_role("status")).to_have_text("3 of 3 have points.")
    expect(page.get_by_role("button", name="Save the table")).to_be_focused()
    page.get_by_label("Points").nth(1).fill("2.5")
    page.get_by_label("Comment").nth(1).fill('Well "said", yes')
    name, table = saved(page)
    assert name == "grades-by-hand.csv"
    (graded / name).write_text(
        "\n".join(",".join(f'"{c.replace(chr(34), chr(34) * 2)}"' for c in r) for r in table)
    )
    done, book = grading(graded / "handed-in")
    assert done.returncode == 0, done.stderr
    assert [book[who]["why"] for who in (first, second, third)] == ["2", "2.5", "2"]
    told = (graded / "grades-feedback" / f"{second}.html").read_text()
    assert "Well &quot;said&quot;, yes" in told


def test_what_was_entered_before_is_there_and_stays(page):
    number = articles(page).index("cleo")
    expect(page.get_by_label("Points").nth(number)).to_have_value("0.5")
    expect(page.get_by_label("Comment").nth(number)).to_have_value("Ask, next time")
    _, table = saved(page)
    assert ["cleo", "why", "0,5", "Ask, next time"] in table and len(table) == 4


def test_what_was_typed_is_there_when_the_page_is_opened_again(page):
    page.get_by_label("Points").first.fill("1")
    opened_again(page, **points(page))
    expect(page.get_by_role("button", name="1", exact=True).first).to_have_attribute(
        "aria-pressed", "true"
    )


def test_points_entered_in_the_table_go_before_those_that_the_page_kept(page, graded):
    for name, typed in (("cleo", "1"), ("ben", "3")):
        page.get_by_label("Points").nth(articles(page).index(name)).fill(typed)
    rest = "learner,question,points,comment\nada,why,2,\nben,why,,\n"
    # Mended in the table, then as it was when 1 was typed: what was typed is not there again.
    for row, now in (('cleo,why,"2,5",Mended', "2.5"), ('cleo,why,"0,5","Ask, next time"', "0.5")):
        (graded / "grades-by-hand.csv").write_text(f"{rest}{row}\n")
        done, _ = grading(graded / "handed-in")
        assert done.returncode == 0, done.stderr
        opened_again(page, ada="2", ben="3", cleo=now)
    assert sorted(row[:3] for row in saved(page)[1][1:]) == [
        ["ada", "why", "2"],
        ["ben", "why", "3"],
        ["cleo", "why", "0,5"],
    ]


@pytest.mark.parametrize(
    ("sign", "typed"),
    [(",", "1.5"), (";", "1,5"), ("\t", "1.5")],
    ids=["comma", "semicolon", "tab"],
)
def test_the_saved_table_is_the_one_that_is_there_but_for_what_was_typed(
    browser, graded, sign, typed
):
    """Whichever sign is between its columns, and however points and comments are written."""
    table = graded / "grades-by-hand.csv"
    rows = [
        ["learner", "question", "points", "comment"],
        ["gone"],
        ["cleo", "why", "2,50", 'Ask, "next"; time\tor\nlater', "a column of my own"],
        ["ada", "why", "", ""],
    ]
    gradebook.write_table(table, rows, sign)
    done, _ = grading(graded / "handed-in")
    assert done.returncode == 0, done.stderr
    page = browser.new_page()
    page.goto((graded / "grades-words.html").as_uri())
    assert points(page) == {"ada": "", "ben": "", "cleo": "2.50"}
    assert saved_bytes(page) == (table.name, table.read_bytes())
    page.get_by_label("Points").nth(articles(page).index("ada")).fill("1.5")
    opened_again(page, ada="1.5", ben="", cleo="2.50")
    rows[3][2] = typed
    gradebook.write_table(table, [*rows, ["ben", "why", "", ""]], sign)
    assert saved_bytes(page) == (table.name, table.read_bytes())
    page.close()


def test_an_answer_runs_nothing_and_closes_no_script(browser, tmp_path):
    save(json.dumps(notebook(HOSTILE)), tmp_path / "handed-in" / "</script>eve" / "a.ipynb")
    done, _ = grading(tmp_path / "handed-in")
    assert done.returncode == 0, done.stderr
    page, asked, said = browser.new_page(), [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.goto((tmp_path / "grades-words.html").as_uri())
    expect(page.get_by_role("status")).to_have_text("0 of 1 have points.")
    assert [url for url in asked if not url.startswith(("file:", "data:image/"))] == []
    assert page.locator("main article :is(script, iframe, link, [onerror])").count() == 0
    assert saved(page)[1][1][:2] == [next(iter(rows(tmp_path / "grades.csv"))), "why"]
    page.close()


RUBRIC = """
| Level | The answer |
| --: | --- |
| 2 | gives the reason <script>alert(1)</script> |
| 1 | only describes |
| 0 | does neither |
"""
QUESTIONS = f"## Rubric\n{RUBRIC}\n## why (3 points)\n\nWhy do dilations of 2 and 9 leave holes?\n"


def test_with_the_questions_at_hand_levels_of_the_rubric_give_the_points(browser, graded):
    (graded / "questions.md").write_text(QUESTIONS)
    done, _ = grading(graded / "handed-in", open=graded / "questions.md")
    assert done.returncode == 0, done.stderr
    page = browser.new_page()
    page.goto((graded / "grades-words.html").as_uri())
    first = page.get_by_role("article").first
    assert first.get_by_role("button").all_inner_texts() == [
        "Level 0: 0",
        "Level 1: 1.5",
        "Level 2: 3",
    ]
    first.focus()
    page.keyboard.press("1")
    expect(first.get_by_label("Points")).to_have_value("1.5")
    expect(page.get_by_role("article").nth(1)).to_be_focused()
    page.get_by_text("The question", exact=True).click()
    expect(page.get_by_text("Why do dilations of 2 and 9 leave holes?")).to_be_visible()
    page.get_by_text("The rubric", exact=True).click()
    expect(page.get_by_role("cell", name="only describes")).to_be_visible()
    assert page.locator("main details script").count() == 0
    page.close()


def test_levels_are_worth_their_share_of_the_highest_in_half_points():
    asked = assignment.Open("why", 5, "Why?", RUBRIC)
    assert words.levels(asked) == {"0": 0, "1": 2.5, "2": 5}
    assert words.levels(asked._replace(rubric="Be short.")) == {}
    (ours, *_) = assignment.read_open(ROOT / "book" / "teach" / "questions.md")
    assert words.levels(ours) == {"0": 0, "1": 2, "2": 4, "3": 6}


def test_a_file_of_other_questions_is_refused(graded):
    (graded / "questions.md").write_text(QUESTIONS.replace("3 points", "4 points"))
    done, _ = grading(graded / "handed-in", open=graded / "questions.md")
    assert done.returncode == 2
    assert "it lacks why (3 points), which the assignment has" in done.stderr


def test_a_question_of_many_points_has_a_field_and_no_buttons_and_nobody_is_told_to_press_one():
    many = words.buttons(40, {})
    one = "".join(words.one("Answer", ["<p>So.</p>"], 40, 0, many))
    assert "<button" not in one and 'max="40"' in one
    few = words.buttons(ASKED.open["why"], {})
    assert "".join(words.one("Answer", [], ASKED.open["why"], 0, few)).count("<button") == 4
    told = ["".join(words.introduction(Path("w.csv"), bool(keys), False)) for keys in (few, many)]
    assert ["Press a digit" in text for text in told] == [True, False]
    assert "half points and comments can be typed" in told[0]
    assert "without names. Points and comments can be typed" in told[1]
