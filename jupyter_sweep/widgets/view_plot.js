// The history plot: one point a trial, the best so far as a line, on a canvas in the colours of the theme.
// Ended trials are drawn once, on a canvas of their own, and again only when the scale, the size or the theme changes.

// The next of 1, 2, 5, 10, 20, ... from `x` on: what a step of an axis may be.
function nice(x) {
  const unit = 10 ** Math.floor(Math.log10(x));
  return [1, 2, 5, 10].map((m) => m * unit).find((step) => step >= x * 0.999);
}

class Plot {
  constructor(store, box, pick) {
    Object.assign(this, { store, box, drawn: 0, key: "", base: document.createElement("canvas") });
    this.canvas = box.appendChild(make("canvas"));
    this.canvas.setAttribute("role", "img");
    this.tip = box.appendChild(make("div", "tip"));
    this.tip.hidden = true;
    this.canvas.onmousemove = (e) => this.hover(e);
    this.canvas.onmouseleave = () => {
      this.tip.hidden = true;
    };
    this.canvas.onclick = (e) => {
      const row = this.nearest(e);
      if (row) pick(row);
    };
  }

  colours() {
    const style = getComputedStyle(this.box);
    const of = (name) => style.getPropertyValue(`--sweep-${name}`).trim() || "#888";
    return {
      text: of("dim"),
      line: of("line"),
      point: of("accent"),
      good: of("good"),
      pruned: of("warn"),
      failed: of("bad"),
    };
  }

