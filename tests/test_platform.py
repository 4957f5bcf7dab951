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

import nbformat
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


def test_canvas_zip_without_names_has_a_row_for_each_of_its_own_signs(tmp_path):
    files = {
        "anon_aB3xZ_678901_assignment.ipynb": text("One"),
        "LATE_anon_9kQ2w_678902_3_assignment.ipynb": text("Two"),
        "anon_12345_678903_a.ipynb": text("A learner called Anon"),
    }
    done, table = grading(packed(tmp_path / "a.zip", files))
    assert done.returncode == 0, done.stderr
    assert {name: (row["number"], row["flags"]) for name, row in table.items()} == {
        "anon": ("12345", ""),
        "anon_9kQ2w": ("", "handed in late, as its name says"),
        "anon_aB3xZ": ("", ""),
    }


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
    (read,) = read_table(tmp_path / "grades-read.csv")
    assert (repr(graded) in read["notes"]) == (rule != "best")
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


# ------------------------------------------------------------------------------------ the roster

CANVAS = """\
\ufeffStudent,ID,SIS User ID,SIS Login ID,Section,grades (4711),"Other; more (12)",Final Score
,,,,,Manual Posting,,
    Points Possible,,,,,3.00,10.00,(read only)
"Lovelace, Ada",12345,S1,ada@uni.example,"Group 1, Monday",,8.00,80
"Müller, Jörg",12346,S2,jm7,Group 2,,,
"Müller, Jörg",12349,S4,jm8,Group 2,,,
"Hopper, Grace",12347,S3,hopper,Group 2,,,
"Student, Test",12348,,0f3b,Group 1,,,
"""
MOODLE = """\
Identifier,"Full name","Email address",Status,Grade,"Maximum Grade","Grade can be changed",\
"Last modified (submission)","Last modified (grade)","Feedback comments"
"Participant 123","Ada Byron",ada@uni.example,"Submitted for grading",,"3,00",Yes,\
"Tuesday, 6 May 2025, 10:00 AM",-,
"Participant 124","Jörg Müller",jm@uni.example,"No submission",,"3,00",Yes,-,-,
"Participant 125","Zoë, née O'Neill",zoe@uni.example,"Submitted for grading - 2 days late",\
"1,00","3,00",Yes,"Thursday, 8 May 2025, 10:00 AM","Friday, 9 May 2025, 10:00 AM",Fine
"""


def csv_file(path: Path, said: str) -> Path:
    """A table as a platform writes it."""
    path.write_text(said, encoding="utf-8", newline="")
    return path


def points_by_hand(folder: Path, points: str = "2.5") -> None:
    """Give all that wait these points."""
    path = folder / "grades-by-hand.csv"
    path.write_text(path.read_text().replace(",why,,", f",why,{points},"))


def test_canvas_gradebook_as_roster_gives_everybody_a_row_and_canvas_its_own_columns(tmp_path):
    roster = csv_file(tmp_path / "gradebook.csv", CANVAS)
    folder = tmp_path / "handed-in"
    hand_in(folder / "lovelaceada_12345_678901_assignment.ipynb", "Ada")
    hand_in(folder / "müllerjörg_LATE_12349_678902_a_b-1.ipynb", "Jörg")
    hand_in(folder / "byronannabella_99999_678903_a.ipynb", "Who?")
    done, table = grading(folder, roster=roster)
    assert done.returncode == 0, done.stderr
    assert {name: (row["number"], row["flags"]) for name, row in table.items()} == {
        "Lovelace, Ada": ("12345", ""),
        "Müller, Jörg (12346)": ("12346", "nothing handed in"),
        "Müller, Jörg (12349)": ("12349", "handed in late, as its name says"),
        "Hopper, Grace": ("12347", "nothing handed in"),
        "byronannabella": ("99999", "not on the roster"),
    }
    assert table["Hopper, Grace"]["total"] == "0"
    points_by_hand(tmp_path)
    assert grading(folder, roster=roster)[0].returncode == 0
    with (tmp_path / "grades-canvas.csv").open(encoding="utf-8-sig", newline="") as file:
        back = sorted(csv.reader(file))
    assert back == sorted(
        [
            ["Student", "ID", "SIS User ID", "SIS Login ID", "Section", "grades (4711)"],
            ["Points Possible", "", "", "", "", "3"],
            ["Lovelace, Ada", "12345", "S1", "ada@uni.example", "Group 1, Monday", "2.5"],
            ["Müller, Jörg", "12346", "S2", "jm7", "Group 2", "0"],
            ["Müller, Jörg", "12349", "S4", "jm8", "Group 2", "2.5"],
            ["Hopper, Grace", "12347", "S3", "hopper", "Group 2", "0"],
            ["byronannabella", "99999", "", "", "", "2.5"],
        ]
    )


