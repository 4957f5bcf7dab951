"""What the book says of the repository, read at build time: runs, reports, licences, modules."""

import ast
import json
import re
import tomllib
from pathlib import Path
from typing import Any

from docutils import nodes
from docutils.statemachine import StringList
from sphinx.application import Sphinx
from sphinx.config import Config
from sphinx.errors import ExtensionError
from sphinx.util.docutils import SphinxDirective

from cifarlab import schema
from cifarlab.figures import _recorded as recorded


class Markdown(SphinxDirective):
    """A directive that stands for Markdown made from files."""

    def run(self) -> list[nodes.Node]:
        """Parse what `lines` gives as if it stood in the page."""
        container = nodes.Element()
        source = StringList(self.lines(Path(self.env.srcdir)), source=self.get_location())
        self.state.nested_parse(source, self.content_offset, container, match_titles=True)
        for table in container.findall(nodes.table):
            table["classes"].append("records")
        return container.children

    def noted(self, paths: list[Path]) -> list[Path]:
        """`paths`; the page is built anew when one of the files changes."""
        for path in paths:
            self.env.note_dependency(str(path))
        return paths

    def read(self, paths: list[Path]) -> list[str]:
        """The files' texts."""
        return [path.read_text(encoding="utf-8") for path in self.noted(paths)]


class Records(Markdown):
    """`{records}`: a table of the run records that ship with the package."""

    def lines(self, root: Path) -> list[str]:
        """One row a run."""
        paths = sorted(root.glob("cifarlab/records/shipped/*.json"))
        if not paths:
            return ["*No run has been recorded yet.*"]
        head = "Recipe | Seed | Epochs | Test accuracy | Parameters | Training | Commit | Processor"
        return [
            f"| {head} |",
            "| --- | --: | --: | --: | --: | --: | --- | --- |",
            *map(self.row, map(schema.read, self.noted(paths))),
        ]

    def row(self, record: schema.Record) -> str:
        """One run, as its record tells it."""
        accuracy, minutes = record.test_accuracy, record.seconds["training"] / 60
        commits = dict.fromkeys(session.commit for session in record.sessions)
        cells = [
            f"`{record.recipe.name}`",
            record.seed,
            f"{len(record.history)} of {record.recipe.epochs}",
            "unfinished" if accuracy is None else f"{accuracy:.2f} %",
            f"{record.parameters:,}",
            f"{minutes:.0f} min",
            "; then ".join(map(commit_link, commits)),
            recorded.in_turn(session.processor for session in record.sessions),
        ]
        return table_row(cells)


class Experiments(Markdown):
    """`{experiments}`: each experiment's question, and a table of its arms."""

    def lines(self, root: Path) -> list[str]:
        """One row an arm."""
        lines = []
        for text in self.read(sorted(root.glob("cifarlab/records/shipped/experiments/*.json"))):
            found = json.loads(text)
            lines += [
                f"**{found['question']}**",
                "",
                f"| Arm | Parameters | Runs | Mean {found.get('scored_on', 'test')} accuracy "
                "| Its 95 % interval | Commit |",
                "| --- | --: | --: | --: | --: | --- |",
                *map(self.row, found["arms"]),
                "",
            ]
        return lines

    def row(self, arm: dict) -> str:
        """One arm, as its runs tell it."""
        between = "{:.2f} to {:.2f}\N{NO-BREAK SPACE}%"
        interval = between.format(*arm["interval"]) if arm["interval"] else "one run"
        commits = sorted({run["commit"] for run in arm["runs"]})
        cells = [
            arm["name"],
            f"{arm['parameters']:,}",
            len(arm["runs"]),
            f"{arm['mean']:.2f} %",
            interval,
            ", ".join(commit_link(commit) for commit in commits),
        ]
        return table_row(cells)


def table_row(cells: list) -> str:
    """One row of a Markdown table."""
    return "| " + " | ".join(str(cell).replace("|", "/") for cell in cells) + " |"


def commit_link(commit: str) -> str:
    """A link to the commit of a run, which ends in "-dirty" where files differed from it."""
    number, _, changed = commit.partition("-")
    if number == "unknown":
        return number
    link = f"{{repository}}`{number[:7]} <commit/{number}>`"
    return link + " (changed)" * bool(changed)


class Reports(Markdown):
    """`{reports}`: the dated reports in `validation/`, newest first, each under its own title."""

    def lines(self, root: Path) -> list[str]:
        """Their Markdown, with headings two levels deeper than in the files."""
        paths = sorted(root.glob("validation/[0-9]*.md"), reverse=True)
        if not paths:
            return ["*No report has been written yet.*"]
        self.read(paths)
        lines = []
        for path in paths:
            lines += [f":::{{include}} ../validation/{path.name}", ":heading-offset: 2", ":::", ""]
        return lines


