"""Protects what people wrote: answers in words, points by hand, and the tables made of them."""

import base64
import html
import json
import re
from pathlib import Path

import pytest

from cifarlab_course.grading import (
    assignment,
    batch,
    feedback,
    grade,
    gradebook,
    handed_back,
    reader,
    submission,
)
from cifarlab_course.grading.handed_in import Learner
from cifarlab_course.grading.judge import Mark
from tests.submissions import ASKED, SECRET, Draft, rows, save
from tests.test_handed_in import SAID, grading, notebook

TWO = [
    assignment.Open("road-signs", 6, "Which augmentation would you drop, and why?"),
    assignment.Open("two-nets", 4, "Which of the two networks is better?"),
]
BOTH = assignment.make([], SECRET, TWO)
QUESTION, ANSWER = 2, 3  # the cells of the first question
PIXEL = (  # a PNG of one
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


def cell(source, kind="markdown", **more):
    """A cell that a learner adds."""
    return {"cell_type": kind, "metadata": {}, "source": source} | more


def draft(change=None):
    """The assignment of two open questions, changed by `change`."""
    made = notebook("", asked=BOTH, questions=TWO)
    if change:
        change(made["cells"])
    return made


def written(made):
    """What is found of an answer in words: its cells' texts, by question and elsewhere."""
    found = submission.read(json.dumps(made).encode())
    words = submission.written(found.cells, BOTH)
    texts = {
        name: [found.cells[n].source for n in numbers] for name, numbers in words.answers.items()
    }
    return texts, [found.cells[n].source for n in words.elsewhere]


# ------------------------------------------------------------------------------ answers in words


def insert(place, *cells):
    """A change that puts cells before the one at `place`."""

    def change(found):
        found[place:place] = cells

    return change


def extend(place, text):
    """A change that writes into the cell at `place`."""

    def change(found):
        found[place]["source"] += text

    return change


SHAPES = {
    "in the cell for it": extend(ANSWER, SAID),
    "in place of the words there": lambda cells: cells[ANSWER].update(source=SAID),
    "behind the line to be kept": lambda cells: cells[ANSWER].update(
        source=cells[ANSWER]["source"].replace("`\n", f"` {SAID}\n")
    ),
    "below a heading of its own": insert(ANSWER + 1, cell(f"### My answer\n\n{SAID}")),
    "below a heading like ours": insert(ANSWER + 1, cell(f"## Answer\n\n{SAID}")),
    "after a number sign": insert(ANSWER + 1, cell(f"#1 {SAID}")),
    "in a code cell": insert(ANSWER + 1, cell(f"# {SAID}", "code", outputs=[])),
    "in a raw cell": insert(ANSWER + 1, cell(SAID, "raw")),
    "above the cell for it": insert(ANSWER, cell(SAID)),
    "in the question": extend(QUESTION, f"\n\n**{SAID}**"),
    "in two cells": lambda cells: (
        insert(ANSWER + 1, cell("and more"))(cells),
        extend(ANSWER, SAID)(cells),
    ),
    "quoting a marker": insert(
        ANSWER + 1, cell(f"```\n# exercise: softmax (keep this line)\n```\n{SAID}")
    ),
    "merged with the question": lambda cells: cells.__setitem__(
        slice(QUESTION, ANSWER + 1),
        [cell(f"{cells[QUESTION]['source']}\n\n{cells[ANSWER]['source']}\n\n{SAID}")],
    ),
    "in a cell turned into code": lambda cells: cells[ANSWER].update(cell_type="code", source=SAID),
    "where the question is gone": lambda cells: cells.__setitem__(
        slice(QUESTION, ANSWER + 1), [cells[ANSWER] | {"source": f"`open: road-signs`\n{SAID}"}]
    ),
}


@pytest.mark.slow
@pytest.mark.parametrize("metadata", [True, False], ids=["metadata kept", "metadata lost"])
@pytest.mark.parametrize("shape", SHAPES)
def test_words_between_a_question_and_the_next_are_read_by_a_person(shape, metadata):
    made = draft(SHAPES[shape])
    if not metadata:
        for each in made["cells"]:
            each["metadata"] = {}
    texts, elsewhere = written(made)
    said = "\n".join([*texts["road-signs"], *elsewhere])
    assert SAID in said
    if shape == "in two cells":
        assert "and more" in said
    if not elsewhere:
        assert "two-nets" not in texts  # that one is untouched


@pytest.mark.parametrize("place", [0, 1, QUESTION, len(draft()["cells"])])
def test_words_anywhere_else_are_read_too_and_no_question_counts_as_empty(place):
    texts, elsewhere = written(draft(insert(place, cell(SAID))))
    assert SAID in "\n".join([*texts.get("two-nets", []), *elsewhere])
    if place < QUESTION:
        assert set(texts) == {"road-signs", "two-nets"}


def blank(cells):
    """What editors add by themselves."""
    cells += [cell(""), cell("  \n", "code", outputs=[]), {}]
    for each in cells:
        each["source"] = each.get("source", "").replace("\n", " \n") + "\n\n"


@pytest.mark.parametrize(
    "change",
    [
        None,
        blank,
        lambda cells: cells[ANSWER].update(source=cells[ANSWER]["source"].partition("\n")[0]),
        lambda cells: cells.reverse(),
        lambda cells: [each.update(metadata={}) for each in cells],
        lambda cells: cells.__delitem__(0),
        lambda cells: cells.insert(4, dict(cells[QUESTION])),
    ],
    ids=["as it was", "blank cells", "emptied", "reversed", "no metadata", "no title", "twice"],
)
def test_nobody_reads_an_answer_that_nobody_wrote(change):
    assert written(draft(change)) == ({}, [])


@pytest.mark.parametrize("gone", [QUESTION, ANSWER])
def test_a_question_of_which_a_cell_is_gone_is_looked_at(gone):
    texts, _ = written(draft(lambda cells: cells.__delitem__(gone)))
    assert "road-signs" in texts


def test_an_assignment_of_an_older_release_has_all_its_answers_read():
    made = draft()
    text = json.dumps(made).replace(f":{BOTH.digests['road-signs']}", "")
    text = text.replace(f":{BOTH.digests['two-nets']}", "")
    items = "road-signs:6 two-nets:4"
    code = assignment.digest(SECRET, items)[:16]
    text = re.sub(r"(?<=two-nets:4 )[0-9a-f]{16}", code, text)
    found = submission.read(text.encode())
    asked = assignment.from_line(found.lines[0], SECRET)
    assert asked.open == BOTH.open
    assert set(submission.written(found.cells, asked).answers) == set(BOTH.open)


# --------------------------------------------------------------------------- as a person sees them


def shown(source, **more):
    """A text cell as it stands on a page."""
    (made,) = submission.shown(json.dumps({"cells": [cell(source, **more)]}).encode(), [0])
    return made


def test_an_answer_is_shown_as_it_was_meant_with_formulas_as_they_were_typed():
    made = shown(
        "## So\n\nIt **is** $a_1 < b_2 * c_3$:\n\n| n | m |\n|--|--|\n| 1 | 2 |\n\n$$x_1^2$$"
    )
    assert "<strong>So</strong>" in made
    assert "<h2" not in made
    assert "<strong>is</strong>" in made
    assert "$a_1 &lt; b_2 * c_3$" in made
    assert "<td>2</td>" in made
    assert "$$x_1^2$$" in made


def test_the_line_that_we_asked_to_keep_is_not_shown_unless_the_answer_stands_in_it():
    line = assignment.OPEN.format(name="road-signs", points=assignment.counted(6))
    assert shown(f"{line}\n\nDrop the flip.").strip() == "<p>Drop the flip.</p>"
    assert "keep this line" in shown(f"{line} Drop the flip.")


DATA = f"data:image/png;base64,{PIXEL}"
ATTACHED = {"my plot.png": {"image/png": PIXEL}}


@pytest.mark.parametrize(
    ("source", "more"),
    [
        (f"Look: ![a plot]({DATA})", {}),  # as Colab does
        (f"Look: ![a plot][image1]\n\n[image1]: <{DATA}>", {}),  # as Google's documents do
        (f'Look: <img src="{DATA}" width=300>', {}),
        ("Look: ![a plot](attachment:my%20plot.png)", {"attachments": ATTACHED}),  # as Jupyter
        ("Look: ![a plot](attachment:my plot.png)", {"attachments": ATTACHED}),
        ("I forgot to name it.", {"attachments": ATTACHED}),
    ],
)
def test_a_picture_that_the_notebook_holds_is_shown_however_it_is_named(source, more):
    assert shown(source, **more).count(f'src="{DATA}"') == 1


def test_a_code_cell_is_shown_with_what_it_printed_and_drew():
    vector = "<svg xmlns='http://www.w3.org/2000/svg'/>"
    outputs = [
        {"output_type": "stream", "text": ["13 <of> 25\n", "x" * 20_000]},
        {"output_type": "display_data", "data": {"image/png": PIXEL[:40] + "\n" + PIXEL[40:]}},
        {"output_type": "display_data", "data": {"image/svg+xml": [vector]}},
        {"output_type": "error", "ename": "ValueError", "evalue": "no", "traceback": ["\x1b[31m"]},
        {"output_type": "display_data", "data": {"text/html": "<script>alert(1)</script>"}},
        {"output_type": "display_data", "data": {"image/png": '" onerror="alert(1)'}},
        None,
    ]
    made = shown("# my <answer>", cell_type="code", outputs=outputs)
    assert "# my &lt;answer&gt;" in made
    assert "13 &lt;of&gt; 25" in made
    assert len(made) < 30_000
    assert DATA in made
    assert base64.b64encode(vector.encode()).decode() in made
    assert "ValueError: no" in made
    assert "script" not in made
    assert "onerror" not in made


HOSTILE = """\
<script>document.title = 'taken'</script>
<img src=//example.org/x onerror="document.title = 'taken'">
![x](https://example.org/y.png) ![x](javascript:alert(1)) [x](javascript:alert(1))
![x](data:image/svg+xml;base64,PHN2ZyBvbmxvYWQ9ImFsZXJ0KDEpIi8+)
![x](data:text/html;base64,PHNjcmlwdD4=) ![" onerror="document.title='taken'](attachment:a)
</div></main><style>@import url(https://example.org/z.css);</style><iframe src=https://example.org>
"""


def test_a_page_runs_nothing_of_an_answer_and_fetches_nothing(browser, tmp_path):
    folder = tmp_path / "handed-in"
    attached = {"a": {"image/png": PIXEL, 'image/png" onerror="x': PIXEL}}
    made = draft(insert(ANSWER + 1, cell(HOSTILE, attachments=attached)))
    save(json.dumps(made), folder / "<b>eve" / "a.ipynb")
    done, _ = grading(folder)
    assert done.returncode == 0, done.stderr
    (path,) = tmp_path.glob("grades-feedback/*.html")
    page, asked = browser.new_page(), []
    page.on("request", lambda request: asked.append(request.url))
    page.goto(path.as_uri())
    page.wait_for_timeout(500)
    assert page.title() == "Feedback for <b>eve"
    assert [url for url in asked if not url.startswith(("file:", "data:image/"))] == []
    assert page.locator("script, iframe, link, main style, [onerror], [onload]").count() == 0
    assert page.locator(".answer img").count() >= 1
    text = path.read_text()
    assert "&lt;script&gt;" in text
    assert "img-src data:" in text
    page.close()


def test_an_answer_of_many_pictures_is_bounded(monkeypatch):
    with pytest.raises(reader.Unreadable, match="more than 40 MB of text and pictures"):
        monkeypatch.setattr(reader, "shown", lambda cell: ["x" * 50 * 2**20])
        reader.show('{"cells": [{}]}', [0])


# ------------------------------------------------------------------------------------- the book

RIGHT = {
    "holes": [Mark("holes-a", 1, 1, ""), Mark("holes-b", 0, 3, "No <b>holes</b>.")],
    "saving": [Mark("saving-a", 2, 2, "")],
    "softmax": [Mark("softmax-a", 2, 2, ""), Mark("softmax-b", 1, 1, "")],
}
RESULTS = {
    "anna": grade.Result(RIGHT, {"why": [18]}, flags=["odd"]),
    "ben": grade.Result(RIGHT),
    "cy": grade.nothing(ASKED, "no notebook"),
}
SUBMISSIONS = {name: grade.Submission(Learner(name), Path(f"{name}.ipynb")) for name in RESULTS}


def entries(tmp_path, text):
    """What a person's table says."""
    path = tmp_path / "grades-by-hand.csv"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return gradebook.read_by_hand(path, set(RESULTS), ASKED.most)


def nothing_yet():
    """No table of a person's."""
    return gradebook.Entries({}, [], ",")


def write(out, read):
    """All tables; the rows of the first."""
    by_hand = gradebook.beside(out, "by-hand.csv")
    gradebook.write_by_hand(by_hand, RESULTS, ASKED, read)
    book = gradebook.book(RESULTS, ASKED, read)
    gradebook.write(out, book, SUBMISSIONS, ASKED)
    learners = {name: submission.learner for name, submission in SUBMISSIONS.items()}
    handed_back.write(out, book, learners, sum(ASKED.most.values()))
    return rows(out)


def lines(path):
    """The lines of a table, without the mark that Excel needs."""
    return path.read_text(encoding="utf-8-sig").splitlines()


def test_open_answers_wait_for_a_person_whose_points_a_regrade_keeps(tmp_path):
    out, by_hand = tmp_path / "grades.csv", tmp_path / "grades-by-hand.csv"
    table = write(out, nothing_yet())
    assert lines(by_hand) == ["learner,question,points,comment", "anna,why,,"]
    assert table["anna"]["why"] == ""
    assert (table["anna"]["waiting"], table["anna"]["flags"]) == ("why", "odd")
    assert (table["ben"]["why"], table["cy"]["why"]) == ("0", "0")
    assert (table["ben"]["waiting"], table["ben"]["flags"]) == ("", "")

    said = 'learner,question,points,comment\nanna,why,2.5,"Good, short."\nanna,holes,4,My fault\n'
    anna = write(out, entries(tmp_path, said))["anna"]
    assert by_hand.read_text() == said
    assert (anna["holes"], anna["why"], anna["total"], anna["most"]) == ("4", "2.5", "11.5", "12")
    assert anna["waiting"] == ""


@pytest.mark.parametrize(
    "row",
    [
        'ben;holes;3,5;"Käse; nach Rücksprache"',
        "ben;holes; 3.50 ;gut",
        "ben;holes;03;gut;a column of my own;another",
        "dora;why;;",  # who has left
        "dora;long-ago; ;",
    ],
)
def test_a_row_that_is_added_leaves_the_others_as_a_person_typed_them(row, tmp_path):
    text = f"\ufefflearner;question;points;comment\r\n{row}\r\n"
    write(tmp_path / "grades.csv", entries(tmp_path, text))
    assert lines(tmp_path / "grades-by-hand.csv")[1:] == [row, "anna;why;;"]
    assert entries(tmp_path, text).given.get(("dora", "why")) is None


HEAD = "learner,question,points,comment\n"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("anna,why,2,\n", "must begin with the line learner,question,points,comment"),
        ("", "must begin with the line learner,question,points,comment"),
        (HEAD + "dora,why,2,\n", "row 2: no submission is of 'dora'"),
        (HEAD + "dora,why,,said something\n", "row 2: no submission is of 'dora'"),
        (HEAD + "anna,what,2,\n", "row 2: 'what'; take one of: holes, saving, softmax, why"),
        (HEAD + "anna,why,4,\n", "row 2: '4' points; give a number from 0 to 3"),
        (HEAD + "anna,why,nan,\n", "row 2: 'nan' points; give a number from 0 to 3"),
        (HEAD + "anna,why,two,\n", "row 2: 'two' points"),
        (HEAD + "anna,why,2,\nanna,why,3,\n", "row 3: a second row for anna and why"),
        (HEAD + "anna,why,4,\n\nben,why,x,\n", "row 2: '4' points; .* row 4: 'x' points"),
        (HEAD + "dora,why,1,\n" * 12, r"row 11: .* And 2 more\."),
        (b"learner,question,points,comment\nanna,why,1,gel\xf6st\n", "save it as 'CSV UTF-8'"),
        (HEAD + f"anna,why,1,{'x' * 131_073}\n", "by-hand.csv .* save it as 'CSV UTF-8'"),
    ],
)
def test_all_rows_by_hand_that_make_no_sense_are_named_at_once(text, told, tmp_path):
    with pytest.raises(ValueError, match=told):
        entries(tmp_path, text)


