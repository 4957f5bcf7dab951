"""Protects the built book: it needs no network, its figures work, and it bars nobody.

`make test` builds the book first. Without one, or without a browser, these tests are skipped.
"""

import html
import io
import itertools
import json
import os
import re
import statistics
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import nbformat
import numpy as np
import pytest
import yaml
from axe_playwright_python.sync_playwright import Axe
from PIL import Image, ImageChops, ImageStat
from playwright.sync_api import Locator, Page, expect
from pypdf import PdfReader

from benchmarks import lighthouse
from cifarlab import data, figures, live, records
from cifarlab_course.artefacts import export
from cifarlab_course.lessons import notebooks
from cifarlab_course.sphinx import light

HTML = Path(__file__).resolve().parent.parent / "_build" / "html"
PAGES = sorted(
    path.relative_to(HTML).as_posix()
    for path in HTML.rglob("*.html")
    if not path.relative_to(HTML).parts[0].startswith("_")
    and path != HTML / "index.html"  # which sends the reader on to the first page
)
PLAY = "book/play.html"
LIVE = "book/live.html"
WITH_PICTURES = ["lessons/03-receptive-fields.html", "lessons/10-look-inside.html"]
EDITION = os.environ.get("EDITION") or "full"  # `make test` builds and tests the same one
# What the theme says on every page, whatever is on it.
KNOWN = ("THEBE_JS_URL", "Got invalid theme mode")

pytestmark = [
    pytest.mark.book,
    pytest.mark.skipif(not PAGES, reason="no book in _build/html; `make book` makes one"),
]


@pytest.fixture
def visit(browser):
    """visit(page): opened from its file, the network cut; what it then asks for or throws fails."""
    contexts, faults = [], []

    def open_page(path: str, **settings) -> Page:
        context = browser.new_context(offline=True, **settings)
        contexts.append(context)
        context.on("request", lambda request: faults.append(request.url))
        context.on("weberror", lambda thrown: faults.append(str(thrown.error)))
        context.on(
            "console", lambda said: faults.append(said.text) if said.type == "error" else None
        )
        page = context.new_page()
        page.clock.install()
        page.goto((HTML / path).as_uri())
        if settings.get("java_script_enabled", True):
            alive = "(e) => !e.localName.startsWith('cifarlab-') || customElements.get(e.localName)"
            page.wait_for_function(f"() => [...document.querySelectorAll('*')].every({alive})")
            page.keyboard.press("Shift")  # draws the figures that are far down, too
        return page

    yield open_page
    for context in contexts:
        context.close()
    harmless = ("file:", "data:", "blob:")  # a blob is the page's own
    assert [
        fault
        for fault in faults
        if not fault.startswith(harmless) and not any(known in fault for known in KNOWN)
    ] == []


def figure(page: Page, name: str) -> Locator:
    """The first figure of this name on the page, once it is drawn."""
    found = page.locator(f"cifarlab-{name}").first
    expect(found).to_have_attribute("ready", "")
    return found


def status(shown: Locator) -> Locator:
    """What a figure says, in the line that is read; a voice waits until that rests."""
    return shown.locator(".said, [role=status]:not(.spoken)")


def barriers(page: Page) -> Iterator[str]:
    """What axe calls serious or critical: the rule, and where."""
    # What is just being faded in would be too pale.
    page.evaluate(
        "Promise.allSettled(document.getAnimations().map((each) => each.finished)).then(() => 0)"
    )
    options = {"preload": False, "resultTypes": ["violations"]}  # preload asks for the style again
    for each in Axe().run(page, options=options).response["violations"]:
        if each["impact"] in ("serious", "critical"):
            yield f"{each['id']}: {[node['target'] for node in each['nodes']]}"


# ------------------------------------------------------------------------------- predictions

LESSON = "lessons/03-receptive-fields.html"


def test_an_answer_is_folded_until_it_is_asked_for_and_holds_the_words_that_read_it(visit):
    page = visit(LESSON)
    words, first = page.get_by_text("five, because neighbours share"), page.locator(".answer").first
    expect(words).to_be_hidden()
    first.get_by_text("Show the answer").focus()
    page.keyboard.press("Enter")
    expect(words).to_be_visible()
    expect(first.locator("pre").last).to_contain_text("(5, 5)")
    expect(page.get_by_role("heading", name="By hand")).to_be_visible()


def test_a_guess_is_kept_while_one_reads_on_and_leaves_the_page_nowhere(visit):
    page = visit(LESSON)
    guess = page.get_by_label("Your guess").first
    guess.fill("six")
    page.reload()
    expect(guess).to_have_value("six")
    expect(page.get_by_label("Your guess").nth(1)).to_have_value("")


def test_without_scripts_and_on_paper_answers_lie_open(visit):
    page = visit(LESSON, java_script_enabled=False)
    expect(page.get_by_text("five, because neighbours share")).to_be_visible()
    assert squeezed("five, because neighbours share") in printed(visit(LESSON))


def test_every_prediction_of_every_lesson_has_its_answer_folded():
    """No question that starts a lesson's paragraph is answered where one reads it."""
    for path in notebooks.LESSONS:
        cells = nbformat.read(path, as_version=4).cells
        for asks, answer in itertools.pairwise(cells):
            if asks.cell_type == "markdown" and "**Predict" in asks.source.splitlines()[-1]:
                assert "answer" in answer.metadata.get("tags", []), (path.name, asks.id)
        page = (HTML / "lessons" / path.with_suffix(".html").name).read_text(encoding="utf-8")
        assert page.count('<details class="answer" open>') >= 1
        assert page.count("<details") == page.count("</details>")


# ----------------------------------------------------------------- openings, charts, captions

CHARTS = "lessons/09-train-under-200k.html"


@pytest.mark.parametrize("path", notebooks.LESSONS, ids=lambda path: path.stem)
def test_a_lesson_has_its_number_and_its_opening_in_a_box(path):
    text = (HTML / "lessons" / path.with_suffix(".html").name).read_text(encoding="utf-8")
    number = int(path.stem[:2])
    assert f'<h1><span class="section-number">{number}. </span>' in text
    assert f'class="current reference internal" href="#">{number}. ' in text  # the sidebar
    opening = re.search(r'<div class="opening docutils container">(.*?)</div>', text, re.DOTALL)[1]
    assert re.findall(r"<strong>(.*?)</strong>", opening) == [
        "You will be able to",
        "You need",
        "Time:",
    ]
    assert "<li>" in opening


@pytest.mark.parametrize("path", notebooks.LESSONS, ids=lambda path: path.stem)
def test_a_chart_says_what_its_cell_says_of_it(path):
    page = (HTML / "lessons" / path.with_suffix(".html").name).read_text(encoding="utf-8")
    for cell in nbformat.read(path, as_version=4).cells:
        shown = [
            each for each in cell.get("outputs", []) if notebooks.CHART in str(each.get("data"))
        ]
        name = html.escape(cell.metadata.get("mystnb", {}).get("image", {}).get("alt", ""))
        assert page.count(f'<div class="chart" role="img" aria-label="{name}"') >= bool(shown)


@pytest.mark.parametrize("width", [320, 360, 1440])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_chart_is_as_readable_as_the_page_in_its_colour_and_its_font(visit, width, scheme):
    page = visit(CHARTS, viewport={"width": width, "height": 800}, color_scheme=scheme)
    charts = page.locator(".chart")
    assert charts.count() >= 4
    page.locator("details.answer").evaluate_all("(all) => all.forEach((e) => (e.open = true))")
    for number in range(charts.count()):
        shown = charts.nth(number).locator("svg:visible")
        expect(shown).to_have_count(1)
        (size,) = shown.evaluate_all(
            "(all) => all.map((e) => 16 * e.clientWidth / e.viewBox.baseVal.width)"
        )
        assert 15.9 <= size <= 22
        look = "(each) => ((style) => [style.{}, style.fontFamily])(getComputedStyle(each))"
        word = shown.locator("text").first.evaluate(look.format("fill"))
        assert word == page.locator("article p").first.evaluate(look.format("color"))


# ------------------------------------------------------------------- cards of terms and works

TERMS = "lessons/02-convolution-arithmetic.html"


def test_a_card_comes_to_the_pointer_stays_under_it_and_leaves(visit):
    page = visit(TERMS)
    link = page.locator("a[href$='#term-kernel']").first
    card = page.get_by_role("tooltip")
    expect(card).to_have_count(0)
    link.hover()
    page.clock.run_for(200)
    expect(card).to_have_text(re.compile(r"^kernel\s*The weights with which one output"))
    card.hover()
    page.clock.run_for(1000)
    expect(card).to_be_visible()
    page.mouse.move(0, 0)
    page.clock.run_for(1000)
    expect(card).to_have_count(0)


def test_each_work_stands_once_among_the_references():
    """To make its card, the page is put together once more."""
    text = (HTML / "book" / "references.html").read_text(encoding="utf-8")
    works = re.findall(r'<li id="\w+">(.*?)</li>', text, re.DOTALL)
    assert len(works) > 50
    assert [work for work in works if work.count("<p>") != 1] == []


def test_a_card_comes_to_the_keyboard_and_escape_puts_it_away(visit):
    page = visit("lessons/05-depthwise-separable-convolutions.html")
    link = page.locator("a[href*='references.html#']").first
    page.keyboard.press("Tab")
    link.focus()
    card = page.get_by_role("tooltip")
    expect(card).to_contain_text(re.compile(r"\b(19|20)\d\d\."))
    expect(link).to_have_accessible_description(card.inner_text().strip())
    page.keyboard.press("Escape")
    expect(card).to_have_count(0)
    expect(link).to_be_focused()


