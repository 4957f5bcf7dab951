"""Protects what a learning platform hands over and takes back, in the shapes of its own sources.

Names are replaced. Sources: content_zipper.rb, gradebook_exporter.rb and gradebook_importer.rb in
lib/ of instructure/canvas-lms; mod/assign/classes/downloader.php, mod/assign/gradingtable.php and
mod/assign/feedback/ of moodle/moodle.
"""

import csv
import json
import os
import stat
import time
import zipfile
from pathlib import Path

import pytest

from cifarlab_course.grading import archive
from cifarlab_course.grading.reader import LARGEST
from tests.test_handed_in import SOFTMAX, grading, hand_in, notebook

pytestmark = pytest.mark.sandbox


def packed(path: Path, files: dict[str, str | bytes]) -> Path:
    """A zip of these files, by their names, each an hour after the one before."""
    with zipfile.ZipFile(path, "w") as made:
        for hour, (name, data) in enumerate(files.items()):
            when = (2025, 5, 6, hour, 0, 0)
            made.writestr(zipfile.ZipInfo(name, when), data, zipfile.ZIP_DEFLATED)
    return path


def as_canvas_writes(path: Path) -> Path:
    """The zip with its names in UTF-8, and no flag that says so, as Ruby's library leaves it."""
    data = bytearray(path.read_bytes())
    for sign, place in ((b"PK\x03\x04", 7), (b"PK\x01\x02", 9)):
        at = -1
        while (at := data.find(sign, at + 1)) >= 0:
            data[at + place] &= ~0x08
    path.write_bytes(data)
    return path


def text(words="Some words of mine.") -> str:
    """A notebook with its open question answered."""
    return json.dumps(notebook(words))


def read_table(path: Path) -> list[dict[str, str]]:
    """The rows of any table."""
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


# -------------------------------------------------------------------------------- the zip itself


def test_canvas_own_zip_is_graded_as_it_was_downloaded(tmp_path):
    zip_file = packed(
        tmp_path / "submissions.zip",
        {
            "lovelaceada_12345_678901_assignment.ipynb": text("Ada"),
            "müllerjörg_LATE_12346_678902_assignment-1.ipynb": text("Jörg"),
            "hoppergrace_12347_text.html": "<p>My answer</p>",
        },
    )
    done, table = grading(as_canvas_writes(zip_file))
    assert done.returncode == 0, done.stderr
    assert {name: row["number"] for name, row in table.items()} == {
        "hoppergrace": "12347",
        "lovelaceada": "12345",
        "müllerjörg": "12346",
    }
    assert table["müllerjörg"]["flags"] == "handed in late, as its name says"
    assert table["lovelaceada"]["waiting"] == "why"


def test_moodles_own_zip_is_graded_as_it_was_downloaded(tmp_path):
    zip_file = packed(
        tmp_path / "CIFAR-Week 4-77.zip",
        {
            "Ada Byron_123_assignsubmission_file/assignment.ipynb": text("Ada"),
            "Ada Byron_123_assignsubmission_onlinetext/onlinetext.html": "<p>",
            "Zoë O'Neill_124_assignsubmission_file/week 4/mine.ipynb": text("Zoë"),
        },
    )
    done, table = grading(zip_file)
    assert done.returncode == 0, done.stderr
    assert [(name, row["number"]) for name, row in table.items()] == [
        ("Ada Byron", "123"),
        ("Zoë O'Neill", "124"),
    ]
    assert {row["flags"] for row in table.values()} == {""}
    assert grading(zip_file)[1] == table  # from what is graded already
    assert not (tmp_path / "grades-changes.csv").read_text().count("\n") > 1


OUTSIDE = ["../out.ipynb", "/out.ipynb", "ben/../../out.ipynb", "..\\out.ipynb", "ben/./a.ipynb"]