def test_a_table_with_the_line_ends_of_an_old_mac_is_read(tmp_path):
    text = "learner,question,points,comment\ranna,why,2,\r"
    assert entries(tmp_path, text).given["anna", "why"].points == 2
    assert entries(tmp_path, text.replace(",", ";")).given["anna", "why"].points == 2


def test_a_comment_alone_leaves_a_member_the_points_of_the_group():
    group = Learner("red", members=(Learner("ada"), Learner("ben")))
    said = {
        ("red", "why"): gradebook.ByHand(2.5, "All."),
        ("ada", "why"): gradebook.ByHand(None, "You, too."),
        ("ben", "why"): gradebook.ByHand(0, ""),
    }
    graded = batch.Graded(
        {"red": grade.Submission(group)}, {"red": grade.Result()}, gradebook.Entries(said, [], ",")
    )
    given = batch.everybody(graded, {"ada": "red", "ben": "red"}).entries.given
    assert given["ada", "why"] == (2.5, "You, too.")
    assert given["ben", "why"] == (0, "All.")


def test_tables_begin_with_the_mark_by_which_excel_knows_umlauts(tmp_path):
    write(tmp_path / "grades.csv", nothing_yet())
    for path in sorted(tmp_path.glob("*.csv")):
        assert path.read_bytes().startswith(b"\xef\xbb\xbf"), path
    assert len(list(tmp_path.glob("*.csv"))) == 3


