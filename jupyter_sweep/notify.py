"""`--notify`: tells a command or a web address how a sweep ended, from a process of its own.

The command is run by the shell as it was written; what the sweep is called or said arrives on standard input and in
variables, never in the text of the command, so that no name can become a command. A failure is a warning of the sweep.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import math
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from .errors import SweepError, count
from .handle import Handle
from .space.codec import encode
from .store import tracking
from .store.sqlite import Store

#: How long a command may run and an address may take to answer.
LIMIT_S = 30.0


def summary(handle: Handle) -> dict[str, Any]:
    """Give what is told of a sweep: `text` is one sentence, as chat services want it; there is no NaN in it."""
    sweep, best = handle.definition, handle.best
    started, finished = handle.times
    found = None
    if best is not None:
        found = {"trial": best.trial, "value": best.value, "params": encode(best.params), "metrics": best.metrics}
    data: dict[str, Any] = {
        "name": sweep.name,
        "version": sweep.version,
        "state": sweep.state,
        "message": sweep.message,
        "counts": handle.counts,
        "metric": sweep.objective.metric,
        "direction": sweep.objective.direction,
        "best": found,
        "started_at": started,
        "finished_at": finished,
        "folder": str(handle.folder),
        "notebook": sweep.notebook,
        "note": sweep.note,
        "tags": list(sweep.tags),
    }
    plain: dict[str, Any] = _without_nan({"text": _sentence(data), **data})
    return plain


def _sentence(data: Mapping[str, Any]) -> str:
    why = f" ({data['message']})" if data["message"] else ""
    trials = ", ".join(f"{n} {state}" for state, n in data["counts"].items()) or "no trials"
    best = data["best"]
    at = "" if best is None else f"; best {data['metric']} {best['value']:.6g} (trial {best['trial']})"
    return f"Sweep {data['name']} is {data['state']}{why}: {trials}{at}."


def _without_nan(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None if math.isnan(value) else str(value)
    if isinstance(value, Mapping):
        return {name: _without_nan(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_without_nan(item) for item in value]
    return value


def variables(data: Mapping[str, Any]) -> dict[str, str]:
    """Give the variables that a command finds in its environment."""
    best = data["best"] or {}
    found = {
        "SWEEP_NAME": data["name"],
        "SWEEP_VERSION": data["version"],
        "SWEEP_STATE": data["state"],
        "SWEEP_MESSAGE": data["message"],
        "SWEEP_TEXT": data["text"],
        "SWEEP_METRIC": data["metric"],
        "SWEEP_BEST": best.get("value", ""),
        "SWEEP_BEST_TRIAL": best.get("trial", ""),
        "SWEEP_COMPLETED": data["counts"].get("completed", 0),
        "SWEEP_FAILED": data["counts"].get("failed", 0),
        "SWEEP_FOLDER": data["folder"],
    }
    return {name: str(value).replace("\0", "") for name, value in found.items()}


def tell(target: str, data: Mapping[str, Any], *, limit_s: float = LIMIT_S) -> None:
    """Give the summary to a command or an address.

    Raises
    ------
    SweepError
        Saying what went wrong, without the address: part of it may be a secret.
    """
    if is_address(target):
        _post(target, data, limit_s)
    else:
        _run(target, data, limit_s)


def is_address(target: str) -> bool:
    """Tell an address from a command."""
    return target.startswith(("http://", "https://"))


def _post(address: str, data: Mapping[str, Any], limit_s: float) -> None:
    body = json.dumps(data, allow_nan=False).encode()
    headers = {"Content-Type": "application/json", "User-Agent": "jupyter-sweep"}
    request = urllib.request.Request(address, body, headers, method="POST")
    host = urlsplit(address).hostname
    try:
        with urllib.request.urlopen(request, timeout=limit_s) as answer:
            answer.read(1)
    except urllib.error.HTTPError as error:
        raise SweepError(f"{host} answered {error.code} {error.reason}") from error
    except OSError as error:
        why = getattr(error, "reason", error)
        raise SweepError(f"{host} did not take it: {why or type(error).__name__}") from error
    except (http.client.HTTPException, ValueError) as error:  # no HTTP comes back, or no name of a host can be so
        raise SweepError(f"{host} did not take it: {type(error).__name__}") from error


def _run(command: str, data: Mapping[str, Any], limit_s: float) -> None:
    """Run the command in a group of its own, so that all of it ends at the limit."""
    process = subprocess.Popen(
        ["/bin/sh", "-c", command],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        env={**os.environ, **variables(data)},
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(json.dumps(data, allow_nan=False).encode(), timeout=limit_s)
    except subprocess.TimeoutExpired:
        raise SweepError(f"the command ran for {limit_s:g} s, which is its limit, and was killed") from None
    finally:
        with contextlib.suppress(ProcessLookupError):  # what it left behind, if anything
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    said = output.decode("utf-8", "replace")
    print(said, flush=True)
    if process.returncode:
        last = (said.strip().splitlines() or [""])[-1][:200]
        raise SweepError(f"the command ended with status {process.returncode}" + (f": {last}" if last else ""))


def main(options: Mapping[str, Any]) -> int:
    """Tell of one sweep, as its definition says."""
    store = Store(Path(options["home"]), create=False)
    handle = Handle(store, int(options["sweep_id"]))
    try:
        tell(handle.definition.notify, summary(handle))
    except SweepError as error:
        trials = count(sum(handle.counts.values()), "trial")
        tracking.warn(store, handle.sweep_id, "notify", f"--notify failed: {error}. The sweep itself ended: {trials}.")
        return 1
    tracking.warn(store, handle.sweep_id, "notify", "")
    return 0


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
