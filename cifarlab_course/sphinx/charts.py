"""Charts in the book: what a screen reader says of one comes from its cell's metadata.

MyST-NB hands `mystnb.image.alt` to images alone, and a chart is HTML, in the page's own colours.
"""

import html
import re

from docutils import nodes
from sphinx.application import Sphinx

from cifarlab_course.lessons.notebooks import CHART


def describe(app: Sphinx, doctree: nodes.document) -> None:
    """Name each chart by the alt text of its cell."""
    for cell in doctree.findall(nodes.container):
        alt = cell.get("cell_metadata", {}).get("mystnb", {}).get("image", {}).get("alt")
        for shown in list(cell.findall(nodes.raw)) if alt else []:
            if shown.astext().startswith(CHART):
                before, _, after = re.split('(?<=aria-label=")([^"]*)', shown.astext(), maxsplit=1)
                text = before + html.escape(alt) + after
                shown.parent.replace(shown, nodes.raw("", text, format="html"))


def setup(app: Sphinx) -> dict:
    """Name them once a page is read."""
    app.connect("doctree-read", describe)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
