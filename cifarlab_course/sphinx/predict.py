"""Lessons as the book shows them: an opening in a box, no check cells, code and answers folded.

An answer stands open in the page; `predict.js` folds it, so that without scripts nothing is hidden.
"""

from docutils import nodes
from sphinx.application import Sphinx

from cifarlab_course.lessons.notebooks import ANSWER, CHECK

OPEN = '<details class="answer" open><summary>Show the answer</summary>'
FOLDED = "hide-input"  # the tag by which Jupyter Book folds a cell's code
FACTS = ("You need", "Time:")  # how the paragraphs begin that follow the list of what one learns


def box(doctree: nodes.document) -> None:
    """Put what a lesson teaches, what it needs and what it takes into one box."""
    for first in list(doctree.findall(nodes.paragraph)):
        if first.astext() == "You will be able to":
            lesson, start = first.parent, first.parent.index(first)
            end = start + 2  # with its list
            while end < len(lesson) and lesson[end].astext().startswith(FACTS):
                end += 1
            lesson[start:end] = [nodes.container("", *lesson[start:end], classes=["opening"])]


def cells(doctree: nodes.document, tag: str) -> list[nodes.container]:
    """The code cells that carry the tag."""
    return [each for each in doctree.findall(nodes.container) if f"tag_{tag}" in each["classes"]]


def gather(doctree: nodes.document) -> None:
    """Put set-up and imports under one fold with the folded code that follows them."""
    folded = cells(doctree, FOLDED)
    for cell in folded:
        after = cell.next_node(descend=False, siblings=True)
        if after in folded and len(cell) == 1:  # its code alone, without an output
            after[0][:0] = cell[0].children
            cell.parent.remove(cell)


def shape(app: Sphinx, doctree: nodes.document) -> None:
    """Box the opening, take the checks out, fold each answer with the paragraph that reads it."""
    box(doctree)
    gather(doctree)
    for cell in cells(doctree, CHECK):
        cell.parent.remove(cell)
    answers = cells(doctree, ANSWER)
    for cell in answers:
        siblings, place = cell.parent.children, cell.parent.index(cell)
        if place == 0 or siblings[place - 1] not in answers:
            cell.parent.insert(place, nodes.raw("", OPEN, format="html"))
            place += 1
        after = siblings[place + 1] if place + 1 < len(siblings) else None
        if after not in answers:
            reads = isinstance(after, nodes.paragraph) and not after.astext().endswith(":")
            cell.parent.insert(place + 1 + reads, nodes.raw("", "</details>", format="html"))


def setup(app: Sphinx) -> dict:
    """Shape every page once it is read."""
    app.connect("doctree-read", shape)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
