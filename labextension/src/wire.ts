// Written by wire.py from jupyter_sweep/server/wire.py: change that one.

export const SCHEMA_ID = 'https://events.jupyter.org/jupyter_sweep/sweep_changed/v1';

/** The best trial's number and value. */
export interface Leader {
  number: number;
  value: number | 'nan' | 'inf' | '-inf' | null;
}

/** An error: a sentence for the person. */
export interface Message {
  message: string;
}

/** A metric and which way is better. */
export interface Objective {
  metric: string;
  direction: 'minimize' | 'maximize';
}

/** How far a sweep is. `wanted` is None where nobody knows; `total` counts rows of every state. */
export interface Progress {
  final: number;
  wanted: number | null;
  running: number;
  total: number;
  elapsed_s: number;
  eta_s: number | null;
}

export type SweepState = 'queued' | 'running' | 'paused' | 'stopped' | 'interrupted' | 'failed' | 'finished';

/** A value that JSON has no word for (a tuple, an object, a huge number), as text. */
export interface Text {
  t: string;
}

export type TrialState = 'waiting' | 'running' | 'completed' | 'pruned' | 'failed' | 'cancelled';

/** One of the sweeps that are compared, by its first target. `mean` is of the `n` repetitions of the best configuration, `ci_low` and `ci_high` bound its 95 % interval by Student's t; these two are None where there are less than two. */
export interface Compared {
  store: string;
  name: string;
  version: number;
  state: 'queued' | 'running' | 'paused' | 'stopped' | 'interrupted' | 'failed' | 'finished';
  objectives: Objective[];
  counts: { [key: string]: number };
  best: Leader | null;
  baseline: Baseline | null;
  mean: number | 'nan' | 'inf' | '-inf' | null;
  ci_low: number | 'nan' | 'inf' | '-inf' | null;
  ci_high: number | 'nan' | 'inf' | '-inf' | null;
  n: number;
  elapsed_s: number;
  history: Point[];
}

/** Several sweeps side by side: what differs in their best configurations, in their spaces and in their settings. */
export interface Comparison {
  sweeps: Compared[];
  best: Difference[];
  space: Difference[];
  settings: Difference[];
}

/** What stands of a trial's reports of the metric: pairs of step and value. */
export interface Curve {
  number: number;
  state: 'waiting' | 'running' | 'completed' | 'pruned' | 'failed' | 'cancelled';
  points: ([number, number | 'nan' | 'inf' | '-inf'])[];
}

/** A parameter or a setting that differs; `values` in order of the sweeps, None where it is lacking. */
export interface Difference {
  name: string;
  values: (string | null)[];
}

/** The data of the plots that can't be had from rows alone. `told` is False where importance is a guess. `pareto` holds numbers of trials that no other one dominates; empty with one target. `curves` are those of the best trials and of those that run. A list that was cut is named in `cut`. */
export interface Plots {
  metric: string;
  history: Point[];
  curves: Curve[];
  importance: Share[];
  told: boolean;
  pareto: number[];
  timeline: Span[];
  cut: string[];
}

/** A completed trial, the best value up to it, and how long after the sweep's first trial it ended. */
export interface Point {
  number: number;
  value: number | 'nan' | 'inf' | '-inf';
  best: number | 'nan' | 'inf' | '-inf';
  after_s: number | null;
}

/** A parameter's share of the effect on the metric, 0 to 1. */
export interface Share {
  param: string;
  share: number;
}

/** When a trial ran on which worker. */
export interface Span {
  number: number;
  worker: string;
  state: 'waiting' | 'running' | 'completed' | 'pruned' | 'failed' | 'cancelled';
  started_at: number;
  finished_at: number | null;
}

/** The request was written down; `state` is the sweep's state right after. */
export interface Asked {
  name: string;
  version: number;
  state: 'queued' | 'running' | 'paused' | 'stopped' | 'interrupted' | 'failed' | 'finished';
  message: string;
}

/** The slots of one sweep's cluster. `at_once` is None where nobody knows; not `warm`: no driver has it now. `idle_since` is None while it has work; it ends `idle_limit_s` after. */
export interface Cluster {
  at_once: number | null;
  warm: boolean;
  workers: Slot[];
  idle_since: number | null;
  idle_limit_s: number | null;
}

