"""Read a notebook in a process of its own, so that no file can hold up or fill up who grades.

Started as a script by `submission.py`; it imports none of its neighbours. The bytes of a notebook
come in, and out goes what is in it:

    reader.py cells      {"cells": [[is it code, source, our metadata], ...], "lines": [...]}
    reader.py show 3 5   [cell 3, cell 5], as HTML without scripts and without pictures from outside

Where that cannot be had, the exit status is `REFUSED`, and out goes the reason.
"""

import base64
import contextlib
import gc
import html
import json
import os
import re
import resource
import sys
import urllib.parse
from typing import Any

REFUSED = 3
LARGEST = 20 * 2**20  # bytes of a notebook
SHOWN = 2 * LARGEST  # bytes of what is shown of it
MOST = 10_000  # cells
SECONDS = 30  # of a processor
MEMORY = 2**30  # bytes; JSON takes up to forty times the memory of its file
TEXT = 10_000  # characters of what a cell printed
PICTURES = ("image/png", "image/jpeg", "image/gif", "image/webp", "image/svg+xml")
OURS = ("answer", "check", "open", "question")  # in metadata: what a cell was handed out as

# Which exercises and open questions, and a code that only the secret gives.
LINE = re.compile(r"# assignment: (?P<items>[a-z0-9: -]+) (?P<code>[0-9a-f]{16}) \(keep this line")
# The line by which an open answer is known, as it was handed out: it is none of the answer.
KNOWN_BY = re.compile(r"^`open: [a-z0-9-]+ \(\d+ points?; keep this line\)`[ \t]*$", re.MULTILINE)
EMBEDDED = re.compile(r"data:(image/[a-z+]{3,7});base64,([A-Za-z0-9+/=]+)")


class Unreadable(Exception):
    """There is no notebook that can be read: why."""


def limit() -> None:
    """Bound what this process may take, where the system lets us."""
    for what, most in ((resource.RLIMIT_CPU, SECONDS), (resource.RLIMIT_AS, MEMORY)):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(what, (most, most))


def decoded(data: bytes) -> str:
    """The text of a file, in whichever form of Unicode it is; what is in none becomes a sign."""
    return data.decode(json.detect_encoding(data), "replace")


def listed(holder: object, name: str) -> list:
    """The list of that name, empty where there is none."""
    value = holder.get(name) if isinstance(holder, dict) else None
    return value if isinstance(value, list) else []


def cells_of(text: str) -> list[dict]:
    """The cells of a notebook of any version, whole or not, as they stand in its file.

    Raises: Unreadable.
    """
    try:
        notebook = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise Unreadable("it is no notebook: its JSON is damaged") from error
    except MemoryError as error:
        raise Unreadable(f"reading it takes more than {MEMORY / 2**30:g} GiB") from error
    sheets = [notebook, *listed(notebook, "worksheets")]  # as in versions before 4
    cells = [cell for sheet in sheets for cell in listed(sheet, "cells") if isinstance(cell, dict)]
    if not cells:
        raise Unreadable("it is JSON, but has no cells")
    if len(cells) > MOST:
        raise Unreadable(f"it has {len(cells):,} cells; {MOST:,} are allowed")
    return cells


def joined(text: object) -> str:
    """A text of a notebook, which may be in lines; empty where it is none."""
    if isinstance(text, list):
        text = "".join(line for line in text if isinstance(line, str))
    return text.encode(errors="replace").decode() if isinstance(text, str) else ""


def source_of(cell: dict) -> str:
    """What stands in a cell."""
    text = joined(cell.get("source", cell.get("input", "")))
    return text.replace("\r\n", "\n").replace("\r", "\n")


def ours(cell: dict) -> dict[str, str]:
    """What we wrote into a cell's metadata."""
    metadata = cell.get("metadata")
    labels = metadata.get("cifarlab") if isinstance(metadata, dict) else None
    labels = labels if isinstance(labels, dict) else {}
    return {name: labels[name][:100] for name in OURS if isinstance(labels.get(name), str)}


def read(text: str) -> str:
    """The cells, and the first ten lines that name an assignment.

    Raises: Unreadable.
    """
    cells = [
        (cell.get("cell_type") == "code", source_of(cell), ours(cell)) for cell in cells_of(text)
    ]
    lines = dict.fromkeys(line[0] for line in LINE.finditer(text))
    return json.dumps({"cells": cells, "lines": list(lines)[:10]}, ensure_ascii=False)


# ---------------------------------------------------------------------------- as a person sees it


def show(text: str, numbers: list[int]) -> str:
    """These cells, each as HTML.

    Raises: Unreadable.
    """
    cells = cells_of(text)
    fragments = ["\n".join(shown(cells[number])) for number in numbers]
    if sum(map(len, fragments)) > SHOWN:
        raise Unreadable(f"it is more than {SHOWN // 2**20} MB of text and pictures")
    return json.dumps(fragments, ensure_ascii=False)


