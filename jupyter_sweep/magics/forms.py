"""The notebook side of the form: what it is drawn from, how it is checked, how it starts a sweep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from IPython.core.getipython import get_ipython
from IPython.core.interactiveshell import InteractiveShell

from ..errors import SweepError
from ..handle import Handle
from ..notation import form, profiles
from ..space.space import Space
from . import cell, frontend
from .prepare import Checked, check

if TYPE_CHECKING:
    from .line import Tools


@dataclass(frozen=True)
class Notebook:
    """What a form wants of the notebook that it stands in; see `widgets.form_page.Hooks`."""

    shell: InteractiveShell
    folder: Path

    @property
    def namespace(self) -> Mapping[str, Any]:
        return dict(self.shell.user_ns)

    @property
    def cell(self) -> tuple[str, int]:
        metadata = frontend.kernel_request(self.shell).get("metadata", {})
        return str(metadata.get("cellId", "")), self.shell.execution_count

    def transform(self, source: str) -> str:
        return str(self.shell.transform_cell(source))  # type: ignore[no-untyped-call]

    def check(self, line: str, body: str) -> Checked:
        return check(self.shell, line, body)

    def run(self, line: str, body: str) -> Handle:
        return cell.begin_from_form(self.shell, self.folder, line, body)


def show(tools: Tools, given: list[str], flags: set[str]) -> None:
    """Show the form of a sweep, of the sweep above, or a new one; where there are no widgets, print its cell."""
    source = of_sweep(tools.handle(given[0])) if given else last_cell(tools.shell) or form.EMPTY
    if frontend.is_headless(tools.shell) or not frontend.in_kernel(tools.shell):
        print(source)
        return
    tools.view.form(source, Notebook(tools.shell, tools.folder), look=given[0] if given else "")


def config(tools: Tools, given: list[str], flags: set[str]) -> None:
    """Show the editor of the `sweeps.toml` that counts most, or of a new one; without widgets print it."""
    path = next(iter(profiles.files()), tools.folder / profiles.FILE)
    if frontend.is_headless(tools.shell) or not frontend.in_kernel(tools.shell):
        print(f"# {path}\n{path.read_text(encoding='utf-8')}" if path.exists() else f"There is no {path} yet.")
        return
    tools.view.config(path)


def here() -> Notebook:
    """Give the notebook of this process.

    Raises
    ------
    SweepError
        Outside of IPython.
    """
    shell = get_ipython()
    if shell is None:
        raise SweepError("SweepForm() is drawn in a notebook, and this is none.")
    notebook = frontend.notebook(shell)
    return Notebook(shell, notebook.parent if notebook else Path.cwd())


def text_of(source: str | Space) -> str:
    """Give the cell for what `SweepForm` is given."""
    if isinstance(source, Space):
        return form.of_space(source, "--min loss")
    return source or form.EMPTY


def of_sweep(handle: Handle) -> str:
    """Give the cell that a sweep was started from.

    Raises
    ------
    SweepError
        When it was started by `run(...)`.
    """
    definition = handle.definition
    if definition.job.kind != "cell":
        raise SweepError(
            f"{handle.name!r} was started by run(...) and has no cell. A form of its parameters: "
            f"SweepForm(sweep({handle.name!r}).definition.space)"
        )
    return f"%%sweep {definition.line}".rstrip() + f"\n{definition.job.source}"


def last_cell(shell: InteractiveShell) -> str:
    """Give the sweep cell that was executed last, "" when none was."""
    ran = shell.user_ns.get("In", [])
    return next((text for text in reversed(ran) if form.split(text)[1].strip() or text.startswith("%%sweep")), "")