def test_a_card_lies_within_a_small_screen_and_bars_nobody(visit):
    for scheme in ("light", "dark"):
        page = visit(TERMS, viewport=SMALL, color_scheme=scheme)
        page.keyboard.press("Tab")
        page.locator("a[aria-describedby^='card-']").last.focus()
        box = page.get_by_role("tooltip").bounding_box()
        assert box["x"] >= 0 and box["x"] + box["width"] <= 320
        assert page.evaluate("document.documentElement.scrollWidth") == 320
        assert list(barriers(page)) == []


def test_a_finger_and_a_page_without_scripts_follow_the_link(visit):
    for settings in ({"has_touch": True}, {"java_script_enabled": False}):
        page = visit(TERMS, viewport={"width": 800, "height": 800}, **settings)
        link = page.locator("a[href$='#term-kernel']").first
        link.tap() if "has_touch" in settings else link.click()
        expect(page).to_have_url(re.compile("glossary.html#term-kernel$"))
    expect(page.get_by_role("tooltip")).to_have_count(0)


def test_a_page_holds_the_cards_of_its_own_links_each_once():
    for path in PAGES:
        text = (HTML / path).read_text(encoding="utf-8")
        cards = re.findall(r'id="card-([^"]+)"', text)
        assert sorted(cards) == sorted(set(re.findall(r'aria-describedby="card-([^"]+)"', text)))


# --------------------------------------------------------------------------------- all pages


@pytest.mark.parametrize("path", PAGES)
def test_a_page_draws_its_figures_and_bars_nobody(visit, path):
    page = visit(path)
    unready = "[...document.querySelectorAll('*')].filter((each) => each.localName.startsWith("
    unready += "'cifarlab-') && !each.hasAttribute('ready')).map((each) => each.localName)"
    assert page.evaluate(unready) == []
    page.locator("details").evaluate_all("(all) => all.forEach((each) => { each.open = true })")
    assert list(barriers(page)) == []


SMALL = {"width": 320, "height": 640}


@pytest.mark.parametrize("path", PAGES)
def test_on_a_small_screen_no_page_is_wider_than_it(visit, path):
    page = visit(path, viewport=SMALL)
    assert page.evaluate("document.documentElement.scrollWidth") == 320


@pytest.mark.parametrize(
    "path",
    [path for path in PAGES if path.startswith(("book/play", "book/live")) or "capstone" in path],
)
def test_in_the_dark_and_on_a_small_screen_nobody_is_barred_either(visit, path):
    page = visit(path, color_scheme="dark", viewport=SMALL, has_touch=True)
    assert page.evaluate("document.documentElement.scrollWidth") == 320
    assert list(barriers(page)) == []


def test_without_scripts_a_sentence_stands_in_for_a_figure(visit):
    page = visit(PLAY, java_script_enabled=False)
    expect(page.locator("cifarlab-convolution-stepper")).to_contain_text("it needs a script")


def test_what_stands_in_for_a_figure_is_no_wider_than_a_small_screen(visit):
    page = visit(PLAY, viewport={"width": 360, "height": 740}, java_script_enabled=False)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


def test_the_api_leads_from_what_a_lesson_teaches_to_the_lesson():
    page = (HTML / "book/api.html").read_text(encoding="utf-8")
    article = page.partition("<article")[2].partition("</article>")[0]
    linked = set(re.findall(r'href="\.\./lessons/([\w-]+)\.html"', article))
    assert linked == {path.stem for path in (HTML / "lessons").glob("*.html")}


# -------------------------------------------------------------------------- everyday things


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_buttons_of_the_header_show_that_the_keyboard_is_on_them(visit, scheme):
    page = visit("lessons/03-receptive-fields.html", color_scheme=scheme)
    buttons = page.locator(".bd-header-article button:visible")
    assert buttons.count() >= 4
    for number in range(buttons.count()):
        button = buttons.nth(number)
        page.keyboard.press("Tab")  # from here on the keyboard is what moves the focus
        button.focus()
        style, width = button.evaluate(
            "(each) => ((look) => [look.outlineStyle, look.outlineWidth])(getComputedStyle(each))"
        )
        assert (style, width) == ("solid", "2px"), button.get_attribute("aria-label")


@pytest.mark.parametrize("path", [LESSON, "book/practice/03-receptive-fields.html"])
def test_the_ring_around_what_is_folded_is_not_cut_and_a_voice_says_its_words(visit, path):
    page = visit(path)
    page.keyboard.press("Tab")
    found = page.locator("article summary:visible")
    assert found.count() > 3
    for summary in found.all():
        summary.focus()
        style, width, offset = summary.evaluate(
            """(each) => ((look) => [look.outlineStyle, look.outlineWidth, look.outlineOffset])(
                getComputedStyle(each))"""
        )
        assert (style, width) == ("solid", "2px")
        cut = summary.evaluate("(each) => getComputedStyle(each.parentElement).overflow")
        assert cut == "visible" or offset == "-2px", summary.inner_text()
        assert summary.get_attribute("aria-label") is None


def test_the_skip_link_leads_to_the_text_and_the_logo_is_in_a_landmark(visit):
    page = visit(LESSON)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to main content")).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.closest('article') !== null")
    home = page.get_by_role("navigation", name="Home")
    expect(home.get_by_role("link", name="CIFAR Lab, home")).to_have_count(1)


def test_no_line_ends_between_a_number_and_its_per_cent():
    found = []
    for path in PAGES:
        text = (HTML / path).read_text(encoding="utf-8").partition("<article")[2]
        text = re.sub(r"<(pre|code|script|dl)\b.*?</\1>", "", text, flags=re.DOTALL)
        found += re.findall(r"(?:<p>|<li>|<td>|<h\d>)[^<]*\d[ \n]%[^<]*", text)
    assert found == []


def test_what_is_copied_is_the_command_without_its_prompt(visit):
    page = visit(LIVE)
    page.evaluate(
        """() => addEventListener("copy", () => {
            window.copied = document.activeElement.value ?? getSelection().toString();
        })"""
    )
    block = page.locator(".highlight-console").first
    assert block.inner_text().startswith("$ ")
    block.hover()
    block.locator("button.copybtn").click()
    assert page.evaluate("window.copied").startswith(".venv/bin/course export")


def test_what_is_copied_is_the_command_without_its_answer_and_outputs_have_no_button(visit):
    page = visit("book/teach/grading.html")
    page.evaluate(
        """() => addEventListener("copy", () => {
            window.copied = document.activeElement.value ?? getSelection().toString();
        })"""
    )
    block = page.locator(".highlight-console", has_text="Secret:").first
    block.hover()
    block.locator("button.copybtn").click()
    copied = page.evaluate("window.copied")
    assert copied and "Secret" not in copied
    page.goto((HTML / LESSON).as_uri())
    expect(page.locator(".cell_input button.copybtn").first).to_be_attached()
    assert page.locator(".cell_output pre").count() > 3
    expect(page.locator(".cell_output button.copybtn")).to_have_count(0)


@pytest.mark.parametrize("path", WITH_PICTURES)
def test_a_page_loads_no_script_of_icons_no_search_index_and_pictures_as_they_come(path):
    text = (HTML / path).read_text(encoding="utf-8")
    assert "scripts/fontawesome.js" not in text
    assert "searchindex.js" not in text
    pictures = re.findall(r"<img [^>]*>", text.partition("<article")[2].partition("</article>")[0])
    assert len(pictures) > 1
    assert all('loading="lazy"' in each for each in pictures[1:])


@pytest.mark.parametrize("path", WITH_PICTURES)
def test_the_text_keeps_its_place_when_a_picture_comes(visit, path):
    """Each keeps room for itself before it is loaded: as much as it takes afterwards."""
    page = visit(path)
    page.locator("details").evaluate_all("(all) => all.forEach((e) => (e.open = true))")
    heights = """() => [...document.querySelectorAll(".bd-article .cell_output img")]
        .map((each) => each.getBoundingClientRect().height)"""
    before = page.evaluate(heights)
    page.locator(".bd-article .cell_output img").evaluate_all(
        """(all) => Promise.all(all.map((each) => {
            each.loading = "eager";
            return each.decode();
        }))"""
    )
    assert len(before) > 1
    assert page.evaluate(heights) == pytest.approx(before, abs=1)


@pytest.mark.parametrize(
    "path", ["book/welcome.html", "lessons/05-depthwise-separable-convolutions.html"]
)
def test_lines_of_prose_are_as_long_as_the_eye_can_follow_in_the_book_s_own_fonts(visit, path):
    page = visit(path, viewport={"width": 1440, "height": 900})
    page.evaluate("document.fonts.ready")
    for font in ("16px 'Public Sans'", "italic 16px 'Public Sans'", "500 24px Literata"):
        loaded = f"document.fonts.load({font!r}).then((found) => found.length)"
        assert page.evaluate(loaded), font
    lines = page.locator("article section > p").evaluate_all(
        """(all) => all.map((each) => {
            const height = parseFloat(getComputedStyle(each).lineHeight);
            return [each.innerText.length, Math.round(each.clientHeight / height)];
        })"""
    )
    in_a_line = [characters / count for characters, count in lines if count > 2]
    assert len(in_a_line) > 2
    assert 60 <= statistics.median(in_a_line) <= 75  # the last line of each is shorter


@pytest.fixture
def server():
    """The address of the built book on a server of this machine."""
    with lighthouse.served(HTML) as serving:
        yield f"http://127.0.0.1:{serving.server_port}"
        serving.shutdown()