def shown(cell: dict) -> list[str]:
    """A cell as HTML, in parts: Markdown as it was meant, code with what it printed and drew."""
    source = source_of(cell)
    if cell.get("cell_type") == "markdown":
        return markdown(KNOWN_BY.sub("", source), attached(cell))
    outputs = listed(cell, "outputs")[:100]
    return [verbatim(source), *(part for output in outputs for part in result(output))]


def verbatim(text: str) -> str:
    """Text as it stands."""
    return f"<pre>{html.escape(text)}</pre>"


def address(kind: str, data: object) -> str:
    """A picture that a notebook holds, as an address that holds it too; empty if it is none."""
    text = joined(data)
    if kind == "image/svg+xml":
        text = base64.b64encode(text.encode()).decode()
    text = re.sub(r"\s", "", text)
    valid = kind in PICTURES and re.fullmatch(r"[A-Za-z0-9+/=]+", text)
    return f"data:{kind};base64,{text}" if valid else ""


def picture(source: str, words: str) -> str:
    """A picture as HTML."""
    return f'<img alt="{html.escape(words)}" src="{source}">'


def pictures_in(kinds: object) -> dict[str, str]:
    """The addresses of the pictures in one of Jupyter's bundles, by kind."""
    items = kinds.items() if isinstance(kinds, dict) else ()
    return {kind: address(kind, data) for kind, data in items if address(kind, data)}


def attached(cell: dict) -> dict[str, str]:
    """The pictures that hang on a text cell, by the address that its text calls them by."""
    bundles = cell.get("attachments")
    bundles = bundles if isinstance(bundles, dict) else {}
    pictures = {name: list(pictures_in(kinds).values()) for name, kinds in bundles.items()}
    return {f"attachment:{name}": kinds[0] for name, kinds in pictures.items() if kinds}


def result(output: object) -> list[str]:
    """What a code cell gave: its first picture, or its text."""
    if not isinstance(output, dict):
        return []
    data = output.get("data")
    data = data if isinstance(data, dict) else {}
    for source in pictures_in(data).values():
        return [picture(source, "A picture that this cell drew")]
    error = [joined(output.get(name)) for name in ("ename", "evalue")]
    text = joined(output.get("text", data.get("text/plain"))) or ": ".join(filter(None, error))
    return [verbatim(f"{text[:TEXT]}{' …' * (len(text) > TEXT)}")] if text.strip() else []


def markdown(source: str, pictures: dict[str, str]) -> list[str]:
    """Markdown as HTML, in which no tag of the author's own stands and no picture from outside.

    Formulas stay as they were typed. `pictures` are known by their addresses.
    """
    from markdown_it import MarkdownIt
    from mdit_py_plugins.dollarmath import dollarmath_plugin

    pictures, used = dict(pictures), set()

    def take(match: re.Match) -> str:
        # By a short name: to parse an address of megabytes takes minutes.
        name = f"attachment:embedded-{len(pictures)}"
        pictures[name] = address(match[1], match[2])
        return name

    def image(tokens, index, options, env) -> str:
        name = urllib.parse.unquote(str(tokens[index].attrs["src"]))
        if not pictures.get(name):
            return html.escape(f"[picture {tokens[index].content}: {name}]")
        used.add(name)
        return picture(pictures[name], tokens[index].content)

    def formula(text: str, options: dict) -> str:
        sign = "$" * (1 + options["display_mode"])
        return html.escape(f"{sign}{text}{sign}")

    source = EMBEDDED.sub(take, source)
    parser = MarkdownIt("commonmark", {"html": False}).enable(["table", "strikethrough"])
    plain = {"allow_labels": False, "allow_space": False, "allow_digits": False}
    parser.use(dollarmath_plugin, renderer=formula, **plain)
    renderer: Any = parser.renderer
    rules = renderer.rules
    rules["image"] = image
    # The page's own headings say where an answer begins and ends.
    rules["heading_open"] = lambda *unused: "<p><strong>"
    rules["heading_close"] = lambda *unused: "</strong></p>\n"
    parts = [parser.render(source)]
    left = [url for name, url in pictures.items() if url and name not in used]
    return parts + [picture(url, "A picture of this answer") for url in left]


def main() -> None:
    """Do what the command line asks."""
    limit()
    gc.disable()  # this process ends before there is anything to collect
    task, *numbers = sys.argv[1:]
    try:
        text = decoded(sys.stdin.buffer.read())
        output = read(text) if task == "cells" else show(text, list(map(int, numbers)))
        status = 0
    except (Unreadable, MemoryError, RecursionError) as error:
        output = str(error) or f"reading it takes more than {MEMORY / 2**30:g} GiB"
        status = REFUSED
    sys.stdout.buffer.write(output.encode(errors="replace"))
    sys.stdout.flush()
    os._exit(status)  # to take millions of objects apart takes longer than to read them


if __name__ == "__main__":
    main()
