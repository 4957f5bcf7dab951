"""How long does the network of the page take for a picture, in a browser?

    python -m benchmarks.browser [--rounds 21]

Every network of the package, with random weights, in headless Chromium, the page's own script, one
process; milliseconds of a prediction, the picture already at 32x32. A figure is the median over the
rounds, after three to warm up.
"""

import argparse
import shutil
import statistics
import sys

from playwright.sync_api import Browser, sync_playwright
from torch import nn

from benchmarks import machine
from cifarlab import data, figures, model
from cifarlab.numerics import fastest
from cifarlab_course.artefacts import export

WARM_UP = 3


def milliseconds(browser: Browser, network: nn.Module, rounds: int) -> list[float]:
    """Of each prediction, in a page of its own."""
    page = browser.new_page()
    page.add_script_tag(content=(figures.FOLDER / "network.js").read_text(encoding="utf-8"))
    written = {**export.written(export.steps(network)), "mean": data.MEAN, "std": data.STD}
    picture = data.synthetic(1).images[0].flatten().tolist()
    found = page.evaluate(
        """([written, picture, rounds]) => {
            const network = read(written);
            return Array.from({ length: rounds }, () => {
                const started = performance.now();
                predict(network, picture, 32, 32);
                return performance.now() - started;
            });
        }""",
        [written, picture, rounds + WARM_UP],
    )
    page.close()
    return found[WARM_UP:]


def main() -> int:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=21)
    rounds = parser.parse_args().rounds
    path = shutil.which("chromium") or shutil.which("google-chrome")
    if path is None:
        print("browser: no chromium or google-chrome on the PATH; install one.", file=sys.stderr)
        return 2
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path)
        print(f"{machine.line(fastest(device='cpu'))}, Chromium {browser.version}")
        for name in model.names():
            network = model.create(name)
            found = milliseconds(browser, network, rounds)
            print(
                f"{name}: {model.count_multiply_adds(network) / 1e6:.1f} million multiply-adds, "
                f"{statistics.median(found):.0f} ms ({min(found):.0f} to {max(found):.0f})"
            )
        browser.close()
    return 0


if __name__ == "__main__":
    sys.exit(main())