def test_canvas_gets_its_columns_and_no_total_while_an_answer_waits(tmp_path):
    write(tmp_path / "week4.csv", nothing_yet())
    assert lines(tmp_path / "week4-canvas.csv") == [
        "Student,ID,SIS User ID,SIS Login ID,Section,week4",
        "Points Possible,,,,,12",
        "anna,,,anna,,",
        "ben,,,ben,,6",
        "cy,,,cy,,0",
    ]
    write(tmp_path / "week4.csv", entries(tmp_path, HEAD + "anna,why,3,\n"))
    assert "anna,,,anna,,9" in lines(tmp_path / "week4-canvas.csv")


@pytest.mark.slow
def test_the_end_of_a_run_says_who_waits_and_that_canvas_cells_are_empty(tmp_path):
    for name, words in (("ada", SAID), ("ben", "")):
        save(json.dumps(notebook(words)), tmp_path / "handed-in" / name / "a.ipynb")
    done, _ = grading(tmp_path / "handed-in")
    assert "grades.csv: learners: 2, submissions: 2, to be looked at: 0" in done.stdout
    assert "grades-by-hand.csv: learners who wait for your points: 1; " in done.stdout
    assert "grades-words.html shows their answers" in done.stdout
    assert (tmp_path / "grades-words.html").exists()
    assert "for Canvas are empty" in done.stdout
    (tmp_path / "grades-by-hand.csv").write_text(HEAD + "ada,why,2,\n")
    done, _ = grading(tmp_path / "handed-in")
    assert "wait" not in done.stdout


