"""Keep the results in prose equal to the records they come from.

In lessons, in the book's pages and in README.md a result stands between two comments, which no
reader sees: the record's name, the path of the number in its JSON, and how Python formats it.

    It reached <!-- baseline-seed0 history.-1.train.accuracy .2f -->80.12<!-- end --> %.
"""

import json
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat

from cifarlab import records, schema
from cifarlab._files import replacing
from cifarlab_course import ROOT

PAGES = [ROOT / "README.md", *sorted((ROOT / "book").rglob("*.md"))]
RESULT = re.compile(r"<!-- (\S+) (\S+) (\S+) -->(.*?)<!-- end -->", re.DOTALL)
PLAIN = re.compile(r"\d+\.\d+ ?(?:%|per cent|percentage points?|points?)")
CITED = re.compile(r"references\.md#|\[\^|arXiv|https?://")


def number(record: str, path: str, form: str) -> str:
    """The number at `path` ("history.-1.train.accuracy") of a shipped record or benchmark.

    Raises: ValueError if there is no such record or number, or it has no such format.
    """
    file = records.SHIPPED / f"{record}.json"
    if not file.is_file():
        names = ", ".join(records.names())
        raise ValueError(f"no record is called {record!r}; there are: {names}.")
    whole = file.parent == records.SHIPPED  # a benchmark, as "benchmarks/rank", is plain JSON
    value = schema.read(file) if whole else json.loads(file.read_text(encoding="utf-8"))
    try:
        for step in path.split("."):
            if isinstance(value, list):
                value = value[int(step)]
            else:
                value = value[step] if isinstance(value, dict) else getattr(value, step)
        return format(value, form)
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        raise ValueError(f"{record} has no number {path!r} of the form {form!r}.") from error


def renewed(text: str) -> str:
    """`text` with every marked result as the records have it now."""
    return RESULT.sub(
        lambda match: (
            f"<!-- {' '.join(match.groups()[:3])} -->{number(*match.groups()[:3])}<!-- end -->"
        ),
        text,
    )


def faults(text: str) -> Iterator[str]:
    """Marked results that differ from their record, and measured shares with no source."""
    for match in RESULT.finditer(text):
        try:
            expected = number(*match.groups()[:3])
        except ValueError as error:
            yield str(error)
            continue
        if match[4] != expected:
            yield f"{match[4]!r} stands where {match[1]} says {expected}; run `make lessons`"
    for paragraph in RESULT.sub("", text).split("\n\n"):
        if (plain := PLAIN.search(paragraph)) and not CITED.search(paragraph):
            yield f"{plain[0]!r} has no source: mark it as a result of a record, or cite it"


def markdown(path: Path) -> Iterator[tuple[str, str]]:
    """The place and the text of each piece of prose in a page or a lesson."""
    if path.suffix == ".ipynb":
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type == "markdown":
                yield f"{path.name}, cell {cell.id!r}", cell.source
    else:
        yield path.name, path.read_text(encoding="utf-8")


def write(path: Path) -> None:
    """Renew the results in a page or a lesson."""
    if path.suffix == ".ipynb":
        notebook = nbformat.read(path, as_version=4)
        for cell in notebook.cells:
            if cell.cell_type == "markdown":
                cell.source = renewed(cell.source)
        text = nbformat.writes(notebook) + "\n"
    else:
        text = renewed(path.read_text(encoding="utf-8"))
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")