@pytest.mark.parametrize("place", ["a disk", "a server"])
def test_a_first_visit_is_in_the_book_s_own_fonts_and_nothing_is_complained_of(
    browser, server, place
):
    context = browser.new_context()  # which has nothing kept from before
    page = context.new_page()
    complaints: list[str] = []
    page.on("console", lambda said: complaints.append(said.text) if said.type == "error" else None)
    page.goto(f"{server if place == 'a server' else HTML.as_uri()}/book/welcome.html")
    expect(page.locator("cifarlab-live-predictions")).to_have_attribute("ready", "")
    chromium = context.new_cdp_session(page)
    chromium.send("DOM.enable")
    chromium.send("CSS.enable")
    root = chromium.send("DOM.getDocument")["root"]["nodeId"]
    for selector, font in (("article h1", "Literata"), ("article section > p", "Public Sans")):
        found = chromium.send("DOM.querySelector", {"nodeId": root, "selector": selector})
        painted = chromium.send("CSS.getPlatformFontsForNode", found)["fonts"]
        assert font in max(painted, key=lambda each: each["glyphCount"])["familyName"]
    context.close()
    assert complaints == []


def test_practice_stands_under_its_lesson_in_the_menu(visit):
    page = visit("lessons/05-depthwise-separable-convolutions.html")
    menu = page.locator(".bd-sidebar-primary nav.bd-links")
    lesson = menu.locator("li", has=page.locator("> a[href='#']")).last
    practice = lesson.get_by_role("link", name="Practice", exact=True)
    expect(practice).to_be_visible()
    practice.click()
    heading = page.get_by_role("heading", name="Practice: Depthwise separable convolutions")
    expect(heading).to_be_visible()


@pytest.mark.parametrize("path", [page for page in PAGES if page.startswith("lessons/")])
def test_set_up_and_imports_share_a_fold_with_the_code_that_follows(path):
    """A reader meets one closed line of them, not three in a row."""
    text = (HTML / path).read_text(encoding="utf-8").partition("<article")[2]
    cells = re.split(r'(?=<div class="cell )', text)[1:]
    folded = [" tag_hide-input" in each.partition(">")[0] for each in cells]
    bare = [folded[i] and "cell_output" not in each for i, each in enumerate(cells)]
    assert "install" in cells[0] and folded[0]
    assert not any(is_bare and after for is_bare, after in itertools.pairwise(bare))


@pytest.mark.parametrize("path", ["lessons/03-receptive-fields.html", "book/welcome.html"])
def test_every_icon_is_in_the_book_s_own_small_fonts(visit, path):
    """Drawn in its font it is another picture than a character that no font has."""
    page = visit(path)
    icons = page.locator("i[class*='fa-']")
    assert icons.count() > 10
    missing = icons.evaluate_all(
        """async (all) => {
            const drawn = (font, character) => {
                const board = document.createElement("canvas").getContext("2d");
                board.font = font;
                board.fillText(character, 4, 24);
                return board.canvas.toDataURL();
            };
            const missing = [];
            for (const each of all) {
                const { content, fontFamily, fontWeight } = getComputedStyle(each, "::before");
                const font = `${fontWeight} 20px ${fontFamily}`;
                await document.fonts.load(font);
                const character = content.slice(1, -1);
                const none = drawn(font, "\\uf8fe");
                if (character.length !== 1 || drawn(font, character) === none) {
                    missing.push(each.className);
                }
            }
            return missing;
        }"""
    )
    assert missing == []
    fonts = (HTML / "_static" / "vendor" / "fontawesome" / "webfonts").glob("*.woff2")
    sizes = {path.stem: path.stat().st_size for path in fonts}
    assert sizes["fa-solid-900"] + sizes["fa-brands-400"] < 10_000


@pytest.mark.parametrize("path", PAGES)
def test_no_script_keeps_the_text_waiting(path):
    """But for the search page, which has nothing to show without them."""
    text = (HTML / path).read_text(encoding="utf-8")
    assert 'rel="preload" as="script"' not in text
    if path != "search.html":
        scripts = re.findall(r"<script [^>]*src=[^>]*>", text)
        assert scripts or path == "404.html"
        assert all(" defer" in each for each in scripts)


def test_the_first_page_is_small_and_what_its_figure_holds_comes_behind_it():
    text = (HTML / "book/welcome.html").read_text(encoding="utf-8")
    assert "<cifarlab-live-predictions " in text and len(text) < 60_000
    (listed,) = re.findall(r"for \(const src of (\[.*figures/.*\])\)", text)
    later = json.loads(listed)
    files = [(HTML / "book" / each).resolve() for each in later]
    assert len(files) == 2 and all(file.is_file() for file in files)
    assert files[0].stat().st_size > 200_000  # the network


@pytest.mark.parametrize("path", ["book/welcome.html", "lessons/03-receptive-fields.html"])
@pytest.mark.parametrize("width", [360, 412, 768, 1024, 1440])
def test_nothing_jumps_while_a_page_comes(browser, path, width):
    """By how much, Chromium counts; up to 0.1 it calls good."""
    page = browser.new_page(viewport={"width": width, "height": 900})
    page.goto((HTML / path).as_uri())
    if "welcome" in path:
        expect(page.locator("cifarlab-live-predictions")).to_have_attribute("ready", "")
        expect(page.locator("cifarlab-live-predictions").get_by_role("status")).not_to_be_empty()
    jumped = page.evaluate(
        """() => new Promise((resolve) => {
            let sum = 0;
            new PerformanceObserver((list) => {
                for (const { value } of list.getEntries()) sum += value;
            }).observe({ type: "layout-shift", buffered: true });
            setTimeout(() => resolve(sum), 500);
        })"""
    )
    page.close()
    assert jumped < 0.1


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_first_visit_is_light_or_dark_before_the_theme_s_scripts_run(browser, scheme):
    context = browser.new_context(color_scheme=scheme)
    page = context.new_page()
    page.route("**/scripts/*.js*", lambda route: route.abort())
    page.goto((HTML / "book/welcome.html").as_uri())
    assert page.evaluate("document.documentElement.dataset.theme") == scheme
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    brightest = max(int(each) for each in re.findall(r"\d+", background)[:3])
    assert (brightest > 200) == (scheme == "light")
    assert page.locator(".logo__image:visible").count() == 1
    context.close()


def test_a_figure_far_down_is_drawn_when_one_comes_near_and_when_one_types_or_prints(browser):
    path = (HTML / "lessons/03-receptive-fields.html").as_uri()
    ways = {
        "come": lambda page: page.locator("cifarlab-quiz").scroll_into_view_if_needed(),
        "type": lambda page: page.keyboard.press("Tab"),
        "print": lambda page: page.evaluate("dispatchEvent(new Event('beforeprint'))"),
    }
    for name, way in ways.items():
        page = browser.new_page()
        page.goto(path)
        page.wait_for_function("() => customElements.get('cifarlab-quiz')")
        quiz = page.locator("cifarlab-quiz")
        assert quiz.get_attribute("ready") is None, name
        way(page)
        expect(quiz).to_have_attribute("ready", "")
        page.close()


def test_the_theme_s_styles_keep_what_pages_and_scripts_use_and_lose_the_rest():
    style = (
        "@media print{.used .gone{a:b}.used{c:d}}.gone,p .used{e:f}"
        ".used:not(.gone){g:h}.bs-tooltip-top{i:j}@font-face{k:l}/* .used{} */.gone{m:n}"
    )
    assert light.pruned(style, {"used"}) == (
        "@media print{.used{c:d}}.gone,p .used{e:f}"
        ".used:not(.gone){g:h}.bs-tooltip-top{i:j}@font-face{k:l}"
    )
    theme = HTML / "_static" / "styles" / "pydata-sphinx-theme.css"
    text = theme.read_text(encoding="utf-8")
    assert len(text) < 160_000  # of 397,000
    assert ".fa-chevron-down" in text and ".fa-zhihu" not in text


# What a learner types, and the pages of which one must be among the first three that are found.
SEARCHED = {
    "receptive field": ["lessons/03"],
    "dilation": ["lessons/04"],
    "depthwise separable convolution": ["lessons/05"],
    "cutout": ["lessons/07"],
    "how to install": ["book/how-to-study"],
    "colab": ["book/how-to-study"],
    "gpu": ["book/how-to-study"],
    "learning rate": ["lessons/09"],
    "overfitting": ["lessons/08"],
    "exercises solutions": ["book/practice/"],
    "mean and standard deviation of CIFAR-10": ["lessons/01"],
    "class activation map": ["lessons/10"],
    "download dataset": ["lessons/01"],
    "batch norm": ["lessons/09"],
    "my own picture": ["book/live", "lessons/11"],
    "overfit": ["lessons/08"],
    "webcam": ["book/live", "lessons/11"],
    "dataset": ["lessons/01"],
    "interactive": ["book/play"],
    "normalize": ["lessons/01"],
    "atrous": ["lessons/04"],
    "mobilenet": ["lessons/05"],
    "padding": ["lessons/02"],
    "stride": ["lessons/02"],
    "vscode": ["book/how-to-study"],
    "VS Code": ["book/how-to-study"],
    "windows": ["book/how-to-study"],
    "python version": ["book/how-to-study"],
    "hand in": ["book/how-to-study"],
}


@pytest.fixture(scope="module")
def found(browser):
    """Called with a query, gives the pages that the search finds, the best first."""
    with browser.new_context(offline=True) as context:
        page = context.new_page()

        def search(query):
            # Words around a hit would be shown, too, which a browser does not read from files.
            page.goto((HTML / "search.html").as_uri() + f"?q={query}")
            expect(page.locator("#search-results > p").first).to_contain_text("found")
            links = page.locator("#search-results li a")
            return links.evaluate_all("(links) => links.map((link) => link.getAttribute('href'))")

        yield search