@pytest.mark.slow
def test_the_end_of_a_run_does_not_count_who_handed_in_nothing_as_a_submission(tmp_path):
    save(json.dumps(notebook(SAID)), tmp_path / "handed-in" / "ada" / "a.ipynb")
    save("{", tmp_path / "handed-in" / "ben" / "a.ipynb")
    (tmp_path / "handed-in" / "cy").mkdir()
    roster, groups = tmp_path / "roster.csv", tmp_path / "groups.csv"
    roster.write_text("name\nada\nben\ncy\ndora\n")
    done, _ = grading(tmp_path / "handed-in", roster=roster)
    assert "learners: 4, submissions: 2, to be looked at: 3 (column flags)" in done.stdout
    groups.write_text("learner,group\nada,red\ndora,red\n")
    done, _ = grading(tmp_path / "handed-in", roster=roster, groups=groups)
    assert "grades.csv: learners: 4, submissions: 2, " in done.stdout


# --------------------------------------------------------------------------------------- pages


def page_of(result, tmp_path, read=None):
    """The page of somebody called Eve."""
    save(Draft().insert(19, "Two <words>", "markdown"), tmp_path / "a.ipynb")
    handed = grade.Submission(Learner("eve"), tmp_path / "a.ipynb")
    read = read or nothing_yet()
    row = gradebook.book({"eve": result}, ASKED, read)["eve"]
    answers = feedback.answers_in(handed, result)
    return feedback.page(row, result, handed, ASKED, read, answers)


