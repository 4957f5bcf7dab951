"""Protects what an instructor is told of a whole class: points, checks, mistakes, answers alike."""

import re
import textwrap

import pytest

from cifarlab_course.grading import alike, gradebook, overview
from cifarlab_course.grading.assignment import Open, make
from cifarlab_course.grading.grade import Result
from cifarlab_course.grading.gradebook import Row
from cifarlab_course.grading.judge import Mark
from tests.submissions import ASKED, SECRET
from tests.test_handed_in import grading, hand_in

ANSWER = '''
def probabilities(logits, axis):
    """The softmax."""
    shifted = logits - np.max(logits, axis=axis, keepdims=True)  # no overflow
    powers = np.exp(shifted)
    total = powers.sum(axis=axis, keepdims=True)
    return powers / total
'''
OTHER = """
def probabilities(x, a):
    y = x - np.max(x, axis=a, keepdims=True)

    z = np.exp( y )  # e to the y
    s = z.sum(axis=a,
              keepdims=True)
    return z/s
"""


def test_answers_are_alike_whatever_their_names_comments_and_layout():
    assert alike.structure(ANSWER) == alike.structure(OTHER) != ""
    indented = textwrap.indent(ANSWER.strip(), "  ").replace("\n", "\n  ")
    assert alike.structure("if True:\n" + indented) != alike.structure(ANSWER)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("np.max", "np.min"),
        ("powers / total", "total / powers"),
        ("keepdims=True", "keepdims=False"),
        ("    total", "    powers = powers * 2\n    total"),
    ],
)
def test_answers_that_compute_something_else_are_not_alike(old, new):
    assert alike.structure(ANSWER.replace(old, new)) not in ("", alike.structure(ANSWER))


def test_a_builtin_is_no_name_of_ones_own():
    adds, multiplies = (
        ANSWER.replace("powers.sum(", f"{name}(powers, ") for name in ("sum", "max")
    )
    assert alike.structure(adds) != alike.structure(multiplies)


@pytest.mark.parametrize(
    "source", ["", "x = 1", "def f(:\n" + ANSWER, "'" * 3 + ANSWER, "(" * 300, "x" * 30_000]
)
def test_what_is_short_long_or_no_python_is_like_nothing(source):
    assert alike.structure(source) == ""


def test_groups_are_of_few_and_not_of_those_who_found_the_published_solution():
    other, third = ANSWER.replace("np.max", "np.min"), ANSWER.replace("np.exp", "np.cosh")
    answers = {f"a{n}": other for n in range(2)} | {f"b{n}": ANSWER for n in range(3)}
    answers |= {f"c{n}": third for n in range(6)} | {"d": "", "e": ""}
    structures = {name: alike.structure(source) for name, source in answers.items()}
    assert alike.groups(structures, reference=OTHER) == [["a0", "a1"]]
    assert alike.groups(structures, reference="")[1] == ["b0", "b1", "b2"]
    structures |= {f"f{n}": "" for n in range(60)}  # six of seventy-odd is no longer many
    assert len(alike.groups(structures, reference="")) == 3


# ---------------------------------------------------------------------------------- the page


def result(told=None, structure="", reason="") -> Result:
    """Of a notebook whose checks passed, but for those that are `told` what was wrong."""
    told = told or {}
    marks = {
        exercise.name: [
            Mark(c.name, 0 if c.name in told else c.points, c.points, told.get(c.name, ""))
            for c in exercise.checks
        ]
        for exercise in ASKED.exercises
    }
    structures = {exercise.name: structure for exercise in ASKED.exercises}
    return Result(marks, {"why": [3]}, reason=reason, structures=structures)


def page(results, entries=None, tmp_path=None):
    """The overview of these results, as text without tags, and as HTML."""
    given = gradebook.Entries(entries or {}, [], ",")
    rows = gradebook.book(results, ASKED, given)
    overview.write(tmp_path / "week4-overview.html", rows, results, ASKED)
    text = (tmp_path / "week4-overview.html").read_text()
    return " ".join(re.sub(r"<[^>]+>", " ", text).split()), text