class Licences(Markdown):
    """`{licences}`: the packages of the last check, with their versions and licences, folded up."""

    def lines(self, root: Path) -> list[str]:
        """One row a line of constraints/ci.txt."""
        (text,) = self.read([root / "constraints" / "ci.txt"])
        rows = re.findall(r"^([^#\s]+)==(\S+) +# (.+)$", text, re.MULTILINE)
        return [
            f":::{{dropdown}} {len(rows)} packages, with their versions and licences",
            "| Package | Version | Licence |",
            "| --- | --- | --- |",
            *(f"| {' | '.join(row)} |" for row in rows),
            ":::",
        ]


class Modules(Markdown):
    """`{modules}`: the public modules in the order of the flow, which pyproject.toml lists."""

    def lines(self, root: Path) -> list[str]:
        """A heading for each, and what sphinx-autoapi reads from its source."""
        (text,) = self.read([root / "pyproject.toml"])
        flow, *_ = tomllib.loads(text)["tool"]["importlinter"]["contracts"]
        lines = []
        for name in re.findall(r"\b[a-z]\w*", " ".join(reversed(flow["layers"]))):
            within = root.glob(f"cifarlab/{name}/[!_]*.py")
            for module in (name, *sorted(f"{name}.{path.stem}" for path in within)):
                directive = [f".. autoapimodule:: cifarlab.{module}", "   :members:"]
                lines += [f"## cifarlab.{module}", "```{eval-rst}", *directive, "```", ""]
        return lines


def addresses(app: Sphinx, config: Config) -> None:
    """{repository}`words <path>` and {colab}`words <notebook>`, by the one address in _config.yml.

    Raises: ExtensionError if the address is not on GitHub, where Colab could open a notebook.
    """
    url = config.html_theme_options["repository_url"].rstrip("/")
    branch = config.html_theme_options["repository_branch"]
    host = "https://github.com/"
    if not url.startswith(host):
        raise ExtensionError(f"repository url {url!r} in _config.yml; it must start with {host}")
    colab = f"https://colab.research.google.com/github/{url.removeprefix(host)}/blob/{branch}"
    config.extlinks = {"repository": (f"{url}/%s", None), "colab": (f"{colab}/%s", None)}


def documented(app: Sphinx) -> dict[str, Any]:
    """What sphinx-autoapi found in the packages, by name."""
    return app.env.autoapi_all_objects  # type: ignore[attr-defined]  # which adds it to Sphinx's


def paragraphs(app: Sphinx) -> None:
    """Give "Raises:", "Source:" and "Lesson:" in docstrings a paragraph of their own, and a link.

    Raises: ExtensionError if a docstring names a lesson that there is not.
    """
    named = {}
    for path in Path(app.srcdir).glob("lessons/*.ipynb"):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        named["".join(cells[0]["source"]).partition("\n")[0].removeprefix("# ")] = path.stem

    def link(found: re.Match) -> str:
        if found[1] not in named:
            raise ExtensionError(f"a docstring names the lesson {found[1]!r}; there is none.")
        return f"Lesson: :doc:`/lessons/{named[found[1]]}`."

    for item in documented(app).values():
        spaced = re.sub(r"\n( *(?:Raises|Source|Lesson):)", r"\n\n\1", item.docstring)
        item.docstring = re.sub(r"Lesson: ([^.\n]+)\.", link, spaced)


def signature(
    app: Sphinx, kind: str, name: str, item, options, arguments: str | None, returns: str | None
) -> tuple[str, str | None] | None:
    """Write a computed default as `...`; Sphinx could not read every one."""
    if not arguments:
        return None
    function = ast.parse(f"def f{arguments}: ...").body[0]
    assert isinstance(function, ast.FunctionDef)
    parameters = function.args
    every: list[list[Any]] = [parameters.defaults, parameters.kw_defaults]
    for defaults in every:
        defaults[:] = [ast.Constant(...) if isinstance(d, ast.Call) else d for d in defaults]
    return f"({ast.unparse(parameters)})", returns


def imported(app: Sphinx, kind: str, name: str, item, skip: bool, options) -> bool | None:
    """Leave out what a module only imports, unless it offers it as its own in `__all__`."""
    if not getattr(item, "imported", False):
        return None
    module = documented(app).get(item.id.rpartition(".")[0])
    return item.name not in ((module and module.all) or ())


def anchors(app: Sphinx, doctree: nodes.document) -> None:
    """Let Markdown link to every anchor of a page: `glossary.md#term-stride` as to a heading."""
    slugs = app.env.metadata[app.env.docname].setdefault("myst_slugs", {})
    for name in doctree.ids:
        slugs.setdefault(name, (0, name, name))


def setup(app: Sphinx) -> dict:
    """Add the directives and the links."""
    app.add_directive("experiments", Experiments)
    app.add_directive("licences", Licences)
    app.add_directive("modules", Modules)
    app.add_directive("records", Records)
    app.add_directive("reports", Reports)
    app.connect("config-inited", addresses, priority=400)
    app.connect("builder-inited", paragraphs, priority=900)
    app.connect("autodoc-process-signature", signature)
    app.connect("autodoc-skip-member", imported)
    app.connect("doctree-read", anchors, priority=900)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
