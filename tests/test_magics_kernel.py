"""The magics in a real kernel: awaited cells, interrupts, completion over the protocol, nbclient."""

from __future__ import annotations

import os
import re
import signal
import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from conftest import end_processes_of
from jupyter_client.blocking.client import BlockingKernelClient
from jupyter_client.manager import KernelManager, start_new_kernel
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from waiting import wait_for

from jupyter_sweep import sweep

SETUP = """
%load_ext jupyter_sweep
import asyncio, time
from jupyter_sweep import choice, randint, report, sweep, uniform
"""
SLOW = "import time\nk = randint(1, 60)\ntime.sleep(0.3)\nloss = k\n"
TICKS = """
ticks = []
async def tick():
    while True:
        ticks.append(time.time())
        await asyncio.sleep(0.05)
ticking = asyncio.ensure_future(tick())
"""


class Kernel:
    """A running kernel and its client."""

    def __init__(self, manager: KernelManager, client: BlockingKernelClient) -> None:
        self.manager, self.client = manager, client

    def run(self, code: str, timeout_s: float = 60) -> tuple[dict[str, Any], str]:
        """Run code and give the reply and the text of all outputs."""
        return self.answer(self.client.execute(code), timeout_s)

    def answer(self, request: str, timeout_s: float = 60) -> tuple[dict[str, Any], str]:
        """Wait for the answer to a request: the reply and the text of all outputs."""
        text = ""
        limit = time.monotonic() + timeout_s
        while True:
            message = self.client.get_iopub_msg(timeout=max(0.1, limit - time.monotonic()))
            if message["parent_header"].get("msg_id") != request:
                continue
            content = message["content"]
            if message["msg_type"] == "status" and content["execution_state"] == "idle":
                break
            text += content.get("text", "") + "\n".join(content.get("traceback", []))
            text += str(content.get("data", {}).get("text/plain", ""))
        while True:
            reply = self.client.get_shell_msg(timeout=max(0.1, limit - time.monotonic()))
            if reply["parent_header"].get("msg_id") == request:
                return reply["content"], text

    def value(self, expression: str) -> Any:
        """Give the value of an expression in the kernel."""
        reply = self.client.execute("", user_expressions={"it": expression}, reply=True, timeout=60)
        found = reply["content"]["user_expressions"]["it"]
        assert found["status"] == "ok", found
        return eval(found["data"]["text/plain"])

    def matches(self, code: str, column: int | None = None) -> list[str]:
        """Give what Tab offers at a column of the first line (its end)."""
        cursor = len(code.split("\n")[0]) if column is None else column
        content = self.client.complete(code, cursor, reply=True, timeout=30)["content"]
        start, end = content["cursor_start"], content["cursor_end"]
        return [code[:start] + match + code[end:] for match in content["matches"]]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One sweeps folder for all tests, so that they share a warm driver; each uses names of its own."""
    folder = tmp_path_factory.mktemp("kernel") / "sweeps"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JUPYTER_SWEEP_HOME", str(folder))
        patch.setenv("JUPYTER_SWEEP_IDLE_S", "60")
        patch.chdir(folder.parent)
        yield folder
    end_processes_of(folder)


@pytest.fixture(scope="module")
def kernel(folder: Path) -> Iterator[Kernel]:
    """A kernel beside that folder with the extension loaded."""
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        made = Kernel(manager, client)
        assert made.run(SETUP)[0]["status"] == "ok"
        yield made
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def wait_for_trial(folder: Path, name: str) -> None:
    """Wait until a trial of the sweep has begun: one that only has its folder would still be taken back."""
    wait_for(lambda: any(trial.started_at for trial in sweep(name, folder=folder.parent).trials()))


def was_asked(folder: Path, name: str, verb: str) -> bool:
    """Tell whether somebody asked the driver of a sweep for something."""
    query = "select 1 from requests where sweep_id = ? and verb = ?"
    with sqlite3.connect(folder / "sweeps.db") as db:
        return bool(db.execute(query, (sweep(name, folder=folder.parent).sweep_id, verb)).fetchall())


def test_the_kernel_goes_on_with_other_tasks_while_a_cell_waits(kernel: Kernel) -> None:
    kernel.run(TICKS)
    reply, text = kernel.run("%%sweep a --min loss -n 4\nimport time\nk = randint(1, 9)\ntime.sleep(0.3)\nloss = k")
    assert reply["status"] == "ok", text
    assert kernel.value("sweep('a').counts") == {"completed": 4}
    trials = "sweep('a').trials()"
    between = f"sum(t.started_at < tick < t.finished_at for t in {trials} for tick in ticks)"
    assert kernel.value(between) > 5
    kernel.run("ticking.cancel()")


@pytest.mark.parametrize(("name", "above"), [("b1", "%%time"), ("b2", "%%capture out")])
def test_a_stacked_cell_blocks_and_leaves_the_kernel_as_it_was(kernel: Kernel, name: str, above: str) -> None:
    reply, text = kernel.run(f"{above}\n%%sweep {name} --min loss -n 2\nk = choice(1, 2)\nloss = k")
    assert reply["status"] == "ok", text
    assert kernel.value(f"sweep({name!r}).counts") == {"completed": 2}
    assert kernel.run("await asyncio.sleep(0.01)\nprint('alive')")[1] == "alive\n"


def test_a_mistake_in_a_plain_cell_shows_the_line_of_the_cell_and_none_of_ours(kernel: Kernel) -> None:
    reply, text = kernel.run("import time\nuniform(1, 0)")
    assert reply["status"] == "error"
    cell, line, message = text.splitlines()
    assert re.fullmatch(r"Cell In\[\d+\], line 2", cell)
    assert line == "    uniform(1, 0)"
    assert message.startswith("SweepError: low <= high")


def test_an_interrupt_ends_the_cell_with_one_line_and_the_next_run_goes_on(kernel: Kernel, folder: Path) -> None:
    cell = f"%%sweep c --min loss -n 8 --jobs 1\n{SLOW}"
    request = kernel.client.execute(cell)
    wait_for_trial(folder, "c")
    kernel.manager.interrupt_kernel()
    reply, text = kernel.answer(request)
    assert (reply["status"], reply["ename"]) == ("error", "SweepError")
    assert "Traceback" not in text
    assert len(reply["evalue"].splitlines()) == 1
    assert kernel.value("sweep('c').state") == "interrupted"
    counts = kernel.value("sweep('c').counts")
    assert set(counts) <= {"completed", "waiting"}
    assert 0 < counts["completed"] < 8
    reply, text = kernel.run(cell)
    assert reply["status"] == "ok", text
    assert kernel.value("sweep('c').counts") == {"completed": 8}


def test_a_second_interrupt_ends_what_runs(kernel: Kernel, folder: Path) -> None:
    body = "import time\nk = randint(1, 9)\ntime.sleep(60)\nloss = k\n"
    request = kernel.client.execute(f"%%sweep d --min loss -n 4 --jobs 1\n{body}")
    wait_for_trial(folder, "d")
    kernel.manager.interrupt_kernel()
    wait_for(lambda: was_asked(folder, "d", "interrupt"))  # two signals at once would be one
    kernel.manager.interrupt_kernel()
    reply, _ = kernel.answer(request)
    assert reply["status"] == "error"
    assert kernel.value("sweep('d').state") == "interrupted"
    assert kernel.value("sweep('d').counts").get("cancelled", 0) >= 1


def test_a_cell_whose_driver_is_killed_starts_another_and_says_so(kernel: Kernel, folder: Path) -> None:
    body = "import time\nk = randint(1, 20)\ntime.sleep(0.3)\nloss = k\n"
    request = kernel.client.execute(f"%%sweep killed --min loss -n 6 --jobs 1\n{body}")
    wait_for_trial(folder, "killed")
    pid = sweep("killed", folder=folder.parent).driver
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    reply, text = kernel.answer(request, timeout_s=90)
    assert reply["status"] == "ok", text
    assert "had died" in text
    assert kernel.value("sweep('killed').counts") == {"completed": 6}


def test_an_inline_sweep_is_interrupted_too(kernel: Kernel, folder: Path) -> None:
    body = "import time\nk = randint(1, 9)\nopen('e-begun', 'w').close()\ntime.sleep(60)\nloss = k\n"
    request = kernel.client.execute(f"%%sweep e --min loss -n 4 --on inline\n{body}")
    wait_for((folder.parent / "e-begun").exists)
    kernel.manager.interrupt_kernel()
    reply, text = kernel.answer(request)
    assert (reply["status"], reply["ename"]) == ("error", "SweepError"), text
    assert kernel.value("sweep('e').state") == "interrupted"


@pytest.mark.parametrize(("name", "above"), [("r1", ""), ("r2", "%%time\n")])
def test_a_sweep_goes_on_when_its_kernel_is_restarted(folder: Path, name: str, above: str) -> None:
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        Kernel(manager, client).run(SETUP)
        client.execute(f"{above}%%sweep {name} --min loss -n 500 --jobs 1\n{SLOW}")
        wait_for_trial(folder, name)
        manager.restart_kernel()
        handle = sweep(name, folder=folder.parent)
        before = handle.counts.get("completed", 0)
        limit = time.monotonic() + 20
        while handle.counts.get("completed", 0) < before + 3 and time.monotonic() < limit:
            time.sleep(0.05)
        assert handle.state == "running"
        handle.stop()
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)


def test_a_mistake_fails_the_cell_and_shows_the_message_alone(kernel: Kernel, folder: Path) -> None:
    reply, text = kernel.run("%%sweep f -n 3\nk = choice(1, 2)\nloss = k")
    assert (reply["status"], reply["ename"]) == ("error", "SweepError")
    assert "--min loss" in reply["evalue"]
    assert text == "SweepError: " + reply["evalue"]
    assert not (folder / "f").exists()


def test_tab_completes_options_words_metrics_parameters_verbs_and_names(kernel: Kernel) -> None:
    body = "\nlr = uniform(0, 1)\ndepth = randint(1, 3)\nloss = lr * depth\nreport(acc=1 - loss)"
    assert kernel.matches("%%sweep --al" + body) == ["%%sweep --algo" + body, "%%sweep --allow-unused" + body]
    assert kernel.matches("%%sweep --algo t") == ["%%sweep --algo tpe"]
    assert kernel.matches("%%sweep --algo=t") == ["%%sweep --algo=tpe"]
    assert kernel.matches("%%sweep --stop as" + body) == ["%%sweep --stop asha" + body]
    assert kernel.matches("%%sweep --on th") == ["%%sweep --on threads"]
    assert kernel.matches("%%sweep --code i") == ["%%sweep --code ignore"]
    assert kernel.matches("%%sweep --max a" + body) == ["%%sweep --max acc" + body]
    assert kernel.matches("%%sweep --min loss de" + body) == ["%%sweep --min loss depth=" + body]
    assert kernel.matches("%%time\n%%sweep --repe", column=21) == ["%%time\n%%sweep --repeat"]
    assert "%%sweep -n 3 --trials" not in kernel.matches("%%sweep -n 3 --tri")
    assert kernel.matches("%sweep sh") == ["%sweep show"]
    assert "%sweep show digits" not in kernel.matches("%sweep show di")
    kernel.run("%%sweep digits --min loss -n 1 --on inline\nk = choice(1, 2)\nloss = k")
    assert kernel.matches("%sweep show di") == ["%sweep show digits"]
    assert kernel.matches("%sweep drop digits --") == ["%sweep drop digits --yes"]


def test_names_of_the_notebook_complete_in_the_body_and_after_a_pin(kernel: Kernel) -> None:
    kernel.run("my_wide_range = 3")
    body = "%%sweep --min loss\nk = my_wi"
    assert "my_wide_range" in kernel.matches(body, column=len(body))[0]
    assert "my_wide_range" in kernel.matches("%%sweep --min loss k=my_wi")[0]


def test_the_best_cell_is_inserted_below(kernel: Kernel) -> None:
    kernel.run("%%sweep g --min loss --grid --on inline\nk = choice(3, 1, 2)\nloss = k")
    reply, _ = kernel.run("%sweep best g")
    (payload,) = [p for p in reply["payload"] if p["source"] == "set_next_input"]
    assert payload["replace"] is False
    assert re.search(r"^k = 1$", payload["text"], re.MULTILINE)


def test_the_folder_stays_beside_the_notebook_when_the_kernel_moves(kernel: Kernel, folder: Path) -> None:
    here = folder.parent
    kernel.run("import os\nhome = os.environ.pop('JUPYTER_SWEEP_HOME')\nos.makedirs('away')\nos.chdir('away')")
    reply, text = kernel.run("%%sweep h --min loss --grid --on inline\nk = choice(1, 2)\nloss = k")
    assert reply["status"] == "ok", text
    assert (folder / "h").is_dir()
    assert not (here / "away" / "sweeps").exists()
    (here / "books").mkdir()
    kernel.run(f"__vsc_ipynb_file__ = {str(here / 'books' / 'mine.ipynb')!r}")
    reply, text = kernel.run("%%sweep --min loss --grid --on inline\nk = choice(1, 2)\nloss = k")
    assert reply["status"] == "ok", text
    assert (here / "books" / "sweeps" / "mine-loss").is_dir()
    kernel.run("del __vsc_ipynb_file__\nos.chdir('..')\nos.environ['JUPYTER_SWEEP_HOME'] = home")


def notebook(*cells: str) -> nbformat.NotebookNode:
    """Make a notebook of code cells."""
    return nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in (SETUP, *cells)])


def test_a_headless_run_waits_and_leaves_the_static_result(folder: Path) -> None:
    book = notebook("%%sweep n --min loss -n 3\nk = choice(1, 2, 3)\nloss = k", "%sweep best n")
    NotebookClient(book, timeout=120).execute()
    outputs = book.cells[1].outputs
    html = "".join(output.get("data", {}).get("text/html", "") for output in outputs)
    assert "finished" in html
    assert not any("widget-view" in kind for output in outputs for kind in output.get("data", {}))
    assert re.search(r"^k = 1$", book.cells[2].outputs[0]["text"], re.MULTILINE)


def test_a_headless_run_stops_at_a_cell_that_fails(folder: Path) -> None:
    book = notebook("%%sweep nf --min loss --fail-fast --grid\nk = choice(0, 1)\nloss = 1 / k", "after = 1")
    with pytest.raises(CellExecutionError, match="SweepError"):
        NotebookClient(book, timeout=120).execute()
    assert book.cells[2].execution_count is None