def test_canvas_other_ways_to_write_its_gradebook_are_read(tmp_path):
    """First and last names apart, semicolons, decimal commas, no names of the SIS."""
    said = (
        "LastName;FirstName;ID;SIS Login ID;Section;Number;week4 (7)\n"
        ";;;;;;Manual Posting\n"
        "    Points Possible;;;;;;3,00\n"
        "Lovelace;Ada;12345;ada;A;4;1,50\nPelé;;12346;pele;A;;N/A\nStudent;Test;9;x;A;;\n"
    )
    roster = csv_file(tmp_path / "gradebook.csv", said)
    hand_in(tmp_path / "in" / "pelé_12346_678901_a.ipynb")
    done, table = grading(tmp_path / "in", "week4.csv", roster=roster)
    assert done.returncode == 0, done.stderr
    assert {name: row["number"] for name, row in table.items()} == {
        "Lovelace, Ada": "12345",
        "Pelé": "12346",
    }
    lines = (tmp_path / "week4-canvas.csv").read_text(encoding="utf-8-sig").splitlines()
    assert lines == [
        "LastName,FirstName,ID,SIS Login ID,Section,week4 (7)",
        "Points Possible,,,,,3",
        "Lovelace,Ada,12345,ada,A,0",
        "Pelé,,12346,pele,A,",
    ]


def test_moodles_grading_worksheet_comes_back_filled_and_else_as_it_was(tmp_path):
    roster = csv_file(tmp_path / "worksheet.csv", MOODLE)
    folder = tmp_path / "handed-in"
    hand_in(folder / "Ada Byron_123_assignsubmission_file" / "assignment.ipynb", "Ada")
    hand_in(folder / "Zoë née O'Neill_125_assignsubmission_file" / "assignment.ipynb", "Zoë")
    done, table = grading(folder, roster=roster)
    assert done.returncode == 0, done.stderr
    assert [*table] == ["Ada Byron", "Jörg Müller", "Zoë, née O'Neill"]
    assert table["Jörg Müller"]["flags"] == "nothing handed in"
    late = "handed in late, as Moodle says: Submitted for grading - 2 days late"
    assert table["Zoë, née O'Neill"]["flags"] == late
    before = read_table(roster)
    back = read_table(tmp_path / "grades-moodle.csv")
    assert [row["Grade"] for row in back] == ["", "0", "1,00"]  # two wait
    points_by_hand(tmp_path)
    grading(folder, roster=roster)
    back = read_table(tmp_path / "grades-moodle.csv")
    assert [row["Grade"] for row in back] == ["2,5", "0", "2,5"]
    for row in (*before, *back):
        row["Grade"] = ""
    assert back == before
    assert (tmp_path / "grades-moodle.csv").read_bytes().startswith(b"Identifier,")


def test_moodles_other_maximum_is_told(tmp_path):
    roster = csv_file(tmp_path / "worksheet.csv", MOODLE.replace("3,00", "100,00"))
    hand_in(tmp_path / "handed-in" / "Ada Byron_123_assignsubmission_file" / "a.ipynb")
    done, _ = grading(tmp_path / "handed-in", roster=roster)
    assert "3 points are to be had, and Moodle's maximum is 100; set that to 3" in done.stdout


def test_a_worksheet_without_names_is_matched_by_participants_alone(tmp_path):
    said = "Identifier,Status,Grade,Maximum Grade\nParticipant 7,-,,3.00\nParticipant 8,-,,3.00\n"
    roster = csv_file(tmp_path / "worksheet.csv", said)
    for number in (7, 9):
        hand_in(tmp_path / "in" / f"Participant_{number}_assignsubmission_file" / "a.ipynb")
    done, table = grading(tmp_path / "in", roster=roster)
    assert done.returncode == 0, done.stderr
    assert {name: row["flags"] for name, row in table.items()} == {
        "Participant 7": "",
        "Participant 8": "nothing handed in",
        "Participant (9)": "not on the roster",
    }