  scale(w, h) {
    const {
        store: { history, head, ended },
      } = this,
      range = history.range();
    const wanted = ended ? 0 : (head.progress.wanted ?? 0),
      first = Number.isFinite(history.first) ? history.first : 0;
    const reach = Math.max(history.last - first + 1, wanted, 2) - 1;
    const last = first + (wanted || ended ? reach : 10 * Math.ceil((reach + 1) / 10));
    const across = (left) => (n) => left + ((n - first) / (last - first)) * (w - left - 10);
    if (!range) return { first, last, ticks: [], left: 48, x: across(48), y: () => h - 22 };
    let { low, high, log } = range,
      ticks = [];
    if (log) {
      [low, high] = [Math.floor(Math.log10(low) * 2) / 2, Math.ceil(Math.log10(high) * 2) / 2];
      const every = Math.max(1, Math.ceil((high - low) / 4));
      for (let d = Math.ceil(low); d <= high; d += every) ticks.push(10 ** d);
    } else {
      const span = high - low || Math.abs(high) || 1,
        step = nice(span / 5);
      [low, high] = [
        Math.floor((low - span / 20) / (step / 2)) * (step / 2),
        Math.ceil((high + span / 20) / (step / 2)) * (step / 2),
      ];
      for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step / 1e6; i += 1)
        ticks.push(+(i * step).toPrecision(6));
    }
    const left = 14 + 6.5 * Math.max(3, ...ticks.map((t) => (String(t).length > 7 ? 6 : String(t).length)));
    const y = (v) => {
      const share = ((log ? Math.log10(Math.max(v, 1e-300)) : v) - low) / (high - low);
      return h - 22 - Math.min(1, Math.max(0, share)) * (h - 42);
    };
    return { first, last, ticks, left, log, low, high, y, x: across(left) };
  }

  draw() {
    const ratio = window.devicePixelRatio || 1,
      w = this.box.clientWidth,
      h = this.box.clientHeight,
      { history } = this.store;
    if (!w) return;
    const s = (this.s = this.scale(w, h)),
      c = this.colours();
    const n = history.points.length;
    s.crowd = n > 2000 ? 2 : n > 400 ? 1 : 0;
    const key = [w, h, ratio, ...[s.first, s.last, s.low, s.high, s.log, s.crowd], ...Object.values(c)].join();
    if (key !== this.key || this.drawn > history.points.length || this.of !== history) {
      Object.assign(this, { key, drawn: 0, of: history });
      for (const canvas of [this.base, this.canvas]) [canvas.width, canvas.height] = [w * ratio, h * ratio];
      this.axes(this.base.getContext("2d"), s, c, w, h, ratio);
    }
    const under = this.base.getContext("2d");
    for (; this.drawn < history.points.length; this.drawn += 1) this.dot(under, s, c, history.points[this.drawn], h);
    const g = this.canvas.getContext("2d");
    g.setTransform(1, 0, 0, 1, 0, 0);
    g.clearRect(0, 0, this.canvas.width, this.canvas.height);
    g.drawImage(this.base, 0, 0);
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    this.over(g, s, c, w);
  }

  axes(g, s, c, w, h, ratio) {
    const { head } = this.store,
      name = head.sweep.objectives[0].metric;
    g.setTransform(ratio, 0, 0, ratio, 0, 0);
    Object.assign(g, {
      font: "11px system-ui, sans-serif",
      fillStyle: c.text,
      strokeStyle: c.line,
      lineWidth: 1,
      textAlign: "right",
    });
    for (const t of s.ticks) {
      const y = Math.round(s.y(t)) + 0.5;
      g.globalAlpha = 0.6;
      g.beginPath();
      g.moveTo(s.left, y);
      g.lineTo(w - 10, y);
      g.stroke();
      g.globalAlpha = 1;
      g.fillText(String(t).length > 7 ? t.toExponential(0) : String(t), s.left - 6, y + 3.5);
    }
    g.fillText("trial", w - 10, h - 5);
    if (!s.ticks.length) g.fillText("no values yet", w / 2 + 50, h / 2);
    Object.assign(g, { textAlign: "center" });
    const step = Math.max(1, nice((s.last - s.first) / (w > 420 ? 6 : 3)));
    for (let n = Math.ceil(s.first / step) * step; n <= s.last && s.x(n) < w - 60; n += step)
      g.fillText(String(n), s.x(n), h - 5);
    g.textAlign = "left";
    g.fillText((name.length > 40 ? `${name.slice(0, 39)}…` : name) + (s.log ? ", log scale" : ""), 2, 11);
  }

  dot(g, s, c, row, h) {
    const value = row.metrics[0],
      x = s.x(row.n);
    if (row.state === "failed") {
      g.fillStyle = c.failed;
      g.fillRect(x - 1, h - 21, 2, 5);
      return;
    }
    if (!Number.isFinite(value)) return;
    g.fillStyle = { completed: c.point, pruned: c.pruned }[row.state] ?? c.text;
    g.globalAlpha = [0.7, 0.5, 0.4][s.crowd];
    if (s.crowd > 1) g.fillRect(x - 1.2, s.y(value) - 1.2, 2.4, 2.4);
    else {
      g.beginPath();
      g.arc(x, s.y(value), s.crowd ? 1.9 : 2.6, 0, 7);
      g.fill();
    }
    g.globalAlpha = 1;
  }

  over(g, s, c, w) {
    const {
      history,
      head: { baseline, best },
    } = this.store;
    if (baseline && Number.isFinite(baseline.value) && s.ticks.length) {
      const y = s.y(baseline.value);
      Object.assign(g, { strokeStyle: c.text, lineWidth: 1 });
      g.setLineDash([3, 4]);
      g.beginPath();
      g.moveTo(s.left, y);
      g.lineTo(w - 10, y);
      g.stroke();
      g.setLineDash([]);
    }
    Object.assign(g, { strokeStyle: c.point, lineWidth: 1.3 });
    for (const row of history.live.values()) {
      if (!Number.isFinite(row.metrics[0])) continue;
      g.beginPath();
      g.arc(s.x(row.n), s.y(row.metrics[0]), 3, 0, 7);
      g.stroke();
    }
    Object.assign(g, { strokeStyle: c.good, lineWidth: 2 });
    g.beginPath();
    history.steps.forEach(({ n, value }, i) => {
      if (i) g.lineTo(s.x(n), s.y(history.steps[i - 1].value));
      else g.moveTo(s.x(n), s.y(value));
      g.lineTo(s.x(n), s.y(value));
    });
    const end = history.steps[history.steps.length - 1];
    if (end) g.lineTo(s.x(history.last), s.y(end.value));
    g.stroke();
    if (end) {
      g.beginPath();
      g.arc(s.x(end.n), s.y(end.value), 4.5, 0, 7);
      g.stroke();
    }
    const said = best ? `best so far ${trim(number(best.value, 6))} at trial ${best.number}` : "no completed trial yet";
    this.canvas.setAttribute(
      "aria-label",
      `History of ${this.store.head.sweep.objectives[0].metric} over the trials: ${said}`,
    );
  }

  nearest({ offsetX, offsetY }) {
    let found = null,
      closest = 400;
    for (const row of this.s ? [...this.store.history.points, ...this.store.history.live.values()] : []) {
      const value = row.metrics[0];
      if (!Number.isFinite(value) && row.state !== "failed") continue;
      const far =
        (this.s.x(row.n) - offsetX) ** 2 +
        ((row.state === "failed" ? this.box.clientHeight - 18 : this.s.y(value)) - offsetY) ** 2;
      if (far < closest) [closest, found] = [far, row];
    }
    return found;
  }

  hover(event) {
    const row = this.nearest(event);
    this.tip.hidden = !row;
    this.canvas.style.cursor = row ? "pointer" : "";
    if (!row) return;
    say(this.tip, `trial ${row.n}: ${number(row.metrics[0], 5) || row.reason || "no value"} (${row.state})`);
    this.tip.style.left = `${Math.min(event.offsetX + 10, this.box.clientWidth - this.tip.offsetWidth - 4)}px`;
    this.tip.style.top = `${Math.max(2, event.offsetY - 28)}px`;
  }
}
