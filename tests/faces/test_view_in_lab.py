"""The live view as a user meets it: in a real JupyterLab and a real Notebook 7, with a pretended sweep behind it."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

import pytest
from faces.labdrive import WIDGET, Browser, Notebook, Server, chromium, wait_for

if TYPE_CHECKING:
    from playwright.sync_api import Page

pytestmark = [
    pytest.mark.faces,
    pytest.mark.skipif(chromium() is None, reason="no Chromium on the path, and CHROMIUM names none"),
]

SETUP = "from faces.fake_sweep import FakeSweep\nfrom jupyter_sweep.widgets.view import show, watch"
HTML = "text/html"
RUN = "application/vnd.jupyter-sweep.run+json"
Run = Callable[[str], Notebook]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with Browser(1100, 1000) as found:
        yield found


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    with Server(tmp_path_factory.mktemp("lab"), settings=WIDGET) as server:
        yield server


@pytest.fixture(scope="module")
def desk(browser: Browser, lab: Server) -> Iterator[Notebook]:
    """One open notebook for most tests: a kernel and a page of its own would cost each of them five seconds."""
    yield from prepared(browser, lab)


@pytest.fixture(scope="module")
def classic(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Notebook]:
    with Server(tmp_path_factory.mktemp("classic"), "notebook", WIDGET) as server:
        yield from prepared(browser, server)


def prepared(browser: Browser, server: Server) -> Iterator[Notebook]:
    notebook = browser.open(server, [SETUP])
    notebook.run(0)
    notebook.wait_done(0)
    yield notebook
    notebook.js("await panel.sessionContext.shutdown()")
    notebook.close()


def settle(notebook: Notebook) -> None:
    """Wait until the page has all rows and has put the static form into the document: then it draws no more."""
    notebook.wait_done(0)
    wait_for("the static form", lambda: sorted(notebook.model()[0]["outputs"][-1]["data"]) == [RUN, HTML, "text/plain"])


@pytest.fixture
def run(desk: Notebook) -> Iterator[Callable[[str], Notebook]]:
    """Run a cell, above another one, in the shared notebook, and end its sweep, `h`, after the test."""

    def run(cell: str) -> Notebook:
        start(desk, cell)
        return desk

    yield run
    finish(desk)
    assert desk.console == []


def start(notebook: Notebook, cell: str) -> None:
    """Make `cell` the first of two and run it."""
    notebook.js(
        "const shared = panel.context.model.sharedModel, n = shared.cells.length;"
        "shared.insertCells(n, value.map((source) => ({cell_type: 'code', source})));"
        "shared.deleteCellRange(0, n)",
        [cell, "below = 1"],
    )
    notebook.run(0)
    notebook.page.wait_for_selector(".sweep-view")


def finish(notebook: Notebook) -> None:
    while any(is_running(notebook, i) for i in range(len(sources(notebook)))):
        notebook.interrupt()
        notebook.page.wait_for_timeout(200)
    evaluate(notebook, "h.stop()")


def state(notebook: Notebook) -> str:
    return notebook.page.inner_text(".sweep-view .state")


def counts(notebook: Notebook) -> str:
    return notebook.page.inner_text(".sweep-view .counts")


def is_running(notebook: Notebook, cell: int = 0) -> bool:
    return bool(notebook.js("return panel.content.widgets[value].model.executionState", cell) == "running")


def evaluate(notebook: Notebook, expression: str) -> str:
    """Ask the idle kernel for the repr of an expression."""
    found: str = notebook.js(
        "const asked = kernel.requestExecute({code: '', silent: true, user_expressions: {x: value}});"
        "return (await asked.done).content.user_expressions.x.data['text/plain']",
        expression,
    )
    return found


def press(notebook: Notebook, button: str) -> None:
    notebook.page.click(f".sweep-view .act:has-text('{button}')")


def sources(notebook: Notebook) -> list[str]:
    return [cell["source"] for cell in notebook.model()]


def copy_of(notebook: Notebook, browser: Browser, name: str) -> Notebook:
    """Save, and open a copy: its kernel is another one and knows nothing."""
    (notebook.server.folder / name).write_text(json.dumps(notebook.save()))
    return browser.open(notebook.server, path=name)


def test_buttons_act_while_the_cell_blocks(run: Run) -> None:
    notebook = run("h = FakeSweep(wanted=500, trial_s=1)\nseen = await watch(h)")
    press(notebook, "Pause")
    wait_for("the pause", lambda: state(notebook) == "paused")
    assert is_running(notebook)
    press(notebook, "Resume")
    wait_for("the resumption", lambda: state(notebook) == "running")
    press(notebook, "Stop")
    notebook.wait_done(0)
    assert evaluate(notebook, "h.calls") == "['pause', 'resume', 'stop']"


def test_a_stopped_sweep_can_be_resumed_from_the_view_after_its_cell_has_ended(run: Run) -> None:
    notebook = run("h = FakeSweep(wanted=500, trial_s=0.2)\nseen = await watch(h)")
    press(notebook, "Stop")
    notebook.wait_done(0)
    press(notebook, "Resume")
    wait_for("the resumption", lambda: state(notebook) == "running")
    before = counts(notebook)
    wait_for("news after the resumption", lambda: counts(notebook) != before)


def test_buttons_of_a_shown_sweep_act_while_another_cell_keeps_the_kernel_busy(run: Run) -> None:
    notebook = run("h = FakeSweep(wanted=900, trial_s=0.3)\nshow(h)")
    notebook.wait_done(0)
    notebook.js("panel.context.model.sharedModel.getCell(1).setSource('import time; time.sleep(60)')")
    notebook.run(1)
    wait_for("the busy kernel", lambda: is_running(notebook, 1))
    before = counts(notebook)
    wait_for("news meanwhile", lambda: counts(notebook) != before)
    press(notebook, "Pause")
    wait_for("the pause", lambda: state(notebook) == "paused")
    assert is_running(notebook, 1)


def test_the_best_config_cell_comes_below_once_and_never_over_an_edit(run: Run) -> None:
    notebook = run("h = FakeSweep(wanted=900, done=20, trial_s=5)\nseen = await watch(h)")
    press(notebook, "Best-config cell")
    wait_for("the new cell", lambda: len(sources(notebook)) == 3)
    assert is_running(notebook)
    assert sources(notebook)[1].startswith("# digits v2, trial 14: acc = ")
    press(notebook, "Best-config cell")
    assert len(sources(notebook)) == 3
    notebook.js("panel.context.model.sharedModel.getCell(1).setSource('mine = 1')")
    press(notebook, "Stop")
    notebook.wait_done(0)
    press(notebook, "Best-config cell")
    wait_for("the cell after the end", lambda: len(sources(notebook)) == 4)
    assert sources(notebook)[2] == "mine = 1"


def test_at_the_end_the_page_is_live_and_the_file_needs_no_kernel(run: Run, browser: Browser) -> None:
    notebook = run("h = FakeSweep(wanted=12, done=10, trial_s=0.2, failing=0.5)\nseen = await watch(h)")
    notebook.wait_done(0)
    notebook.page.click(".sweep-view .head:has-text('width')")
    notebook.page.click(".sweep-view .body .row.failed >> nth=0")
    wait_for("the traceback", lambda: "FloatingPointError" in notebook.page.inner_text(".sweep-view .table"))
    again = copy_of(notebook, browser, "later.ipynb")
    assert [sorted(output["data"]) for output in again.model()[0]["outputs"]] == [[RUN, HTML, "text/plain"]]
    assert "finished" in again.cell(0).inner_text()
    assert again.cell(0).locator("img").count() == 1
    assert notebook.page.locator(".sweep-view").count() == 1
    again.close()


def test_a_page_opened_later_goes_on_with_the_running_sweep(run: Run, browser: Browser) -> None:
    notebook = run("h = FakeSweep(wanted=900, done=30, trial_s=0.3)\nshow(h)")
    notebook.save()
    again = browser.open(notebook.server)
    wait_for("the rows", lambda: again.page.locator(".sweep-view .body .row").count() > 10)
    before = counts(again)
    wait_for("news in the new page", lambda: counts(again) != before)
    again.close()


def test_nothing_below_moves_while_trials_come_in(run: Run) -> None:
    notebook = run("h = FakeSweep(wanted=14, trial_s=0.1)\nseen = await watch(h)")
    notebook.page.evaluate(
        """() => {
            const view = document.querySelector('.sweep-view'), parts = [...view.querySelectorAll('.inner > *')];
            window.heights = new Set();
            new ResizeObserver(() => {
                heights.add([view.offsetHeight, ...parts.map((p) => `${p.className} ${p.offsetHeight}`)].join(', '));
            }).observe(view);
        }"""
    )
    notebook.wait_done(0)
    assert len(notebook.page.evaluate("[...heights]")) == 1


def test_the_table_is_worked_with_keys_and_the_notebook_does_not_hear_them(run: Run) -> None:
    notebook = run("h = FakeSweep(wanted=40, done=40)\nseen = await watch(h)")
    settle(notebook)
    before = sources(notebook)
    notebook.page.focus(".sweep-view .grid")
    for key in ("ArrowDown", "ArrowDown", "a", "b", "x", "Enter"):
        notebook.page.keyboard.press(key)
    wait_for("the details", lambda: "end of its log" in notebook.page.inner_text(".sweep-view .table"))
    rows = notebook.page.locator(".sweep-view .body .row")
    assert rows.nth(1).get_attribute("aria-expanded") == "true"
    named = notebook.page.get_attribute(".sweep-view .grid", "aria-activedescendant")
    assert rows.nth(1).get_attribute("id") == named
    notebook.page.keyboard.press("Escape")
    assert notebook.page.locator(".sweep-view .details").count() == 0
    assert sources(notebook) == before


def test_hostile_texts_are_shown_as_text_live_and_static(run: Run, browser: Browser) -> None:
    notebook = run("h = FakeSweep(wanted=40, done=38, hostile=True, failing=0.4)\nseen = await watch(h)")
    assert notebook.page.inner_text(".sweep-view .title .name") == "<script>window.pwned=1</script>"
    assert notebook.page.locator(".sweep-view a.dashboard:visible").count() == 0
    notebook.page.click(".sweep-view .body .row.failed >> nth=0")
    notebook.page.wait_for_selector(".sweep-view .details pre")
    assert notebook.page.locator(".sweep-view").evaluate("(view) => view.offsetWidth") < 1100
    settle(notebook)
    again = copy_of(notebook, browser, "hostile.ipynb")
    assert "<script>window.pwned=1</script>" in again.cell(0).inner_text()
    assert [page.evaluate("window.pwned") for page in (notebook.page, again.page)] == [None, None]
    again.close()


def test_each_interrupt_is_told_and_the_cell_ends_without_a_traceback(run: Run) -> None:
    notebook = run(
        "h = FakeSweep(wanted=900, trial_s=0.5)\n"
        "def interrupted(n):\n    h.calls.append(n)\n    if n == 2: h.stop()\n    return True\n"
        "seen = await watch(h, on_interrupt=interrupted)"
    )
    wait_for("trials", lambda: "running" in counts(notebook))
    notebook.interrupt()
    wait_for("news after the first interrupt", lambda: "completed" in counts(notebook))
    assert is_running(notebook)
    notebook.interrupt()
    notebook.wait_done(0)
    assert evaluate(notebook, "(h.calls, seen.interrupts)") == "([1, 2, 'stop'], 2)"
    assert [output["output_type"] for output in notebook.save()["cells"][0]["outputs"]] == ["display_data"]


def test_the_filter_compares_and_searches(run: Run) -> None:
    notebook = run("h = FakeSweep(wanted=80, done=80)\nseen = await watch(h)")
    rows = "[(r['params'], r['state']) for r in h.snapshot()['rows']]"
    notebook.wait_done(0)
    want = evaluate(notebook, f"sum(p['lr'] > 0.001 and p['opt'] == 'adam' and s == 'completed' for p, s in {rows})")
    notebook.page.fill(".sweep-view .filter", "lr>0.001 opt=adam completed")
    wait_for("the filter", lambda: notebook.page.inner_text(".sweep-view .tools .dim") == f"{want} of 80 trials")


def test_notebook_7_has_the_same_view(classic: Notebook) -> None:
    start(classic, "h = FakeSweep(wanted=900, done=20, trial_s=2)\nseen = await watch(h)")
    press(classic, "Best-config cell")
    wait_for("the new cell", lambda: len(sources(classic)) == 3)
    press(classic, "Stop")
    classic.wait_done(0)
    assert sorted(classic.save()["cells"][0]["outputs"][0]["data"]) == [RUN, HTML, "text/plain"]
    assert classic.page.locator(".sweep-view .body .row").count() > 10


def test_an_untrusted_notebook_still_shows_table_plot_and_failures(browser: Browser, lab: Server) -> None:
    lab.write(["seen = await watch(h)"], "colleague.ipynb")
    notebook = lab.read("colleague.ipynb")
    notebook["cells"][0]["outputs"] = [{"output_type": "display_data", "metadata": {}, "data": static_bundle()}]
    (lab.folder / "colleague.ipynb").write_text(json.dumps(notebook))
    opened = browser.open(lab, path="colleague.ipynb")
    cell = opened.cell(0)
    assert cell.locator("img").evaluate("async (img) => { await img.decode(); return img.naturalWidth }") > 300
    assert cell.locator("tbody tr").count() > 30
    cell.locator("summary").first.click()
    assert "FloatingPointError" in cell.locator("details pre").first.inner_text()
    assert cell.locator("td").nth(20).evaluate("(td) => getComputedStyle(td).whiteSpace") == "nowrap"
    opened.close()


def static_bundle() -> dict[str, str]:
    from faces.fake_sweep import FakeSweep

    from jupyter_sweep.widgets.mirror import Mirror

    return Mirror(FakeSweep(wanted=40, done=40, failing=0.3)).static()


# -- the page's own code, without a server ------------------------------------------------------------------------

HOST = """async ([source, css, start]) => {
    document.head.append(Object.assign(document.createElement('style'), {textContent: css}));
    const url = URL.createObjectURL(new Blob([source], {type: 'text/javascript'}));
    const widget = (await import(url)).default(), hear = [];
    window.sent = [];
    window.tell = (message) => hear.forEach((f) => f(message));
    const model = {get: (k) => ({start, own_id: 'x'})[k], send: (m) => sent.push(m), on: (_, f) => hear.push(f)};
    widget.initialize({model});
    widget.render({model, el: document.body.appendChild(document.createElement('div'))});
}"""


def host(browser: Browser, done: int) -> tuple[Page, Any, list[dict[str, Any]]]:
    """Give a page with the view of a sweep that has ended, its Python side, and the messages that would go to it."""
    from faces.fake_sweep import FakeSweep

    from jupyter_sweep.widgets.mirror import Mirror
    from jupyter_sweep.widgets.page import SweepView

    view = SweepView(Mirror(FakeSweep(wanted=done, done=done)))
    messages: list[dict[str, Any]] = []
    view.send = lambda message, buffers=None: messages.append(message)
    page, _ = browser.page()
    page.goto("about:blank")
    page.evaluate(HOST, [view._esm, view._css, view.start])
    return page, view, messages


def test_ten_thousand_trials_put_a_few_rows_into_the_page(browser: Browser) -> None:
    page, view, messages = host(browser, 10_000)
    view.send_all()
    page.evaluate("tell", messages[-1])
    wait_for("the rows", lambda: page.inner_text(".tools .dim") == "10,000 trials")
    page.evaluate("document.querySelector('.grid').scrollTop = 130000")
    wait_for("rows in the middle", lambda: page.locator(".body .row").count() > 10)
    assert page.locator(".body .row").count() < 40
    assert page.get_attribute(".grid", "aria-rowcount") == "10001"
    page.close()


def test_where_no_cell_can_be_inserted_its_code_is_shown_and_the_kernel_is_told(browser: Browser) -> None:
    page, view, messages = host(browser, 30)
    view.send_all()
    page.evaluate("tell", messages[-1])
    page.click(".act:has-text('Best-config cell')")
    assert page.input_value(".code textarea") == view.mirror.state["best"]["cell"].rstrip()
    view._received(view, page.evaluate("sent.at(-1)"), [])
    view.obey()
    assert view.wants_cell
    page.close()


def test_the_page_writes_numbers_and_times_as_the_static_form_does(browser: Browser) -> None:
    from jupyter_sweep.widgets import text

    page, view, _ = host(browser, 1)
    values = [
        sign * mantissa * 10.0**power for sign in (1, -1) for mantissa in (1, 1.23456, 9.9) for power in range(-8, 9)
    ]
    times = [0.0, 0.4, 5.24, 9.96, 10.0, 59.6, 60.0, 61.0, 3599.0, 3600.0, 90_061.0]
    written = page.evaluate(
        """([source, values, times]) => {
            const body = source.replace('export default', 'const unused =') + ';return {number, duration}';
            const {number, duration} = new Function(body)();
            return [values.map((v) => number(v)), times.map(duration)];
        }""",
        [view._esm, values, times],
    )
    assert written == [[text.number(v) for v in values], [text.duration(t) for t in times]]
    page.close()


def test_a_page_that_missed_a_message_asks_for_everything(browser: Browser) -> None:
    page, view, messages = host(browser, 30)
    view.send_all()
    page.evaluate("tell", {**messages[-1], "kind": "delta", "since": 17})
    assert page.evaluate("sent.map((m) => m.kind).filter((kind) => kind === 'ready')") == ["ready", "ready"]
    page.close()


def test_best_so_far_is_the_same_in_whatever_order_trials_end(browser: Browser) -> None:
    page, view, _ = host(browser, 1)
    steps = page.evaluate(
        """(source) => {
            const History = new Function(source.replace('export default', 'const unused =') + ';return History')();
            const rows = [...Array(300).keys()].map((n) => ({n, state: n % 7 ? 'completed' : 'failed',
                metrics: [n % 11 ? ((n * 7919) % 1000) / 10 : NaN]}));
            const steps = (order) => {
                const history = new History(1);
                for (const row of order) history.put(row);
                return JSON.stringify(history.steps);
            };
            const shuffled = rows.map((r) => [Math.sin(r.n * 12.9), r]).sort((a, b) => a[0] - b[0]).map(([, r]) => r);
            let best = Infinity;
            const plain = rows.filter(({state, metrics: [value]}) =>
                state === 'completed' && value < best && ((best = value), true));
            return [steps(rows), steps([...rows].reverse()), steps(shuffled),
                    JSON.stringify(plain.map((r) => ({n: r.n, value: r.metrics[0]})))];
        }""",
        view._esm,
    )
    assert len(set(steps)) == 1
    assert steps[0].count("value") > 2
    page.close()


@pytest.mark.parametrize("width", [400, 1400])
def test_the_view_fits_narrow_and_wide(browser: Browser, width: int) -> None:
    page, view, messages = host(browser, 60)
    page.set_viewport_size({"width": width, "height": 900})
    view.send_all()
    page.evaluate("tell", messages[-1])
    wait_for("the rows", lambda: page.locator(".body .row").count() > 5)
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.close()