@pytest.mark.parametrize("query", SEARCHED)
def test_what_a_learner_types_finds_its_page_among_the_first_three(found, query):
    first = found(query)[:3]
    assert any(page.startswith(name) for page in first for name in SEARCHED[query]), first


def test_the_site_s_address_has_a_title_words_and_a_card_and_leads_to_the_first_page(visit):
    text = (HTML / "index.html").read_text(encoding="utf-8")
    assert "<title>CIFAR Lab</title>" in text and '<html lang="en-GB">' in text
    assert metadata("index.html", end="<p>") == metadata("book/welcome.html")
    page = visit("index.html")
    page.wait_for_url("**/book/welcome.html")


def test_a_page_that_is_not_there_has_one_that_leads_on():
    text = (HTML / "404.html").read_text(encoding="utf-8")
    assert "<title>Not found — CIFAR Lab</title>" in text
    address = yaml.safe_load((HTML.parent.parent / "_config.yml").read_text())["repository"]["url"]
    links = re.findall(r'href="([^"]*)"', text)
    root = f"/{address.split('/')[-1]}/"  # wherever it is shown, so a relative link would fail
    assert links and all((HTML / link.removeprefix(root)).is_file() for link in links)


# ------------------------------------------------------------------------------- their heads


def metadata(path: str, end: str = "</head>") -> dict[str, str]:
    """What a page's head says of the page, each thing once."""
    head = (HTML / path).read_text(encoding="utf-8").partition(end)[0]
    said = {}
    for tag in re.findall(r"<meta [^>]*>", head):
        given = dict(re.findall(r'(\w+)="([^"]*)"', tag))
        name = given.get("property") or given.get("name", "")
        if re.match("og:|twitter:|description", name):
            assert name not in said
            said[name] = html.unescape(given["content"])
    return said


WRITTEN = [path for path in PAGES if path.partition("/")[0] in ("book", "lessons")]


def test_every_page_has_a_title_and_a_description_of_its_own():
    heads = [metadata(path) for path in WRITTEN]
    for name in ("og:title", "description"):
        assert len({head[name] for head in heads}) == len(heads) > 20
    assert min(len(head["description"]) for head in heads) > 40


@pytest.mark.parametrize("path", WRITTEN)
def test_a_link_to_a_page_shows_its_title_its_words_and_the_card(path):
    head = metadata(path)
    configuration = yaml.safe_load((HTML.parent.parent / "_config.yml").read_text())
    owner, name = configuration["repository"]["url"].split("/")[-2:]
    site = f"https://{owner}.github.io/{name}/"
    assert head["og:url"] == site + path
    text = (HTML / path).read_text(encoding="utf-8")
    assert re.findall(r'<link rel="canonical" href="([^"]*)"', text) == [site + path]
    assert head["og:site_name"] == "CIFAR Lab" and len(head["og:title"]) > 2
    assert head["og:description"] == head["description"]
    assert head["twitter:card"] == "summary_large_image"
    card = HTML / head["og:image"].removeprefix(site)
    with Image.open(card) as picture:
        assert picture.size == (1200, 630)
    assert [int(head[f"og:image:{side}"]) for side in ("width", "height")] == [1200, 630]
    assert len(head["og:image:alt"]) > 20


# --------------------------------------------------------------------------------- on paper


def squeezed(text: str) -> str:
    """Without spaces, which a line on paper loses, and with "fi" in place of its ligature."""
    return re.sub(r"\s+", "", unicodedata.normalize("NFKC", text))


def printed(page: Page) -> str:
    """What stands on the paper."""
    pages = PdfReader(io.BytesIO(page.pdf(format="A4"))).pages
    return squeezed("".join(each.extract_text() for each in pages))


def test_a_lesson_on_paper_is_whole_and_alone(visit):
    page = visit("lessons/03-receptive-fields.html")
    headings = page.locator("article :is(h1, h2)").all_inner_texts()
    last = page.locator("article li").last.inner_text()
    paper = printed(page)
    assert len(headings) > 10
    for text in [*headings, last]:
        assert squeezed(text.removesuffix("#")) in paper
    for text in ("Colophon", "Contents", "Previous", "Search", "Add a layer"):
        assert squeezed(text) not in paper


def test_on_paper_hints_and_solutions_lie_open_and_on_the_screen_not(visit):
    page = visit("book/practice/03-receptive-fields.html")
    folded = page.locator("article details")
    closed = "[...document.querySelectorAll('article details')].every((each) => !each.open)"
    assert folded.count() > 5 and page.evaluate(closed)
    paper = printed(page)
    assert "apictureof5pixels,andfieldsof3,5,7,9and99." in paper
    assert ("units=min(max(field-size+1,0),size)" in paper) == (EDITION == "full")
    assert page.evaluate(closed)


def test_a_dark_page_is_light_on_paper_and_dark_again_on_the_screen(visit):
    page = visit("lessons/03-receptive-fields.html", color_scheme="dark")
    ink = "getComputedStyle(document.querySelector('article p')).color"
    page.evaluate(f"addEventListener('beforeprint', () => {{ window.ink = {ink} }})")
    dark = page.evaluate(ink)
    page.pdf()
    assert page.evaluate("window.ink") == "rgb(34, 40, 43)" != dark
    assert page.evaluate(ink) == dark


def test_a_figure_on_paper_shows_its_state_and_no_controls(visit):
    page = visit(PLAY)
    page.emulate_media(media="print")
    stepper = figure(page, "convolution-stepper")
    cell = stepper.get_by_role("gridcell", name="Output 3, 3")
    expect(cell).to_have_css("print-color-adjust", "exact")  # else its colour is left out
    expect(stepper.get_by_role("button", name="Step")).to_be_hidden()
    expect(page.get_by_role("slider")).to_have_count(0)
    expect(figure(page, "receptive-field-explorer").get_by_text("Add a layer")).to_be_hidden()
    blocks = figure(page, "dense-dilated-separable")
    expect(blocks.get_by_role("rowheader").first.get_by_role("button")).to_be_visible()


def test_on_paper_a_figure_is_unfolded_and_nothing_of_it_is_cut(visit):
    page = visit(PLAY)
    numbers = figure(page, "run-browser").locator("details")
    numbers.evaluate("(each) => addEventListener('beforeprint', () => { window.long = each.open })")
    folded = figure(page, "designer").locator("details").first
    folded.evaluate("(each) => addEventListener('beforeprint', () => { window.seen = each.open })")
    page.pdf()
    assert page.evaluate("window.seen")
    assert not page.evaluate("window.long")  # a line for each epoch
    assert not folded.evaluate("(each) => each.open")
    page.emulate_media(media="print")
    table = figure(page, "receptive-field-explorer").locator(".scroll")
    expect(table).to_have_css("max-height", "none")


def test_on_paper_the_maps_inside_a_network_are_drawn(visit):
    shown = figure(visit(LIVE), "live-predictions")
    expect(status(shown)).not_to_be_empty()
    maps = shown.locator("details.inside .maps > *")
    maps.page.evaluate(
        """() => addEventListener("beforeprint", () => {
            const { shadowRoot } = document.querySelector("cifarlab-live-predictions");
            window.maps = shadowRoot.querySelectorAll("details.inside .maps > *").length;
        })"""
    )
    expect(maps).to_have_count(0)
    maps.page.pdf()
    assert maps.page.evaluate("window.maps") > 3


# ------------------------------------------------------------------------------------- quiz

CAPSTONE = "lessons/12-capstone.html"


class TestQuiz:
    QUESTIONS = figures.quiz("capstone").parameters["questions"]

    def test_by_pointer_every_choice_is_answered_with_its_feedback(self, visit):
        form = figure(visit(CAPSTONE), "quiz").locator("form").first
        for place, choice in enumerate(self.QUESTIONS[0]["choices"]):
            form.locator("label").nth(place).click()
            expect(form.get_by_role("status")).to_be_empty()
            form.get_by_role("button", name="Check").click()
            expect(form.get_by_role("status")).to_contain_text(choice["feedback"].replace("`", ""))
            mark = form.get_by_role("img", name="right" if choice["right"] else "wrong")
            expect(mark).to_be_visible()

    def test_by_keyboard_a_choice_is_made_and_checked(self, visit):
        page = visit(CAPSTONE)
        form = figure(page, "quiz").locator("form").first
        form.get_by_role("radio").first.focus()
        for key in ("Space", "ArrowDown", "Tab", "Enter"):
            page.keyboard.press(key)
        feedback = self.QUESTIONS[0]["choices"][1]["feedback"].replace("`", "")
        expect(form.get_by_role("status")).to_contain_text(feedback)

    def test_nothing_is_checked_before_a_choice_is_made(self, visit):
        form = figure(visit(CAPSTONE), "quiz").locator("form").first
        form.get_by_role("button", name="Check").click()
        expect(form.get_by_role("status")).to_be_empty()


# ---------------------------------------------------------------------- convolution stepper


def test_the_stepper_lights_inputs_under_the_pointer_and_by_the_arrow_keys(visit):
    """7x7, padded by 1: corner outputs have 5 of 9 taps in the padding, those of a side 3."""
    page = visit(PLAY)
    stepper = figure(page, "convolution-stepper")
    expect(status(stepper)).to_contain_text("Of its 9 taps, 5 lie in the padding")
    stepper.get_by_role("gridcell", name="Output 0, 0").focus()
    page.keyboard.press("ArrowRight")
    expect(status(stepper)).to_have_text(
        "Output (0, 1) reads rows −1, 0, 1; columns 0, 1, 2. Of its 9 taps, 3 lie in the padding. "
        "The products sum to 8."
    )
    stepper.get_by_role("gridcell", name="Input 3, 4").hover()
    expect(status(stepper)).to_have_text(
        "Input (3, 4) is read by 9 of 49 outputs: rows 2, 3, 4; columns 3, 4, 5."
    )
    expect(stepper.locator(".read")).to_have_count(9)