PLAIN = {
    "by login": ("name;login\nAda Lovelace;al12\nJörg Müller;jm7\n", "al12"),
    "by address": ("Name,E-mail\nAda Lovelace,al12@uni.example\n,jm7@uni.example\n", "al12"),
    "by the whole address": ("name,email\nAda Lovelace,AL@uni.example\n", "al@uni.example"),
    "by number": ("name,number\nAda Lovelace,0815\nJörg Müller,0816\n", "0815"),
    "by name": ("name\nAda Lovelace\nJörg Müller\n", "Ada Lovelace"),
    "by name turned round": ('name\n"Lovelace, Ada"\nMüller\n', "ADA LOVELACE"),
    "by first and last name": ("First name\tSurname\nAda\tLovelace\n", "Lovelace Ada"),
    "by the name as Canvas writes it": (
        "name\nAda Lovelace\nJörg Müller\n",
        "lovelaceada_12_34_a.ipynb",
    ),
    "with an umlaut of a Mac": ("name\nAda Lo\u0308velace\n", "Ada L\u00f6velace"),
}


@pytest.mark.parametrize(("said", "folder"), PLAIN.values(), ids=PLAIN)
def test_a_plain_table_matches_by_number_login_address_or_name(said, folder, tmp_path):
    roster = csv_file(tmp_path / "names.csv", said)
    place = tmp_path / "in" / folder
    hand_in(place if place.suffix == ".ipynb" else place / "a.ipynb")
    done, table = grading(tmp_path / "in", roster=roster)
    assert done.returncode == 0, done.stderr
    assert len(table) == len(said.splitlines()) - 1
    (name,) = [name for name, row in table.items() if not row["flags"]]
    assert name in ("Ada Lovelace", "Lovelace, Ada", "Ada L\u00f6velace")
    others = [row["flags"] for other, row in table.items() if other != name]
    assert {*others} <= {"nothing handed in"}


def test_of_two_with_one_name_nobody_is_taken_for_the_other(tmp_path):
    roster = csv_file(tmp_path / "names.csv", "name,login\nJörg Müller,jm7\nJörg Müller,jm8\n")
    hand_in(tmp_path / "in" / "jm8" / "a.ipynb", "mine")
    hand_in(tmp_path / "in" / "Jörg Müller" / "a.ipynb", "whose?")
    done, table = grading(tmp_path / "in", roster=roster)
    assert done.returncode == 0, done.stderr
    assert {name: row["flags"] for name, row in table.items()} == {
        "Jörg Müller (jm7)": "nothing handed in",
        "Jörg Müller (jm8)": "",
        "Jörg Müller (not on the roster)": "not on the roster",
    }


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("Teilnehmer,Bewertung\nAda,3\n", "no column of names, logins or numbers"),
        ("name,login\n", "names no learner"),
        ("Identifier,Full name\nParticipant 7,Ada\n", "no column 'Grade'"),
        ("", "no column of names, logins or numbers"),
        ("name,number\nAda,7\nBen,7\n", "2 rows with the number 7; keep one"),
        ("name\nJ\xf6rg\n", "not in UTF-8"),
    ],
)
def test_a_roster_that_cannot_be_used_is_told_in_a_sentence(said, told, tmp_path):
    (tmp_path / "names.csv").write_bytes(said.encode("latin-1"))
    hand_in(tmp_path / "in" / "ada" / "a.ipynb")
    done, _ = grading(tmp_path / "in", roster=tmp_path / "names.csv")
    assert done.returncode == 2
    assert told in done.stderr
    assert len(done.stderr.splitlines()) == 1


# ------------------------------------------------------------------------------------- group work


def test_each_member_of_a_group_has_its_points_and_a_page(tmp_path):
    groups = csv_file(tmp_path / "groups.csv", "learner,group\nada,1\nben,1\ncy,2\ndora,2\n")
    hand_in(tmp_path / "in" / "ben" / "a.ipynb", "Ada and Ben")
    options = {"groups": groups}
    done, table = grading(tmp_path / "in", **options)
    assert done.returncode == 0, done.stderr
    by_hand = tmp_path / "grades-by-hand.csv"
    assert [row["learner"] for row in read_table(by_hand)] == ["1"]  # read once
    with by_hand.open("a") as file:
        file.write("ada,why,3,She did it all\n")
    points_by_hand(tmp_path, "2")
    done, table = grading(tmp_path / "in", **options)
    assert done.returncode == 0, done.stderr
    assert {name: (row["total"], row["flags"]) for name, row in table.items()} == {
        "ada": ("3", "of the group 1"),
        "ben": ("2", "of the group 1"),
        "cy": ("0", "of the group 2; nothing handed in"),
        "dora": ("0", "of the group 2; nothing handed in"),
    }
    pages = {path.name for path in (tmp_path / "grades-feedback").glob("*.html")}
    assert pages >= {"ada.html", "ben.html", "cy.html", "dora.html"}
    assert "She did it all" in (tmp_path / "grades-feedback" / "ada.html").read_text()
    assert "She did" not in (tmp_path / "grades-feedback" / "ben.html").read_text()


