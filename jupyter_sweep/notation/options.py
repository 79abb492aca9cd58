"""The `%%sweep` line, or the keywords of `run(...)`, as `Options`; and `Options` as a definition of a sweep.

The line, the keywords and completion share one table (`table`), so that an option is written down once.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from .. import plugins
from ..definition import Budget, Spec, Sweep
from ..errors import Mistake, Mistakes, SweepError
from ..executors import clusters, gpus
from ..jobs.base import JobRef, Resources
from ..space.space import Space
from ..trial import Objective
from . import feasible, words
from .reader import Reader

DEFAULT_TRIALS = 20
#: Algorithms whose first point serves as well as the defaults would.
NO_CANARY = ("grid", "passive")


@dataclass(frozen=True)
class Options:
    """What a line or a call asks for. Fields bear the long names of the options; absent ones hold what absence means.

    Parameters
    ----------
    trials, added
        The number of `-n`, and whether it comes on top of what is there (`-n +10`); None where it is not given.
    time, timeout, grace
        Seconds.
    mem
        Gigabytes of 2**30 bytes.
    pins
        Text of each `name=value`, as written.
    """

    name: str = ""
    objectives: tuple[Objective, ...] = ()
    trials: int | None = None
    added: bool = False
    grid: bool = False
    time: float | None = None
    repeat: int = 1
    algo: Spec | None = None
    stop: Spec = field(default_factory=lambda: Spec("none"))
    seed: int = 0
    space: str = ""
    on: Spec = field(default_factory=lambda: Spec("local"))
    needs: str = ""
    jobs: int | None = None
    cpus: float = 1
    gpus: float = 0
    devices: tuple[str, ...] = ()
    mem: float | None = None
    timeout: float | None = None
    grace: float | None = None
    isolation: str = ""
    retry: int = 0
    keep_going: bool = False
    fail_fast: bool = False
    max_failures: int | None = None
    ignore: tuple[str, ...] = ()
    version: str = ""
    code: str = ""
    fresh: bool = False
    allow_unused: bool = False
    no_canary: bool = False
    bg: bool = False
    output: str = ""
    tag: tuple[str, ...] = ()
    note: str = ""
    log: tuple[str, ...] = ()
    notify: str = ""
    dry_run: bool = False
    pins: Mapping[str, str] = field(default_factory=dict)

    @property
    def targets(self) -> tuple[str, ...]:
        return tuple(o.metric for o in self.objectives)

    @property
    def proposer(self) -> Spec:
        """The algorithm: `--grid`, `--algo`, or the default."""
        return Spec("grid") if self.grid else self.algo or Spec("tpe")

    @property
    def resources(self) -> Resources:
        """What one trial needs: naming devices, or `--on gpu`, means one of them."""
        each = self.gpus or float(bool(self.devices) or self._place == "gpu")
        return Resources(cpus=self.cpus, gpus=each, memory_gb=self.mem, devices=self.devices, isolation=self.isolation)

    @property
    def executor(self) -> Spec:
        """Where it runs, with what each slot has: another share of cores or devices is another driver's business."""
        if self.proposer.name == "passive":
            return Spec("person")
        need, place = self.resources, self._place
        is_here = clusters.is_here(place)
        share = gpus.share(cpus=need.cpus, gpus=need.gpus, devices=need.devices, environ=os.environ, is_here=is_here)
        if need.memory_gb and clusters.is_queued(place):
            share = {**share, "mem": need.memory_gb}
        name = "local" if self.on.name == "gpu" else self.on.name
        return Spec(name, {**self.on.options, **({"share": dict(share)} if share and place != "inline" else {})})

    @property
    def _place(self) -> str:
        return str(self.on.options.get("on", self.on.name))

    @property
    def wanted(self) -> int | None:
        """`max_trials` of the budget: a grid without `-n` runs until its end."""
        if self.trials is not None:
            return self.trials
        chooser = self.proposer.options.get("algo") if self.proposer.name == "passive" else self.proposer.name
        return None if chooser == "grid" else DEFAULT_TRIALS