/** A process that runs sweeps of a store. */
export interface Driver {
  store: string;
  where: string;
  slots: number;
  pid: number;
  host: string;
  dashboard: string;
  sweeps: string[];
}

/** A sweep changed, or (`state` "dropped") is gone. `counts` are the trials by state. */
export interface Event {
  store: string;
  name: string;
  version: number;
  state: string;
  change: number;
  counts: { [key: string]: number };
}

/** What is wanted of a sweep. `version` (default: the newest); `jobs` for scale alone: trials at once; `number` for retry, a failed trial, and for enter, one that waits for its result: `metrics`, numbers by name or as written, or `failed`, why there are none. */
export interface Request {
  verb?: 'pause' | 'stop' | 'interrupt' | 'kill' | 'resume' | 'retry' | 'scale' | 'enter';
  version?: number | null;
  jobs?: number | null;
  number?: number | null;
  metrics?: { [key: string]: number | 'nan' | 'inf' | '-inf' | string } | null;
  failed?: string | null;
}

/** One slot of a cluster, as of the last second. `sweep` and `number` are of the trial that it runs. `job` and `job_state` are None where no queue gives the workers. */
export interface Slot {
  worker: string;
  host: string;
  state: string;
  sweep: string;
  device: string;
  pid: number | null;
  number: number | null;
  since: number | null;
  memory_gb: number | null;
  peak_gb: number | null;
  job: string | null;
  job_state: string | null;
}

/** A slot, and whose it is: the store, and the process id of its driver. */
export interface Worker {
  worker: string;
  host: string;
  state: string;
  sweep: string;
  device: string;
  pid: number | null;
  number: number | null;
  since: number | null;
  memory_gb: number | null;
  peak_gb: number | null;
  job: string | null;
  job_state: string | null;
  store: string;
  driver: number;
}

/** Who runs what, in all stores or in one. */
export interface Workers {
  drivers: Driver[];
  workers: Worker[];
}

/** The first trial, where it ran the defaults. */
export interface Baseline {
  number: number;
  value: number | 'nan' | 'inf' | '-inf' | null;
}

/** The best configuration; `params` are pairs of name and value, `cell` the source of the best-config cell. */
export interface Best {
  number: number;
  value: number | 'nan' | 'inf' | '-inf' | null;
  params: ([string, boolean | number | string | Text])[];
  cell: string;
}

/** The best configuration so far, and the cell of plain assignments that holds it. */
export interface BestCell {
  trial: number;
  value: number | 'nan' | 'inf' | '-inf';
  params: { [key: string]: boolean | number | string | Text };
  metrics: { [key: string]: number | 'nan' | 'inf' | '-inf' };
  cell: string;
}

/** What the body takes from the notebook. */
export interface Capture {
  name: string;
  kind: string;
  nbytes: number;
}

/** Rows that changed after (`since`, the `after` that was given), in order of change and number, with the head. `after` is the number of the last row where that row's change has more rows, else -1. */
export interface Changes {
  kind: 'full' | 'delta';
  epoch: string;
  since: number;
  change: number;
  after: number;
  more: boolean;
  head: Head;
  rows: ([number, 'waiting' | 'running' | 'completed' | 'pruned' | 'failed' | 'cancelled', string, (boolean | number | string | Text | null)[], (number | 'nan' | 'inf' | '-inf' | null)[], number | null, number, number, string, string, number | null] | [number, 'waiting' | 'running' | 'completed' | 'pruned' | 'failed' | 'cancelled', string, (boolean | number | string | Text | null)[], (number | 'nan' | 'inf' | '-inf' | null)[], number | null, number, number, string, string, number | null, string, number | null])[];
}

/** What one version runs: the body without its line, the line, and what it captured. */
export interface Code {
  version: number;
  source: string;
  line: string;
  kind: string;
  fingerprint: string;
  notebook: string;
  captures: Capture[];
  created_at: number;
}

/** Names of the entries of a row's `params` and `metrics`; the first metric is the first target. `log` names the parameters that are drawn on a log axis. */
export interface Columns {
  params: string[];
  metrics: string[];
  log: string[];
}

/** One version of a sweep without its rows. */
export interface Detail {
  store: string;
  head: Head;
  versions: Version[];
  line: string;
  notebook: string;
  seed: number;
  created_at: number;
  taken_up_at: number;
  change: number;
}