def test_a_page_has_the_points_so_far_the_check_and_what_it_said(tmp_path):
    text = page_of(grade.Result(RIGHT, {"why": [19]}), tmp_path)
    assert "<p>6 of 9 points so far; 3 more are still to be graded.</p>" in text
    assert "<h2>4. In your own words: why</h2>\n<p>No points yet.</p>" in text
    assert "Two &lt;words&gt;" in text
    assert "No &lt;b&gt;holes&lt;/b&gt;." in text
    check = ASKED.exercises[0].checks[1].visible
    assert check.splitlines()[0] in text  # the asserts that stand "above"
    assert text.count("<summary>The check</summary>") == 1


def lines_of(page):
    """What a learner reads on a page, line by line, but for what is folded."""
    text = re.sub(r"<details>.*?</details>", "", page.partition("<main>")[2], flags=re.DOTALL)
    text = re.sub(r"<[^<>]*>", "", text)
    return [html.unescape(line) for line in text.splitlines() if line.strip()]


def test_a_page_of_feedback_says_what_each_check_earned_and_why_not_more(tmp_path):
    titles = [exercise.title for exercise in ASKED.exercises]
    read = gradebook.Entries({("eve", "why"): gradebook.ByHand(2.5, "Good, <short>.")}, [], ",")
    assert lines_of(page_of(grade.Result(RIGHT, {"why": [19]}), tmp_path, read)) == [
        "Feedback for eve",
        "8.5 of 12 points.",
        f"1. {titles[0]}",
        "1 of 4 points.",
        "holes-a, 1 of 1 point.",
        "holes-b, 0 of 3 points:",
        "No <b>holes</b>.",
        f"2. {titles[1]}",
        "2 of 2 points.",
        "saving-a, 2 of 2 points.",
        f"3. {titles[2]}",
        "3 of 3 points.",
        "softmax-a, 2 of 2 points.",
        "softmax-b, 1 of 1 point.",
        "4. In your own words: why",
        "2.5 of 3 points.",
        "Your answer:",
        "Two <words>",
        "Comment: Good, <short>.",
    ]


