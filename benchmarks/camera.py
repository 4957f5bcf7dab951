"""How many pictures of a camera does the page answer in a second?

    python -m benchmarks.camera [--seconds 8]

Every network that ships with the page, one after the other, as a reader has it: the figure by
itself, in headless Chromium, whose own camera has 640x480 pixels and twenty pictures a second.
Pictures a second are answers that were painted, counted for `--seconds` after two to warm up; the
screen limits them to its own 60. Milliseconds are what the page says beside its guess, the median:
the prediction alone, in whole milliseconds. Each is measured once more with the maps of the last
block laid open beside it.
"""

import argparse
import statistics
import sys

from playwright.sync_api import Browser

from benchmarks import machine
from benchmarks.chromium import launched
from cifarlab import figures
from cifarlab.numerics import fastest

FAKE = ["--use-fake-device-for-media-stream", "--use-fake-ui-for-media-stream"]
SITE = "https://camera.test/"  # nothing is asked of it: browsers give a camera to https pages only
WARM_UP = 2  # seconds

# Each answer replaces what stands in the verdict, and ends with "(12 ms)".
COUNT = """async (figure, seconds) => {
    const verdict = figure.shadowRoot.querySelector(".verdict");
    const found = [];
    const watch = new MutationObserver(() =>
        found.push(Number(verdict.textContent.match(/\\((\\d+) ms\\)/)[1])));
    watch.observe(verdict, { childList: true });
    const started = performance.now();
    await new Promise((resolve) => setTimeout(resolve, 1000 * seconds));
    watch.disconnect();
    return { milliseconds: found, seconds: (performance.now() - started) / 1000 };
}"""


def measured(browser: Browser, name: str, seconds: float, opened: bool) -> tuple[float, float]:
    """Pictures a second, and the median of milliseconds a picture."""
    context = browser.new_context(permissions=["camera"])
    page = context.new_page()
    text = f"<!doctype html>{figures.show('live-predictions', networks=[name])._repr_html_()}"
    page.route(f"{SITE}**", lambda route: route.fulfill(body=text, content_type="text/html"))
    page.goto(SITE)
    page.get_by_role("status").get_by_text("Among the ten").wait_for()
    if opened:
        page.locator("details.inside summary").click()
        page.locator(".blocks input").last.check()
    page.get_by_role("button", name="Use the camera").click()
    page.get_by_role("status").get_by_text("The camera runs").wait_for()
    demo = page.locator("cifarlab-live-predictions")
    demo.evaluate(COUNT, WARM_UP)
    found = demo.evaluate(COUNT, seconds)
    context.close()
    times = found["milliseconds"]
    return len(times) / found["seconds"], statistics.median(times)


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=8)
    seconds = parser.parse_args().seconds
    with launched(FAKE) as browser:
        print(f"{machine.line(fastest(device='cpu'))}, Chromium {browser.version}")
        print("| network | pictures a second | ms a picture | with the maps open | ms a picture |")
        print("| --- | --: | --: | --: | --: |")
        for name in figures.LIVE:
            cells = []
            for opened in (False, True):
                rate, median = measured(browser, name, seconds, opened)
                cells += [f"{rate:.0f}", f"{median:.0f}"]
            print(f"| {name} | {' | '.join(cells)} |", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
