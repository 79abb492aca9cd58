// What the page knows of a sweep: all rows, and of each column and of the history what drawing needs, kept up row by
// row, so that an update costs the same however many trials there are.

// Items of a choice that are told apart; a choice of more has the rest at its end.
const ITEMS = 200;

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
    this.params = [];
    this.metrics = [];
    this.workers = new Map();
    this.began = Infinity;
    this.until = -Infinity;
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
    this.reach(row, worker, started, time);
    return row;
  }

  // How far the values of each column reach; over the whole sweep, also those of rows that a retry takes back.
  reach(row, worker, started, time) {
    row.params.forEach((v, i) => (this.params[i] ??= new Reach()).put(plain(v)));
    row.metrics.forEach((v, i) => (this.metrics[i] ??= new Reach()).put(v));
    if (!started) return;
    if (!this.workers.has(worker ?? "")) this.workers.set(worker ?? "", this.workers.size);
    this.began = Math.min(this.began, started);
    this.until = Math.max(this.until, started + (time ?? 0));
  }
}

// The least and the greatest number of a column, and its texts in order of appearance.
class Reach {
  constructor() {
    Object.assign(this, { low: Infinity, high: -Infinity, texts: false, items: new Map() });
  }

  put(v) {
    if (v === undefined || v === null || Number.isNaN(v)) return;
    if (typeof v === "string") this.texts = true;
    else if (Number.isFinite(v)) {
      this.low = Math.min(this.low, v);
      this.high = Math.max(this.high, v);
    }
    if (this.items.size < ITEMS && !this.items.has(String(v))) this.items.set(String(v), this.items.size);
  }
}

// Best so far and the range of the values: a final trial never changes, so nothing is done twice.
class History {
  constructor(sign) {
    Object.assign(this, { sign, first: Infinity, last: -Infinity, sorted: [], steps: [], points: [], live: new Map() });
    Object.assign(this, { ended: new Set(), counted: new Set(), epoch: 0 });
  }

  put(row) {
    this.first = Math.min(this.first, row.n);
    this.last = Math.max(this.last, row.n);
    const value = row.metrics[0];
    if (this.counted.has(row.n)) return; // it came twice
    if (this.ended.delete(row.n)) {
      // a failed trial that runs again: what was drawn of it is drawn anew
      this.points.splice(this.points.indexOf(row), 1);
      this.epoch += 1;
    }
    if (row.state === "running" || row.state === "waiting") {
      this.live.set(row.n, row);
      return;
    }
    this.live.delete(row.n);
    this.ended.add(row.n);
    this.points.push(row);
    if (row.state !== "completed" || !Number.isFinite(value)) return;
    this.counted.add(row.n);
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