def test_moodles_and_canvas_own_group_submissions_go_to_the_members(tmp_path):
    said = MOODLE.replace("Status,", "Status,Group,").replace('grading",', 'grading","Team_Ä",')
    said = said.replace('No submission",', 'No submission","Team_Ä",')
    said = said.replace('late",', 'late","Default group",')
    roster = csv_file(tmp_path / "worksheet.csv", said)
    hand_in(tmp_path / "in" / "Team Ä_55_assignsubmission_file" / "a.ipynb", "We")
    hand_in(tmp_path / "in" / "Default group_assignsubmission_file" / "a.ipynb", "I")
    done, table = grading(tmp_path / "in", roster=roster)
    assert done.returncode == 0, done.stderr
    assert {name: (row["number"], row["waiting"]) for name, row in table.items()} == {
        "Ada Byron": ("123", "why"),
        "Jörg Müller": ("124", "why"),
        "Zoë, née O'Neill": ("125", "why"),
    }
    gradebook = csv_file(tmp_path / "gradebook.csv", CANVAS)
    groups = csv_file(
        tmp_path / "groups.csv", "id,group\n12345,Team Ä\n12346,Team Ä\n12347,Alone\n"
    )
    hand_in(tmp_path / "canvas" / "teamä_12346_678_a.ipynb", "We")
    done, table = grading(tmp_path / "canvas", "c.csv", roster=gradebook, groups=groups)
    assert done.returncode == 0, done.stderr
    waiting = [name for name, row in table.items() if row["waiting"]]
    assert waiting == ["Lovelace, Ada", "Müller, Jörg (12346)"]


def test_two_submissions_of_a_group_are_told_and_one_counts(tmp_path):
    groups = csv_file(tmp_path / "groups.csv", "learner,group\nada,red\nben,red\n")
    hand_in(tmp_path / "in" / "ada" / "a.ipynb", "Ada")
    hand_in(tmp_path / "in" / "ben" / "b.ipynb", "Ben")
    _, table = grading(tmp_path / "in", groups=groups)
    assert "handed in 2 times; 2 notebooks; graded" in table["ada"]["flags"]
    assert table["ada"]["waiting"] == table["ben"]["waiting"] == "why"


@pytest.mark.parametrize(
    ("said", "told"),
    [
        ("learner,team\nada,\n", "no column 'group', or nothing in it"),
        ("learner,group\nnobody,red\n", "'nobody' is not on the roster, or not alone"),
    ],
)
def test_groups_that_cannot_be_used_are_told_in_a_sentence(said, told, tmp_path):
    roster = csv_file(tmp_path / "names.csv", "name\nada\nben\n")
    hand_in(tmp_path / "in" / "ada" / "a.ipynb")
    groups = csv_file(tmp_path / "groups.csv", said)
    done, _ = grading(tmp_path / "in", roster=roster, groups=groups)
    assert done.returncode == 2
    assert told in done.stderr


# --------------------------------------------------------------------------- feedback, taken back


def inside(path: Path) -> dict[str, str]:
    """The files of a zip, by their names."""
    with zipfile.ZipFile(path) as made:
        return {name: made.read(name).decode() for name in made.namelist()}


def as_canvas_reads(name: str) -> tuple[str, str]:
    """The user and the file that Canvas takes a name to be of: the first two whole numbers."""
    user, file = [part for part in name.split("_") if part.isdigit()][:2]
    return user, file


def as_moodle_reads(name: str) -> tuple[str, str, str]:
    """The participant, the plugin and the file's name that Moodle takes a name to be of."""
    _, number, kind, plugin, rest = name.split("_", 4)
    return number, f"{kind}_{plugin}", rest


