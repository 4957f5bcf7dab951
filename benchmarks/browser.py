"""How long does the network of the page take for a picture, in a browser?

    python -m benchmarks.browser [--rounds 21]

Every network that ships with the page, in headless Chromium, the page's own scripts, one
process; milliseconds of a prediction, the picture already at 32x32. The kernel and network.js take
turns, in one page. A figure is the median over the rounds, after three to warm up; in brackets the
least and the most. Last, by how much the maps of the two differ, against the largest number there.
"""

import argparse
import statistics
import sys

from playwright.sync_api import Browser

from benchmarks import machine
from benchmarks.chromium import launched
from cifarlab import data, figures
from cifarlab.numerics import fastest

WARM_UP = 3


SCRIPTS = ("network.js", "kernel-binary.js", "kernel.js")


def measured(browser: Browser, written: dict, rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each prediction by `kernel` and by `plain`, and what `differs`."""
    page = browser.new_page()
    for name in SCRIPTS:
        page.add_script_tag(content=(figures.FOLDER / name).read_text(encoding="utf-8"))
    picture = data.synthetic(1).images[0].flatten().tolist()
    found = page.evaluate(
        """([written, picture, rounds]) => {
            const network = read(written);
            const ways = {
                kernel: predictor(network),
                plain: (...picture) => predict(network, ...picture),
            };
            const found = { kernel: [], plain: [], differs: [] };
            for (let round = 0; round < rounds; round++) {
                const answers = Object.entries(ways).map(([name, ask]) => {
                    const started = performance.now();
                    const { maps } = ask(picture, 32, 32);
                    found[name].push(performance.now() - started);
                    return maps.data;
                });
                const most = Math.max(...answers[1].map(Math.abs));
                const differs = answers[0].map((value, n) => Math.abs(value - answers[1][n]));
                found.differs.push(Math.max(...differs) / most);
            }
            return found;
        }""",
        [written, picture, rounds + WARM_UP],
    )
    page.close()
    return {name: values[WARM_UP:] for name, values in found.items()}


def in_words(times: list[float]) -> str:
    """Median, least and most."""
    return f"{statistics.median(times):.1f} ms ({min(times):.1f} to {max(times):.1f})"


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=21)
    rounds = parser.parse_args().rounds
    with launched() as browser:
        print(f"{machine.line(fastest(device='cpu'))}, Chromium {browser.version}")
        for name in figures.LIVE:
            (network,) = figures.exported([name])
            found = measured(browser, network, rounds)
            ratio = statistics.median(found["plain"]) / statistics.median(found["kernel"])
            print(
                f"{name}: {network['about']['multiply_adds'] / 1e6:.1f} million multiply-adds, "
                f"kernel {in_words(found['kernel'])}, network.js {in_words(found['plain'])}, "
                f"{ratio:.0f} times as long; maps differ by {max(found['differs']):.0e}"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())