@pytest.mark.parametrize("key", ["Alt", "Control", "Meta"])
def test_the_stepper_leaves_arrows_with_another_key_to_the_browser(visit, key):
    page = visit(PLAY)
    stepper = figure(page, "convolution-stepper")
    cell = stepper.get_by_role("gridcell", name="Output 0, 0")
    cell.focus()
    page.keyboard.press(f"{key}+ArrowDown")
    expect(cell).to_be_focused()


def test_the_stepper_answers_a_finger(visit):
    stepper = figure(visit(PLAY, has_touch=True), "convolution-stepper")
    stepper.get_by_role("gridcell", name="Output 3, 3").tap()
    words = "Output (3, 3) reads rows 2, 3, 4; columns 2, 3, 4. The products sum to 24."
    expect(status(stepper)).to_have_text(words)


def test_the_stepper_fills_in_size_and_cost(visit):
    """(7 + 2 - 2 - 1) / 2 rounded down, + 1 = 4; 4 * 4 * 9 = 144 weights; 144 * 16 = 2,304."""
    page = visit(PLAY)
    stepper = figure(page, "convolution-stepper")
    stepper.get_by_role("slider", name="stride", exact=True).focus()
    page.keyboard.press("ArrowRight")
    expect(stepper).to_contain_text("⌊(7 + 2 · 1 − 1 · 2 − 1) / 2⌋ + 1 = 4")
    expect(stepper).to_contain_text("(4, 7, 7) → (4, 4, 4)")
    expect(stepper).to_contain_text("144 · 4² = 2,304")
    stepper.get_by_role("slider", name="groups", exact=True).focus()
    page.keyboard.press("ArrowRight")
    expect(stepper).to_contain_text("4 · (4 / 2) · 3² = 72")
    page.keyboard.press("ArrowRight")  # over 3, which cannot share 4 channels
    expect(stepper).to_contain_text("4 · (4 / 4) · 3² = 36")
    stepper.get_by_role("slider", name="out channels", exact=True).focus()
    page.keyboard.press("ArrowRight")
    expect(stepper).to_contain_text("5 · (4 / 1) · 3² = 180")
    expect(stepper.get_by_role("slider", name="groups", exact=True)).to_have_value("1")


def test_what_cannot_be_leaves_the_boards_of_the_stepper_where_they_are(visit):
    """Kernel 5 with dilation 4 reaches 17 pixels of 7 + 2, and the padding ends at 4."""
    page = visit(PLAY)
    stepper = figure(page, "convolution-stepper")
    stepper.get_by_role("slider", name="kernel", exact=True).press("End")
    below = stepper.get_by_role("button", name="Step").bounding_box()
    dilation = stepper.get_by_role("slider", name="dilation", exact=True)
    dilation.press("End")
    expect(status(stepper)).to_contain_text("Dilate less, or take a smaller kernel.")
    expect(stepper.locator(".boards")).to_have_css("opacity", "0.4")
    assert stepper.get_by_role("button", name="Step").bounding_box() == below
    assert list(barriers(page)) == []
    dilation.press("Home")
    expect(stepper.locator(".boards")).to_have_css("opacity", "1")
    expect(stepper.get_by_role("gridcell", name="Output 4, 4")).to_be_visible()


def test_the_stepper_steps_round_all_outputs_plays_and_pauses(visit):
    page = visit(PLAY)
    stepper = figure(page, "convolution-stepper")
    stepper.get_by_role("button", name="Back").click()
    expect(status(stepper)).to_contain_text("Output (6, 6)")
    stepper.get_by_role("button", name="Step").click()
    expect(status(stepper)).to_contain_text("Output (0, 0)")
    # From here on time passes only as told: on a busy machine a frame or two would go by meanwhile.
    page.clock.pause_at(page.evaluate("Date.now() / 1000 + 1"))
    stepper.get_by_role("button", name="Play").click()
    page.clock.run_for(8 * 307)
    expect(status(stepper)).to_contain_text("Output (1, 1)")
    expect(stepper.locator(".out .empty")).to_have_count(49 - 9)  # it fills while it plays
    stepper.get_by_role("button", name="Pause").click()
    page.clock.run_for(10_000)
    expect(status(stepper)).to_contain_text("Output (1, 1)")


def test_the_stepper_plays_once_and_anew_from_the_start(visit):
    page = visit(PLAY)
    stepper = figure(page, "convolution-stepper")
    page.clock.pause_at(page.evaluate("Date.now() / 1000 + 1"))  # as above
    for _ in range(2):
        stepper.get_by_role("button", name="Play").click()
        expect(status(stepper)).to_contain_text("Output (0, 0)")
        page.clock.run_for(20_000)
        expect(status(stepper)).to_contain_text("Output (6, 6)")
        expect(stepper.get_by_role("button", name="Play")).to_be_visible()
    expect(stepper.locator(".out .empty")).to_have_count(0)


def test_in_a_theme_of_high_contrast_cells_and_bars_keep_their_colours(visit):
    page = visit(PLAY, forced_colors="active")

    def colour(shown: Locator, of: str = "backgroundColor") -> str:
        return shown.evaluate(f"(each) => getComputedStyle(each).{of}")

    stepper = figure(page, "convolution-stepper")
    stepper.get_by_role("gridcell", name="Output 3, 3").focus()
    cells = [".picked", ".read", ".padding"]
    assert len({colour(stepper.locator(each).first, "boxShadow") for each in cells}) == 3
    pixels = [stepper.get_by_role("gridcell", name=f"Input {each}, 1") for each in (0, 1)]
    assert len(set(map(colour, pixels))) == 2
    bar = figure(page, "dense-dilated-separable").locator(".bar").first
    assert colour(bar) != colour(bar.locator("div"))
    pixel = figure(page, "receptive-field-explorer").locator(".pixel").first
    assert colour(pixel, "fill") == page.evaluate(
        """() => {
            const probe = document.body.appendChild(document.createElement("p"));
            probe.style.color = "Highlight";
            return getComputedStyle(probe).color;
        }"""
    )
    words = visit("book/welcome.html", forced_colors="active").locator("figure.dilation text").first
    assert colour(words, "fill") == colour(words.locator("xpath=ancestor::figure"), "color")


@pytest.mark.parametrize("width", [360, 1280])
def test_three_digits_of_a_slider_stand_on_one_line(visit, width):
    page = visit(PLAY, viewport={"width": width, "height": 800})
    for name in ("run-browser", "dense-dilated-separable", "convolution-stepper"):
        for value in figure(page, name).locator(".sliders b").all():
            value.evaluate("(each) => { each.textContent = '150'; }")
            height, line, over = value.evaluate(
                """(each) => [each.offsetHeight, parseFloat(getComputedStyle(each).lineHeight),
                    each.scrollWidth - each.clientWidth]"""
            )
            assert height < 1.5 * line and over <= 0, name


def test_who_wants_less_motion_is_not_offered_to_play(visit):
    stepper = figure(visit(PLAY, reduced_motion="reduce"), "convolution-stepper")
    expect(stepper.get_by_role("button", name="Step")).to_be_visible()
    expect(stepper.get_by_role("button", name="Play")).to_be_hidden()


# ----------------------------------------------------------------- receptive-field explorer


def test_the_explorer_shows_the_holes_of_2_2_2_and_none_of_1_2_3(visit):
    """7 taps of 13 pixels per axis: 49 of 169."""
    explorer = figure(visit(PLAY), "receptive-field-explorer")
    expect(status(explorer)).to_contain_text("49 of the 169 pixels of its box in the picture: 29 %")
    explorer.get_by_label("Layers", exact=True).select_option("Dilations 1, 2, 3")
    expect(status(explorer)).to_contain_text("169 of the 169 pixels of its box in the picture: 100")
    lit = explorer.locator(".pixel:not([fill-opacity='0'])")
    expect(lit).to_have_count(169)


def test_the_explorer_moves_its_unit_by_keyboard_and_by_pointer(visit):
    page = visit(PLAY)
    explorer = figure(page, "receptive-field-explorer")
    explorer.get_by_role("slider", name="row", exact=True).focus()
    page.keyboard.press("Home")
    expect(status(explorer)).to_contain_text(
        "Unit (0, 16) of layer 3 looks at rows −6 to 6 and columns 10 to 22; what lies outside"
    )
    # The pixel (5, 20) lies at this share of the canvas: 32 pixels, and 6 of padding around.
    picture = explorer.locator(".picture svg")
    box = picture.bounding_box()
    place = {"x": box["width"] * 26.5 / 44, "y": box["height"] * 11.5 / 44}
    picture.click(position=place)
    expect(status(explorer)).to_contain_text("Unit (5, 20) of layer 3 looks at rows −1 to 11")