/** All that is no row. `now` is the server's clock. */
export interface Head {
  sweep: Header;
  counts: { [key: string]: number };
  progress: Progress;
  baseline: Baseline | null;
  columns: Columns;
  best: Best | null;
  now: number;
}

/** The sweep itself, as `snapshot.py` gives it; `folder` is a path from the server's root. */
export interface Header {
  name: string;
  version: number;
  versions: number;
  state: 'queued' | 'running' | 'paused' | 'stopped' | 'interrupted' | 'failed' | 'finished';
  message: string;
  where: string;
  slots: number | null;
  driver: number | null;
  dashboard: string;
  objectives: Objective[];
  wanted: number | null;
  repetitions: number;
  started_at: number | null;
  finished_at: number | null;
  captures: Capture[];
  warnings: string[];
  algorithm: string;
  pruner: string;
  folder: string;
  passive: boolean;
  note: string;
  tags: string[];
}

/** A store that was found; `error` says why it can't be read, else it is empty. */
export interface Place {
  store: string;
  error: string;
}

/** The newest version of one sweep, for the list. `driver` is None while no process has the sweep. */
export interface Summary {
  store: string;
  name: string;
  version: number;
  versions: number[];
  state: 'queued' | 'running' | 'paused' | 'stopped' | 'interrupted' | 'failed' | 'finished';
  message: string;
  counts: { [key: string]: number };
  objectives: Objective[];
  progress: Progress;
  best: Leader | null;
  where: string;
  driver: number | null;
  dashboard: string;
  started_at: number | null;
  finished_at: number | null;
  taken_up_at: number;
  change: number;
  note: string;
  tags: string[];
  notebook: string;
}

/** All sweeps, the one that was asked for last first; `complete` is False where the search for stores was cut. */
export interface Sweeps {
  root: string;
  stores: Place[];
  sweeps: Summary[];
  complete: boolean;
}

/** One version of a sweep, for the list of versions. */
export interface Version {
  version: number;
  state: 'queued' | 'running' | 'paused' | 'stopped' | 'interrupted' | 'failed' | 'finished';
  trials: number;
  created_at: number;
  fingerprint: string;
}

/** A file that a trial saved: its path in the trial's folder, and its size in bytes. */
export interface Artifact {
  name: string;
  size: number;
}

/** An earlier attempt of a trial. */
export interface Attempt {
  attempt: number;
  reason: string;
  error: string;
  worker: string;
}

/** The bytes from `start` to `end` of a log of `size` bytes; go on from `end` until `is_final` and `end` = `size`. `start` is 0 where the log was shorter than what was asked for: another attempt began a new one. */
export interface Log {
  text: string;
  start: number;
  end: number;
  size: number;
  is_final: boolean;
}

/** One report; `id` grows. */
export interface Report {
  id: number;
  number: number;
  attempt: number;
  step: number;
  metrics: { [key: string]: number | 'nan' | 'inf' | '-inf' };
  reported_at: number;
}

/** What stands of a trial's reports of one metric: pairs of step and value. */
export interface Reported {
  metric: string;
  points: ([number, number | 'nan' | 'inf' | '-inf'])[];
}

/** Reports after `since`, in order of arrival; ask again with `since` = `last` while there is `more`. */
export interface Reports {
  reports: Report[];
  last: number;
  more: boolean;
}

/** Everything about one trial. Values are whole up to 20,000 characters each; `folder` is a path in the store. */
export interface Trial {
  number: number;
  version: number;
  state: 'waiting' | 'running' | 'completed' | 'pruned' | 'failed' | 'cancelled';
  reason: string;
  params: ([string, boolean | number | string | Text])[];
  metrics: { [key: string]: number | 'nan' | 'inf' | '-inf' };
  error: string;
  traceback: string;
  attempt: number;
  attempts: Attempt[];
  repetition: number;
  seed: number;
  worker: string;
  folder: string;
  queued_at: number | null;
  started_at: number | null;
  finished_at: number | null;
  duration_s: number | null;
  peak_memory_gb: number | null;
  device: string;
  peak_gpu_memory_gb: number | null;
  log_size: number;
  curves: Reported[];
  artifacts: Artifact[];
}
