"""Keep the lessons true: run them and store their outputs, or say what is wrong with one."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import nbformat
import yaml
from nbclient import NotebookClient
from nbformat import NotebookNode

from cifarlab._files import replacing
from cifarlab_course import ROOT

LESSONS = sorted((ROOT / "lessons").glob("*.ipynb"))
IGNORED = "nbval-ignore-output"  # as a tag; nbval knows it as a comment too, in capitals
WIDGET = "application/vnd.jupyter.widget-view+json"
LINE = 80  # characters of code that the page shows without scrolling
CHECK = "check"  # tag of a cell that only reassures: left out of the book, folded in a notebook
ANSWER = "answer"  # tag of the cells that answer the question before them; folded in the book
FOLDED = "hide-input"  # tag of set-up and imports
SILENT = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
IMAGES = ("image/png", "image/svg+xml", "image/jpeg")
CHART = '<div class="chart"'  # how a `plots.Chart` begins


def source_of_package() -> str:
    """Where a lesson's first cell installs `cifarlab` from: address and branch in _config.yml."""
    repository = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))["repository"]
    return f"git+{repository['url']}@{repository['branch']}"


def setup_cell() -> str:
    """The first code cell of every lesson."""
    return (
        "# In Colab, Runtime > Change runtime type offers a GPU; all runs without it too.\n"
        "try:\n"
        "    import cifarlab\n"
        "except ModuleNotFoundError:  # fetch the course's package\n"
        f"    %pip install --quiet {source_of_package()}"
    )


# ------------------------------------------------------------------------------------- store


def store(path: Path) -> None:
    """Run the lesson from the top and write it back with its outputs, normalised.

    Raises: nbclient's CellExecutionError if a cell fails; the file then stays as it was.
    """
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": path.parent}}
    ).execute()
    normalize(notebook)
    with replacing(path) as temporary:
        nbformat.write(notebook, temporary)


def normalize(notebook: NotebookNode) -> None:
    """Drop what differs from machine to machine and says nothing to a reader."""
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in notebook.cells:
        for transient in ("execution", "collapsed", "scrolled"):
            cell.metadata.pop(transient, None)
        if {CHECK, FOLDED} & set(cell.metadata.get("tags", [])):  # for JupyterLab, and for Colab
            cell.metadata |= {"jupyter": {"source_hidden": True}, "cellView": "form"}
        if cell.cell_type == "code":
            cell.outputs = merge_streams(cell.outputs)
            if is_ignored(cell):  # a live widget needs a kernel; stored, it would be dead
                cell.outputs = [o for o in cell.outputs if WIDGET not in o.get("data", {})]


