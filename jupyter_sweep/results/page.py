"""A sweep as one HTML page: facts, plots, the best cell, all trials, the failures. Nothing is fetched, nothing runs.

Every text of the sweep is escaped and set apart (`bdi`), so that no name turns into markup and no right-to-left value
turns its neighbours around; a policy in the page's head forbids scripts all the same.
"""

from __future__ import annotations

import base64
import html
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..definition import Sweep
from ..trial import Report, Trial, TrialState
from . import canvas, plots
from .best import find_best
from .frame import last_line, metric_names, parameter_names

if TYPE_CHECKING:
    from matplotlib.axes import Axes

#: Rows of the table, characters of one value, kinds of failure with their traceback.
ROWS, TEXT, FAILURES = 10_000, 200, 20
_POLICY = "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
_STYLE = """
:root { color-scheme: light dark; }
body { font: 14px/1.5 system-ui, sans-serif; margin: 2em auto; max-width: 1200px; padding: 0 1em; }
table { border-collapse: collapse; } td, th { padding: 2px 12px 2px 0; text-align: left; vertical-align: top; }
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; }
thead th { position: sticky; top: 0; background: Canvas; border-bottom: 1px solid; }
tr.best td { font-weight: bold; } .wide { overflow-x: auto; } .dim { opacity: 0.7; }
figure { display: inline-block; margin: 0 1em 1em 0; } img { max-width: 100%; background: white; }
pre { background: rgba(128, 128, 128, 0.12); padding: 0.7em; overflow-x: auto; white-space: pre-wrap; }
"""


def write(path: Path, sweep: Sweep, trials: Sequence[Trial], reports: Sequence[Report]) -> None:
    """Write the page."""
    path.write_text(page(sweep, trials, reports), encoding="utf-8")


def page(sweep: Sweep, trials: Sequence[Trial], reports: Sequence[Report]) -> str:
    """Give the page's source."""
    body = [
        *_facts(sweep, trials),
        *_best(sweep, trials),
        *_pictures(sweep, trials, reports),
        *_table(sweep, trials),
        *_failures(trials),
    ]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{_POLICY}">'
        f'<meta name="viewport" content="width=device-width"><title>{html.escape(sweep.name)}</title>'
        f"<style>{_STYLE}</style></head>\n<body>\n" + "\n".join(body) + "\n</body></html>\n"
    )


def _shown(value: Any, limit: int = TEXT) -> str:
    """Escape a text from outside, cut to `limit` characters."""
    text = str(value)
    return f"<bdi>{html.escape(text if len(text) <= limit else text[: limit - 1] + '…')}</bdi>"


def _facts(sweep: Sweep, trials: Sequence[Trial]) -> Iterator[str]:
    counts = {state: sum(t.state is state for t in trials) for state in TrialState}
    facts = {
        "targets": ", ".join(f"{o.direction} {o.metric}" for o in sweep.objectives),
        "trials": ", ".join(f"{n} {state}" for state, n in counts.items() if n) or "none yet",
        "algorithm": f"{sweep.proposer}, stop rule {sweep.pruner}, seed {sweep.seed}",
        "note": sweep.note,
        "tags": ", ".join(sweep.tags),
        "said": sweep.message,
    }
    yield f"<h1>{_shown(sweep.name)} <small class=dim>version {sweep.version}, {_shown(sweep.state)}</small></h1>"
    rows = [*facts.items(), *((name, told) for name, told in sweep.space.describe())]
    yield "<table>" + "".join(f"<tr><td>{_shown(k)}<td>{_shown(v, 1000)}" for k, v in rows if v) + "</table>"


def _best(sweep: Sweep, trials: Sequence[Trial]) -> Iterator[str]:
    found = find_best(sweep, trials)
    if found is not None:
        value = f"{sweep.objective.metric} {found.value:.6g}, trial {found.trial}"
        yield f"<h2>Best: {_shown(value)}</h2><pre>{html.escape(found.cell)}</pre>"


def _pictures(sweep: Sweep, trials: Sequence[Trial], reports: Sequence[Report]) -> Iterator[str]:
    """Give the plots that have something to show."""
    drawn: list[Callable[[], Axes]] = []
    if any(t.metrics for t in trials):
        drawn.append(lambda: plots.history(sweep, trials))
        if len(sweep.objectives) > 1:
            drawn.append(lambda: plots.pareto(sweep, trials))
        if len(sweep.space.varying) > 1:
            drawn += [lambda: plots.importance(sweep, trials), lambda: plots.parallel(sweep, trials)]
        drawn.append(lambda: plots.slice(sweep, trials))
    if reports:
        drawn.append(lambda: plots.curves(sweep, trials, reports))
    for draw in drawn:
        axes = draw()
        source = base64.b64encode(canvas.to_png(axes, dpi=canvas.DPI)).decode()
        yield f'<figure><img alt="{html.escape(axes.get_title())}" src="data:image/png;base64,{source}"></figure>'


def _table(sweep: Sweep, trials: Sequence[Trial]) -> Iterator[str]:
    metrics, params = metric_names(sweep.objectives, [t.metrics for t in trials]), parameter_names(sweep, trials)
    found = find_best(sweep, trials)
    heads = ["trial", "state", *metrics, *params, "seconds", "worker", "error"]
    yield "<h2>Trials</h2><div class=wide><table><thead><tr>"
    yield "".join(f"<th>{_shown(head, 60)}" for head in heads) + "</thead><tbody>"
    for trial in trials[:ROWS]:
        numbers = [_number(trial.metrics.get(name)) for name in metrics]
        values = [_shown(trial.params[name]) if name in trial.params else "" for name in params]
        state = f"{trial.state}: {trial.reason}" if trial.reason else trial.state
        cells = [str(trial.number), _shown(state), *numbers, *values, _number(trial.duration_s)]
        cells += [_shown(trial.worker), _shown(last_line(trial))]
        mark = " class=best" if found is not None and found.trial == trial.number else ""
        yield f"<tr{mark}>" + "".join(f"<td>{cell}" for cell in cells)
    yield "</tbody></table></div>"
    if len(trials) > ROWS:
        yield f"<p class=dim>The first {ROWS:,} of {len(trials):,} trials.</p>"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.6g}" if math.isfinite(value) else str(value)


def _failures(trials: Sequence[Trial]) -> Iterator[str]:
    """Give each kind of failure once, with the traceback of its first trial."""
    kinds: dict[tuple[str, str], list[Trial]] = {}
    for trial in trials:
        if trial.state is TrialState.FAILED:
            kinds.setdefault((trial.reason, last_line(trial)), []).append(trial)
    if kinds:
        yield "<h2>Failures</h2>"
    for (reason, line), failed in sorted(kinds.items(), key=lambda kind: -len(kind[1]))[:FAILURES]:
        numbers = ", ".join(str(t.number) for t in failed[:8]) + (", …" if len(failed) > 8 else "")
        told = f"{len(failed)} times, trials {numbers}" if len(failed) > 1 else f"trial {numbers}"
        traceback = html.escape((failed[0].traceback or failed[0].error)[-20_000:])
        yield f"<details><summary>{_shown(f'{reason}: {line}')} ({told})</summary><pre>{traceback}</pre></details>"
