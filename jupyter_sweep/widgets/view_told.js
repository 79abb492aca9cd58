// Plots of what rows alone don't tell: curves and importance come from the kernel or the server when they are opened.
// And when each trial ran on which worker.

class CurvesChart extends Chart {
  // A curve stands for its trial: `row` where the page knows it.
  rows() {
    if (this.told !== this.desk.told) {
      this.told = this.desk.told;
      const drawable = ([, v]) => Number.isFinite(metric(v));
      this.curves = (this.told?.curves ?? []).flatMap(({ number: n, state, points }) => {
        const row = this.store.rows.get(n),
          shown = points.filter(drawable);
        return row && shown.length ? [{ row, n, state, points: shown }] : [];
      });
      this.curves.reverse(); // the best is drawn last
    }
    return this.curves;
  }

  frame(w, h) {
    const curves = this.rows(),
      judge = this.desk.judge();
    if (!this.told) return { sentence: this.desk.waiting, key: this.desk.waiting };
    if (!curves.length) return { sentence: `no trial has reported ${short(this.desk.metric, 40)} by step`, key: "none" };
    let [low, high, last, first] = [Infinity, -Infinity, -Infinity, Infinity];
    for (const { points } of curves)
      for (const [step, v] of points) {
        [low, high] = [Math.min(low, v), Math.max(high, v)];
        [first, last] = [Math.min(first, step), Math.max(last, step)];
      }
    const across = new Axis("step", null, { low: first, high: last }),
      up = new Axis(this.desk.metric, null, { low, high, log: judge.sign > 0 && low > 0 && high / low > 1000 });
    const at = { left: 60, top: 22, right: w - 14, bottom: h - 24 },
      cut = this.told.cut.includes("curves") ? `, the best ${curves.length}` : `, ${plural(curves.length, "trial")}`;
    return { across, up, at, judge, title: up.title + cut, key: [across.key, up.key, judge.key, this.desk.toldAt].join() };
  }

  axes(g, s, c) {
    this.cross(g, c, s.across, s.up, s.at, { title: s.title, most: 7 });
  }

  places({ points }) {
    const { across, up, at } = this.s,
      y = (v) => (up.log ? Math.log10(v) : v);
    return points.map(([step, v]) => [
      at.left + ((step - across.low) / (across.high - across.low)) * (at.right - at.left),
      at.bottom - ((y(v) - up.low) / (up.high - up.low)) * (at.bottom - at.top),
    ]);
  }

  mark(g, curve) {
    const faded = this.desk.faded(curve.row),
      { row } = curve,
      places = this.places(curve),
      good = row.state === "completed" ? this.s.judge.share(row) : undefined;
    const plainly = { running: this.c.point, pruned: this.c.pruned, failed: this.c.failed }[row.state] ?? this.c.text;
    g.globalAlpha = faded ? 0.12 : 0.85;
    g.strokeStyle = g.fillStyle = faded ? this.c.text : good === undefined ? plainly : rgb(shade(good, this.c.dark));
    g.lineWidth = row.n === this.store.head.best?.number ? 2.4 : 1.2;
    g.setLineDash(row.state === "running" ? [4, 3] : []);
    g.beginPath();
    for (const [x, y] of places) g.lineTo(x, y);
    g.stroke();
    g.setLineDash([]);
    if (places.length === 1 || row.state === "pruned") {
      const [x, y] = places[places.length - 1];
      g.beginPath();
      g.arc(x, y, 2.4, 0, 7);
      g.fill();
    }
  }

  spots(row) {
    const curve = row.points ? row : this.rows().find((r) => r.n === row.n);
    return curve ? this.places(curve) : [];
  }

  rings(row) {
    return this.spots(row).slice(-1);
  }

  nearest(event) {
    let [found, closest] = [null, 300];
    for (const curve of this.s?.sentence ? [] : this.rows()) {
      const far = this.distance(curve, event.offsetX, event.offsetY);
      if (far < closest) [closest, found] = [far, curve.row];
    }
    return found;
  }

  inside({ x, y, w, h }) {
    const hit = (curve) => this.places(curve).some(([a, b]) => a >= x && a <= x + w && b >= y && b <= y + h);
    return new Set(this.rows().filter(hit).map((r) => r.n));
  }

  // From curve to curve, best first.
  step(by) {
    const best = [...this.rows()].reverse(),
      at = best.findIndex((r) => r.n === this.here?.n),
      curve = best[Math.min(best.length - 1, Math.max(0, at + by))];
    if (!curve) return;
    this.here = curve.row;
    const places = this.places(curve);
    this.tell(curve.row, ...places[places.length - 1]);
    this.desk.speak(this.words(curve.row));
    this.compose();
  }

  words(row) {
    return this.desk.words(row);
  }
}

// A bar for each trial on its worker's lane.
class TimelineChart extends Chart {
  height(_w, visible) {
    return Math.max(visible, Math.min(1500, 10 * this.store.workers.size + 46));
  }

