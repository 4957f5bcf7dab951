"""What a term means and what is cited, at hand: a card for each link that leads there.

A page holds, hidden, the cards of its own links, and they describe these links; `cards.js` shows a
card beside its link. Without scripts the links are links, as they are for a finger.
"""

import functools
import re

from docutils import nodes
from sphinx.application import Sphinx

EXPLAINED = ("book/glossary", "book/references")
LINK = re.compile(
    r'<a (?=class="reference internal" href="[^"]*(?:glossary|references)\.html#([^"]+)")'
)


@functools.cache
def texts(app: Sphinx) -> dict[str, str]:
    """The HTML of each definition and each citation, without links, by its anchor."""
    found: dict[str, str] = {}
    for page in EXPLAINED:
        tree = app.env.get_and_resolve_doctree(page, app.builder)
        kinds = (nodes.definition_list_item, nodes.list_item)
        for item in [each for each in tree.findall() if isinstance(each, kinds)]:
            anchors = [name for part in (item, *item.children) for name in part.get("ids", [])]
            text = app.builder.render_partial(item)["fragment"]  # type: ignore[attr-defined]  # HTML's
            text = re.sub(
                r'<a class="headerlink".*?</a>| id="[^"]*"|</?(?:a|li|dd)\b.*?>', "", text
            )
            text = re.sub(r"<(/?)dt\b.*?>", r"<\1strong>", text).strip()
            found |= dict.fromkeys(anchors, text)
    # Resolved once more, the page of references would get each of them a second time.
    cited = app.env.get_domain("cite").bibliographies  # type: ignore[attr-defined]  # bibtex's own
    for bibliography in cited.values():
        for node in bibliography.citation_nodes.values():
            node.clear()
    return found


def add(
    app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None
) -> None:
    """Describe the page's links into glossary and references, and put their cards at its end."""
    if not LINK.search(context.get("body", "")):
        return
    cards = {}

    def described(link: re.Match) -> str:
        if link[1] not in texts(app):
            return link[0]
        cards[link[1]] = texts(app)[link[1]]
        return f'<a aria-describedby="card-{link[1]}" '

    body = LINK.sub(described, context["body"])
    context["body"] = body + "".join(
        f'<div class="explanation" role="tooltip" id="card-{name}" hidden>{text}</div>\n'
        for name, text in cards.items()
    )


def setup(app: Sphinx) -> dict:
    """Add them when a page is written."""
    app.connect("html-page-context", add)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