def test_why_nothing_was_graded_is_said_once_on_a_page(tmp_path):
    """And what the checks ask is no help to whoever handed in a damaged file."""
    nothing = grade.nothing(ASKED, "it is no <notebook>")
    titles = [exercise.title for exercise in ASKED.exercises]
    assert lines_of(page_of(nothing, tmp_path)) == [
        "Feedback for eve",
        "0 of 12 points.",
        "Nothing was graded: it is no <notebook>.",
        f"1. {titles[0]}",
        "0 of 4 points.",
        f"2. {titles[1]}",
        "0 of 2 points.",
        f"3. {titles[2]}",
        "0 of 3 points.",
        "4. In your own words: why",
        "0 of 3 points.",
    ]


@pytest.mark.slow
def test_a_page_of_a_graded_answer_has_its_points_and_comment(tmp_path):
    read = gradebook.Entries({("eve", "why"): gradebook.ByHand(2.5, "Good, <short>.")}, [], ",")
    text = page_of(grade.Result(RIGHT, {"why": [19]}), tmp_path, read)
    assert "<p>8.5 of 12 points.</p>" in text
    assert "Good, &lt;short&gt;." in text


def test_words_elsewhere_stand_at_the_end_of_the_page(tmp_path):
    text = page_of(grade.Result(RIGHT, {"why": []}, [19]), tmp_path)
    assert "No cell for your answer was found." in text
    assert text.index("<h2>Elsewhere in your notebook</h2>") < text.index("Two &lt;words&gt;")


