"""Write down the exact versions of this environment, with their licences: constraints/ci.txt.

    course constraints
    PIP_CONSTRAINT=constraints/ci.txt make test    # elsewhere: the same versions again

The list is what pyproject.toml asks for, and whatever that asks for in turn.
"""

import itertools
import platform
import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from cifarlab._files import replacing
from cifarlab_course import ROOT

TARGET = ROOT / "constraints" / "ci.txt"
UNKNOWN = "not stated"


def asked(*, groups: bool = True) -> list[Requirement]:
    """What pyproject.toml names: what the package needs and, with `groups`, what we need."""
    text = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    lists = [text["project"]["dependencies"]]
    if groups:
        lists += [*text["project"]["optional-dependencies"].values()]
        lists += [*text["dependency-groups"].values()]
    return [Requirement(line) for line in itertools.chain(*lists)]


def installed(requirements: list[Requirement]) -> Iterator[Distribution]:
    """Every distribution that the requirements need here, directly or not, each once.

    Raises: PackageNotFoundError if one that this machine needs is not installed.
    """
    seen: set[tuple[str, frozenset[str]]] = set()
    nothing: frozenset[str] = frozenset()
    waiting = [(requirement, nothing) for requirement in requirements]
    while waiting:
        requirement, extras = waiting.pop()
        marker = requirement.marker
        if marker and not any(marker.evaluate({"extra": extra}) for extra in extras or {""}):
            continue
        own_extras = frozenset(requirement.extras)
        key = canonicalize_name(requirement.name), own_extras
        if key in seen:
            continue
        package = distribution(requirement.name)
        if not any(name == key[0] for name, _ in seen):
            yield package
        seen.add(key)
        waiting += [(Requirement(line), own_extras) for line in package.requires or []]


def licence(package: Distribution) -> str:
    """What it says of itself: an expression, classifiers, or the first line of its licence."""
    about = package.metadata
    if expressions := about.get_all("License-Expression"):
        return expressions[0]
    classifiers = [
        line.rpartition("::")[2].strip()
        for line in about.get_all("Classifier") or []
        if line.startswith("License ::") and not line.endswith("OSI Approved")
    ]
    if classifiers:
        return "; ".join(classifiers)
    texts = about.get_all("License") or []
    for path in package.files or []:
        if path.parent.name == "licenses" and path.name.startswith("LICENSE"):
            texts.append(path.read_text(encoding="utf-8"))
    titles = [text.strip().partition("\n")[0] for text in texts]
    return next((title for title in titles if 0 < len(title) <= 60), UNKNOWN)


def lines() -> list[str]:
    """One package a line, with its licence as a comment."""
    pins = sorted(
        (
            canonicalize_name(package.metadata["Name"]),
            re.sub(r"\+.*", "", package.version),  # "+cpu" and the like are of another source
            licence(package),
        )
        for package in installed(asked())
    )
    width = max(len(f"{name}=={version}") for name, version, _ in pins)
    python = ".".join(platform.python_version_tuple()[:2])
    return [
        f"# Written by `make constraints`, on {platform.system()} with Python {python}:",
        "# every package of the environment in which all checks passed, and its licence.",
        *(f"{f'{name}=={version}':{width}}  # {terms}" for name, version, terms in pins),
    ]


def write() -> Path:
    """Write the file; its path.

    Raises: ValueError if something that is asked for is not installed.
    """
    try:
        text = "\n".join(lines()) + "\n"
    except PackageNotFoundError as error:
        raise ValueError(f"{error}; `make install` installs all that is asked for.") from error
    with replacing(TARGET) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return TARGET
