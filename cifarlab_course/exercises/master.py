"""Read a master: the one MyST text from which all else about an exercise is made.

A code cell's first line says what the cell is; "Write an exercise" in CONTRIBUTING.md shows all.
"""

import ast
import itertools
import re
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import jupytext

from cifarlab_course import ROOT

FOLDER = ROOT / "lessons" / "exercises"
MASTERS = sorted(FOLDER.glob("*.md"))
TEMPLATE = Path(__file__).with_name("template.md")
LEVELS = {1: "a first step", 2: "some thought", 3: "a challenge"}

ANSWER = re.compile(r"# exercise: (?P<name>[a-z0-9-]+) \(keep this line\)\Z")
CHECK = re.compile(r"# check: (?P<name>[a-z0-9-]+) \((?P<points>\d+) points?; keep this line\)\Z")
WRONG = re.compile(r"# wrong: (?P<message>.+)\Z")
SOLUTION = re.compile(r"^( *)### BEGIN SOLUTION\n(.*?)^ *### END SOLUTION$", re.M | re.S)
HIDDEN = re.compile(r"\n### BEGIN HIDDEN TESTS\n(.*?)\n### END HIDDEN TESTS$", re.M | re.S)
VERDICT = "\n### VERDICT\n"
VARIED = re.compile(r"\{\{ ([\w.]+) \}\}")
YOUR_TURN = 'raise NotImplementedError("Your turn: replace this line.")'


class Cell(NamedTuple):
    """One cell of a master: its kind, and its text with all choices filled in."""

    kind: str  # text, given, answer, check or wrong
    source: str


class Check(NamedTuple):
    """Points for one part of the answer: what the learner sees of it, and what not."""

    name: str
    points: int
    visible: str  # asserts that name the mistake
    hidden: str  # the value of each expression in it is compared with the reference's
    verdict: str = ""  # computes from these `values` what is compared instead, if anything

    @property
    def asked(self) -> list[str]:
        """The notes on what is compared, one for each value."""
        return [note for kind, _, note in steps(self.verdict or self.hidden) if kind == "ask"]


class Wrong(NamedTuple):
    """A plausible mistake: the answer cell that makes it, and words of the message it must get."""

    message: str
    source: str


@dataclass(frozen=True)
class Exercise:
    """A master with its choices made."""

    name: str
    lesson: str  # file name of the lesson that it belongs to
    minutes: int
    level: int  # of LEVELS
    cells: tuple[Cell, ...]
    seed: str = "published"  # of the random numbers that its hidden tests draw

    @property
    def title(self) -> str:
        """Its heading."""
        return self.cells[0].source.partition("\n")[0].removeprefix("# ")

    def sources(self, kind: str) -> list[str]:
        """The texts of all cells of one kind."""
        return [cell.source for cell in self.cells if cell.kind == kind]

    @property
    def packages(self) -> list[str]:
        """What its cells import and Python does not bring, as they name it."""
        text = "\n".join(
            part for kind in ("given", "answer", "check") for part in self.sources(kind)
        )
        imported = {*re.findall(r"^ *(?:import|from) +(\w+)", text, re.MULTILINE)}
        return sorted(imported - sys.stdlib_module_names)

    @property
    def reference(self) -> str:
        """The answer cell with its solution."""
        return SOLUTION.sub(lambda match: match[2].rstrip("\n"), self.sources("answer")[0])

    @property
    def stub(self) -> str:
        """The answer cell as a learner gets it."""
        return SOLUTION.sub(lambda match: match[1] + YOUR_TURN, self.sources("answer")[0])

    @property
    def checks(self) -> list[Check]:
        """Its checks, in order."""
        checks = []
        for source in self.sources("check"):
            marker = surely(CHECK.match(first_line(source)))
            hidden, _, verdict = surely(HIDDEN.search(source))[1].partition(VERDICT)
            visible = HIDDEN.sub("", source)
            checks.append(Check(marker["name"], int(marker["points"]), visible, hidden, verdict))
        return checks

    @property
    def wrong(self) -> list[Wrong]:
        """The plausible mistakes."""
        mistakes = []
        for source in self.sources("wrong"):
            line, _, rest = source.partition("\n")
            mistakes.append(Wrong(surely(WRONG.match(line))["message"], rest))
        return mistakes

    @property
    def points(self) -> int:
        """Points for all checks together."""
        return sum(check.points for check in self.checks)


def named(name: str) -> Path:
    """The master of the exercise of that name.

    Raises: ValueError if there is none.
    """
    if (path := FOLDER / f"{name}.md") not in MASTERS:
        names = ", ".join(path.stem for path in MASTERS)
        raise ValueError(f"no exercise is called {name!r}; there are: {names}.")
    return path


def surely(match: re.Match[str] | None) -> re.Match[str]:
    """`match`, of a text that was chosen for having one."""
    assert match
    return match


def first_line(source: str) -> str:
    """The line that may say what a cell is."""
    return source.partition("\n")[0].rstrip()


