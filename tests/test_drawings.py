"""Protects the readers of drawings: on a small screen, in the dark, and with a screen reader."""

import xml.etree.ElementTree as ElementTree

import pytest

from cifarlab.drawings import FIRST, FONT_SIZE, SECOND, WIDEST, Drawing

WORDS = {"alt": "Two maps & a kernel.", "caption": "See the <kernel>."}


def tree(drawing):
    return ElementTree.fromstring(drawing._repr_html_())


def test_a_drawing_is_well_formed_and_says_what_it_shows():
    plan = Drawing(300, 90, **WORDS).grid(0, 0, rows=2, columns=3).text(5, 80, "3 < 4 maps")
    plan.stack(100, 0, colours=(FIRST, SECOND)).arrow(200, 10, 240, 10).bracket(0, 40, 48, "k")
    found = tree(plan)
    assert found[0].attrib["aria-label"] == WORDS["alt"]
    assert found[1].text == WORDS["caption"]
    assert [each.text for each in found.iter() if each.tag.endswith("text")] == ["3 < 4 maps", "k"]
    assert sum(each.tag.endswith("rect") for each in found.iter()) == 6 + 2 * 2
    assert FONT_SIZE >= 16


@pytest.mark.parametrize("given", [{"alt": " "}, {"caption": ""}])
def test_a_drawing_without_its_words_is_refused(given):
    with pytest.raises(ValueError, match="alt text and its caption"):
        Drawing(10, 10, **{**WORDS, **given})


def test_a_drawing_too_wide_for_a_small_screen_is_refused():
    with pytest.raises(ValueError, match="300 pixels"):
        Drawing(WIDEST + 1, 10, **WORDS)


def test_lines_and_dots_lie_where_they_are_put():
    plan = Drawing(40, 40, **WORDS).line(1, 2, 30, 4).dot(30, 4, SECOND)
    line, dot = tree(plan)[0]
    assert [line.attrib[name] for name in ("x1", "y1", "x2", "y2")] == ["1", "2", "30", "4"]
    assert (dot.attrib["cx"], dot.attrib["cy"], dot.attrib["fill"]) == ("30", "4", SECOND)
