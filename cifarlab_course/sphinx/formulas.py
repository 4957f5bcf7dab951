"""Formulas as MathML, written at build time: the page needs no script and fetches nothing.

And a per cent sign in the text stays on the line of its number.
"""

import re

from docutils import nodes
from docutils.utils.math import MathError
from docutils.utils.math.latex2mathml import tex2mathml
from sphinx.application import Sphinx
from sphinx.util import logging
from sphinx.util.math import get_node_equation_number
from sphinx.writers.html5 import HTML5Translator

logger = logging.getLogger(__name__)


def mathml(node: nodes.math | nodes.math_block) -> str:
    """The formula as a <math> element; a build warning where its LaTeX can't be read."""
    latex = node.astext()
    try:
        return tex2mathml(latex, as_block=isinstance(node, nodes.math_block))
    except MathError as error:
        logger.warning("formula %r: %s", latex, error, location=node)
        return "<merror>?</merror>"


def inline(page: HTML5Translator, node: nodes.math) -> None:
    """Write a formula into its line of text."""
    page.body.append(mathml(node))
    raise nodes.SkipNode


def displayed(page: HTML5Translator, node: nodes.math_block) -> None:
    """Write a formula on a line of its own, with its number if it has one."""
    page.body.append(page.starttag(node, "div", CLASS="math"))
    if node["number"]:
        page.body.append(f'<span class="eqno">({get_node_equation_number(page, node)})')
        page.add_permalink_ref(node, "Link to this equation")
        page.body.append("</span>")
    page.body.append(mathml(node) + "</div>\n")
    raise nodes.SkipNode


def keep_per_cent(app: Sphinx, doctree: nodes.document) -> None:
    """Let no line end between a number and its per cent sign, but leave code and outputs alone."""
    verbatim = (nodes.FixedTextElement, nodes.literal, nodes.math, nodes.raw)
    for text in list(doctree.findall(nodes.Text)):
        words = re.sub(r"(?<=\d) %", "\N{NO-BREAK SPACE}%", text)
        holder = text.parent
        while holder and not isinstance(holder, verbatim):
            holder = holder.parent
        if words != text and not holder:
            text.parent.replace(text, nodes.Text(words))


def setup(app: Sphinx) -> dict:
    """Offer `html_math_renderer: mathml`, and listen."""
    app.connect("doctree-read", keep_per_cent)
    app.add_html_math_renderer("mathml", (inline, None), (displayed, None))
    return {"parallel_read_safe": True, "parallel_write_safe": True}