def kind_of(source: str) -> str:
    """What a code cell is, by its first line."""
    for kind, marker in (("answer", ANSWER), ("check", CHECK), ("wrong", WRONG)):
        if marker.match(first_line(source)):
            return kind
    return "given"


def read(path: Path, choices: Mapping[str, int] | None = None) -> Exercise:
    """The exercise in `path`; `choices` says which option of each variation, the first if unsaid.

    Raises: ValueError that names the file and all that is wrong with it.
    """
    notebook = jupytext.reads(path.read_text(encoding="utf-8"), fmt="myst")
    header = notebook.metadata.get("exercise", {})
    wanting = [key for key in ("lesson", "minutes", "level") if key not in header]
    if wanting:
        raise ValueError(f"{path.name}: its header lacks exercise: {', '.join(wanting)}.")
    options = {
        name: values[(choices or {}).get(name, 0)]
        for name, values in header.get("vary", {}).items()
    }

    def fill(match: re.Match) -> str:
        value = options
        for key in match[1].split("."):
            if not isinstance(value, Mapping) or key not in value:
                raise ValueError(f"{path.name}: {match[0]} is not under exercise: vary.")
            value = value[key]
        return str(value)

    cells = tuple(
        Cell(
            kind_of(cell.source) if cell.cell_type == "code" else "text",
            VARIED.sub(fill, cell.source),
        )
        for cell in notebook.cells
    )
    exercise = Exercise(path.stem, header["lesson"], header["minutes"], header["level"], cells)
    if reasons := list(faults(exercise)):
        raise ValueError(f"{path.name}: {'; '.join(reasons)}.")
    return exercise


def faults(exercise: Exercise) -> Iterator[str]:
    """What would keep an exercise from being shown, checked or graded."""
    if not exercise.cells or not exercise.cells[0].source.startswith("# "):
        yield "it must begin with a title, '# ...'"
    if not re.fullmatch(r"\d\d-[a-z0-9-]+", str(exercise.lesson)):
        yield f"lesson {exercise.lesson!r} is no lesson's file name, such as 03-receptive-fields"
    if exercise.level not in LEVELS:
        yield f"level {exercise.level}; take one of {', '.join(map(str, LEVELS))}"
    answers = exercise.sources("answer")
    if len(answers) != 1:
        yield f"{len(answers)} cells begin with '# exercise: NAME (keep this line)'; one must"
    elif surely(ANSWER.match(first_line(answers[0])))["name"] != exercise.name:
        yield f"its answer cell must begin with '# exercise: {exercise.name} (keep this line)'"
    elif not SOLUTION.search(answers[0]):
        yield "the answer cell has no '### BEGIN SOLUTION' ... '### END SOLUTION'"
    checks = exercise.sources("check")
    if not checks:
        yield "no cell begins with '# check: NAME-a (2 points; keep this line)'"
    for source in checks:
        name = surely(CHECK.match(first_line(source)))["name"]
        if not name.startswith(f"{exercise.name}-"):
            yield f"the check {name!r} must be called {exercise.name}-a, -b and so on"
        if not HIDDEN.search(source):
            yield f"{name} has no '### BEGIN HIDDEN TESTS' ... '### END HIDDEN TESTS'"
    for source in exercise.sources("given"):
        if re.match(r"# (exercise|check|wrong)\b", source):
            yield f"a cell begins with {first_line(source)!r}, which no marker looks like"


def variants(path: Path) -> list[dict[str, int]]:
    """Every way to choose the options of a master; the first is the published one."""
    header = jupytext.reads(path.read_text(encoding="utf-8"), fmt="myst").metadata["exercise"]
    vary = header.get("vary", {})
    combinations = itertools.product(*(range(len(values)) for values in vary.values()))
    return [dict(zip(vary, chosen, strict=True)) for chosen in combinations]


def steps(hidden: str) -> list[tuple[str, str, str]]:
    """Hidden tests as (kind, code, note): "do" a statement, or "ask" for an expression's value.

    The note is the comment at the end of the expression's line; feedback shows it.
    """
    lines = hidden.splitlines()
    tests = []
    for node in ast.parse(hidden).body:
        note = lines[(node.end_lineno or node.lineno) - 1].partition("  # ")[2]
        kind = "ask" if isinstance(node, ast.Expr) else "do"
        tests.append((kind, ast.get_source_segment(hidden, node) or "", note))
    return tests


def hidden_steps(exercise: Exercise) -> list[tuple[str, str, str]]:
    """The hidden tests of all its checks, one after the other, after what they draw from."""
    drawn = ("do", f"import random\ndraw = random.Random({exercise.seed!r})", "")
    return [drawn, *(step for check in exercise.checks for step in steps(check.hidden))]


def names_defined(source: str) -> list[str]:
    """What an answer cell defines at its top level: functions, classes, variables."""
    names = []
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            names.append(node.name)
        elif isinstance(node, ast.Assign):
            names += [target.id for target in node.targets if isinstance(target, ast.Name)]
    return names
