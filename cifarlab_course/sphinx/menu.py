"""What is folded on a page and in the menu beside it, with the names that a voice says of it."""

from collections.abc import Callable

from docutils import nodes
from sphinx.application import Sphinx


def named(generate: Callable) -> Callable:
    """What makes the menu, so that a screen reader says more of its folds than "button"."""

    def generate_toctree_html(*arguments, **options) -> str:
        menu = str(generate(*arguments, **options))
        return menu.replace("<summary>", '<summary aria-label="Its practice">')

    return generate_toctree_html


def name_folds(
    app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None
) -> None:
    """Hand it to the page's template in place of the theme's own; folded code keeps its words."""
    if "generate_toctree_html" in context:
        context["generate_toctree_html"] = named(context["generate_toctree_html"])
    if "body" in context:
        contradicts = ' aria-label="Toggle hidden content"'
        context["body"] = context["body"].replace(f"<summary{contradicts}>", "<summary>")


def setup(app: Sphinx) -> dict:
    """Listen, after the theme has."""
    app.connect("html-page-context", name_folds, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
