"""What the tests of the package share; what they share with the lessons is one folder up.

Heavy imports stand inside: the process that hands the tests out to others needs none of them.
"""

import shutil
import sys

import pytest


def pytest_configure(config):
    """Our tests fork on purpose; from Python 3.12 on it warns of threads in the parent."""
    config.addinivalue_line("filterwarnings", "ignore:This process .*fork:DeprecationWarning")


MARKS_BY_FIXTURE = {
    "browser": pytest.mark.browser,
    "runner": pytest.mark.sandbox,
    "cifar10": pytest.mark.slow,  # 170 MB to fetch, two seconds to load
}


def pytest_collection_modifyitems(items):
    """What `make quick` leaves out is known by what a test asks for."""
    import torch

    # One thread: on a busy machine more are slower, and forked children may use no others.
    torch.set_num_threads(1)
    for item in items:
        for fixture, mark in MARKS_BY_FIXTURE.items():
            if fixture in getattr(item, "fixturenames", ()):
                item.add_marker(mark)


@pytest.fixture(autouse=True)
def no_module_of_another_test(tmp_path_factory):
    """A learner's module that one test wrote and imported is not there for the next."""
    before = set(sys.modules)
    yield
    written_here = str(tmp_path_factory.getbasetemp())
    for name in set(sys.modules) - before:
        if str(getattr(sys.modules[name], "__file__", "")).startswith(written_here):
            del sys.modules[name]


@pytest.fixture(autouse=True)
def no_numerics_from_outside(monkeypatch):
    """What a caller chose for the lessons must not choose for the tests."""
    for name in ("CIFARLAB_DEVICE", "CIFARLAB_PRECISION", "CIFARLAB_MEMORY_FORMAT"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def tiny(monkeypatch):
    """The recipe `tiny` of the network `tiny`, both known by name: three epochs in a blink."""
    from cifarlab import model, recipes
    from tests.helpers import Tiny

    monkeypatch.setitem(model.NETWORKS, "tiny", Tiny)
    recipe = recipes.Recipe(
        name="tiny",
        network="tiny",
        epochs=3,
        batch_size=16,
        peak_learning_rate=0.05,
        augmentation="flip",
    )
    monkeypatch.setitem(recipes.RECIPES, "tiny", recipe)
    return recipe


@pytest.fixture(scope="session")
def shapes():
    """200 images to learn from and 50 to be scored on, none of them of CIFAR-10."""
    from cifarlab import data

    return data.synthetic(200, seed=0), data.synthetic(50, seed=1)


@pytest.fixture(scope="module")
def browser():
    """Headless Chromium, the system's own; without one, what needs it is skipped."""
    from playwright.sync_api import sync_playwright

    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        pytest.skip("no chromium or google-chrome on the PATH; Debian: apt-get install chromium")
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(
            executable_path=path,
            args=["--use-fake-device-for-media-stream"],  # a camera that sees green
        )
        yield chromium
        chromium.close()


@pytest.fixture(scope="module")
def runner():
    """One process, in no sandbox, for the cells of tests that are harmless; it forks for each."""
    from cifarlab_course.grading.judge import Runner

    with Runner(seconds=120) as running:
        yield running