def test_canvas_gets_its_feedback_by_the_names_of_the_files_that_were_handed_in(tmp_path):
    folder = tmp_path / "handed-in"
    hand_in(folder / "lovelaceada_12345_678901_assignment.ipynb", "Ada")
    hand_in(folder / "müllerjörg_LATE_12349_678902_my_copy_3.ipynb", "<b>Jörg</b>")
    (folder / "hoppergrace_12347_678903_a.ipynb").write_text("{")  # can't be read
    (folder / "noether_12350_text.html").write_text("<p>")  # no file to comment on
    done, _ = grading(folder)
    assert done.returncode == 0, done.stderr
    assert "grades-feedback-canvas.zip: all feedback, for Canvas" in done.stdout
    files = inside(tmp_path / "grades-feedback-canvas.zip")
    assert {as_canvas_reads(name) for name in files} == {
        ("12345", "678901"),
        ("12349", "678902"),
        ("12347", "678903"),
    }
    made = nbformat.reads(files["müllerjörg_LATE_12349_678902_my_copy_3.ipynb"], as_version=4)
    nbformat.validate(made)
    said = made.cells[0].outputs[0].data["text/html"]
    assert said.startswith("<h1>Feedback for müllerjörg</h1>")
    assert "Jörg" in said
    assert "<script" not in said
    assert not (tmp_path / "grades-feedback-moodle.zip").exists()


def test_moodle_gets_its_feedback_by_participants_if_its_worksheet_says_who_they_are(tmp_path):
    roster = csv_file(tmp_path / "worksheet.csv", MOODLE.replace("Ada Byron", "Ada_Byron"))
    folder = tmp_path / "handed-in"
    hand_in(folder / "Ada Byron_123_assignsubmission_file" / "assignment.ipynb", "Ada")
    hand_in(folder / "Zoë née ONeill_125_assignsubmission_file" / "assignment.ipynb", "Zoë")
    _, table = grading(folder, roster=roster)
    assert table["Ada_Byron"]["flags"] == ""
    files = inside(tmp_path / "grades-feedback-moodle.zip")
    assert {as_moodle_reads(name) for name in files} == {
        ("123", "assignfeedback_file", "feedback.html"),
        ("125", "assignfeedback_file", "feedback.html"),
    }
    page = files["Zoë, née O'Neill_125_assignfeedback_file_feedback.html"]
    assert page.startswith("<!doctype html>")
    assert "Feedback for Zoë, née O&#x27;Neill" in page
    grading(folder)  # without the worksheet, nobody knows that 123 is no group
    assert not (tmp_path / "grades-feedback-moodle.zip").exists()


def test_a_group_gets_its_feedback_once_from_canvas_and_nobody_elses(tmp_path):
    gradebook = csv_file(tmp_path / "gradebook.csv", CANVAS)
    groups = csv_file(tmp_path / "groups.csv", "id,group\n12345,Team Ä\n12346,Team Ä\n")
    hand_in(tmp_path / "in" / "teamä_12346_678_a.ipynb", "We")
    (tmp_path / "grades-by-hand.csv").write_text(
        'learner,question,points,comment\nTeam Ä,why,2,Good\n"Lovelace, Ada",why,3,For Ada only\n'
    )
    done, table = grading(tmp_path / "in", roster=gradebook, groups=groups)
    assert done.returncode == 0, done.stderr
    assert table["Lovelace, Ada"]["total"] == "3"
    assert table["Müller, Jörg (12346)"]["total"] == "2"
    ((name, said),) = inside(tmp_path / "grades-feedback-canvas.zip").items()
    assert name == "teamä_12346_678_a.ipynb"
    assert "Feedback for Team Ä" in said and "Good" in said
    assert "Ada only" not in said


def test_two_of_one_name_from_moodle_are_told_apart_by_its_worksheet(tmp_path):
    roster = csv_file(tmp_path / "worksheet.csv", MOODLE.replace("Ada Byron", "Jörg Müller"))
    for number in (123, 124):
        place = tmp_path / "in" / f"Jörg Müller_{number}_assignsubmission_file" / "a.ipynb"
        hand_in(place, f"from {number}")
    _, table = grading(tmp_path / "in", roster=roster)
    assert {name: (row["number"], row["flags"]) for name, row in table.items()} == {
        "Jörg Müller (123)": ("123", ""),
        "Jörg Müller (124)": ("124", ""),
        "Zoë, née O'Neill": ("125", "nothing handed in"),
    }


def test_a_number_that_may_be_a_groups_is_told(tmp_path):
    roster = csv_file(tmp_path / "worksheet.csv", MOODLE)
    hand_in(tmp_path / "in" / "Team Red_124_assignsubmission_file" / "a.ipynb")
    _, table = grading(tmp_path / "in", roster=roster)
    assert table["Jörg Müller"]["flags"] == "its files are called after 'Team Red'"