@pytest.mark.parametrize("name", OUTSIDE)
def test_nothing_of_a_zip_lands_outside_its_folder(name, tmp_path):
    zip_file = packed(tmp_path / "a.zip", {name: "x", "ben/a.ipynb": text()})
    inside = tmp_path / "deep" / "er"
    inside.mkdir(parents=True)
    notes = archive.unpack(zip_file, inside)
    assert [note.said for note in notes] == ["left out: it leads out of the archive"]
    files = {path for path in tmp_path.rglob("*") if path.is_file()}
    assert files == {zip_file, inside / "ben" / "a.ipynb"}
    assert not Path("/out.ipynb").exists()


def test_a_link_in_a_zip_is_not_made_and_its_learner_has_a_row(tmp_path):
    link = zipfile.ZipInfo("eve/assignment.ipynb")
    link.create_system = 3
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as made:
        made.writestr(link, "/etc/passwd")
        made.writestr("ben/a.ipynb", text())
    done, table = grading(tmp_path / "a.zip")
    assert done.returncode == 0, done.stderr
    assert table["ben"]["flags"] == ""
    assert table["eve"]["total"] == "0"
    said = {row["left out"]: row["notes"] for row in read_table(tmp_path / "grades-read.csv")}
    assert said["eve/assignment.ipynb"] == "a link, not followed"


def test_a_bomb_in_a_zip_costs_its_own_row_and_no_more_room_than_a_notebook(tmp_path):
    zip_file = packed(
        tmp_path / "a.zip",
        {
            "eve/a.ipynb": b" " * (8 * LARGEST),
            "eve/films.bin": b" " * (8 * LARGEST),
            "ben/a.ipynb": text(),
        },
    )
    assert zip_file.stat().st_size < 2**20
    folder = tmp_path / "unpacked"
    folder.mkdir()
    archive.unpack(zip_file, folder)
    assert LARGEST < (folder / "eve" / "a.ipynb").stat().st_size <= LARGEST + archive.CHUNK
    assert (folder / "eve" / "films.bin").stat().st_size == 0
    _, table = grading(zip_file)
    assert "20 are allowed" in table["eve"]["flags"]
    assert table["ben"]["flags"] == ""


@pytest.mark.parametrize(
    ("bound", "value", "told"), [("MOST_FILES", 2, "3 files, and 2"), ("MOST_BYTES", 9, "GB of")]
)
def test_a_zip_of_too_much_is_refused(bound, value, told, tmp_path, monkeypatch):
    monkeypatch.setattr(archive, bound, value)
    names = ["ada/a.ipynb", "ben/a.ipynb", "cy/a.ipynb"]
    done, _ = grading(packed(tmp_path / "a.zip", dict.fromkeys(names, text())))
    assert done.returncode == 2
    assert told in done.stderr
    assert "unpack it, and name its folder" in done.stderr


def test_a_damaged_entry_costs_its_own_row(tmp_path):
    zip_file = packed(tmp_path / "a.zip", {"eve/a.ipynb": text("Eve"), "ben/a.ipynb": text()})
    data = bytearray(zip_file.read_bytes())
    data[60:80] = b"\0" * 20  # in what Eve's is packed into
    zip_file.write_bytes(data)
    done, table = grading(zip_file)
    assert done.returncode == 0, done.stderr
    assert table["ben"]["flags"] == ""
    assert (table["eve"]["total"], table["eve"]["flags"] == "") == ("0", False)
    assert any(
        "can't be unpacked" in row["notes"] for row in read_table(tmp_path / "grades-read.csv")
    )


def test_names_that_have_no_place_are_told(tmp_path):
    zip_file = packed(
        tmp_path / "a.zip",
        {"ben/a.ipynb": text(), "ben/a.ipynb/b.ipynb": "x", f"ben/{'l' * 300}.ipynb": "x"},
    )
    done, table = grading(zip_file)
    assert done.returncode == 0, done.stderr
    assert table["ben"]["flags"] == ""
    told = [row["notes"] for row in read_table(tmp_path / "grades-read.csv")[1:]]
    assert len(told) == 2
    assert all(note.startswith("has no place") for note in told)


# ------------------------------------------------------------------------- how names were read