def test_the_explorer_follows_what_is_edited(visit):
    """A stride of 2 in the first layer doubles the steps of the two behind it: 5 + 2 (4 + 4)."""
    page = visit(PLAY)
    explorer = figure(page, "receptive-field-explorer")
    explorer.get_by_label("stride of layer 1").fill("2")
    page.keyboard.press("Tab")
    last = explorer.get_by_role("row").last
    expect(last.locator(".size")).to_have_text("21")
    expect(last.locator(".jump")).to_have_text("2")
    explorer.get_by_role("button", name="Add a layer").click()
    expect(explorer.get_by_role("row").last.locator(".size")).to_have_text("29")
    explorer.get_by_label("kind of layer 4").select_option("skip")
    expect(explorer.get_by_role("row").last.locator(".size")).to_have_text("21")
    explorer.get_by_label("around of layer 4").fill("3")
    page.keyboard.press("Tab")
    message = "Layer 4: A skip adds equal maps; these have 32 and 16"
    expect(status(explorer)).to_contain_text(message)
    explorer.get_by_role("slider", name="row", exact=True).press("Home")
    expect(status(explorer)).to_contain_text("Unit (0, ")
    expect(status(explorer)).to_contain_text(message)  # until the layers are others
    explorer.get_by_role("button", name="Remove layer 4").click()
    expect(status(explorer)).to_contain_text("of layer 3")
    expect(status(explorer)).not_to_contain_text(message)
    explorer.get_by_label("show layer 1").check()
    expect(status(explorer)).to_contain_text("of layer 1 looks at")


def test_the_explorer_goes_on_showing_a_layer_when_one_above_it_is_removed(visit):
    explorer = figure(visit(PLAY), "receptive-field-explorer")
    explorer.get_by_label("show layer 2").check()
    explorer.get_by_role("button", name="Remove layer 1").click()
    expect(status(explorer)).to_contain_text("of layer 1 looks at")


# --------------------------------------------------------------------- augmentation gallery


def test_the_explorer_keeps_the_layer_that_it_shows_in_sight(visit):
    explorer = figure(visit(PLAY), "receptive-field-explorer")
    choose = explorer.get_by_label("Layers", exact=True)
    for name in choose.locator("option").all_text_contents():
        choose.select_option(label=name)
        box = explorer.locator(".scroll").bounding_box()
        line = explorer.locator("tr.picked").bounding_box()
        head = explorer.locator("thead th").first.bounding_box()
        assert abs(head["y"] - box["y"]) < 2  # the names of the columns stay
        assert head["y"] + head["height"] - 1 <= line["y"], name
        assert line["y"] + line["height"] <= box["y"] + box["height"] + 1, name


def test_the_gallery_goes_round_its_draws_and_strengths_by_keyboard(visit):
    page = visit(PLAY)
    shown = figure(page, "augmentation-gallery")
    shown.get_by_label("Transform").select_option("cutout")
    expect(status(shown)).to_contain_text("Draw 1 of 4: columns")
    shown.get_by_role("button", name="Next draw").focus()
    page.keyboard.press("Enter")
    expect(status(shown)).to_contain_text("Draw 2 of 4")
    page.keyboard.press("Shift+Tab")
    page.keyboard.press("Enter")
    page.keyboard.press("Enter")
    expect(status(shown)).to_contain_text("Draw 4 of 4")
    strength = shown.get_by_role("slider", name="Strength")
    strength.focus()
    page.keyboard.press("End")
    expect(strength).to_have_attribute("aria-valuetext", "hole of 24 × 24 pixels")
    hole = next(
        each["hole"]
        for each in reversed(figures.content(figures.FOLDER / "augmentation-gallery.json")["draws"])
        if each["transform"] == "cutout" and each["strength"] == 24
    )
    words = f"columns {hole[0]} to {hole[2] - 1} and rows {hole[1]} to {hole[3] - 1} cut out"
    expect(status(shown)).to_contain_text(words)
    expect(shown.get_by_role("img", name=f"After. Draw 4 of 4: {words}")).to_be_visible()


