"""A sweep as plain text: one line while it runs in a terminal, a block of lines where no HTML is shown.

The words and numbers of all static forms are made here, so that the terminal, the saved notebook and the page say the
same: four significant digits, exponents below 1e-4 and from 1e6, durations of two units. Text that came from outside
(names, values, errors) is cut and its control characters are written out, so that a value can't move the cursor.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Mapping, Sequence
from typing import Any

from ..space.codec import decode

#: States in the order in which they are named and drawn.
STATES = ("completed", "pruned", "failed", "cancelled", "running", "waiting")
_BLOCKS = " ▏▎▍▌▋▊▉█"
_CELL = 18
_COLUMNS = 7


def number(value: float | None, digits: int = 4) -> str:
    """Give a number with `digits` significant digits; whole numbers below a million stay whole; "" for None."""
    if value is None or isinstance(value, bool):
        return "" if value is None else str(value)
    if not math.isfinite(value):
        return {math.inf: "inf", -math.inf: "-inf"}.get(value, "nan")
    size = abs(value)
    if value == int(value) and size < 1e6:
        return str(int(value))
    if 1e-4 <= size < 1e6:
        return f"{value:.{max(0, digits - 1 - math.floor(math.log10(size)))}f}"
    mantissa, _, exponent = f"{value:.{digits - 1}e}".partition("e")
    return f"{mantissa.rstrip('0').rstrip('.')}e{int(exponent)}"


def trim(shown: str) -> str:
    """Take the zeros off the end of a number that stands alone; in a column they stay, to keep the points in line."""
    return shown.rstrip("0").rstrip(".") if "." in shown and "e" not in shown else shown


def value(encoded: Any) -> str:
    """Give a parameter's value as a person would write it; texts without quotes."""
    plain = decode(encoded)
    if isinstance(plain, (int, float)) and not isinstance(plain, bool):
        return trim(number(plain))
    return plain if isinstance(plain, str) else repr(plain)


def duration(seconds: float | None) -> str:
    """Give "8 ms", "0.42 s", "12 s", "3 m 12 s", "2 h 5 m" or "1 d 3 h"; "" for None."""
    if seconds is None:
        return ""
    if 0 < seconds < 0.0995:
        return f"{1000 * seconds:.0f} ms"
    if seconds < 9.95 and seconds != int(seconds):
        return f"{seconds:.2f} s" if seconds < 1 else f"{seconds:.1f} s"
    whole = round(seconds)
    for unit, name, below in ((86400, "d", ("h", 3600)), (3600, "h", ("m", 60)), (60, "m", ("s", 1))):
        if whole >= unit:
            rest = whole % unit // below[1]
            return f"{whole // unit} {name}" + (f" {rest} {below[0]}" if rest else "")
    return f"{whole} s"


def size(nbytes: float) -> str:
    """Give "812 B", "12.0 MB", "3.2 GB", in powers of 1024 as the kernel counts memory."""
    for unit in ("B", "KB", "MB", "GB"):
        if nbytes < 1024 or unit == "GB":
            return f"{nbytes:.0f} B" if unit == "B" else f"{nbytes:.1f} {unit}"
        nbytes /= 1024
    raise AssertionError("the last unit takes everything")


