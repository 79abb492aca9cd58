// What the page knows of a sweep, and the notebook around it.

const WIDGET = "application/vnd.jupyter.widget-view+json";

class Store {
  constructor(model) {
    this.model = model;
    this.source = model.get("source") ?? "kernel"; // or "server": who has the rows
    this.head = { ...model.get("start") };
    this.views = new Set();
    this.heard = performance.now();
    this.clear();
    model.on("msg:custom", (message) => this.take(message));
  }

  // Ask for all rows once there is a view: a page that draws the sweep from the server makes none here.
  begin() {
    if (!this.begun) this.send({ kind: "ready" });
    this.begun = true;
  }

  // To the kernel; false when there is none any more, because it was restarted or has ended.
  send(message) {
    try {
      this.model.send(message);
      return true;
    } catch {
      return false;
    }
  }

  clear() {
    this.rows = new Map();
    this.change = 0;
    this.history = new History(this.sign());
  }

  sign() {
    return this.head.sweep.objectives[0].direction === "maximize" ? -1 : 1;
  }
  get ended() {
    return ENDED.has(this.head.sweep.state);
  }

  take(message) {
    this.heard = performance.now();
    if (message.kind === "full" || message.kind === "delta") this.merge(message);
    else if (message.kind === "keep") this.send({ kind: "kept", ok: keep(this.model, message.data) });
    else for (const view of this.views) view.answer(message);
  }

  merge({ kind, since, change, head, rows }) {
    if (kind === "delta" && since !== this.change) {
      // a message was lost: the page was reloaded, or not there yet
      this.send({ kind: "ready" });
      return;
    }
    Object.assign(this.head, head);
    if (kind === "full") this.clear();
    this.change = change;
    this.skew = Date.now() / 1000 - this.head.now;
    const changed = rows.map((r) => this.put(r));
    for (const view of this.views) view.changed(kind === "full" ? null : changed);
  }

  put([n, state, reason, params, metrics, time, attempt, repetition, worker, error, started, device, gigabytes]) {
    let row = this.rows.get(n);
    if (!row) this.rows.set(n, (row = { n, version: 0 }));
    Object.assign(row, { state, reason, params, time, attempt, repetition, worker, error, started });
    Object.assign(row, { device, gigabytes: gigabytes ?? undefined });
    row.metrics = metrics.map(metric);
    row.version += 1;
    this.history.put(row);
    return row;
  }
}

// Best so far and the range of the values, kept up row by row: a final trial never changes, so nothing is done twice.
class History {
  constructor(sign) {
    Object.assign(this, { sign, first: Infinity, last: -Infinity, sorted: [], steps: [], points: [], live: new Map() });
  }

  put(row) {
    this.first = Math.min(this.first, row.n);
    this.last = Math.max(this.last, row.n);
    const value = row.metrics[0];
    if (row.state === "running" || row.state === "waiting") {
      this.live.set(row.n, row);
      return;
    }
    this.live.delete(row.n);
    this.points.push(row);
    if (row.state !== "completed" || !Number.isFinite(value)) return;
    this.sorted.splice(
      spot(this.sorted, (v) => this.sign * v < this.sign * value),
      0,
      value,
    );
    const at = spot(this.steps, (s) => s.n < row.n);
    if (at > 0 && this.sign * this.steps[at - 1].value <= this.sign * value) return;
    let beaten = at;
    while (beaten < this.steps.length && this.sign * this.steps[beaten].value >= this.sign * value) beaten += 1;
    this.steps.splice(at, beaten - at, { n: row.n, value });
  }

  // The values to show: all of them, but not further out than twice the span of the better nine tenths.
  range() {
    const v = this.sorted.length
      ? this.sorted
      : [...this.points, ...this.live.values()].map((r) => r.metrics[0]).filter(Number.isFinite);
    if (!v.length) return null;
    let [low, high] = [Math.min(v[0], v[v.length - 1]), Math.max(v[0], v[v.length - 1])];
    const log = low > 0 && high / low > 100;
    if (!log && v.length >= 10 && v === this.sorted) {
      const reach = 2 * Math.abs(v[Math.floor(0.9 * v.length)] - v[0]);
      if (this.sign < 0) low = Math.max(low, high - reach);
      else high = Math.min(high, low + reach);
    }
    return { low, high, log };
  }
}

// First index of a sorted list whose item does not come `before` the new one.
function spot(list, before) {
  let [low, high] = [0, list.length];
  while (low < high) {
    const mid = (low + high) >> 1;
    if (before(list[mid])) low = mid + 1;
    else high = mid;
  }
  return low;
}

// -- the notebook around the view ----------------------------------------------------------------------------------

// Where this view stands in JupyterLab's or Notebook's document; null in front ends that don't show us theirs.
function place(model) {
  const notebook = model.widget_manager?.context?.model;
  const id = model.get("own_id"),
    { cell_id } = model.get("start");
  for (let i = 0; i < (notebook?.cells?.length ?? 0); i += 1) {
    const cell = notebook.cells.get(i);
    for (let j = 0; j < (cell.outputs?.length ?? 0); j += 1) {
      if (cell.outputs.get(j).data?.[WIDGET]?.model_id === id) return { shared: notebook.sharedModel, cell, i, j };
    }
    if (cell_id && cell.id === cell_id) return { shared: notebook.sharedModel, cell, i, j: -1 };
  }
  return null;
}

function keep(model, data) {
  try {
    const { cell, j } = place(model) ?? { j: -1 };
    if (j < 0) return false;
    cell.sharedModel.updateOutputs(j, j + 1, [{ output_type: "display_data", data, metadata: {} }], "silent-change");
    return true;
  } catch {
    return false; // another document model: the kernel replaces the output itself
  }
}

// Put the code into a cell below; a cell that an earlier click made, and nobody edited since, is replaced.
function insert(model, name, code) {
  const { shared, i } = place(model) ?? {};
  if (!shared?.insertCell) return "";
  const tag = { best_of: name, source: hash(code) };
  for (const cell of shared.cells) {
    const old = cell.getMetadata("jupyter_sweep");
    if (old?.best_of !== name || old.source !== hash(cell.getSource())) continue;
    cell.setSource(code);
    cell.setMetadata("jupyter_sweep", tag);
    return "brought up to date";
  }
  shared.insertCell(i + 1, { cell_type: "code", source: code, metadata: { jupyter_sweep: tag } });
  return "inserted below";
}