def test_the_page_counts_passes_and_tells_the_most_frequent_mistakes_first(tmp_path):
    check = ASKED.exercises[0].checks[0].name
    results = {f"l{n}": result() for n in range(4)}
    results |= {f"m{n}": result({check: "It is <b>one</b> too many."}) for n in range(3)}
    results |= {"n": result({check: "No tensor."}), "o": result({check: "?"}, reason="damaged")}
    text, _ = page(results, tmp_path=tmp_path)
    assert f"{check} 4 of 8" in text  # what can't be read says nothing of the question
    first, second = (text.index(each) for each in ("3 times: It is &lt;b&gt;one", "once: No t"))
    assert first < second
    assert text.startswith("week4-overview. Learners: 9, notebooks graded: 8 ")


def test_the_distribution_counts_everybody_whose_points_are_all_there(tmp_path):
    results = {name: result() for name in "abc"}
    entries = {
        (name, "why"): gradebook.ByHand(points, "")
        for name, points in zip("ab", (3, 1), strict=True)
    }
    text, source = page(results, entries, tmp_path)
    assert "Learners who wait for points by hand, and are not counted here: 1." in text
    assert "Of 12 points: mean 11.0, median 11," in text
    table = source.partition("<caption>Points</caption>")[2].partition("</table>")[0]
    counts = re.findall(r'<th scope="row">(.*?)</th><td>(\d+)</td>', table)
    assert sum(int(count) for _, count in counts) == 2
    assert counts[-1] == ("10 to 12", "2") and counts[0] == ("0 to below 2", "0")


def test_nobody_is_asked_to_follow_a_link_or_to_run_what_a_learner_wrote(tmp_path):
    check = ASKED.exercises[0].checks[0].name
    wild = "</li><script>alert(1)</script><img src=http://example.org/x>"
    structure = alike.structure(ANSWER)
    _, text = page(
        {wild: result({check: wild}, structure), "b": result({}, structure)}, None, tmp_path
    )
    assert "<script" not in text and "<img" not in text and "default-src 'none'" in text


def test_those_who_answered_alike_are_named_with_a_hint_that_it_proves_nothing(tmp_path):
    structure = alike.structure(ANSWER)
    results = {"ada": result({}, structure), "ben": result({}, structure), "cleo": result()}
    text, _ = page(results, tmp_path=tmp_path)
    assert "ada; ben (4 of 4 points)" in text and "That is a hint at most" in text


def test_an_assignment_of_words_alone_has_its_page(tmp_path):
    asked = make([], SECRET, [Open("why", 3, "Why?")])
    rows = {"a": Row({"why": 2.5}, []), "b": Row({"why": None}, [])}
    overview.write(tmp_path / "w.html", rows, {"a": Result(), "b": Result()}, asked)
    assert "2.5 of 3 points" in (tmp_path / "w.html").read_text()


# -------------------------------------------------------------------------------------- changes


def test_whose_points_a_new_run_changes_stands_in_a_table(tmp_path):
    hand_in(tmp_path / "handed-in" / "ben" / "a.ipynb")
    hand_in(tmp_path / "handed-in" / "cleo" / "a.ipynb")
    _, before = grading(tmp_path / "handed-in")
    assert gradebook.changed(tmp_path / "grades.csv") == 0  # there was nothing to compare with
    assert (tmp_path / "grades-overview.html").exists()
    (question,) = set(before["ben"]) - {"learner", "number", "total", "most", "waiting", "flags"}
    (tmp_path / "grades-by-hand.csv").write_text(
        f"learner,question,points,comment\nben,{question},1,\n"
    )
    done, _ = grading(tmp_path / "handed-in")
    assert "grades-changes.csv: points that differ from the last run's, 1 of them" in done.stdout
    rows = (tmp_path / "grades-changes.csv").read_text(encoding="utf-8-sig").splitlines()
    assert rows == ["learner,question,before,now", f"ben,{question},,1"]
