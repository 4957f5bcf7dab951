"""What a link to a page shows elsewhere: title, description and one picture, in its head.

And the two pages that no author writes: the one at the site's address, and the one in the place of
a page that is not there.
"""

import html
import io
import re
from contextlib import redirect_stdout
from pathlib import Path
from urllib.parse import urlsplit

from docutils import nodes
from PIL import Image, ImageDraw, ImageFont
from sphinx.application import Sphinx
from sphinx.config import Config

CARD = "_static/card.png"
SIZE = (1200, 630)  # pixels, as social networks ask for
PETROL, AMBER, WHITE = "#1c5a6e", "#f0b35a", "#ffffff"


def card() -> Image.Image:
    """The logo's dilated kernel, large, with the book's name beside it."""
    picture = Image.new("RGB", SIZE, PETROL)
    draw = ImageDraw.Draw(picture)
    for row in range(3):
        for column in range(3):
            left, top = 90 + 150 * column, 125 + 150 * row
            colour = WHITE if row == column == 1 else AMBER
            draw.rounded_rectangle((left, top, left + 80, top + 80), radius=14, fill=colour)
    draw.text((570, 190), "CIFAR Lab", WHITE, ImageFont.load_default(size=104))
    line = "Advanced convolutions and\ndata augmentations,\nlearned on CIFAR-10"
    draw.multiline_text((574, 325), line, WHITE, ImageFont.load_default(size=42), spacing=14)
    return picture


def settings(app: Sphinx, config: Config) -> None:
    """Let the picture's address follow from the repository's: a page knows no other."""
    owner, name = config.html_theme_options["repository_url"].rstrip("/").split("/")[-2:]
    config.ogp_site_url = config.ogp_site_url or f"https://{owner}.github.io/{name}/"
    config.html_baseurl = config.html_baseurl or config.ogp_site_url
    config.ogp_site_name = config.html_title
    config.ogp_image = CARD
    config.ogp_image_alt = "Nine squares with gaps between them, a dilated kernel: CIFAR Lab"
    config.ogp_custom_meta_tags = [
        '<meta name="twitter:card" content="summary_large_image" />',
        f'<meta property="og:image:width" content="{SIZE[0]}" />',
        f'<meta property="og:image:height" content="{SIZE[1]}" />',
    ]


def describe(
    app: Sphinx, page: str, template: str, context: dict, doctree: nodes.document | None
) -> None:
    """Describe a page as its author did, and a lesson by the question that it begins with."""
    if doctree is None:
        return
    written = re.search(r'<meta content="([^"]*)" name="description"', context["metatags"])
    words = html.unescape(written[1]) if written else first_paragraph(doctree)
    if not written:
        context["metatags"] += f'<meta name="description" content="{html.escape(words)}" />\n'
    context["meta"] = {**(context["meta"] or {}), "og:description": words}


def first_paragraph(doctree: nodes.document) -> str:
    """The words that a page begins with."""
    return next((each.astext() for each in doctree.findall(nodes.paragraph)), "")


def write(app: Sphinx, error: Exception | None) -> None:
    """Put the picture beside the pages."""
    if error is None and app.builder.format == "html":
        path = Path(app.outdir) / CARD
        path.parent.mkdir(exist_ok=True)
        card().save(path, optimize=True)
        for name, text in (("index", front), ("404", missing)):
            Path(app.outdir, f"{name}.html").write_text(text(app) + "\n", encoding="utf-8")


HEAD = """<!doctype html>
<html lang="en-GB">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta name="color-scheme" content="light dark">
"""


def front(app: Sphinx) -> str:
    """The page at the site's address: the first page's title, words and card, and the way there."""
    first = f"{app.config.root_doc}.html"
    head = Path(app.outdir, first).read_text(encoding="utf-8").partition("</head>")[0]
    told = re.findall(r'<meta [^>]*(?:property="og:|name="(?:twitter:|description"))[^>]*>', head)
    return (
        f"{HEAD}<title>{html.escape(app.config.html_title)}</title>\n"
        + "\n".join(told)
        + f'\n<link rel="canonical" href="{app.config.ogp_site_url}{first}">\n'
        f'<meta http-equiv="refresh" content="0; url={first}">\n'
        f'<p><a href="{first}">{html.escape(app.config.html_title)}</a></p>'
    )


def missing(app: Sphinx) -> str:
    """What stands in the place of a page that is not there, wherever that was looked for."""
    site = urlsplit(app.config.ogp_site_url).path
    title = html.escape(app.config.html_title)
    return (
        f"{HEAD}<title>Not found — {title}</title>\n"
        "<style>body { font: 1.1rem/1.6 system-ui, sans-serif; margin: 3rem auto; "
        "max-width: 34rem; padding: 0 1rem; }</style>\n"
        "<main>\n<h1>There is no such page</h1>\n"
        f'<p>It may have moved. <a href="{site}{app.config.root_doc}.html">{title}: the first '
        f'page</a> leads to all others, and <a href="{site}search.html">the search</a> looks '
        "through them.</p>\n</main>"
    )


def setup(app: Sphinx) -> dict:
    """Add sphinxext-opengraph, and what it cannot know."""
    with redirect_stdout(io.StringIO()):  # it says that it draws no pictures without matplotlib
        app.setup_extension("sphinxext.opengraph")
    app.connect("config-inited", settings)
    app.connect("html-page-context", describe, priority=400)
    # Before the table of contents writes a front page of its own, where there is none.
    app.connect("build-finished", write, priority=400)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