def read_line(
    line: str, *, namespace: Mapping[str, Any] | None = None, metrics: Sequence[str] = ()
) -> tuple[Options, list[Mistake]]:
    """Read what follows `%%sweep`; give what could be read and every mistake.

    Parameters
    ----------
    namespace
        Where ``{expression}``, alone as the value of an option, is evaluated, as IPython does on other magics' lines.
    metrics
        Names that the body seems to compute; the message about a missing target uses the first.
    """
    reader = Reader(namespace or {}, on_line=True)
    quoted = f"%%sweep {line.strip()}"
    try:
        given = words.split(line)
    except SweepError as error:
        return Options(), [Mistake(str(error), line=1, text=quoted)]
    reader.words(given)
    options = Options(**reader.finish(metrics))
    return options, [
        Mistake(m.message, line=1, text="" if i else quoted, fix=m.fix) for i, m in enumerate(reader.mistakes)
    ]


def parse_line(line: str, *, namespace: Mapping[str, Any] | None = None, metrics: Sequence[str] = ()) -> Options:
    """Give the options of a line.

    >>> parse_line("digits --max acc -n 60").trials
    60

    Raises
    ------
    Mistakes
        All of them at once.
    """
    options, mistakes = read_line(line, namespace=namespace, metrics=metrics)
    if mistakes:
        raise Mistakes(mistakes)
    return options


def from_keywords(**keywords: Any) -> Options:
    """Give the options of a call ``run(job, space, name="digits", max="acc", n=60)``; checked as a line is.

    A keyword is the long name of an option with `_` for `-`, or `n`; None means "not given", a list gives an option
    several times, numbers may stand for their text.

    Raises
    ------
    Mistakes
        All of them at once.
    """
    reader = Reader({}, on_line=False)
    reader.keywords(keywords)
    options = Options(**reader.finish(("loss",)))
    if reader.mistakes:
        raise Mistakes(reader.mistakes)
    return options


def refusals(options: Options, space: Space) -> list[Mistake]:
    """Say what can't be before anything starts: a grid of a range without steps, more devices than there are.

    Also constraints that no configuration meets.
    """
    return _search_refuses(options, space) + feasible.refusals(space, options.seed) + _place_refuses(options)


def _search_refuses(options: Options, space: Space) -> list[Mistake]:
    spec = options.proposer
    try:
        plugins.load("proposer", spec.name)(space, options.objectives, seed=options.seed, **spec.options)
    except SweepError as error:
        return [Mistake(str(error), line=1)]
    return []


def _place_refuses(options: Options) -> list[Mistake]:
    executor = options.executor
    if not options.resources.gpus or not clusters.is_here(executor.name, executor.options):
        return []
    try:
        gpus.here(executor.options["share"], skip_busy=False)  # those of our own driver may well be busy
    except SweepError as error:
        return [Mistake(str(error), line=1)]
    return []


def build(options: Options, *, name: str, space: Space, job: JobRef, notebook: str = "", line: str = "") -> Sweep:
    """Give the definition of a sweep.

    Parameters
    ----------
    name
        The name to use: `options.name` or a default made by the caller.
    line
        The line as the user wrote it, for display.
    """
    budget = Budget(
        max_trials=options.wanted,
        max_seconds=options.time,
        parallel=options.jobs,
        attempts=1 + options.retry,
        repetitions=options.repeat,
        max_failures=0 if options.fail_fast else options.max_failures,
        timeout_s=options.timeout,
        grace_s=options.grace,
        memory_gb=options.mem,
    )
    return Sweep(
        name=name,
        space=space,
        job=job,
        objectives=options.objectives,
        proposer=options.proposer,
        pruner=options.stop,
        executor=options.executor,
        budget=budget,
        resources=options.resources,
        seed=options.seed,
        canary=not options.no_canary and options.proposer.name not in NO_CANARY,
        tags=options.tag,
        note=options.note,
        log=tuple(dict.fromkeys(options.log)),
        notify=options.notify,
        notebook=notebook,
        line=line,
    )
