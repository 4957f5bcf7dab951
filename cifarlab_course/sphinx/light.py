"""Pages that load no more than they show: no script of icons, no search index, pictures in time."""

import re
from pathlib import Path

from docutils import nodes
from PIL import Image
from sphinx.application import Sphinx

# The theme's icons come as fonts already; its script, of 1.5 MB, draws the same ones once more.
ICONS = re.compile(r'\s*<script [^>]*src="[^"]*scripts/fontawesome\.js[^"]*"></script>')
# Search here is a page of its own, which loads these itself.
SEARCH = re.compile(
    r'\s*<script src="[^"]*(?:searchtools|language_data|searchindex)\.js[^"]*"></script>'
)


def without_icon_script(text: str) -> str:
    """A part of a page's head, without the script that draws icons."""
    return ICONS.sub("", text)


def without_search_index(text: str) -> str:
    """A part of a page's head, without the scripts that search."""
    return SEARCH.sub("", text)


def lazy(body: str) -> str:
    """A page's text whose pictures, but for the first, are loaded when they come near."""
    first, *others = re.split(r"(?=<img )", body)
    return first + "".join(
        each
        if place == 0 or "loading=" in each.partition(">")[0]
        else f'<img loading="lazy"{each[4:]}'
        for place, each in enumerate(others)
    )


def with_sizes(body: str, files: dict[str, Path]) -> str:
    """A page's text whose pictures say how large they are, so that no line moves when they come.

    `files` has the file behind each name in the page's folder of pictures.
    """

    def sized(match: re.Match) -> str:
        tag, file = match.group(), files.get(Path(match["source"]).name)
        if file is None or file.suffix == ".svg" or "height=" in tag:
            return tag
        with Image.open(file) as image:
            return f'<img width="{image.width}" height="{image.height}"{tag[4:]}'

    return re.sub(r'<img [^>]*?src="(?P<source>[^"]*)"[^>]*>', sized, body)


def lighten(
    app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None
) -> None:
    """Hand all that to the page's template, book/_templates/layout.html."""
    context["without_icon_script"] = without_icon_script
    context["without_search_index"] = without_search_index
    if "body" in context:
        images = app.builder.images.items()
        files = {name: Path(app.srcdir, source) for source, name in images}
        context["body"] = lazy(with_sizes(context["body"], files))


def setup(app: Sphinx) -> dict:
    """Listen."""
    app.connect("html-page-context", lighten)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
