"""A sweep that only pretends: what the views need of a handle, without store, driver or trials.

The views are written against `snapshot(since)`; a pretended sweep shows them any number of trials, any failure and
any hostile text in milliseconds, and the same ones every time. Tests of the real handle stand elsewhere.
"""

from __future__ import annotations

import math
import random
import time
from typing import Any

from jupyter_sweep.errors import SweepError

TRACEBACK = """Traceback (most recent call last):
  File "<cell digits>", line 12, in <module>
    train_epoch(model, data, opt, lr)
  File "<cell 3>", line 8, in train_epoch
    raise FloatingPointError(f"loss is {loss} after {step} steps")
FloatingPointError: loss is inf after 31 steps
"""
HOSTILE = [
    "<script>window.pwned=1</script>",
    "<img src=x onerror=window.pwned=1>",
    "\U0001f40d \U0001f469\U0001f3fd\u200d\U0001f52c emoji",
    "\u05e9\u05dc\u05d5\u05dd \u202e right to left",
    "x" * 10_000,
    "two\nlines\tand a tab & &amp; \"quotes\" 'too'",
]


class FakeSweep:
    """A pretended handle. `wanted` trials run on `slots` slots, each for about `trial_s` seconds.

    Parameters
    ----------
    done
        Trials that have ended already when the sweep is first looked at.
    failing
        Share of the trials that fail.
    hostile
        Use names and values that try to break out of a page.
    """

    def __init__(
        self,
        name: str = "digits",
        wanted: int = 60,
        *,
        slots: int = 2,
        trial_s: float = 0.5,
        done: int = 0,
        failing: float = 0.05,
        hostile: bool = False,
        metric: str = "acc",
        direction: str = "maximize",
        seed: int = 0,
        dashboard: str = "http://127.0.0.1:8787/status",
        targets: int = 1,
    ) -> None:
        self.name = name
        self.calls: list[str] = []
        self.hostile, self.dashboard = hostile, dashboard
        self._wanted, self._slots, self._trial_s, self._failing = wanted, slots, trial_s, failing
        self._metric, self._direction = metric, direction
        self._targets = [metric, "ms"][:targets]
        self._rng = random.Random(seed)
        self._state = "running"
        self._change = 1
        self._rows: list[dict[str, Any]] = []
        self._changed: list[int] = []
        self._ends: dict[int, float] = {}
        self._counts: dict[str, int] = {}
        self._best: int | None = None
        self._started = time.time() - done * trial_s / slots
        for i in range(min(done, wanted)):
            self._start()
            self._rows[-1]["started_at"] = self._started + i // slots * trial_s
            self._end(len(self._rows) - 1)
        self._settle()

    # -- what a handle offers -----------------------------------------------------------------------------------

    def snapshot(self, since: int = 0) -> dict[str, Any]:
        self._advance()
        changed = [self._rows[i] for i in range(len(self._rows)) if self._changed[i] > since]
        return {
            "change": self._change,
            "sweep": self._head(),
            "columns": {"params": self._params(), "metrics": [*self._targets, "epoch"], "log": ["lr"]},
            "counts": {k: v for k, v in self._counts.items() if v},
            "progress": self._progress(),
            "best": self._best_of(),
            "baseline": self._baseline(),
            "rows": changed,
        }

    @property
    def ended(self) -> bool:
        return self._state not in ("running", "queued")

    @property
    def best(self) -> dict[str, Any] | None:
        return self._best_of()

    def failure(self, number: int) -> dict[str, str]:
        self.calls.append(f"failure {number}")
        log = "\n".join(f"epoch {i}: loss {0.5 * 1.4**i:.3g}" for i in range(30))
        failed = self._rows[number]["state"] == "failed"
        return {
            "traceback": TRACEBACK if failed else "",
            "error": self._rows[number]["error"],
            "log_tail": (HOSTILE[0] + "\n" if self.hostile else "") + log,
        }

    def about(self, number: int) -> dict[str, Any]:
        curve = [[step, value] for step, value in self._curve(self._rows[number])]
        saved = [{"name": HOSTILE[1] if self.hostile else "model.joblib", "size": 18_324}]
        earlier = {"attempt": 1, "reason": "lost", "error": "the worker was lost", "worker": "local/9"}
        return {
            **self.failure(number),
            "curves": [{"metric": self._metric, "points": curve}] if curve else [],
            "artifacts": saved if self._rows[number]["state"] == "completed" else [],
            "attempts": [earlier] if self._rows[number]["attempt"] > 1 else [],
        }

    def pictures(self, metric: str = "") -> dict[str, Any]:
        """The data of plots, of the rows that this fake has: as `results.plotdata` gives them."""
        self.calls.append(f"pictures {metric}")
        sign = -1 if self._direction == "maximize" else 1
        done = [r for r in self._rows if r["state"] == "completed"]
        shown = sorted((r for r in self._rows if r["metrics"]), key=lambda r: sign * r["metrics"][self._metric])
        shares = [("lr", 0.71), ("dropout", 0.16), ("width", 0.08), ("opt", 0.04), ("momentum", 0.01)]
        return {
            "metric": metric or self._metric,
            "history": [],
            "curves": [{"number": r["number"], "state": r["state"], "points": self._curve(r)} for r in shown[:50]],
            "importance": [{"param": HOSTILE[0] if self.hostile else p, "share": share} for p, share in shares],
            "told": len(done) > 8,
            "pareto": self._front(done, sign) if len(self._targets) > 1 else [],
            "timeline": [],
            "cut": ["curves"] if len(shown) > 50 else [],
        }

    def _curve(self, row: dict[str, Any]) -> list[list[float]]:
        last = row["metrics"].get(self._metric)
        steps = range(int(row["metrics"].get("epoch", 0)))
        return [[step, last * (0.55 + 0.45 * (step + 1) / len(steps))] for step in steps]

    def _front(self, rows: list[dict[str, Any]], sign: int) -> list[int]:
        found, least = [], math.inf
        for row in sorted(rows, key=lambda r: (sign * r["metrics"][self._metric], r["metrics"]["ms"])):
            if row["metrics"]["ms"] < least:
                found.append(row["number"])
                least = row["metrics"]["ms"]
        return found

    def retry(self, number: int) -> bool:
        self.calls.append(f"retry {number}")
        row = self._rows[number]
        if row["state"] != "failed":
            raise SweepError(f"Trial {number} is {row['state']}; what can run again is a failed one.")
        self._counts["failed"] -= 1
        self._counts["running"] = self._counts.get("running", 0) + 1
        row.update(state="running", reason="", error="", attempt=2, duration_s=None, started_at=time.time())
        self._ends[number] = time.time() + self._trial_s
        self._state = "running"
        self._touch(number)
        return True

    def stop(self) -> None:
        self.calls.append("stop")
        for number in list(self._ends):
            self._finish(number, "cancelled", "")
        self._state = "stopped"

    def pause(self) -> None:
        self.calls.append("pause")
        self._state = "paused"

    def resume(self) -> None:
        self.calls.append("resume")
        self._state = "running"

    def scale(self, n: int) -> None:
        self.calls.append(f"scale {n}")
        if n > 64:
            raise SweepError(f"{n} slots are more than maximum=64 in adapt of the profile.")
        self._slots = n
        self._change += 1

    def cluster(self) -> dict[str, Any]:
        at, running = time.time(), {r["worker"]: r for r in self._rows if r["state"] == "running"}
        slots = []
        for worker in sorted({*running, *(f"local/{i}" for i in range(self._slots))}, key=lambda w: int(w[6:])):
            row = running.get(worker)
            beyond = int(worker[6:]) >= self._slots
            held = 0.2 + 0.4 * (hash(worker) % 7) if row else None
            slots.append(
                {
                    "worker": HOSTILE[0] + worker if self.hostile else worker,
                    "host": HOSTILE[1] if self.hostile else "desk",
                    "pid": 4000 + int(worker[6:]),
                    "state": "draining" if beyond else "busy" if row else "idle",
                    "memory_gb": held,
                    "peak_gb": held and 1.3 * held,
                    "device": HOSTILE[0] if self.hostile else str(int(worker[6:]) % 2),
                    "sweep": self._head()["name"] if row else "",
                    "number": row["number"] if row else None,
                    "since": row["started_at"] if row else None,
                }
            )
        idle = None if running else at - 12
        shown = {"workers": slots, "idle_since": idle, "idle_limit_s": 300.0}
        return {"at_once": self._slots, "warm": True, **shown}

    # -- the pretence -------------------------------------------------------------------------------------------

    def _params(self) -> list[str]:
        return ["lr", "width", "dropout", "opt", "momentum"] + (["<b>bold</b>"] if self.hostile else [])

    def _draw(self, number: int) -> dict[str, Any]:
        rng = self._rng
        params: dict[str, Any] = {
            "lr": 10 ** rng.uniform(-5, -1),
            "width": rng.choice([64, 128, 256]),
            "dropout": rng.uniform(0, 0.6),
            "opt": rng.choice(["sgd", "adam"]),
        }
        if params["opt"] == "sgd":
            params["momentum"] = rng.uniform(0, 0.99)
        if self.hostile:
            params["<b>bold</b>"] = HOSTILE[number % len(HOSTILE)]
            params["dropout"] = [math.nan, math.inf, None, {"__tuple__": [1, 2]}][number % 4]
        return params

    def _start(self) -> None:
        number = len(self._rows)
        self._rows.append(
            {
                "number": number,
                "state": "running",
                "reason": "",
                "params": self._draw(number),
                "metrics": {},
                "duration_s": None,
                "attempt": 1,
                "repetition": 0,
                "worker": f"local/{number % self._slots}",
                "error": "",
                "started_at": time.time(),
                "step": None,
            }
        )
        self._changed.append(0)
        self._counts["running"] = self._counts.get("running", 0) + 1
        self._ends[number] = time.time() + self._trial_s * self._rng.uniform(0.5, 1.5)
        self._touch(number)

    def _end(self, number: int) -> None:
        if self._rng.random() < self._failing and number > 0:
            self._finish(number, "failed", self._rng.choice(["error", "timeout", "crash"]))
        else:
            self._finish(number, "pruned" if self._rng.random() < 0.15 else "completed", "")

    def _finish(self, number: int, state: str, reason: str) -> None:
        row = self._rows[number]
        self._ends.pop(number, None)
        self._counts[row["state"]] -= 1
        self._counts[state] = self._counts.get(state, 0) + 1
        row.update(state=state, reason=reason, duration_s=self._trial_s * self._rng.uniform(0.5, 1.5))
        if state == "failed":
            says = {"error": "FloatingPointError: loss is inf after 31 steps", "timeout": "ran past 600 s"}
            row["error"] = HOSTILE[0] if self.hostile else says.get(reason, "killed by SIGSEGV")
        if state in ("completed", "pruned"):
            row["metrics"] = {self._metric: self._value(row, state), "epoch": 30.0 if state == "completed" else 4.0}
            if "ms" in self._targets:
                row["metrics"]["ms"] = 2.0 + row["params"]["width"] / 40 + 9 * row["metrics"][self._metric] ** 3
        if state == "completed" and (self._best is None or self._better(number, self._best)):
            self._best = number
        self._touch(number)

    def _value(self, row: dict[str, Any], state: str) -> float:
        far = abs(math.log10(row["params"]["lr"]) + 2.7) / 3
        gain = 1 - math.exp(-(row["number"] + 5) / 20)
        good = 0.97 - 0.5 * far * (1.1 - 0.6 * gain) + self._rng.gauss(0, 0.015)
        value = max(0.05, min(0.995, good)) * (0.7 if state == "pruned" else 1)
        return value if self._direction == "maximize" else (1.02 - value) ** 3 * 10

    def _better(self, a: int, b: int) -> bool:
        x, y = self._rows[a]["metrics"][self._metric], self._rows[b]["metrics"][self._metric]
        return bool(x > y if self._direction == "maximize" else x < y)

    def _touch(self, number: int) -> None:
        self._change += 1
        self._changed[number] = self._change

    def _advance(self) -> None:
        now = time.time()
        for number in [n for n, end in self._ends.items() if end <= now]:
            self._end(number)
        while self._state == "running" and len(self._ends) < self._slots and len(self._rows) < self._wanted:
            self._start()
        self._settle()

    def _settle(self) -> None:
        if self._state == "running" and len(self._rows) >= self._wanted and not self._ends:
            self._state = "finished"
            self._change += 1

    def _head(self) -> dict[str, Any]:
        return {
            "name": HOSTILE[0] if self.hostile else self.name,
            "version": 2,
            "versions": [1, 2],
            "state": self._state,
            "message": HOSTILE[1] if self.hostile else "",
            "where": f"local · {self._slots} slots",
            "dashboard": "javascript:window.pwned=1" if self.hostile else self.dashboard,
            "objectives": [
                {"metric": m, "direction": self._direction if m == self._metric else "minimize"} for m in self._targets
            ],
            "wanted": self._wanted,
            "started_at": self._started,
            "captures": [
                {"name": "data", "kind": "ndarray", "nbytes": 12_582_912},
                {"name": "train_epoch", "kind": "function", "nbytes": 812},
            ],
            "warnings": [HOSTILE[1]]
            if self.hostile
            else ["helpers.py was changed after it was loaded; the file counts."],
            "algorithm": "tpe",
            "pruner": "asha",
            "folder": "/home/me/project/sweeps/digits",
            "note": "",
        }

    def _progress(self) -> dict[str, Any]:
        final = sum(n for state, n in self._counts.items() if state not in ("running", "waiting"))
        elapsed = time.time() - self._started
        left = self._wanted - final
        return {
            "final": final,
            "wanted": self._wanted,
            "running": self._counts.get("running", 0),
            "elapsed_s": elapsed,
            "eta_s": left * self._trial_s / self._slots if self._state == "running" else None,
            "total": len(self._rows),
            "estimate_s": self._wanted * self._trial_s / self._slots,
        }

    def _best_of(self) -> dict[str, Any] | None:
        if self._best is None:
            return None
        row = self._rows[self._best]
        lines = [f"# {self.name} v2, trial {row['number']}: {self._metric} = {row['metrics'][self._metric]:.4f}"]
        lines += [f"{name} = {value!r}" for name, value in row["params"].items() if name.isidentifier()]
        return {
            "number": row["number"],
            "value": row["metrics"][self._metric],
            "params": row["params"],
            "metrics": row["metrics"],
            "cell": "\n".join(lines) + "\n",
        }

    def _baseline(self) -> dict[str, Any] | None:
        if not self._rows or self._rows[0]["state"] != "completed":
            return None
        return {"number": 0, "value": self._rows[0]["metrics"][self._metric]}