def shorten(text: str, limit: int) -> str:
    """Cut a text to `limit` characters, the last of them an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


def clean(text: str, limit: int = 200) -> str:
    """Give one line that a terminal can show: cut, with control and direction characters written out."""
    cut = shorten(text, limit)
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in cut)


def counts(snapshot: Mapping[str, Any]) -> str:
    """Give "31 completed, 5 pruned, 1 failed"; "no trials yet" when there are none."""
    found = snapshot["counts"]
    return ", ".join(f"{found[state]} {state}" for state in STATES if found.get(state)) or "no trials yet"


def plan(snapshot: Mapping[str, Any]) -> str:
    """Give what runs where: "tpe + asha on local · 2 slots"."""
    sweep = snapshot["sweep"]
    pruner = "" if sweep["pruner"] in ("", "none", None) else f" + {sweep['pruner']}"
    if sweep.get("passive"):
        return f"{sweep['algorithm']}: {sweep['where']}"
    return f"{sweep['algorithm']}{pruner} on {sweep['where']}"


def done(snapshot: Mapping[str, Any]) -> str:
    """Give "38 of 60 trials in 3 m 12 s" with what is left, as far as it is known."""
    progress = snapshot["progress"]
    wanted = "" if progress["wanted"] is None else f" of {progress['wanted']}"
    left = "" if progress["eta_s"] is None else f", about {duration(max(1, round(progress['eta_s'])))} left"
    return f"{progress['final']}{wanted} trials in {duration(round(progress['elapsed_s']))}{left}"


def against_baseline(snapshot: Mapping[str, Any]) -> str:
    """Give "baseline 0.941 (trial 0), best is 0.0402 better", or "" without a baseline."""
    base, best = snapshot["baseline"], snapshot["best"]
    if not base or base["value"] is None:
        return ""
    text = f"baseline {trim(number(base['value']))} (trial {base['number']})"
    if not best or best["value"] is None:
        return text
    sign = 1 if objective(snapshot)["direction"] == "maximize" else -1
    gain = sign * (best["value"] - base["value"])
    return f"{text}, best is {trim(number(gain))} better" if gain > 0 else f"{text}, not beaten"


def objective(snapshot: Mapping[str, Any]) -> Mapping[str, str]:
    """Give the first objective: the one that ranks the rows."""
    first: Mapping[str, str] = snapshot["sweep"]["objectives"][0]
    return first


def goal(snapshot: Mapping[str, Any]) -> str:
    """Give "highest acc" or "lowest loss"."""
    first = objective(snapshot)
    return f"{'highest' if first['direction'] == 'maximize' else 'lowest'} {first['metric']}"


def whose(best: Mapping[str, Any], snapshot: Mapping[str, Any]) -> str:
    """Give "trial 4", or "trial 4, size 3.2" where there are further targets."""
    further = [o["metric"] for o in snapshot["sweep"]["objectives"][1:] if o["metric"] in best["metrics"]]
    return ", ".join([f"trial {best['number']}", *(f"{m} {trim(number(best['metrics'][m]))}" for m in further)])


def ranked(snapshot: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    """Give the rows best first: completed ones by the first objective, then the others by number."""
    first = objective(snapshot)
    sign = -1 if first["direction"] == "maximize" else 1

    def rank(row: Mapping[str, Any]) -> tuple[int, float, int]:
        found = row["metrics"].get(first["metric"])
        usable = found is not None and not math.isnan(found)
        if not usable:
            return (2, 0.0, row["number"])
        return (0 if row["state"] == "completed" else 1, sign * found, row["number"])

    return sorted(snapshot["rows"], key=rank)


def failures(snapshot: Mapping[str, Any]) -> list[list[Mapping[str, Any]]]:
    """Give failed rows that say the same together, the commonest first: 200 times one error is one thing to mend."""
    kinds: dict[tuple[str, str], list[Mapping[str, Any]]] = {}
    for row in snapshot["rows"]:
        if row["state"] == "failed":
            kinds.setdefault((row["reason"], row["error"]), []).append(row)
    return sorted(kinds.values(), key=len, reverse=True)


def who(rows: Sequence[Mapping[str, Any]]) -> str:
    """Give "trial 7", or "12 trials (3, 7, 9, ...)"."""
    numbers = ", ".join(str(row["number"]) for row in rows[:8]) + (", ..." if len(rows) > 8 else "")
    return f"trial {numbers}" if len(rows) == 1 else f"{len(rows)} trials ({numbers})"


def static_text(snapshot: Mapping[str, Any], top: int = 10) -> str:
    """Give a block of lines: what ran, how far, the best, the `top` rows, the failures.

    Parameters
    ----------
    snapshot
        As `Handle.snapshot(0)` gives it, with all rows.
    top
        Rows of the table; the rest is counted.
    """
    sweep = snapshot["sweep"]
    lines = [
        f"{clean(sweep['name'])} v{sweep['version']}: {sweep['state']} · {clean(plan(snapshot))}",
        f"{done(snapshot)}: {counts(snapshot)}",
    ]
    lines += [clean(sweep["message"])] if sweep.get("message") else []
    lines += [_best_line(snapshot)] if snapshot["best"] else []
    lines += [against_baseline(snapshot)] if against_baseline(snapshot) else []
    lines += [f"warning: {clean(w)}" for w in sweep["warnings"]]
    lines += _table(snapshot, top)
    kinds = failures(snapshot)
    lines += [f"failed: {who(rows)}: {clean(rows[0]['error'] or rows[0]['reason'], 100)}" for rows in kinds[:5]]
    lines += [f"... and {len(kinds) - 5} other kinds of failure"] if len(kinds) > 5 else []
    return "\n".join(lines)


def _best_line(snapshot: Mapping[str, Any]) -> str:
    best = snapshot["best"]
    params = ", ".join(f"{clean(k, 40)}={clean(value(v), 40)}" for k, v in best["params"].items())
    return f"{clean(goal(snapshot))} {trim(number(best['value'], 6))}, {clean(whose(best, snapshot))}: {params}"


def _table(snapshot: Mapping[str, Any], top: int) -> list[str]:
    rows = ranked(snapshot)
    if not rows:
        return []
    metrics = [o["metric"] for o in snapshot["sweep"]["objectives"]][: _COLUMNS - 3]
    params = snapshot["columns"]["params"][: _COLUMNS - 2 - len(metrics)]
    cells = [["trial", "state", *(clean(name, _CELL) for name in (*metrics, *params))]]
    for row in rows[:top]:
        values = [value(row["params"][p]) if p in row["params"] else "" for p in params]
        measured = [number(row["metrics"].get(metric)) for metric in metrics]
        shown = [row["state"], *measured, *(clean(v, _CELL) for v in values)]
        cells.append([str(row["number"]), *shown])
    more = [f"... and {len(rows) - top} more rows"] if len(rows) > top else []
    return ["", *_aligned(cells), *more]


def _aligned(cells: Sequence[Sequence[str]]) -> list[str]:
    """Give lines with columns of numbers set to the right, others to the left."""
    widths = [max(len(row[i]) for row in cells) for i in range(len(cells[0]))]
    sides = [str.rjust if all(map(_is_number, column)) else str.ljust for column in zip(*cells[1:], strict=True)]
    return [
        "  ".join(side(text, width) for text, width, side in zip(row, widths, sides, strict=True)).rstrip()
        for row in cells
    ]


def _is_number(shown: str) -> bool:
    try:
        float(shown or "0")
    except ValueError:
        return False
    return True


def line(snapshot: Mapping[str, Any], width: int | None = None) -> str:
    """Give one line of progress, cut to the terminal's width: name, bar, counts, times, best."""
    sweep, progress, best = snapshot["sweep"], snapshot["progress"], snapshot["best"]
    final, wanted = progress["final"], progress["wanted"]
    share = min(1.0, final / wanted) if wanted else 0.0
    bar = f"{share:4.0%}|{_bar(share)}| {final}/{wanted}" if wanted else f"{final}"
    left = "" if progress["eta_s"] is None else f" < {duration(round(progress['eta_s']))}"
    parts = [f"{clean(sweep['name'], 24)} {bar} [{duration(round(progress['elapsed_s']))}{left}]"]
    parts += (
        [f"best {clean(objective(snapshot)['metric'], 20)}={number(best['value'])} #{best['number']}"] if best else []
    )
    parts += [f"{n} {s}" for s in ("failed", "running") if (n := snapshot["counts"].get(s))]
    parts += [sweep["state"]] if sweep["state"] != "running" else []
    return shorten("  ".join(parts), (width or shutil.get_terminal_size().columns) - 1)


def _bar(share: float, cells: int = 12) -> str:
    eighths = round(share * cells * 8)
    full, rest = divmod(eighths, 8)
    return ("█" * full + (_BLOCKS[rest] if rest else "")).ljust(cells)