  frame(w, h) {
    const { workers, began, until, ended, skew } = this.store;
    if (!workers.size) return { sentence: "no trial has started yet", key: "" };
    const now = ended ? until : Math.max(until, Date.now() / 1000 - (skew ?? 0)),
      span = Math.max(now - began, 0.001),
      unit = 10 ** Math.floor(Math.log10(span)),
      reach = ended ? span : [1, 1.25, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10].find((m) => m * unit >= span) * unit;
    // Bars are drawn anew only when the axis or the lanes change.
    const names = [...workers.keys()].sort((a, b) => a.localeCompare(b, "en", { numeric: true })),
      lanes = new Map(names.map((name, i) => [name, i])),
      longest = Math.min(18, Math.max(...names.map((name) => name.length)));
    const at = { left: 12 + 6.4 * longest, top: 20, right: w - 12, bottom: h - 22 };
    const lane = (at.bottom - at.top) / lanes.size;
    return { began, reach, now, lanes, names, lane, at, key: [began, reach, ...names].join() };
  }

  axes(g, s, c) {
    const { at, lane } = s;
    Object.assign(g, { fillStyle: c.text, strokeStyle: c.line, textAlign: "right" });
    const stride = Math.ceil(12 / lane);
    s.names.forEach((name, i) => {
      if (i % stride === 0) g.fillText(short(name || "?", 18), at.left - 6, at.top + (i + 0.5) * lane + 4);
    });
    g.textAlign = "center";
    const step = [1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 21600, 43200, 86400].find(
      (m) => m >= s.reach / 7,
    );
    for (let t = 0; t <= s.reach * 1.0001; t += step ?? nice(s.reach / 7)) {
      const x = Math.round(this.x(s.began + t)) + 0.5;
      g.globalAlpha = 0.6;
      g.beginPath();
      g.moveTo(x, at.top);
      g.lineTo(x, at.bottom);
      g.stroke();
      g.globalAlpha = 1;
      const text = duration(t),
        half = g.measureText(text).width / 2;
      g.fillText(text, Math.min(x, at.right + 12 - half), at.bottom + 14);
    }
    Object.assign(g, { fillStyle: c.fg, textAlign: "left" });
    g.fillText("time since the first start, by worker", at.left, 12);
  }

  x(time) {
    const { at, began, reach } = this.s;
    return at.left + Math.min(1, Math.max(0, (time - began) / reach)) * (at.right - at.left);
  }

  bar(row) {
    if (!row.started) return null;
    const { s } = this,
      i = s.lanes.get(row.worker ?? "") ?? 0,
      end = row.time === null || row.time === undefined ? s.now : row.started + row.time,
      [a, b] = [this.x(row.started), this.x(end)];
    return { x: a, y: s.at.top + (i + 0.12) * s.lane, w: Math.max(1, b - a), h: 0.76 * s.lane };
  }

  mark(g, row, faded) {
    const bar = this.bar(row);
    if (!bar) return;
    const colour = { completed: this.c.good, pruned: this.c.pruned, failed: this.c.failed }[row.state] ?? this.c.text;
    g.globalAlpha = faded ? 0.15 : 0.8;
    g.fillStyle = faded ? this.c.text : colour;
    g.fillRect(bar.x, bar.y, bar.w, bar.h);
    if (bar.w < 5) return;
    Object.assign(g, { strokeStyle: this.c.bg, lineWidth: 1, globalAlpha: 1 });
    g.strokeRect(bar.x, bar.y, bar.w, bar.h);
    if (row.state !== "failed") return; // told by more than its colour
    g.beginPath();
    g.moveTo(bar.x, bar.y + bar.h);
    g.lineTo(bar.x + Math.min(bar.w, bar.h), bar.y);
    g.stroke();
  }

  over(g, _s, c) {
    Object.assign(g, { fillStyle: c.point, globalAlpha: 0.8 });
    for (const row of this.store.history.live.values()) {
      const bar = this.bar(row);
      if (bar) g.fillRect(bar.x, bar.y, bar.w, bar.h);
    }
    g.globalAlpha = 1;
  }

  spots(row) {
    const bar = this.bar(row);
    return bar ? [[bar.x + bar.w / 2, bar.y + bar.h / 2]] : [];
  }

  distance(row, x, y) {
    const bar = this.bar(row);
    if (!bar || y < bar.y || y > bar.y + bar.h) return Infinity;
    return Math.max(0, bar.x - x, x - bar.x - bar.w) ** 2;
  }

  nearest(event) {
    return super.nearest(event, 16);
  }

  words(row) {
    return `trial ${row.n} on ${row.worker || "?"}: ${duration(row.time ?? this.s.now - row.started)} (${row.state})`;
  }
}

// Importance: a list, for it is read better than it is drawn.
class ImportanceList {
  constructor(desk, box) {
    Object.assign(this, { desk, box });
    this.list = box.appendChild(make("div", "shares"));
  }

  draw() {
    const { told } = this.desk,
      key = `${this.desk.toldAt}/${this.desk.waiting}`;
    if (key === this.key) return;
    this.key = key;
    if (!told || !told.told) {
      const why = told ? "too few completed trials to tell which parameter matters" : this.desk.waiting;
      this.list.replaceChildren(make("div", "dim", why));
      return;
    }
    const table = make("table");
    table.createCaption().textContent = `share of the effect on ${short(told.metric, 60)}`;
    for (const { param: name, share } of told.importance.slice(0, 30)) {
      const row = table.createTBody().insertRow(),
        [head, bar, value] = [row.appendChild(make("th")), row.insertCell(), row.insertCell()];
      head.scope = "row";
      head.append(bdi("name", short(name, 60)));
      bar.className = "share";
      bar.appendChild(make("div")).style.width = `${(100 * share).toFixed(1)}%`;
      value.textContent = `${(100 * share).toFixed(share < 0.1 ? 1 : 0)} %`;
    }
    this.list.replaceChildren(table);
  }

  dispose() {}
}
