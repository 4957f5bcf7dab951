"""Pages that load no more than they show, and show it before what only answers a reader's hand.

No script of icons, no search index, styles that some page uses; pictures in time; scripts, and what
figures hold, once the text is there.
"""

import hashlib
import html
import json
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
# The theme asks for its scripts ahead of the styles and fonts that a reader waits for.
HURRIED = re.compile(r'\s*<link rel="preload" as="script"[^>]*>')
OPTIONS = re.compile(r'<script src="[^"]*documentation_options\.js[^"]*"></script>')
FIGURE = re.compile(r"<script>\n(\(\(\) => \{\n.*?\}\)\(\);\n)</script>", re.DOTALL)
HELD = re.compile(r'(<cifarlab-[\w-]+ [^>]*?)parameters="([^"]{2000,})"')
# Scripts that a page fetches once all that it needs to be read is there, and runs in this order.
AFTERWARDS = """<script>
addEventListener("load", () => setTimeout(() => {
  for (const src of %s) {
    document.body.append(Object.assign(document.createElement("script"), { async: false, src }));
  }
}));
</script>
"""
# A rule of a style sheet without rules within it, and a class that a selector names.
RULE = re.compile(r"([^{}]+)\{[^{}]*\}")
CLASS = re.compile(r"\.(-?[A-Za-z_][\w-]*)")
BUILT = re.compile(r"bs-")  # classes whose names Bootstrap puts together


def without_icon_script(text: str) -> str:
    """A part of a page's head, without the script that draws icons and without haste for others."""
    return HURRIED.sub("", ICONS.sub("", text))


def deferred(text: str, options: str) -> str:
    """A page's scripts, which now run in their order once the page is read, before it is "loaded".

    Scripts within the page do not wait, and read `options`, which Sphinx keeps in a file.
    """
    text = OPTIONS.sub(lambda _: f"<script>{options}</script>", text)
    return re.sub(r"<script(?=[^>]* src=)(?![^>]*\bdefer\b)", "<script defer", text)


def set_apart(body: str, folder: Path, address: str) -> str:
    """A page's text without the scripts of its figures and what they hold, which go to `folder`.

    They are fetched once the page is shown. A file is named after what it holds, so that pages
    share it; `address` leads there from the page.
    """
    held: list[str] = []
    scripts: list[str] = []

    def write(text: str) -> str:
        name = f"{hashlib.sha256(text.encode()).hexdigest()[:16]}.js"
        folder.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text, encoding="utf-8")
        return f"{address}/{name}"

    def hold(match: re.Match) -> str:
        mark = hashlib.sha256(match[2].encode()).hexdigest()[:16]
        text = json.dumps(html.unescape(match[2]), ensure_ascii=False)
        hosts = f"document.querySelectorAll(\"[data-held='{mark}']\")"
        held.append(
            write(f'for (const each of {hosts}) each.setAttribute("parameters", {text});\n')
        )
        return f'{match[1]}data-held="{mark}"'

    def script(match: re.Match) -> str:
        scripts.append(write(match[1]))
        return ""

    body = FIGURE.sub(script, HELD.sub(hold, body))
    if not scripts:
        return body
    # What figures hold comes first: one script brings all figures of its kind to life.
    return body + AFTERWARDS % json.dumps(list(dict.fromkeys(held + scripts)))


def pruned(style: str, words: set[str]) -> str:
    """A style sheet without the rules of classes that are not among `words`.

    A rule whose selector has brackets, which may say what is *not* there, stays.
    """

    def kept(match: re.Match) -> str:
        each = match[1].split(",")
        used = any(all(n in words or BUILT.match(n) for n in CLASS.findall(one)) for one in each)
        return match[0] if used or "(" in match[1] else ""

    return RULE.sub(kept, re.sub(r"/\*.*?\*/", "", style, flags=re.DOTALL))


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
    context["deferred"] = deferred
    if "body" in context:
        images = app.builder.images.items()
        files = {name: Path(app.srcdir, source) for source, name in images}
        body = lazy(with_sizes(context["body"], files))
        address = context["pathto"]("_static/figures", 1)
        context["body"] = set_apart(body, Path(app.outdir, "_static", "figures"), address)


def begin(app: Sphinx) -> None:
    """Let styles be copied anew, as this build may use what the last one did not."""
    for path in Path(app.outdir).glob("_static/**/*.css"):
        path.unlink()


def prune(app: Sphinx, exception: Exception | None) -> None:
    """Leave out of the theme's styles what no page of the book uses, nor any script."""
    if exception or app.builder.name != "html":
        return
    out = Path(app.outdir)
    words: set[str] = set()
    scripts = [each for each in out.glob("_static/**/*.js") if each.name != "fontawesome.js"]
    for path in (*out.rglob("*.html"), *scripts):
        words.update(re.findall(r"[\w-]+", path.read_text(encoding="utf-8")))
    for path in out.glob("_static/**/*.css"):
        path.write_text(pruned(path.read_text(encoding="utf-8"), words), encoding="utf-8")


def setup(app: Sphinx) -> dict:
    """Listen."""
    app.connect("builder-inited", begin, priority=0)  # before extensions bring theirs
    app.connect("html-page-context", lighten)
    app.connect("build-finished", prune)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
