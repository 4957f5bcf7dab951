"""Match those who handed in with a roster: a learning platform's own export, or any table of names.

Nobody is left out without a word, neither who isn't on the roster nor who handed in nothing.
"""

import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from cifarlab_course.grading.gradebook import read_table
from cifarlab_course.grading.handed_in import CANVAS_ITS, MOODLE_ITS, Learner, joined, shown

# What columns are called, in small letters. Canvas's: lib/gradebook_exporter.rb in
# instructure/canvas-lms, which translates none; Moodle's: mod/assign/gradingtable.php in
# moodle/moodle, which translates all, so that its worksheet is to be had in English.
NUMBERS = ("number", "id", "student number", "student id", "id number")
LOGINS = ("login", "username", "user name", "sis login id", "sis user id", "id number")
MAILS = ("email address", "email", "e-mail", "mail")
NAMES = ("name", "full name", "student", "learner")
GROUPS = ("group", "team")  # "groups", as Moodle lists participants, may be anything
# Canvas's rows that are no learner's: the points possible, and one that says what is hidden.
NO_LEARNER = re.compile(r"\s*(Points Possible.*|Muted|Manual Posting.*)?\s*", re.IGNORECASE)
TEST_STUDENT = "Student, Test"


class Person(NamedTuple):
    """Somebody on the roster."""

    row: int  # of the table, from 0
    name: str
    number: str  # by which the platform knows her
    logins: tuple[str, ...]  # in small letters
    group: str = ""
    late: str = ""  # as Moodle says in English


@dataclass
class Roster:
    """A table of those who should hand in, kept as it is, to be filled in."""

    platform: str  # Canvas, Moodle, or none
    header: list[str]
    rows: list[list[str]]
    sign: str  # between columns
    people: list[Person] = field(default_factory=list)

    def column(self, *names: str) -> int | None:
        """The place of the first column that has one of these names, in small letters."""
        header = [name.strip().lower() for name in self.header]
        return next((header.index(name) for name in names if name in header), None)

    def cell(self, row: Sequence[str], *names: str) -> str:
        """What stands in the column of one of these names; nothing if there is none."""
        place = self.column(*names)
        return row[place].strip() if place is not None and place < len(row) else ""


def of_files(path: Path | None, groups: Path | None) -> Roster | None:
    """The roster in one file with the groups in another; a table of groups alone is a roster, too.

    Raises: ValueError if a file says nothing that can be used; OSError.
    """
    roster = read(path) if path else None
    if groups is None:
        return roster
    table = read(groups)
    if not any(one.group for one in table.people):
        raise ValueError(f"{groups} has no column 'group', or nothing in it.")
    return with_groups(roster, table, groups) if roster else table


def read(path: Path) -> Roster:
    """The roster in a file of CSV.

    Raises: ValueError if none of its columns says who somebody is; OSError.
    """
    sign, (header, *rows) = read_table(path)
    roster = Roster("", header, rows, sign)
    if roster.column("student", "lastname") is not None and roster.column("section") is not None:
        roster.platform = CANVAS_ITS
    elif roster.column("identifier") is not None:
        roster.platform = MOODLE_ITS
        if roster.column("grade") is None:
            raise ValueError(f"{path} has no column 'Grade', which Moodle's worksheet has.")
    elif roster.column(*NAMES, "last name", "surname", *LOGINS, *MAILS, *NUMBERS) is None:
        raise ValueError(
            f"{path} has no column of names, logins or numbers, but {', '.join(header[:5])}. Take "
            "Canvas's exported gradebook, Moodle's grading worksheet (with Moodle's language set "
            "to English), or a table with a column 'name', 'login' or 'number'."
        )
    found = (person(roster, number, row) for number, row in enumerate(rows))
    roster.people = [one for one in found if one]
    if not roster.people:
        raise ValueError(f"{path} names no learner.")
    twice = Counter(one.number for one in roster.people if one.number)
    for number, times in twice.most_common(1):
        if times > 1:
            raise ValueError(f"{path} has {times} rows with the number {number}; keep one.")
    return roster


def person(roster: Roster, number: int, row: list[str]) -> Person | None:
    """Who a row is of; None if it is nobody's."""
    first = roster.cell(row, "firstname", "first name")
    last = roster.cell(row, "lastname", "last name", "surname")
    canvas = roster.platform == CANVAS_ITS
    # Canvas's gradebook may have columns of a teacher's own, of any name.
    name = roster.cell(row, *(("student",) if canvas else NAMES))
    name = name or ", ".join(filter(None, (last, first)))
    logins = {roster.cell(row, each).lower() for each in (*LOGINS, *MAILS)}
    own = roster.cell(row, *(("id",) if canvas else NUMBERS))
    if canvas and (name == TEST_STUDENT or (not own and NO_LEARNER.fullmatch(name))):
        return None
    if roster.platform == MOODLE_ITS:
        identifier = roster.cell(row, "identifier")
        ending = re.search(r"\d+$", identifier)
        own, name = ending[0] if ending else "", name or identifier
    elif not roster.platform:
        logins.add(own.lower())  # a folder may be called by it
    logins -= {""}
    if not (name or own or logins):
        return None
    name = name or roster.cell(row, *LOGINS, *MAILS) or own
    status = roster.cell(row, "status")
    late = status if re.search(r"\blate\b", status) else ""
    return Person(number, name, own, tuple(sorted(logins)), roster.cell(row, *GROUPS), late)


