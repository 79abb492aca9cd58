// The history: one point a trial, the best so far as a line.

class HistoryChart extends Chart {
  frame(w, h) {
    const {
        store: { history, head, ended },
      } = this,
      range = history.range();
    const wanted = ended ? 0 : (head.progress.wanted ?? 0),
      first = Number.isFinite(history.first) ? history.first : 0;
    const reach = Math.max(history.last - first + 1, wanted, 2) - 1;
    const last = first + (wanted || ended ? reach : 10 * Math.ceil((reach + 1) / 10));
    const across = (left) => (n) => left + ((n - first) / (last - first)) * (w - left - 10);
    const n = history.points.length,
      crowd = n > 2000 ? 2 : n > 400 ? 1 : 0;
    if (!range) return { first, last, ticks: [], left: 48, x: across(48), y: () => h - 22, key: [first, last].join() };
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
    const key = [first, last, low, high, log, crowd].join();
    return { first, last, ticks, left, log, low, high, y, crowd, key, x: across(left) };
  }

  axes(g, s, c) {
    const { head } = this.store,
      { w, h } = s,
      name = head.sweep.objectives[0].metric;
    Object.assign(g, { fillStyle: c.text, strokeStyle: c.line, lineWidth: 1, textAlign: "right" });
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

  mark(g, row, faded) {
    const value = row.metrics[0],
      { s, c } = this,
      x = s.x(row.n);
    g.globalAlpha = faded ? 0.12 : [0.7, 0.5, 0.4][s.crowd ?? 0];
    if (row.state === "failed") {
      if (!faded) g.globalAlpha = 1;
      g.fillStyle = c.failed;
      g.fillRect(x - 1, s.h - 21, 2, 5);
      return;
    }
    if (!Number.isFinite(value)) return;
    g.fillStyle = faded ? c.text : ({ completed: c.point, pruned: c.pruned }[row.state] ?? c.text);
    if (s.crowd > 1) g.fillRect(x - 1.2, s.y(value) - 1.2, 2.4, 2.4);
    else {
      g.beginPath();
      g.arc(x, s.y(value), s.crowd ? 1.9 : 2.6, 0, 7);
      g.fill();
    }
  }

  over(g, s, c) {
    const { w } = s;
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

  spots(row) {
    const value = row.metrics[0];
    if (row.state === "failed") return [[this.s.x(row.n), this.s.h - 18]];
    return Number.isFinite(value) ? [[this.s.x(row.n), this.s.y(value)]] : [];
  }
}