def merge_streams(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Neighbouring prints as one output: where the kernel cuts them is chance."""
    merged: list[NotebookNode] = []
    for output in outputs:
        before = merged[-1] if merged else NotebookNode()
        if output.output_type == "stream" and before.get("name") == output.name:
            before.text += output.text
        else:
            merged.append(output)
    return merged


# -------------------------------------------------------------------------------------- link


def link(path: Path) -> None:
    """Give the lesson the shared first cell; it is not run, and its outputs stay."""
    notebook = nbformat.read(path, as_version=4)
    next(cell for cell in notebook.cells if cell.cell_type == "code").source = setup_cell()
    with replacing(path) as temporary:
        nbformat.write(notebook, temporary)


def link_texts() -> None:
    """Give README.md, pyproject.toml and a page the address and the branch of _config.yml."""
    source = source_of_package()
    address, _, branch = source.removeprefix("git+").rpartition("@")
    clone = {r"git clone https://\S+": f"git clone {address}"}
    for name, places in {
        "README.md": {r"git\+https://[^\s\"]+": source} | clone,
        "book/how-to-study.md": clone,
        "pyproject.toml": {
            r'(?m)^Source = ".*"': f'Source = "{address}"',
            r'(?m)^Changelog = ".*"': f'Changelog = "{address}/blob/{branch}/book/changelog.md"',
        },
    }.items():
        text = (ROOT / name).read_text(encoding="utf-8")
        for pattern, written in places.items():
            # As it is: `re.sub` would read a backslash.
            text = written.join(re.split(pattern, text))
        with replacing(ROOT / name) as temporary:
            temporary.write_text(text, encoding="utf-8")


# ------------------------------------------------------------------------------------- check


def faults(notebook: NotebookNode) -> Iterator[str]:
    """What a reader, a screen reader, Colab or nbval would stumble over."""
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    if not code or code[0].source != setup_cell():
        yield f"the first code cell is not:\n{setup_cell()}"

    seeded = False
    for cell in code:
        seeded = seeded or "torch.manual_seed(" in cell.source
        if not seeded and re.search(r"engine\.(fit|find_learning_rate)\(", cell.source):
            yield f"cell {cell.id!r} trains, and no torch.manual_seed stands before: chance decides"

    for number, cell in enumerate(code, start=1):
        yield from faults_of_code(cell, number)
    levels = [1]
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            yield from faults_of_markdown(cell, levels)


def faults_of_showing(notebook: NotebookNode) -> Iterator[str]:
    """Where a lesson tells and does not show, or answers too soon, or not at all."""
    followed = zip(notebook.cells, [*notebook.cells[1:], None], strict=True)
    for number, (cell, after) in enumerate(followed):
        where, tags = f"cell {cell.id!r}", cell.metadata.get("tags", [])
        if cell.cell_type == "markdown":
            question = cell.source.rpartition("**Predict:**")[2]
            answered = after and ANSWER in after.metadata.get("tags", [])
            if question != cell.source and ("\n\n" in question.strip() or not answered):
                yield f"{where}: the cell after its Predict must be tagged {ANSWER!r}"
            continue
        before = notebook.cells[number - 1] if number else None
        asked = before and (
            "**Predict:**" in before.source or ANSWER in before.metadata.get("tags", [])
        )
        if ANSWER in tags and not asked:
            yield f"{where}: it answers, and no Predict stands before it"
        if CHECK in tags:
            if not cell.source.startswith("# Check"):
                yield f"{where}: the first line of a check says so: # Check ..."
            continue
        if re.search(r"^\s*assert\b", cell.source, re.MULTILINE):
            yield f"{where}: an assert where the reader sees it; tag the cell {CHECK!r}"
        if cell.source == setup_cell() and FOLDED not in tags:
            yield f"{where}: set-up on the first screen; tag the cell {FOLDED!r}"
        if FOLDED not in tags and not cell.outputs and not only_defines(cell.source):
            yield f"{where}: it shows nothing"
        figure = cell.metadata.get("mystnb", {}).get("figure", {})
        if any(map(is_picture, cell.outputs)) and not figure.get("caption"):
            yield f"{where}: its figure needs a caption in metadata.mystnb.figure.caption"
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    promised = re.search(r"\*\*You will be able to\*\*\n\n((?:- .+\n)+)", text)
    kept = re.search(r"## Take away\n\n((?:- .+\n?)+)", text)
    if promised and (not kept or kept[1].count("\n- ") < promised[1].count("\n- ")):
        yield "the take-away answers fewer objectives than the lesson sets"
    glossary = (ROOT / "book" / "glossary.md").read_text(encoding="utf-8")
    known = {re.sub(r"[^\w]+", "-", line) for line in re.findall(r"^(\w.*)$", glossary, re.M)}
    for term in re.findall(r"glossary\.md#term-([\w-]+)", text):
        if term not in known:
            yield f"the glossary has no term {term!r}"


def is_picture(output: NotebookNode) -> bool:
    """Does the output need its words from the cell's metadata: an image, or a chart?"""
    kinds = output.get("data", {})
    return any(kind in kinds for kind in IMAGES) or CHART in kinds.get("text/html", "")


def only_defines(source: str) -> bool:
    """Does the cell only import and define?"""
    try:
        return all(isinstance(part, SILENT) for part in ast.parse(source).body)
    except SyntaxError:  # a line of IPython's
        return False


def is_ignored(cell: NotebookNode) -> bool:
    """Does nbval leave this cell's output alone?"""
    comment = IGNORED.upper().replace("-", "_")
    return IGNORED in cell.metadata.get("tags", []) or comment in cell.source


def faults_of_code(cell: NotebookNode, number: int) -> Iterator[str]:
    """Faults of one code cell; `number` is its place among them, from 1."""
    where = f"cell {cell.id!r}"
    if cell.execution_count != number:
        yield f"{where}: execution count {cell.execution_count}, not {number}; run `make lessons`"
    for line in cell.source.splitlines():
        if len(line) > LINE and source_of_package() not in line:  # an address can't be broken
            yield f"{where}: a line of {len(line)} characters; a page shows {LINE}"
    for output in cell.outputs:
        kinds = output.get("data", {})
        if is_picture(output):
            alt = cell.metadata.get("mystnb", {}).get("image", {}).get("alt", "")
            if len(alt) < 40:
                yield f"{where}: its figure needs alt text in metadata.mystnb.image.alt"
        if WIDGET in kinds:
            yield f"{where}: a stored widget, dead in the book"
        if output.output_type == "error" or output.get("name") == "stderr":
            yield f"{where}: an error or a warning in its output"
        text = output.get("text", "") + str(kinds.get("text/plain", ""))
        if found := re.search(r"/(home|root|tmp|work|Users|content)/\S*", text):
            yield f"{where}: a path of one machine in its output: {found.group()}"
        if found := re.search(r"\bat 0x[0-9a-f]+", text):
            yield f"{where}: an address in memory in its output: {found.group()}"


def faults_of_markdown(cell: NotebookNode, levels: list[int]) -> Iterator[str]:
    """Faults of one text cell; `levels` are those of the headings so far."""
    where = f"cell {cell.id!r}"
    if re.search(r"^(:::|```)\{|\{[a-z:-]+\}`", cell.source, re.MULTILINE):
        yield f"{where}: a MyST directive or role, which Jupyter and Colab show raw"
    for heading in re.findall(r"^(#+) ", cell.source, re.MULTILINE):
        if len(heading) > levels[-1] + 1:
            yield f"{where}: heading level {len(heading)} follows level {levels[-1]}"
        levels.append(len(heading))
