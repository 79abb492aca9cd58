"""The longest frame of the live view with 10,000 trials, act by act, in a real JupyterLab in a headless Chromium.

PYTHONPATH=tests python benchmarks/frames.py [--trials 10000]

A frame is the time between two callbacks of `requestAnimationFrame`; a screen that nothing holds up has 17 ms.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from faces.labdrive import WIDGET, Browser, Server, wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Page

WATCH = """() => {
    window.frames_seen = [];
    let last = performance.now();
    const step = (now) => { window.frames_seen.push(now - last); last = now; requestAnimationFrame(step); };
    requestAnimationFrame(step);
}"""
TABS = ["Curves", "Parallel", "Slices", "Importance", "Pareto", "Contour", "Timeline", "History"]
SETTLED_MS = 800


def acts(page: Page) -> dict[str, Callable[[], object]]:
    """What a user does, by name."""
    heads, filtered = page.locator(".sweep-view .head"), page.locator(".sweep-view .filter")

    def scroll(pixels: int) -> None:
        page.locator(".sweep-view .body").hover(position={"x": 200, "y": 60}, force=True)
        for _ in range(40):
            page.mouse.wheel(0, pixels)
            page.wait_for_timeout(16)

    named = {heads.nth(i).inner_text().split()[0]: heads.nth(i) for i in range(heads.count())}
    return {
        "scroll by two rows": lambda: scroll(60),
        **{f"sort by {name}": head.click for name, head in named.items()},
        "scroll by a hundred rows": lambda: scroll(3000),
        "type a word": lambda: filtered.press_sequentially("fail", delay=120),
        "clear it": lambda: filtered.fill(""),
        "type a comparison": lambda: filtered.press_sequentially("acc>0.5", delay=120),
        "clear that": lambda: filtered.fill(""),
        **{f"plot {tab}": lambda tab=tab: page.click(f".sweep-view .tab:has-text('{tab}')") for tab in TABS},
        "open a row": lambda: page.locator(".sweep-view .body .row").nth(2).click(),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10_000)
    n = parser.parse_args().trials
    made = f"FakeSweep(wanted={n}, done={n}, failing=0.05, targets=2)"
    cell = f"from faces.fake_sweep import FakeSweep\nfrom jupyter_sweep.widgets.view import show\nh = {made}\nshow(h)"
    print(f"{n:,} trials; load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
    with Server(Path(tempfile.mkdtemp()), settings=WIDGET) as server, Browser(1300, 1100) as browser:
        notebook = browser.open(server, [cell])
        notebook.run(0)
        page = notebook.page
        page.wait_for_selector(".sweep-view .body .row", timeout=60_000)
        wait_for("all rows", lambda: f"{n:,}" in page.inner_text(".sweep-view .tools"))
        page.wait_for_timeout(2000)
        page.evaluate(WATCH)
        for name, act in acts(page).items():
            page.evaluate("() => { window.frames_seen.length = 0; }")
            act()
            page.wait_for_timeout(SETTLED_MS)
            print(f"{name:28} {page.evaluate('() => Math.max(...window.frames_seen)'):6.0f} ms", flush=True)


if __name__ == "__main__":
    main()
