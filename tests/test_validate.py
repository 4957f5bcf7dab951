"""A report of the long checks that was cut off is gone on with, and no other is taken for it."""

import threading
from contextlib import closing, suppress
from pathlib import Path

import pytest

from cifarlab import records
from cifarlab_course.lessons import validate

MODES = {"CPU, a": {"MODE": "a"}, "CPU, b": {"MODE": "b"}}


@pytest.fixture
def made(monkeypatch, tmp_path):
    """Make the checks of three lessons in two modes, one of which fails.

    The exit status, how many were made, and the reports.
    """
    calls, stop_at = [], []

    def passes(arguments, environment, folder=None):
        calls.append(arguments)
        if [len(calls)] == stop_at:
            raise KeyboardInterrupt
        return ("02-lesson" not in arguments[-1] or environment["MODE"] != "a"), 1.5

    lessons = [tmp_path / f"0{number}-lesson.ipynb" for number in (1, 2, 3)]
    monkeypatch.setattr(validate, "LESSONS", lessons)
    monkeypatch.setattr(validate, "modes", lambda: MODES)
    monkeypatch.setattr(validate, "passes", passes)

    def make(*, stop=None, **options):
        calls.clear()
        stop_at[:] = [stop]
        status = None
        with suppress(KeyboardInterrupt):
            status = validate.validate(mode="CPU", folder=tmp_path, **options)
        reports = sorted(tmp_path.glob("*.md"))
        return status, len(calls), [path.read_text("utf-8") for path in reports]

    return make


def test_a_report_that_was_cut_off_is_gone_on_with(made):
    """What failed before has failed."""
    _, _, (text,) = made(stop=4)
    assert "2 of 3 checks passed" in text and "was cut off" in text
    status, count, (text,) = made(resume=True)
    assert (status, count) == (1, 3)
    assert "5 of 6 checks passed, in 9 minutes" in text and "cut off" not in text
    assert text.count("**failed**") == text.count("| 02-lesson | CPU, a | **failed** | 1.5 |") == 1
    assert made(resume=True)[1] == 0
    assert made()[1] == 6, "who doesn't ask for it gets all checks anew"


def test_a_report_of_another_day_is_gone_on_with_and_one_of_another_machine_is_not(
    made, monkeypatch, tmp_path
):
    made(stop=4)
    (path,) = tmp_path.glob("*.md")
    older = tmp_path / f"2023-01-01{path.name[10:]}"
    older.write_text(path.read_text("utf-8").replace(path.name[:10], older.name[:10]), "utf-8")
    path.unlink()
    _, count, (text,) = made(resume=True)
    assert count == 3 and text.startswith("# 2023-01-01, ")
    monkeypatch.setattr(records, "processor", lambda numerics: "another")
    assert made(resume=True)[1] == 6


def test_a_report_of_another_commit_is_not_gone_on_with(made, monkeypatch):
    made(stop=4)
    monkeypatch.setattr(records, "commit", lambda: "another")
    assert made(resume=True)[1] == 6


def test_a_check_is_known_once_it_is_made_whatever_began_before(monkeypatch):
    """A run that is cut off keeps all that it has finished."""
    go_on = threading.Event()

    def passes(arguments, environment, folder=None):
        if "01-lesson" in arguments[-1]:
            assert go_on.wait(60)
        return True, 1.5

    monkeypatch.setattr(validate, "passes", passes)
    lessons = [Path(f"0{number}-lesson.ipynb") for number in (1, 2)]
    options = {"elsewhere": False, "long": False, "known": set()}
    timer = threading.Timer(10, go_on.set)  # else a failing test would never end
    timer.start()
    with closing(validate.checks(lessons, {"CPU, a": {}}, 2, **options)) as rows:
        first = next(rows)
        assert not go_on.is_set()
        go_on.set()
        assert [row[0] for row in (first, *rows)] == ["02-lesson", "01-lesson"]
    timer.cancel()
