"""Protects the figures: what Python hands to the page, and what it says of a quiz gone wrong."""

import html
import json
import re

import pytest

from cifarlab import figures

QUESTION = "? Who?\n+ I | Yes: I.\n- You | No: I.\n"


def parameters(figure: figures.Figure) -> dict:
    """What the script will read, as a browser reads an attribute."""
    return json.loads(html.unescape(re.search(r'parameters="(.*?)"', figure._repr_html_())[1]))


def test_a_figure_is_the_same_text_each_time_and_names_no_other_host():
    first, second = (figures.quiz("receptive-fields")._repr_html_() for _ in range(2))
    assert first == second
    assert not re.search(r"https?://|\bimport\b|src=", first)


def test_parameters_survive_quotes_tags_and_other_alphabets():
    given = {"text": '"it\'s" </script><b>&amp; é · ü'}
    assert parameters(figures.Figure("quiz", given)) == given


@pytest.mark.parametrize("path", sorted(figures.FOLDER.glob("*.js")), ids=lambda path: path.stem)
def test_no_script_ends_early_in_a_page(path):
    assert "</script" not in path.read_text(encoding="utf-8")


# ----------------------------------------------------------------------------------- quizzes


@pytest.mark.parametrize("path", sorted(figures.QUIZZES.glob("*")), ids=lambda path: path.name)
def test_a_quiz_of_the_course_has_two_to_five_questions(path):
    assert 2 <= len(parameters(figures.quiz(path.stem))["questions"]) <= 5


def test_a_quiz_is_read_as_written():
    assert figures.read_quiz(
        "topic", "\n" + QUESTION + "\n? `a | b`?\n- no | a | b\n+ é | 1 + 1"
    ) == [
        {
            "question": "Who?",
            "choices": [
                {"choice": "I", "right": True, "feedback": "Yes: I."},
                {"choice": "You", "right": False, "feedback": "No: I."},
            ],
        },
        {
            "question": "`a | b`?",
            "choices": [
                {"choice": "no", "right": False, "feedback": "a | b"},
                {"choice": "é", "right": True, "feedback": "1 + 1"},
            ],
        },
    ]


@pytest.mark.parametrize(
    ("text", "line", "what"),
    [
        ("", 1, "no question"),
        ("\n\n", 2, "no question"),
        ("Who?\n", 1, "'Who?' starts with none of"),
        ("?Who?\n", 1, "'?Who?' starts with none of"),
        ("? \n", 1, "or ends there"),
        (" ? Who?\n", 1, "starts with none of"),
        ("- I | No.\n", 1, "no question (?) stands before it"),
        ("? Who?\n+ I\n", 2, 'write "+ choice | feedback"'),
        ("? Who?\n+ I | \n", 2, 'write "+ choice | feedback"'),
        ("? Who?\n- | No.\n", 2, 'write "- choice | feedback"'),
        ("? Who?\n+ I | Yes.\n", 2, "needs two choices"),
        ("? Who?\n\n" + QUESTION, 3, "needs two choices"),
        (QUESTION + "+ She | Yes.\n", 4, "has 2 right choices"),
        ("? Who?\n- I | No.\n- You | No.\n\n" + QUESTION, 5, "has 0 right choices"),
    ],
)
def test_a_malformed_quiz_is_refused_with_topic_and_line(text, line, what):
    with pytest.raises(ValueError, match=rf"^quiz 'dogs', line {line}: .*{re.escape(what)}"):
        figures.read_quiz("dogs", text)


def test_an_unknown_quiz_is_refused_with_those_there_are():
    with pytest.raises(ValueError, match=r"no quiz 'cats'; there are: .*receptive-fields"):
        figures.quiz("cats")
