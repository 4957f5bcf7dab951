"""Protects the lessons' readers: Colab opens them, screen readers read them, nbval trusts them."""

import re
import shutil
import tomllib

import nbformat
import pytest
from nbclient.exceptions import CellExecutionError
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from cifarlab import figures, plots
from cifarlab_course.lessons import notebooks

PNG = new_output("display_data", data={"image/png": "aGk=", "text/plain": "<Plot>"})
CHART = new_output(
    "display_data", data={"text/html": plots.dots({"a": [1, 2]}, {}, "points")._repr_html_()}
)
ALT = {"mystnb": {"image": {"alt": "Two curves that fall and then meet at epoch 10, near 0.5."}}}


@pytest.mark.parametrize("path", notebooks.LESSONS, ids=lambda path: path.stem)
def test_a_lesson_has_no_fault(path):
    assert list(notebooks.faults(nbformat.read(path, as_version=4))) == []


def test_a_summary_of_a_network_moves_no_batch_norm():
    """torchinfo 1.8 switches to evaluation by itself, its next release does not."""
    calls = [
        call
        for path in notebooks.LESSONS
        for cell in nbformat.read(path, as_version=4).cells
        if cell.cell_type == "code"
        for call in re.findall(r"torchinfo\.summary\((?:[^()]|\([^()]*\))*\)", cell.source)
    ]
    assert calls
    assert [call for call in calls if 'mode="eval"' not in call] == []


@pytest.mark.parametrize("path", notebooks.LESSONS, ids=lambda path: path.stem)
def test_a_lesson_shows_what_it_says(path):
    lesson = nbformat.read(path, as_version=4)
    assert list(notebooks.faults_of_showing(lesson)) == []


@pytest.mark.parametrize("path", notebooks.LESSONS, ids=lambda path: path.stem)
def test_the_figures_that_a_lesson_stores_carry_today_s_scripts(path):
    """Of all else in an output, nbval says whether the lesson still gives it."""
    stored = [
        output.data["text/html"]
        for cell in nbformat.read(path, as_version=4).cells
        for output in cell.get("outputs", [])
        if output.get("data", {}).get("text/html", "").startswith("<cifarlab-")
    ]
    assert stored
    for text in stored:
        name = re.match(r"<cifarlab-([\w-]+)", text)[1]
        script = figures.Figure(name, {})._repr_html_().partition("<script>")[2]
        assert text.partition("<script>")[2] == script, name


def sound(*cells):
    """A notebook with the set-up cell and then `cells`, as if just run."""
    code = [new_code_cell(notebooks.setup_cell()), *cells]
    notebook = new_notebook(cells=code)
    numbered = [cell for cell in code if cell.cell_type == "code"]
    for number, cell in enumerate(numbered, start=1):
        cell.execution_count = number
    return notebook


def ignored(source="train()"):
    return new_code_cell(source, metadata={"tags": [notebooks.IGNORED]})


@pytest.mark.parametrize(
    "cells",
    [
        [],
        [new_code_cell("plot", outputs=[PNG], metadata=ALT)],
        [ignored(), ignored()],
        [new_markdown_cell("# One\n## Two\n### Three\n## Two again")],
        [new_code_cell("torch.manual_seed(0)\nnetwork = make()"), new_code_cell("engine.fit(n)")],
    ],
)
def test_a_sound_lesson_passes(cells):
    assert list(notebooks.faults(sound(*cells))) == []


@pytest.mark.parametrize(
    ("cells", "fault"),
    [
        ([new_code_cell("plot", outputs=[PNG])], "alt text"),
        ([new_code_cell("chart", outputs=[CHART])], "alt text"),
        ([new_code_cell("sweep = engine.find_learning_rate(network)")], "no torch.manual_seed"),
        (
            [new_code_cell("engine.fit(n)"), new_code_cell("torch.manual_seed(0)")],
            "no torch.manual",
        ),
        (
            [
                new_code_cell(
                    "widget",
                    outputs=[
                        new_output(
                            "display_data",
                            data={"application/vnd.jupyter.widget-view+json": {"model_id": "1"}},
                        )
                    ],
                )
            ],
            "widget",
        ),
        ([new_code_cell("x", outputs=[new_output("stream", name="stderr", text="!")])], "warning"),
        (
            [
                new_code_cell(
                    "x", outputs=[new_output("stream", name="stdout", text="in /home/me/data")]
                )
            ],
            "path of one machine",
        ),
        (
            [
                new_code_cell(
                    "x", outputs=[new_output("stream", name="stdout", text="<f at 0x7f9e>")]
                )
            ],
            "address in memory",
        ),
        ([new_code_cell("x = " + "1 + " * 30 + "1")], "characters"),
        ([new_markdown_cell("See {ref}`label`.")], "MyST"),
        ([new_markdown_cell("```{note}\nHello\n```")], "MyST"),
        ([new_markdown_cell("# One\n### Three")], "heading level 3"),
    ],
)
def test_a_fault_is_found(cells, fault):
    found = list(notebooks.faults(sound(*cells)))
    assert len(found) == 1
    assert fault in found[0]


