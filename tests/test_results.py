"""Protects the reader from prose that says another number than the record it speaks of."""

import pytest
from nbformat import read, write
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from cifarlab import records, schema
from cifarlab_course.lessons import notebooks, results
from tests.helpers import tiny_record

MARKED = "It reached <!-- tiny-seed0 history.-1.train.accuracy .2f -->80.12<!-- end --> %."


@pytest.fixture(autouse=True)
def shipped(tmp_path, monkeypatch):
    """One record, whose last epoch reached 80.12 %."""
    monkeypatch.setattr(records, "SHIPPED", tmp_path)
    return save(tmp_path, 80.1249)


def save(folder, accuracy):
    path = folder / "tiny-seed0.json"
    path.write_text(schema.text(tiny_record(10.0, accuracy)))
    return path


def test_a_number_that_stands_in_the_record_passes():
    assert list(results.faults(MARKED)) == []


def test_a_changed_record_is_noticed_and_written_into_the_text(shipped):
    save(shipped.parent, 81.5)
    assert ["81.50" in fault for fault in results.faults(MARKED)] == [True]
    assert results.renewed(MARKED) == MARKED.replace("80.12", "81.50")


def test_a_number_of_a_benchmark_can_be_marked_too(shipped):
    folder = shipped.parent / "benchmarks"
    folder.mkdir()
    (folder / "rank.json").write_text('{"accuracy": [17.14, 90.26]}')
    marked = "<!-- benchmarks/rank accuracy.1 .1f -->90.3<!-- end --> %"
    assert list(results.faults(marked)) == []
    assert ["90.3" in fault for fault in results.faults(marked.replace("90.3", "90.4"))] == [True]


@pytest.mark.parametrize(
    ("mark", "hint"),
    [
        ("other history.0.train.accuracy .1f", "tiny-seed0"),
        ("tiny-seed0 history.2.train.accuracy .1f", "history.2.train.accuracy"),
        ("tiny-seed0 history.train.accuracy .1f", "history.train.accuracy"),
        ("tiny-seed0 history.0.train.accuracy .1q", ".1q"),
    ],
)
def test_a_mark_that_names_nothing_is_a_fault(mark, hint):
    assert [hint in fault for fault in results.faults(f"<!-- {mark} -->1<!-- end -->")] == [True]


@pytest.mark.parametrize("unit", ["%", " %", " per cent", " points"])
def test_a_measured_share_needs_a_record_or_a_citation(unit):
    claim = f"The gap is 3.4{unit}"
    assert ["no source" in fault for fault in results.faults(claim)] == [True]
    cited = f"{claim} ([Barz and Denzler 2020](../book/references.md#barz2020))."
    assert list(results.faults(cited)) == []
    assert list(results.faults(f"{cited}\n\n{claim}")) != []  # not in the same paragraph


def test_writing_renews_the_prose_of_a_lesson_and_leaves_its_code_alone(tmp_path):
    code = new_code_cell(f"# {MARKED}\nprint(1)")
    path = tmp_path / "lesson.ipynb"
    write(new_notebook(cells=[new_markdown_cell(MARKED), code]), path)
    save(tmp_path, 90.0)
    results.write(path)
    prose, kept = read(path, as_version=4).cells
    assert "90.00" in prose.source
    assert kept.source == code.source


def test_no_page_and_no_lesson_has_a_fault(monkeypatch):
    monkeypatch.undo()  # the records that ship
    found = [
        f"{where}: {fault}"
        for path in [*results.PAGES, *notebooks.LESSONS]
        for where, text in results.markdown(path)
        for fault in results.faults(text)
    ]
    assert found == []