def test_what_a_check_says_is_cut(tmp_path):
    """A cell that forges its error's text could else make a page of any size."""

    class Forging:
        seconds = 30

        def __enter__(self):
            return self

        def __exit__(self, *unused):
            pass

        def run(self, cells, checks, asked, *unused):
            from cifarlab_course.grading.judge import Ran

            output = {"text": "", "error": ["AssertionError", "x" * 10**7]}
            return Ran([output] * len(cells), [output] * len(checks), [], "")

    data = Path(save(Draft(), tmp_path / "a.ipynb") or tmp_path / "a.ipynb").read_bytes()
    right = {name: [0] * 9 for name in ASKED.most}
    result = grade.graded(submission.read(data), ASKED, right, lambda imports: Forging())
    assert all(len(mark.told) < 11_000 for marks in result.marks.values() for mark in marks)


@pytest.mark.slow
def test_a_page_that_cannot_be_written_is_a_flag_and_the_tables_are_there(tmp_path, monkeypatch):
    for name in ("ada", "ben"):
        save(json.dumps(notebook(name)), tmp_path / "handed-in" / name / "a.ipynb")
    replacing = feedback.replacing

    def full(path):
        if path.stem == "ada":
            assert (tmp_path / "grades.csv").exists()  # first
            raise OSError("No space left on device")
        return replacing(path)

    monkeypatch.setattr(feedback, "replacing", full)
    done, table = grading(tmp_path / "handed-in")
    assert done.returncode == 0, done.stderr
    assert "page of feedback can't be written: No space left" in table["ada"]["flags"]
    assert table["ben"]["flags"] == ""
    assert [path.name for path in tmp_path.glob("grades-feedback/*")] == ["ben.html"]


# ------------------------------------------------------------------------- what is handed out


def test_an_open_question_shows_its_line_to_be_kept_and_its_rubric(tmp_path):
    rubric = "## Rubric\n\nA number earns a point."
    (tmp_path / "open.md").write_text(
        f"## why (3 points)\n\nWhy?\n\n{rubric}\n\n## how (1 point)\n\nHow?\n"
    )
    questions = assignment.read_open(tmp_path / "open.md")
    made = assignment.notebook(assignment.make([], SECRET, questions), questions, "Words")
    texts = [each.source for each in made.cells if each.cell_type == "markdown"]
    assert [text for text in texts if "<!--" in text] == []
    assert "`open: how (1 point; keep this line)`" in texts[-1]
    for text in (texts[1], texts[3]):
        assert "How it is graded</summary>\n\nA number earns a point.\n\n</details>" in text


@pytest.mark.parametrize(
    ("names", "line", "no"),
    [
        (["softmax"], "    %pip install --quiet numpy\n", "git+"),
        (["field-of-a-chain"], "# assignment:", "install"),
        (["softmax", "mirror-some"], "    %pip install --quiet numpy torch\n", "git+"),
        (["design-a-net"], "    %pip install --quiet git+", "numpy"),
    ],
)
def test_the_first_cell_fetches_what_the_exercises_import_and_no_more(names, line, no):
    asked = assignment.make(names, SECRET)
    first = next(c for c in assignment.notebook(asked, [], "4").cells if c.cell_type == "code")
    assert line in first.source
    assert no not in first.source


def test_a_passed_check_says_so_and_how_many_points_there_are_so_far(runner):
    made = assignment.notebook(ASKED, [], "4", solved=True)
    code = [each.source for each in made.cells if each.cell_type == "code"]
    ran = runner.run([*code, code[-1]], [], [])
    told = [output["text"] for output in ran.cells if output["text"]]
    points = [check.points for exercise in ASKED.exercises for check in exercise.checks]
    sums = [sum(points[: n + 1]) for n in range(len(points))]
    assert told == [f"Passed. Points of checks so far: {n} of 9.\n" for n in [*sums, 9]]

    checks = [each for each in code if each.startswith("# check:")]
    spoiled = "holes = None  # after it had passed"
    ran = runner.run([*code, spoiled, checks[0], checks[-1]], [], [])
    assert ran.cells[-2]["error"]
    assert ran.cells[-1]["text"] == f"Passed. Points of checks so far: {9 - points[0]} of 9.\n"


def test_learners_are_told_what_their_file_may_weigh_and_what_a_passed_check_does():
    text = assignment.introduction(ASKED)
    assert "20 MB" in text
    assert "A check that passes says so" in text
    assert "A person reads all that you write" in text
    assert "check" not in assignment.introduction(BOTH)