ANSWERED = new_code_cell("1", outputs=[PNG], metadata={"tags": [notebooks.ANSWER], **ALT})
ANSWERED.metadata.mystnb["figure"] = {"caption": "Both fall."}


@pytest.mark.parametrize(
    ("cells", "fault"),
    [
        ([new_code_cell("x = 1")], "shows nothing"),
        ([new_code_cell("x\nassert x", outputs=[PNG], metadata=ALT)], "an assert"),
        ([ANSWERED], "no Predict"),
        ([new_code_cell(notebooks.setup_cell(), outputs=[PNG], metadata=ALT)], "set-up on"),
        ([new_markdown_cell("**Predict:** 1?"), new_code_cell("import x")], "must be tagged"),
        ([new_markdown_cell("**Predict:** 1?\n\nIt is 2."), ANSWERED], "must be tagged"),
        ([new_code_cell("1", outputs=[PNG], metadata=ALT)], "caption"),
        ([new_code_cell("1", outputs=[CHART], metadata=ALT)], "caption"),
        ([new_code_cell("1", outputs=[PNG])], "caption"),
        ([new_code_cell("assert x", metadata={"tags": [notebooks.CHECK]})], "first line"),
        ([new_markdown_cell("[x](../book/glossary.md#term-nonsense)")], "no term"),
        ([new_markdown_cell("**You will be able to**\n\n- a;\n- b.\n")], "fewer objectives"),
    ],
)
def test_where_a_lesson_does_not_show_is_found(cells, fault):
    found = list(notebooks.faults_of_showing(new_notebook(cells=cells)))
    assert any(fault in each for each in found)


def test_a_lesson_that_shows_passes():
    cells = [
        new_code_cell("import torch\n\n\ndef double(x):\n    return 2 * x"),
        new_markdown_cell("**Predict:** how much is it?"),
        ANSWERED,
        new_code_cell("# Check: as promised.\nassert 1", metadata={"tags": [notebooks.CHECK]}),
    ]
    assert list(notebooks.faults_of_showing(new_notebook(cells=cells))) == []


def test_a_cell_that_ran_out_of_order_is_found():
    notebook = sound(new_code_cell("x"))
    notebook.cells[1].execution_count = 7
    assert "execution count 7" in next(notebooks.faults(notebook))


def test_the_set_up_cell_follows_the_address_in_the_configuration(tmp_path, monkeypatch):
    (tmp_path / "_config.yml").write_text(
        "repository:\n  url: https://example.org/fork\n  branch: spring-2027\n"
    )
    monkeypatch.setattr(notebooks, "ROOT", tmp_path)
    assert "git+https://example.org/fork@spring-2027" in notebooks.setup_cell()
    stale = new_notebook(cells=[new_code_cell("import cifarlab", execution_count=1)])
    assert "first code cell" in next(notebooks.faults(stale))