def with_groups(roster: Roster, groups: Roster, path: Path) -> Roster:
    """The roster, with the groups that another table names.

    Raises: ValueError if that names somebody who isn't on the roster.
    """
    find = finder(roster.people)
    members: dict[int, str] = {}
    for one in groups.people:
        known = next(
            (found for each in (one.number, *one.logins, one.name) if (found := find(each))), None
        )
        if known is None:
            raise ValueError(f"{path}: {one.name!r} is not on the roster, or not alone.")
        members[known.row] = one.group
    people = [one._replace(group=members.get(one.row, one.group)) for one in roster.people]
    return replace(roster, people=people)


# ------------------------------------------------------------------------------------- matching


def words(name: str) -> str:
    """A name whose words may stand in any order: "Lovelace, Ada" or "Ada Lovelace"."""
    plain = unicodedata.normalize("NFC", name).casefold()
    return " ".join(sorted(re.findall(r"[^\W_]+", plain)))


def squashed(name: str) -> str:
    """A name as Canvas writes it before its numbers: small letters, nothing between them."""
    plain = unicodedata.normalize("NFC", name).casefold()
    return "".join(re.findall(r"[^\W_]", plain))


def turned(name: str) -> set[str]:
    """The same, whichever of its words comes first: Canvas puts the last name there."""
    plain = re.findall(r"[^\W_]+", unicodedata.normalize("NFC", name).casefold())
    return {"".join(plain[place:] + plain[:place]) for place in range(len(plain))}


def before_at(address: str) -> str:
    """What stands before the "@" of an address."""
    return address.partition("@")[0]


def finder(people: Iterable[Person]) -> Callable[[str], Person | None]:
    """Finds who is meant by a number, login, address or name; nobody where two may be."""
    tables: list[tuple[Callable[[str], str], dict[str, list[Person]]]] = [
        (str, {}),
        (str.lower, {}),
        (str.lower, {}),
        (words, {}),
        (squashed, {}),
    ]
    for one in people:
        keys = [{one.number}, {*one.logins}, {before_at(login) for login in one.logins}]
        keys += [{words(one.name)}, turned(one.name)]
        for (_, table), own in zip(tables, keys, strict=True):
            for key in own - {""}:
                table.setdefault(key, []).append(one)

    def find(said: str) -> Person | None:
        for make, table in tables:
            found = table.get(make(said), [])
            if found:
                return found[0] if len(found) == 1 else None
        return None

    return find


def matched(learners: Iterable[Learner], roster: Roster) -> list[Learner]:
    """Everybody on the roster, with what was handed in, and after them who isn't on it.

    A group is one learner, whose members are the rows of its people.
    """
    by_number = {one.number: one for one in roster.people if one.number}
    groups = {words(one.group): one.group for one in roster.people if one.group}
    find = finder(roster.people)
    names = Counter(shown(one.name) for one in roster.people)
    found: dict[int, Learner] = {}
    of_group: dict[str, list[Learner]] = {}
    strangers = []
    for learner in learners:
        called = learner.name.removesuffix(f" ({learner.number or 'no number'})")  # `merged`'s
        if group := groups.get(words(called)) or squashed_group(called, groups):
            of_group.setdefault(group, []).append(learner)
            continue
        numbered = by_number.get(learner.number)
        alike = numbered and squashed(called) in {"participant", *turned(numbered.name)}
        if learner.number and learner.platform == roster.platform:
            known = numbered  # its number alone decides
            if known and not alike:
                said = f"its files are called after {called!r}"
                learner = replace(learner, flags=(*learner.flags, said))
        else:
            known = numbered if alike else find(called)
        if known is None:
            strangers.append(stranger(learner, names))
        else:
            own = named(known, roster, names, learner)
            found[known.row] = joined(found[known.row], own) if known.row in found else own
    everybody = []
    for one in roster.people:
        found.setdefault(one.row, named(one, roster, names, Learner(one.name)))
        if not one.group:
            everybody.append(found[one.row])
    for group in dict.fromkeys(groups.values()):
        members = [found[one.row] for one in roster.people if words(one.group) == words(group)]
        everybody.append(together(group, of_group.get(group, []), members, names))
    return [*everybody, *strangers]


def squashed_group(name: str, groups: dict[str, str]) -> str:
    """The group that Canvas calls so; none if it is none."""
    return next((group for group in groups.values() if squashed(group) == squashed(name)), "")


def named(one: Person, roster: Roster, names: Counter[str], learner: Learner) -> Learner:
    """A learner as the roster has her. A number that the platform gave stays."""
    name = shown(one.name)
    if names[name] > 1:
        name += f" ({one.number or ' '.join(one.logins) or f'row {one.row + 2}'})"
    number, platform = learner.number, learner.platform
    if roster.platform or not number:
        number, platform = one.number, roster.platform
    flags = learner.flags
    if one.late and learner.places:
        flags += (f"handed in late, as Moodle says: {one.late}",)
    return replace(learner, name=name, number=number, platform=platform, flags=flags, row=one.row)


def stranger(learner: Learner, names: Counter[str]) -> Learner:
    """A learner who isn't on the roster, or of whom it can't be said who she is there."""
    name = learner.name
    if names[name]:
        name += " (not on the roster)"
    return replace(learner, name=name, flags=(*learner.flags, "not on the roster"))


def together(
    group: str, own: Sequence[Learner], members: Sequence[Learner], names: Counter[str]
) -> Learner:
    """A group as one learner, with what was handed in by it or by any of its members."""
    name = shown(group) + " (group)" * bool(names[shown(group)])
    busy = [member for member in members if member.places]
    flags = [flag for one in (*own, *busy) for flag in one.flags]
    if len(busy) + len(own) > 1:
        flags.append(f"handed in {len(busy) + len(own)} times")
    places = tuple(place for one in (*own, *busy) for place in one.places)
    own_members = tuple(replace(member, places=(), flags=()) for member in members)
    return Learner(name, places=places, flags=tuple(dict.fromkeys(flags)), members=own_members)
