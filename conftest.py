"""What tests and lessons share under pytest: CIFAR-10 where it can be had, and what to do without.

Without it, tests and lessons that need it are skipped and counted; with CIFARLAB_REQUIRE_DATA=1
they fail.
"""

import functools
import os
import socket

import pytest

WANTING = "CIFAR-10 is not at hand: "


def pytest_configure(config):
    """Set what the lessons' kernels inherit."""
    os.environ["TQDM_DISABLE"] = "1"  # progress bars are for people, not for stored outputs
    if hasattr(config.option, "nbval_sanitize_with"):  # a chart's pixels are no more compared
        config.option.nbval_sanitize_with = str(config.rootpath / "tests" / "nbval-ignored.cfg")
    if folder := os.environ.get("CIFARLAB_DATA"):
        # A lesson runs in lessons/, where a relative path would mean something else.
        os.environ["CIFARLAB_DATA"] = os.path.abspath(folder)


@functools.cache
def why_no_data() -> str | None:
    """None if CIFAR-10 is there or came; else why not, and how to get it. Tries once."""
    from cifarlab import data  # not above: handing tests out to other processes needs no torch

    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(20)  # seconds; some firewalls never answer
    try:
        data.find()
    except OSError as error:
        return f"{WANTING}{error}"
    finally:
        socket.setdefaulttimeout(patience)
    return None


@pytest.fixture(scope="session")
def cifar10():
    """The real training and test images."""
    if reason := why_no_data():
        (pytest.fail if data_is_required() else pytest.skip)(reason)
    from cifarlab import data

    return data.load()


def data_is_required() -> bool:
    """Is a skip for want of data a failure? CI says so."""
    return os.environ.get("CIFARLAB_REQUIRE_DATA") == "1"


def pytest_collection_modifyitems(items):
    """Skip the cells of the lessons that load CIFAR-10 where it can't be had."""
    needing = [item for item in items if needs_cifar10(item)]
    if needing and (reason := why_no_data()):
        if data_is_required():
            pytest.exit(reason, returncode=1)
        for item in needing:
            item.add_marker(pytest.mark.skip(reason=reason))


@functools.cache
def loads_cifar10(notebook) -> bool:
    """Does this lesson's text call `data.load`?"""
    return "data.load(" in notebook.read_text(encoding="utf-8")


def needs_cifar10(item) -> bool:
    """Is `item` a cell of a lesson that loads CIFAR-10?"""
    return item.path.suffix == ".ipynb" and loads_cifar10(item.path)


def pytest_terminal_summary(terminalreporter):
    """One line that counts what did not run for want of CIFAR-10."""
    reasons = [
        report.longrepr[2].partition(WANTING)[2]
        for report in terminalreporter.stats.get("skipped", [])
        if isinstance(report.longrepr, tuple) and WANTING in report.longrepr[2]
    ]
    if reasons:
        tests = "1 test or cell was" if len(reasons) == 1 else f"{len(reasons)} tests or cells were"
        terminalreporter.write_line(f"{tests} skipped for want of CIFAR-10. {reasons[0]}")