def test_frozen_links_name_the_fork_and_its_tag_and_change_nothing_else(tmp_path, monkeypatch):
    (tmp_path / "_config.yml").write_text(
        "repository:\n  url: https://example.org/a-long-name/fork\n  branch: a-tag-of-spring-2027\n"
    )
    (tmp_path / "book").mkdir()
    for name in ("README.md", "pyproject.toml", "book/how-to-study.md"):
        shutil.copy(notebooks.ROOT / name, tmp_path / name)
    lesson = tmp_path / "lesson.ipynb"
    before = sound(new_markdown_cell("# Title"), new_code_cell("1", outputs=[PNG], metadata=ALT))
    nbformat.write(before, lesson)
    monkeypatch.setattr(notebooks, "ROOT", tmp_path)
    notebooks.link(lesson)
    notebooks.link_texts()
    after = nbformat.read(lesson, as_version=4)
    assert after.cells[0].source == notebooks.setup_cell()
    assert after.cells[1:] == before.cells[1:]
    assert list(notebooks.faults(after)) == []  # however long the address is
    text = (tmp_path / "README.md").read_text(encoding="utf-8")
    source = "git+https://example.org/a-long-name/fork@a-tag-of-spring-2027"
    assert f'pip install "cifarlab @ {source}"' in text
    assert "git clone https://example.org/a-long-name/fork &&" in text
    assert "github.com" not in text
    page = (tmp_path / "book" / "how-to-study.md").read_text(encoding="utf-8")
    assert "git clone https://example.org/a-long-name/fork course\n" in page
    assert "github.com" not in page
    text = (tmp_path / "pyproject.toml").read_text(encoding="utf-8")
    assert tomllib.loads(text)["project"]["urls"] == {
        "Source": "https://example.org/a-long-name/fork",
        "Changelog": "https://example.org/a-long-name/fork/blob/a-tag-of-spring-2027/book/changelog.md",
    }
    assert "github.com" not in text


@pytest.mark.slow
def test_a_stored_lesson_was_run_from_the_top_and_is_normalised(tmp_path):
    """Two prints make one output; neither times nor the version of Python are kept."""
    path = tmp_path / "lesson.ipynb"
    notebook = sound(
        new_code_cell("print(1, flush=True)\nprint(2)"), new_code_cell("seen = 3\nseen")
    )
    notebook.cells[1].outputs = [new_output("stream", name="stdout", text="an old run\n")]
    nbformat.write(notebook, path)
    notebooks.store(path)
    stored = nbformat.read(path, as_version=4)
    prints, value = (cell.outputs for cell in stored.cells[1:])
    assert [output.text for output in prints] == ["1\n2\n"]
    assert value[0].data == {"text/plain": "3"}
    assert list(notebooks.faults(stored)) == []
    normal = nbformat.from_dict(stored)
    notebooks.normalize(normal)
    assert stored == normal and stored.metadata.language_info == {"name": "python"}


def test_a_lesson_with_a_cell_that_fails_stays_as_it_was(tmp_path, monkeypatch):
    def fail(client):
        client.nb.cells.clear()
        raise CellExecutionError("", "ZeroDivisionError", "division by zero")

    monkeypatch.setattr(notebooks.NotebookClient, "execute", fail)
    path = tmp_path / "lesson.ipynb"
    nbformat.write(sound(new_code_cell("1 / 0")), path)
    before = path.read_bytes()
    with pytest.raises(CellExecutionError):
        notebooks.store(path)
    assert path.read_bytes() == before


def test_storing_joins_prints_and_drops_the_machine(tmp_path):
    parts = [new_output("stream", name="stdout", text=text) for text in ("a\n", "b\n")]
    notebook = sound(
        new_code_cell("x", outputs=parts, metadata={"execution": {"shell.execute_reply": "2026"}})
    )
    notebook.metadata.language_info = {"name": "python", "version": "3.11.7"}
    notebooks.normalize(notebook)
    assert [output.text for output in notebook.cells[1].outputs] == ["a\nb\n"]
    assert "version" not in notebook.metadata.language_info
    assert "execution" not in notebook.cells[1].metadata


def test_of_a_chart_nbval_compares_what_stands_around_its_lines():
    """Two that differ in their numbers alone are one to it."""
    plugin = pytest.importorskip("nbval.plugin")
    rules = (notebooks.ROOT / "tests" / "nbval-ignored.cfg").read_text(encoding="utf-8")

    def compared(losses):
        text = plots.by_step({"loss": {"a run": losses}})._repr_html_()
        for pattern, replacement in plugin.get_sanitize_patterns(rules):
            text = re.sub(pattern, replacement, text)
        return text

    assert compared([0.9, 0.8]) == compared([0.7, 0.1, 0.3])
    assert "loss" in compared([0.9, 0.8]) and "<svg" not in compared([0.9, 0.8])
