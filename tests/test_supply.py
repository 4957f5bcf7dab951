"""What is installed, from where, under which terms, and what the workflows may do."""

import ast
import re
import shutil
import subprocess
import sys
from importlib.metadata import packages_distributions

import pytest
import yaml
from packaging.utils import canonicalize_name

import cifarlab
from cifarlab_course.lessons import colab_check, constraints

ROOT = constraints.ROOT
PINS = re.findall(r"^([^#\s]+)==(\S+) +# (.+)$", constraints.TARGET.read_text(), re.MULTILINE)
WORKFLOWS = sorted(ROOT.glob(".github/workflows/*.yml"))


@pytest.mark.parametrize("requirement", constraints.asked(), ids=str)
def test_what_is_asked_for_is_pinned_to_an_allowed_version_with_its_licence(requirement):
    """`make constraints` was run after the last change of pyproject.toml."""
    pins = {name: (version, terms) for name, version, terms in PINS}
    version, terms = pins[canonicalize_name(requirement.name)]
    assert version in requirement.specifier
    assert terms != constraints.UNKNOWN


def test_the_pins_are_exact_each_once_and_name_no_source():
    lines = constraints.TARGET.read_text().splitlines()
    assert len(PINS) == len([line for line in lines if not line.startswith("#")]) > 100
    assert len({name for name, *_ in PINS}) == len(PINS)
    assert not re.search(r"://|\+|--", "".join(lines))


@pytest.mark.slow
def test_what_is_written_down_is_what_is_installed_here_with_all_that_it_needs():
    found = {
        canonicalize_name(each.metadata["Name"]): each
        for each in constraints.installed(constraints.asked())
    }
    assert {"pluggy", "numpy", "sphinx"} <= set(found), "what pytest, torch and the book need"
    assert "cifarlab" not in found
    written = re.findall(r"^([^#\s]+)==(\S+)", "\n".join(constraints.lines()), re.MULTILINE)
    assert dict(written) == {name: each.version.partition("+")[0] for name, each in found.items()}


def test_every_requirement_of_the_package_has_a_floor_and_a_reason():
    text = (ROOT / "pyproject.toml").read_text()
    block = text[text.index("dependencies = [") : text.index("[project.scripts]")]
    for requirement in constraints.asked(groups=False):
        assert any(each.operator == ">=" for each in requirement.specifier), requirement
        assert re.search(rf'"{requirement.name}>=[^"]+",\s*# \w', block), f"{requirement}: why?"


def test_package_citation_and_changelog_tell_the_same_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert str(citation["version"]) == cifarlab.__version__
    changelog = (ROOT / "book" / "changelog.md").read_text(encoding="utf-8")
    assert re.search(r"^## (\S+)", changelog, re.MULTILINE)[1] == cifarlab.__version__


@pytest.mark.slow
def test_the_package_imports_nothing_that_it_does_not_ask_for():
    imported = set()
    for path in ROOT.glob("cifarlab/**/*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                imported.add(node.module.partition(".")[0])
    asked = {canonicalize_name(each.name) for each in constraints.asked(groups=False)}
    providers = packages_distributions()
    for module in imported - set(sys.stdlib_module_names) - {"cifarlab"}:
        assert asked & {canonicalize_name(each) for each in providers[module]}, module


def test_the_oldest_versions_are_those_of_the_floors():
    found = colab_check.packages("oldest")
    assert {"torch==2.9.*", "numpy==2.0.*", "ipywidgets==7.7.*"} <= set(found)


def test_the_versions_of_colab_are_allowed_ones():
    text = (ROOT / "constraints" / "colab.txt").read_text()
    pins = dict(re.findall(r"^(\S+)==(\S+)$", text, re.MULTILINE))
    asked = {each.name: each.specifier for each in constraints.asked(groups=False)}
    assert {"torch", "numpy", "ipywidgets"} <= set(pins)
    for name in set(pins) & set(asked):
        assert pins[name].replace("*", "0") in asked[name], name


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_names_actions_by_their_hash(path):
    """A tag can be moved to other code, a hash can't."""
    for action in re.findall(r"uses: (.+)", path.read_text()):
        assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.stem)
def test_a_workflow_may_write_only_in_a_job_that_runs_no_code_of_the_repository(path):
    workflow = yaml.safe_load(path.read_text())
    assert workflow["permissions"] == {"contents": "read"}
    for name, job in workflow["jobs"].items():
        checkouts = [step for step in job["steps"] if "checkout" in step.get("uses", "")]
        assert all(step["with"]["persist-credentials"] is False for step in checkouts), name
        assert "permissions" not in job or not checkouts, name


@pytest.mark.skipif(not shutil.which("git"), reason="there is no git")
def test_a_checkout_on_windows_has_the_line_ends_of_unix(tmp_path):
    """Git for Windows writes its own by default, which neither bash nor make can read."""
    files = [".ci/run", "Makefile", "book/live.md", "cifarlab/figures/live-samples.webp"]
    attributes = ROOT / ".gitattributes"
    names = [*files, *([attributes.name] if attributes.exists() else [])]
    originals = {name: (ROOT / name).read_bytes() for name in names}
    for name, content in originals.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)

    def git(*words):
        options = ["-c", "core.autocrlf=true", "-c", "user.name=a", "-c", "user.email=a@b"]
        subprocess.run(["git", *options, *words], cwd=tmp_path, check=True, capture_output=True)

    git("init")
    git("add", ".")
    git("commit", "--message", "all")
    for name in files:
        (tmp_path / name).unlink()
    git("checkout", "--", ".")
    assert {name: (tmp_path / name).read_bytes() for name in names} == originals