def test_the_gallery_shows_the_picture_of_the_draw_that_it_speaks_of(visit):
    """The sheet holds five pictures, enlarged, in a row, then all draws of the first, and so on."""
    held = figures.content(figures.FOLDER / "augmentation-gallery.json")
    sheet = Image.open(figures.FOLDER / "augmentation-gallery.webp")
    shown = figure(visit(PLAY), "augmentation-gallery")
    shown.get_by_label("Field of a unit of").select_option("none")
    for which, transform, place in [(0, "flip", 0), (2, "rotate", 1), (4, "cutout", 3)]:
        shown.get_by_label("Picture").select_option(held["pictures"][which])
        shown.get_by_label("Transform").select_option(transform)
        for _ in range(place):
            shown.get_by_role("button", name="Next draw").click()
        first = [each["transform"] for each in held["draws"]].index(transform)
        tile = which * len(held["draws"]) + first + place
        x, y = 32 * (tile % 20), 64 + 32 * (tile // 20)
        expected = {
            "before": sheet.crop((64 * which, 0, 64 * which + 64, 64)),
            "after": sheet.crop((x, y, x + 32, y + 32)),
        }
        for side, picture in expected.items():
            name = "Before: " if side == "before" else f"After. Draw {place + 1} of "
            drawn = shown.locator(f".{side} > svg")
            expect(drawn).to_have_accessible_name(re.compile(f"^{name}"))
            seen = Image.open(io.BytesIO(drawn.screenshot())).convert("RGB")
            # Of 37 pixels across, 2.5 on each side are room for fields that hang over.
            edge = 2.5 / 37 * seen.width
            seen = seen.resize(
                (32, 32), Image.Resampling.BOX, (edge, edge, *([seen.width - edge] * 2))
            )
            picture = picture.convert("RGB").resize((32, 32), Image.Resampling.BOX)
            difference = ImageStat.Stat(ImageChops.difference(seen, picture)).mean
            assert max(difference) < 6, (side, which, transform)


def test_the_gallery_counts_what_a_hole_hides_of_the_field_under_the_pointer(visit):
    """A unit of conv1 sees 11 pixels each way; one in the corner 6 of them, the rest is padding."""
    page = visit(PLAY)
    shown = figure(page, "augmentation-gallery")
    picture = shown.locator(".after > svg")
    box = picture.bounding_box()
    # The first pixel lies at this share of the canvas: 32 pixels, and 2.5 of padding around.
    corner = {"x": box["width"] * 3 / 37, "y": box["height"] * 3 / 37}
    picture.click(position=corner)
    expect(status(shown)).to_contain_text("Unit (0, 0) of conv1 sees 36 pixels of the new picture")
    shown.get_by_role("slider", name="row", exact=True).focus()
    page.keyboard.press("ArrowRight")
    expect(status(shown)).to_contain_text("Unit (1, 0) of conv1 sees 42 pixels")
    shown.get_by_label("Field of a unit of").select_option("conv4")
    expect(status(shown)).to_contain_text("Unit (1, 0) of conv4 sees")
    shown.get_by_label("Field of a unit of").select_option("none")
    expect(status(shown)).not_to_contain_text("Unit")
    expect(shown.get_by_role("slider", name="row", exact=True)).to_be_hidden()


# ------------------------------------------------------------------------------ run browser


def test_the_browser_reads_two_runs_at_an_epoch_by_keyboard(visit):
    """The run of 2023 logged 45.37 and 51.40 % on the test images after its first two epochs."""
    page = visit(PLAY)
    browser = figure(page, "run-browser")
    browser.get_by_label("First run").select_option("original-2023")
    browser.get_by_label("Second run").select_option("baseline-seed0")
    browser.get_by_label("Measure").select_option("held_out_accuracy")
    epoch = browser.get_by_role("slider", name="epoch")
    epoch.focus()
    page.keyboard.press("Home")
    expect(status(browser)).to_contain_text("epoch 1 of 30. original-2023, test images: 45.37 %;")
    page.keyboard.press("ArrowRight")
    other = next(run for run in figures.recorded.runs() if run["name"] == "baseline-seed0")
    accuracy = other["history"]["held_out_accuracy"][1]
    difference = f"{51.40 - accuracy:.2f}".replace("-", "−")
    expect(status(browser)).to_contain_text(
        f"51.40 %; baseline-seed0, test images: {accuracy:.2f} %. Difference: {difference} points."
    )
    browser.get_by_label("Measure").select_option("train_loss")
    expect(status(browser)).to_contain_text("original-2023: not recorded; baseline-seed0: ")
    expect(browser.get_by_role("img")).to_have_accessible_name(re.compile("2023 has none"))


def test_the_browser_finds_the_epoch_under_the_pointer(visit):
    """Its curves lie between 46 pixels from the left and 12 from the right."""
    browser = figure(visit(PLAY), "run-browser")
    browser.get_by_label("First run").select_option("original-2023")
    browser.get_by_label("Second run").select_option("none")
    browser.get_by_label("Measure").select_option("held_out_accuracy")
    chart = browser.locator(".chart")
    width = chart.bounding_box()["width"]
    chart.click(position={"x": 46 + (width - 58) * 9 / 29, "y": 100})
    expect(status(browser)).to_have_text(
        "Held-out accuracy, epoch 10 of 30. original-2023, test images: 66.51 %."
    )
    expect(browser.locator("circle")).to_have_count(30)
    chart.click(position={"x": width - 2, "y": 100})
    expect(status(browser)).to_contain_text("epoch 30 of 30. original-2023, test images: 87.04 %")
    browser.get_by_text("The curves as a table").click()
    last = browser.get_by_role("region", name="Values by epoch").get_by_role("row").last
    expect(last).to_have_text("3087.04")


def test_the_browser_opens_on_two_runs_that_differ_and_enlarges_their_second_half(visit):
    """Of 150 epochs the second half begins at 76, where 30 have long ended."""
    browser = figure(visit(PLAY), "run-browser")
    expect(browser).not_to_contain_text("Recipe: 0 of")
    expect(browser.locator("circle")).to_have_count(150 + 30)
    lowest = browser.locator(".chart text[text-anchor=end]").first
    expect(lowest).to_have_text("20")
    browser.get_by_label("Only the second half").check()
    expect(browser.locator("circle")).to_have_count(75)
    assert float(lowest.text_content()) > 60
    slider = browser.get_by_role("slider", name="epoch")
    slider.press("Home")
    expect(status(browser)).to_contain_text("epoch 76 of 150")
    chart = browser.locator(".chart").bounding_box()
    middle = chart["y"] + 100
    slider.page.mouse.move(chart["x"] + 60, middle)
    slider.page.mouse.down()
    slider.page.mouse.move(chart["x"] + chart["width"] - 12, middle)
    slider.page.mouse.up()
    expect(status(browser)).to_contain_text("epoch 150 of 150")


def test_the_slider_of_the_browser_is_as_wide_as_its_axis(visit):
    browser = figure(visit(PLAY), "run-browser")
    axis = browser.locator("line.grid").first.bounding_box()
    slider = browser.get_by_role("slider", name="epoch").bounding_box()
    assert abs(slider["x"] - axis["x"]) < 12
    assert slider["width"] > 0.85 * axis["width"]


def test_the_browser_lists_what_differs_between_two_runs_and_on_demand_all(visit):
    page = visit(PLAY)
    browser = figure(page, "run-browser")
    browser.get_by_label("First run").select_option("baseline-seed0")
    browser.get_by_label("Second run").select_option("original-2023")
    expect(browser).to_contain_text("Recipe: 0 of")
    expect(browser.get_by_role("row", name="commit")).to_have_count(0)
    browser.get_by_label("Show all settings").focus()
    page.keyboard.press("Space")
    record = next(run for run in figures.recorded.runs() if run["name"] == "baseline-seed0")
    commit = browser.get_by_role("row", name="commit")
    expect(commit).to_contain_text(record["setting"]["commit"])
    expect(commit).to_contain_text("not recorded")
    expect(browser.get_by_role("row", name="batch size")).to_have_text("batch size128128")


# ----------------------------------------------------------------- dense, dilated, separable


def test_three_blocks_follow_their_sliders(visit):
    """9 * 32 * 64 = 18,432 and 9 * 32 + 32 * 64 = 2,336; for one channel out 288 and 320."""
    page = visit(PLAY)
    blocks = figure(page, "dense-dilated-separable")
    expect(blocks.get_by_label("dense", exact=True)).to_contain_text("= 18,432")
    expect(blocks.get_by_label("dilated", exact=True)).to_contain_text("5 × 5")
    expect(blocks.get_by_label("separable", exact=True)).to_contain_text("= 2,336")
    blocks.get_by_role("slider", name="out channels", exact=True).focus()
    page.keyboard.press("Home")
    expect(blocks.get_by_label("dense", exact=True)).to_contain_text("= 288")
    expect(blocks.get_by_label("separable", exact=True)).to_contain_text("= 320")
    dilation = blocks.get_by_role("slider", name="dilation", exact=True)
    box = dilation.bounding_box()
    dilation.click(position={"x": box["width"] - 2, "y": box["height"] / 2})
    expect(blocks.get_by_label("dilated", exact=True)).to_contain_text("9 × 9")


def test_a_measured_shape_is_set_by_its_button_and_left_by_a_slider(visit):
    page = visit(PLAY)
    blocks = figure(page, "dense-dilated-separable")
    expect(status(blocks)).to_contain_text("At this shape no time was measured.")
    row = figures.recorded.times()["separable"]["rows"][-1]
    button = blocks.get_by_role("button", name=str(row["channels"]), exact=True)
    button.focus()
    page.keyboard.press("Enter")
    expect(status(blocks)).to_contain_text(
        f"Measured at this shape: the dense block takes {row['forward']} times as long"
    )
    out_channels = blocks.get_by_role("slider", name="out channels", exact=True)
    expect(out_channels).to_have_value(str(row["channels"]))
    expect(blocks.locator("[aria-current]")).to_have_count(1)
    out_channels.focus()
    page.keyboard.press("ArrowRight")
    expect(status(blocks)).to_contain_text("At this shape no time was measured.")
    expect(blocks.locator("[aria-current]")).to_have_count(0)
    blocks.get_by_role("row", name="4").get_by_role("button", name="4", exact=True).click()
    expect(status(blocks)).to_contain_text("dilation 4 takes")


# --------------------------------------------------------------------------- live predictions


class TestLivePredictions:
    """The network of the page answers as PyTorch does, whatever way a picture comes in."""

    NETWORKS = figures.exported(figures.LIVE)
    CLASSES = NETWORKS[0]["classes"]

    @pytest.fixture
    def expected(self):
        """expected(picture): PyTorch's probabilities, per cent, of the page's first network.

        Or of the one with that number. Its weights are rounded, as the page has them.
        """

        def ask(picture: bytes | np.ndarray, number: int = 0) -> list[float]:
            name = self.NETWORKS[number]["about"]["record"]
            steps = [step.rounded() for step in export.steps(records.load_network(name))]
            recipe = records.load(name).recipe
            plain = data.pipeline(mean=recipe.mean, std=recipe.std)
            image = plain(image=live.as_seen(picture))["image"]
            scores = export.class_maps(steps, image[None]).mean(dim=(2, 3))[0]
            return (100 * scores.softmax(dim=0)).tolist()

        return ask

    @pytest.fixture
    def photograph(self, cifar10):
        """A file (H, W) = (240, 320), of a test image."""
        _, test = cifar10
        file = io.BytesIO()
        Image.fromarray(test.images[1]).resize((320, 240), Image.Resampling.BICUBIC).save(
            file, "PNG"
        )
        return {"name": "ship.png", "mimeType": "image/png", "buffer": file.getvalue()}

    NOTE = {"name": "note.txt", "mimeType": "text/plain", "buffer": b"no picture"}

    @staticmethod
    def shares(demo: Locator) -> list[float]:
        """The numbers beside the bars, per cent."""
        return [float(text.rstrip(" %")) for text in demo.locator("fieldset b").all_inner_texts()]

    @staticmethod
    def drop(demo: Locator, name: str, content: bytes) -> None:
        """Drop a file onto the figure."""
        demo.evaluate(
            """(figure, [name, content]) => {
                const dataTransfer = new DataTransfer();
                dataTransfer.items.add(new File([Uint8Array.from(content)], name));
                figure.dispatchEvent(new DragEvent("drop", { dataTransfer, bubbles: true }));
            }""",
            [name, [*content]],
        )

    def test_a_sample_chosen_by_pointer_gets_the_probabilities_of_pytorch(self, visit, expected):
        """The samples are WebP, whose colours libraries round differently."""
        demo = figure(visit(LIVE), "live-predictions")
        sheet = np.asarray(Image.open(figures.FOLDER / "live-samples.webp").convert("RGB"))
        for place, name in enumerate(self.CLASSES):
            demo.get_by_role("button", name=f"sample: {name}").click()
            expect(status(demo)).to_contain_text(f"CIFAR-10 calls it {name}.")
            tile = sheet[:, 128 * place : 128 * (place + 1)]
            assert self.shares(demo) == pytest.approx(expected(tile), abs=0.5), name

    def test_by_keyboard_a_sample_is_chosen_and_the_map_of_a_class(self, visit):
        page = visit(LIVE)
        demo = figure(page, "live-predictions")
        demo.get_by_role("button", name="sample: airplane").focus()
        page.keyboard.press("Tab")
        page.keyboard.press("Enter")
        expect(status(demo)).to_contain_text("CIFAR-10 calls it automobile.")
        pressed = demo.get_by_role("button", name="sample: automobile")
        expect(pressed).to_have_attribute("aria-pressed", "true")
        chosen = demo.locator("fieldset input:checked")
        chosen.focus()
        before = int(chosen.get_attribute("value"))
        page.keyboard.press("ArrowDown")
        name = self.CLASSES[(before + 1) % 10]
        map_ = demo.get_by_role("img", name=f"what speaks most for {name} lies in the")
        expect(map_).to_be_visible()

    def test_an_uploaded_picture_gets_the_probabilities_of_pytorch(
        self, visit, expected, photograph
    ):
        demo = figure(visit(LIVE), "live-predictions")
        demo.locator("input[type=file]").set_input_files(photograph)
        expect(status(demo)).to_contain_text("What it is, you know best.")
        assert self.shares(demo) == pytest.approx(expected(photograph["buffer"]), abs=0.1)
        expect(demo.locator("[aria-pressed=true]")).to_have_count(0)

    def test_a_dropped_picture_gets_the_probabilities_of_pytorch(self, visit, expected, photograph):
        demo = figure(visit(LIVE), "live-predictions")
        self.drop(demo, "ship.png", photograph["buffer"])
        expect(status(demo)).to_contain_text("What it is, you know best.")
        assert self.shares(demo) == pytest.approx(expected(photograph["buffer"]), abs=0.1)

    def test_a_file_that_is_no_picture_is_named_and_what_stood_there_stays(self, visit):
        demo = figure(visit(LIVE), "live-predictions")
        before = self.shares(demo)
        sentence = "“note.txt” is no picture that this browser can read. Give it a PNG, JPEG or"
        demo.locator("input[type=file]").set_input_files(self.NOTE)
        expect(status(demo)).to_contain_text(sentence)
        demo.get_by_role("button", name="sample: airplane").click()
        self.drop(demo, "note.txt", b"no picture")
        expect(status(demo)).to_contain_text(sentence)
        assert self.shares(demo) == before

    def test_the_same_file_can_be_chosen_again(self, visit):
        """A browser tells of a change only."""
        page = visit(LIVE)
        choose = figure(page, "live-predictions").locator("input[type=file]")
        choose.set_input_files(self.NOTE)
        with page.expect_file_chooser():
            choose.click()
        expect(choose).to_have_value("")

    def test_noise_gets_a_guess_and_is_called_noise(self, visit):
        demo = figure(visit(LIVE), "live-predictions")
        demo.get_by_role("button", name="Noise").click()
        expect(status(demo)).to_contain_text("Yet it is noise: none of the ten.")
        assert sum(self.shares(demo)) == pytest.approx(100, abs=0.6)

    def test_the_camera_is_followed_and_a_picture_of_it_taken(self, visit):
        """Chromium's own camera sees green, and a clock that turns."""
        demo = figure(visit(LIVE, permissions=["camera"]), "live-predictions")
        demo.get_by_role("button", name="Use the camera").click()
        expect(status(demo)).to_contain_text("The camera runs")
        expect(demo.locator("video")).to_be_visible()
        expect(demo.locator("[aria-pressed=true]")).to_have_count(0)
        maps = demo.get_by_role("img", name="class-activation map")
        assert maps.bounding_box() == demo.locator("video").bounding_box()  # it lies over the video
        answers = demo.evaluate(
            """async (each) => {
                let answers = 0;
                const watch = new MutationObserver(() => { answers += 1; });
                watch.observe(each.shadowRoot.querySelector(".verdict"), { childList: true });
                const spoken = each.shadowRoot.querySelector("[role=status]");
                let words = 0;
                const hear = new MutationObserver(() => { words += 1; });
                hear.observe(spoken, { childList: true });
                await new Promise((resolve) => setTimeout(resolve, 3000));
                return [answers, words];
            }"""
        )
        assert answers[0] > 5  # on the slowest machine
        assert answers[1] <= 2  # a voice is not made to follow
        demo.get_by_role("button", name="Take the picture").click()
        expect(status(demo)).to_contain_text("What it is, you know best.")
        expect(demo.locator("video")).to_be_hidden()
        assert demo.locator("video").evaluate("(each) => each.srcObject") is None
        colour = demo.locator("canvas[aria-label^='the picture as']").evaluate(
            "(each) => [...each.getContext('2d').getImageData(16, 2, 1, 1).data]"
        )
        assert max(colour[:3]) == colour[1]

    def test_a_sample_stops_the_camera_and_stands_in_its_place(self, visit):
        demo = figure(visit(LIVE, permissions=["camera"]), "live-predictions")
        demo.get_by_role("button", name="Use the camera").click()
        expect(demo.get_by_role("button", name="Take the picture")).to_be_enabled()
        demo.get_by_role("button", name="sample: ship").click()
        expect(status(demo)).to_contain_text("CIFAR-10 calls it ship.")
        expect(demo.locator("video")).to_be_hidden()
        expect(demo.locator("canvas[aria-label^='the picture as']")).to_be_visible()

    def test_the_networks_are_chosen_side_by_side_and_each_says_how_sure_to_be(
        self, visit, expected, photograph
    ):
        demo = figure(visit(LIVE), "live-predictions")
        demo.locator("input[type=file]").set_input_files(photograph)
        for number, network in enumerate(self.NETWORKS):
            about = network["about"]
            shares = expected(photograph["buffer"], number)
            row = demo.get_by_role("row", name=about["record"])
            guess = self.CLASSES[int(np.argmax(shares))]
            expect(row).to_contain_text(f"{guess}, ")
            row.get_by_role("radio").check()
            assert self.shares(demo) == pytest.approx(shares, abs=0.1)
            expect(demo).to_contain_text(f"{about['parameters']:,} numbers, in this page, nothing")
            counts, accuracy = network["calibration"]["counts"], network["calibration"]["accuracy"]
            place = min(9, int(np.ceil(max(shares) / 10)) - 1)
            expect(demo).to_contain_text(f"Of the {counts[place]:,} test images on which it was")
            share = 100 * accuracy[place]
            words = f"{share:.1f}" if 99 < share < 100 else f"{share:.0f}"
            expect(row).to_contain_text(f"{words} %")

    def test_a_pasted_picture_and_one_dropped_beside_the_figure_are_taken(
        self, visit, expected, photograph
    ):
        page = visit(LIVE)
        demo = figure(page, "live-predictions")
        for kind in ("paste", "drop"):
            demo.get_by_role("button", name="Noise").click()
            taken = page.evaluate(
                """([kind, content]) => {
                    const data = new DataTransfer();
                    data.items.add(new File([Uint8Array.from(content)], "own.png"));
                    const bubbling = { bubbles: true, cancelable: true };
                    const event = kind === "paste"
                        ? new ClipboardEvent("paste", { clipboardData: data, bubbles: true })
                        : new DragEvent("drop", { dataTransfer: data, ...bubbling });
                    document.querySelector("h1").dispatchEvent(event);
                    return kind === "paste" || event.defaultPrevented;
                }""",
                [kind, [*photograph["buffer"]]],
            )
            assert taken  # else the browser would leave the page for the file
            expect(status(demo)).to_contain_text("What it is, you know best.")
            assert self.shares(demo) == pytest.approx(expected(photograph["buffer"]), abs=0.1)

    def test_of_a_large_photograph_it_is_said_that_it_was_read_smaller(self, visit, photograph):
        file = io.BytesIO()
        Image.open(io.BytesIO(photograph["buffer"])).resize((4000, 3000)).save(file, "JPEG")
        demo = figure(visit(LIVE), "live-predictions")
        large = {"name": "large.jpg", "mimeType": "image/jpeg", "buffer": file.getvalue()}
        demo.locator("input[type=file]").set_input_files(large)
        expect(status(demo)).to_contain_text("It has 4000×3000 pixels and was read smaller.")

    def test_the_first_page_opens_on_the_running_network(self, visit):
        record = records.load(self.NETWORKS[0]["about"]["record"])
        page = visit("book/welcome.html")
        demo = figure(page, "live-predictions")
        accuracy = [epoch.held_out.accuracy for epoch in record.history if epoch.held_out][-1]
        sentence = (
            f"{accuracy:.1f} % with {record.parameters:,} numbers, in this page, nothing sent"
        )
        expect(demo).to_contain_text(sentence)
        expect(status(demo)).to_contain_text("CIFAR-10 calls it airplane.")
        expect(demo.get_by_role("table")).to_have_count(0)

    def test_a_second_press_opens_no_second_camera_that_nothing_could_stop(self, visit):
        page = visit(LIVE, permissions=["camera"])
        page.evaluate(
            """() => {
                const { mediaDevices } = navigator;
                const ask = mediaDevices.getUserMedia.bind(mediaDevices);
                window.streams = [];
                mediaDevices.getUserMedia = async (wish) => {
                    window.streams.push(await ask(wish));
                    return window.streams.at(-1);
                };
            }"""
        )
        demo = figure(page, "live-predictions")
        use = demo.get_by_role("button", name="Use the camera")
        use.evaluate("(each) => { each.click(); each.click(); }")
        expect(demo.get_by_role("button", name="Take the picture")).to_be_focused()
        demo.get_by_role("button", name="Stop the camera").click()
        expect(use).to_be_focused()
        states = page.evaluate("streams.map((each) => each.getTracks()[0].readyState)")
        assert states == ["ended"]

    def test_a_camera_that_is_stopped_while_it_starts_is_no_error(self, visit):
        page = visit(LIVE, permissions=["camera"])
        page.evaluate(
            """() => {
                HTMLMediaElement.prototype.play = () =>
                    new Promise((_, reject) => { window.fail = reject; });
            }"""
        )
        demo = figure(page, "live-predictions")
        before = status(demo).inner_text()
        demo.get_by_role("button", name="Use the camera").click()
        expect(demo.get_by_role("button", name="Take the picture")).to_be_disabled()
        demo.get_by_role("button", name="Stop the camera").click()
        page.evaluate("fail(new DOMException('interrupted', 'AbortError'))")
        expect(status(demo)).to_have_text(before)

    def test_a_camera_that_is_not_allowed_is_answered_with_what_to_do(self, visit):
        demo = figure(visit(LIVE), "live-predictions")
        demo.get_by_role("button", name="Use the camera").click()
        expect(status(demo)).to_have_text(
            "The camera was not allowed. Allow it beside the page\N{RIGHT SINGLE QUOTATION MARK}s "
            "address, or choose a picture instead."
        )
        expect(demo.locator("video")).to_be_hidden()

    def test_the_network_is_described_by_its_record(self, visit):
        record = records.load(self.NETWORKS[0]["about"]["record"])
        demo = figure(visit(LIVE), "live-predictions")
        expect(demo).to_contain_text(f"{record.parameters:,} parameters")
        accuracy = [epoch.held_out.accuracy for epoch in record.history if epoch.held_out][-1]
        expect(demo).to_contain_text(f"right on {accuracy:.2f} % of the test images")


# ------------------------------------------------------------------------------- the colophon


@pytest.mark.parametrize("path", sorted(records.EXPERIMENTS.glob("*.json")), ids=lambda p: p.stem)
def test_every_arm_of_an_experiment_stands_on_the_colophon_with_its_mean(visit, path):
    page, experiment = visit("book/colophon.html"), records.experiment(path.stem)
    question = experiment["question"].replace("`", "")  # the page shows it as code
    table = page.locator("p", has_text=question).locator("xpath=following::table[1]")
    for arm in experiment["arms"]:
        name = re.compile(rf"^\s*{re.escape(arm['name'])}\s")
        row = table.get_by_role("row").filter(has_text=name)
        expect(row).to_contain_text(f"{arm['mean']:.2f} %")
        expect(row).to_contain_text(f"{arm['parameters']:,}")
