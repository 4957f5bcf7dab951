"""Run every lesson with other versions: those of Colab, and the oldest that pyproject.toml allows.

Each has an environment of its own in _build/colab-check, made at the first call: 5 GB where pip
finds PyTorch for graphics cards only. The package is installed there as in Colab, not read from
the sources. No cell may fail; how a number is printed may differ. Exit status 1 if a lesson fails.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

from packaging.requirements import Requirement

from cifarlab_course import ROOT
from cifarlab_course.lessons.constraints import asked
from cifarlab_course.lessons.notebooks import LESSONS

HOME = ROOT / "_build" / "colab-check"
PYTHONS = {"colab": "3.13", "oldest": "3.11"}
VERSIONS = """
import platform
from importlib.metadata import version
packages = "torch", "torchvision", "numpy", "albumentations", "ipywidgets", "IPython"
about = [f"{name} {version(name)}" for name in packages]
print("Python", platform.python_version(), *about)
"""


def oldest(requirement: Requirement) -> str:
    """The first series of releases that it allows: `torch>=2.9` gives `torch==2.9.*`."""
    (low,) = (bound.version for bound in requirement.specifier if bound.operator == ">=")
    return f"{requirement.name}=={low}.*"


def packages(name: str) -> list[str]:
    """What pip is asked for: the package's own needs, in the versions of that name."""
    tools = ["nbval", "pytest", "pyyaml", "ipykernel"]
    needs = asked(groups=False)
    if name == "oldest":
        return [*map(oldest, needs), *tools]
    return [*(need.name for need in needs), *tools, "-c", str(ROOT / "constraints" / "colab.txt")]


def interpreter(version: str) -> str:
    """The Python of that version, or this one where the machine has none such."""
    python = shutil.which(f"python{version}")
    if python and subprocess.run([python, "-c", ""], capture_output=True).returncode == 0:
        return python
    print(f"no python{version} here: {sys.version.split()[0]} takes its place", flush=True)
    return sys.executable


def build(name: str) -> Path:
    """Make the environment, or bring it up to date; the path of its Python."""
    python = HOME / name / "bin" / "python"
    if not python.exists():
        subprocess.run([interpreter(PYTHONS[name]), "-m", "venv", HOME / name], check=True)
    pip = [str(python), "-m", "pip", "install", "--quiet"]
    subprocess.run([*pip, *packages(name)], check=True)
    # Without its needs, which are there: it must not move them to newer versions.
    subprocess.run([*pip, "--no-deps", "--force-reinstall", ROOT], check=True)
    return python


def passes(python: Path, lesson: Path) -> bool:
    """Does every cell of the lesson run, in a folder that knows nothing of this repository?"""
    with_package = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    return (
        subprocess.run(
            [
                *(python, "-m", "pytest", "-q", "-p", "no:cacheprovider"),
                *("--nbval-lax", "--nbval-current-env", "--nbval-cell-timeout=1200"),
                lesson,
            ],
            cwd=ROOT,
            env=with_package | {"CIFARLAB_REQUIRE_DATA": "1"},
        ).returncode
        == 0
    )


def check(names: list[str]) -> int:
    """Build what is missing, run all lessons, say in a line each how it went; 1 if one failed."""
    summary, failed = [], 0
    for name in names:
        python = build(name)
        about = subprocess.run(
            [python, "-c", VERSIONS], capture_output=True, text=True, check=True
        ).stdout.strip()
        wrong = [lesson.stem for lesson in LESSONS if not passes(python, lesson)]
        failed += len(wrong)
        result = f"{len(LESSONS) - len(wrong)} of {len(LESSONS)} lessons passed"
        summary.append(f"{name}: {result}{' but ' * bool(wrong)}{', '.join(wrong)} ({about})")
    print("", *summary, sep="\n")
    return 1 if failed else 0