def test_it_says_how_it_read_the_names_and_can_stop_there(tmp_path):
    folder = tmp_path / "handed-in"
    hand_in(folder / "lovelaceada_LATE_12345_678901_assignment.ipynb")
    hand_in(folder / "Emmy Noether_124_assignsubmission_file" / "week 4" / "new.ipynb")
    (folder / "Emmy Noether_124_assignsubmission_onlinetext").mkdir()
    (folder / "Emmy Noether_124_assignsubmission_onlinetext" / "onlinetext.html").write_text("x")
    (folder / "late.zip").write_text("x")
    done, table = grading(folder, look="")
    assert done.returncode == 2  # an option without a value
    done, table = grading(folder, **{"look": None})
    assert done.returncode == 0, done.stderr
    assert table == {}
    assert sorted(path.name for path in tmp_path.glob("*")) == ["grades-read.csv", "handed-in"]
    assert [list(row.values()) for row in read_table(tmp_path / "grades-read.csv")] == [
        ["Emmy Noether", "124", "week 4/new.ipynb", "onlinetext.html", ""],
        [
            "lovelaceada",
            "12345",
            "lovelaceada_LATE_12345_678901_assignment.ipynb",
            "",
            "handed in late, as its name says",
        ],
        ["", "", "", "late.zip", "no learner's"],
    ]
    assert "Emmy Noether  124     week 4/new.ipynb" in done.stdout


def test_a_terminal_shows_few_rows_and_first_those_that_are_odd(tmp_path):
    for number in range(30):
        hand_in(tmp_path / "handed-in" / f"learner-{number:02}" / "a.ipynb", "")
    hand_in(tmp_path / "handed-in" / "learner-29" / "b.ipynb", "")
    done, _ = grading(tmp_path / "handed-in", **{"look": None})
    lines = done.stdout.splitlines()
    assert lines[1].startswith("learner-29")
    assert "and 18 more" in lines
    assert len(read_table(tmp_path / "grades-read.csv")) == 30


# ------------------------------------------------------------------------------ several attempts


def solved(words: str, right: bool) -> str:
    """The assignment on softmax, answered rightly or not."""
    made = notebook(asked=SOFTMAX, questions=[], solved=True)
    for cell in made["cells"]:
        if not right and "def probabilities" in cell["source"]:
            cell["source"] = cell["source"].replace("return", "return 2 *")
    made["cells"].append({"cell_type": "code", "source": f"# {words}", "metadata": {}})
    return json.dumps(made)


@pytest.mark.parametrize(
    ("rule", "graded"),
    [("first", "wrong.ipynb"), ("last", "worse.ipynb"), ("best", "right.ipynb")],
)
def test_of_several_notebooks_the_one_counts_that_the_rule_says(rule, graded, tmp_path):
    kinds = {"wrong": False, "right": True, "worse": False}
    files = {f"ada/{name}.ipynb": solved(name, right) for name, right in kinds.items()}
    zip_file = packed(tmp_path / "a.zip", files)
    done, table = grading(zip_file, counts=rule, jobs=1)
    assert done.returncode == 0, done.stderr
    assert repr(graded) in table["ada"]["flags"]
    assert (table["ada"]["total"] == table["ada"]["most"]) == (rule == "best")


def test_of_canvas_files_the_one_with_the_greater_number_is_the_last(tmp_path):
    folder = tmp_path / "handed-in"
    hand_in(folder / "lovelaceada_12345_99_a.ipynb", "later in name, earlier in time")
    hand_in(folder / "lovelaceada_12345_100_a-1.ipynb", "again")
    now = time.time()
    os.utime(folder / "lovelaceada_12345_100_a-1.ipynb", (now - 99, now - 99))
    for rule, number in (("last", 100), ("first", 99)):
        _, table = grading(folder, counts=rule)
        assert f"lovelaceada_12345_{number}_" in table["lovelaceada"]["flags"]


def test_a_rule_that_is_none_is_answered_with_those_there_are(tmp_path):
    done, _ = grading(tmp_path, counts="newest")
    assert done.returncode == 2
    assert "'answered', 'last', 'first', 'best'" in done.stderr
