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


def test_dots_and_lines_lie_where_they_are_told():
    found = tree(Drawing(300, 90, **WORDS).line(10, 20, 30, 40).dot(30, 40, SECOND))
    line, dot = found[0]
    assert [line.attrib[end] for end in ("x1", "y1", "x2", "y2")] == ["10", "20", "30", "40"]
    assert [dot.attrib[name] for name in ("cx", "cy", "fill")] == ["30", "40", SECOND]


@pytest.mark.parametrize("given", [{"alt": " "}, {"caption": ""}])
def test_a_drawing_without_its_words_is_refused(given):
    with pytest.raises(ValueError, match="alt text and its caption"):
        Drawing(10, 10, **{**WORDS, **given})


def test_a_drawing_too_wide_for_a_small_screen_is_refused():
    with pytest.raises(ValueError, match="300 pixels"):
        Drawing(WIDEST + 1, 10, **WORDS)


def test_words_stand_in_the_squares_of_their_grid():
    plan = Drawing(300, 90, **WORDS).grid(10, 20, rows=2, columns=2, side=30)
    plan.words(10, 20, [["1", "2"], "xy"], side=30)
    texts = [part for part in tree(plan).iter() if part.tag.endswith("text")]
    assert [part.text for part in texts] == ["1", "2", "x", "y"]
    places = [(float(part.attrib["x"]), float(part.attrib["y"])) for part in texts]
    assert places == [(25, 41), (55, 41), (25, 71), (55, 71)]
    assert {part.attrib["text-anchor"] for part in texts} == {"middle"}
