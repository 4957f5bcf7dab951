"""Without CIFAR-10 its tests are skipped, counted and told how to get it; in CI they fail."""

from pathlib import Path

import pytest

from cifarlab import data

pytest_plugins = ["pytester"]

TESTS = """
def test_of_the_pixels(cifar10):
    train, test = cifar10
    assert (len(train), len(test)) == (2, 1)

def test_of_the_labels(cifar10):
    pass

def test_of_something_else():
    pass
"""


@pytest.fixture
def session(pytester, monkeypatch):
    """A run of three tests under the project's conftest, two of which need CIFAR-10."""
    monkeypatch.setenv("CIFARLAB_DATA", str(pytester.path / "nowhere"))
    monkeypatch.delenv("CIFARLAB_REQUIRE_DATA", raising=False)
    monkeypatch.setenv("TQDM_DISABLE", "1")
    pytester.makeconftest((Path(__file__).parents[1] / "conftest.py").read_text(encoding="utf-8"))
    pytester.makepyfile(TESTS)
    return lambda: pytester.runpytest_inprocess("-rs", "-p", "no:cacheprovider")


def test_without_data_two_tests_are_skipped_with_the_remedy_and_counted_in_one_line(session):
    result = session()
    result.assert_outcomes(passed=1, skipped=2)
    lines = [line for line in result.outlines if "2 tests or cells were skipped" in line]
    assert len(lines) == 1
    assert data.CIFAR10.url in lines[0] and data.CIFAR10.tgz_md5 in lines[0]


def test_no_test_takes_the_real_images_but_by_the_fixture_that_skips_it():
    """Those of `data` itself, in test_data.py, have small stand-ins in a folder of their own."""
    for path in Path(__file__).parent.glob("test_*.py"):
        own = path.name in ("test_data.py", Path(__file__).name)
        assert own or "data.load()" not in path.read_text(encoding="utf-8"), path.name


def test_where_data_is_required_its_want_is_a_failure(session, monkeypatch):
    monkeypatch.setenv("CIFARLAB_REQUIRE_DATA", "1")
    result = session()
    assert result.ret != 0
    assert "By hand: fetch" in "\n".join(result.outlines)


def test_the_data_are_looked_for_once_a_session(session, monkeypatch):
    """A network that never answers would else take its 20 seconds for each test."""
    asked = []

    def find():
        asked.append("once")
        raise OSError("nowhere")

    monkeypatch.setattr(data, "find", find)
    session().assert_outcomes(passed=1, skipped=2)
    assert asked == ["once"]


def test_with_data_nothing_is_skipped_and_nothing_is_counted(session, monkeypatch, tmp_path):
    monkeypatch.setattr(data, "find", lambda: tmp_path)
    monkeypatch.setattr(data, "load", lambda: (data.synthetic(2), data.synthetic(1)))
    result = session()
    result.assert_outcomes(passed=3)
    assert "skipped for want" not in "\n".join(result.outlines)
