// Parallel coordinates: a line for each trial through its parameters to the metric. A drag along an axis keeps the
// trials that cross it there, in the table and in all plots. With the keys: left and right choose an axis, up and down
// move what is kept, with Shift they widen and narrow it, Delete lets one axis go, Escape all.

const BELOW = 14; // pixels below an axis where a trial passes that doesn't have the parameter

class ParallelChart extends Chart {
  frame(w, h) {
    const shown = this.desk.params(Math.max(2, Math.min(10, Math.floor(w / 64) - 1))),
      judge = this.desk.judge();
    if (!shown.length) return { sentence: "no parameter varies", key: "" };
    const axes = [...shown.map((column) => Axis.of(column, column.reach)), judge.axis(this.desk.metric)],
      [left, right] = [16, w - 62],
      at = axes.map((_, i) => left + (i / (axes.length - 1)) * (right - left));
    const room = Math.max(4, Math.floor((right - left) / (axes.length - 1) / 6.6));
    return { axes, at, judge, room, top: 24, bottom: h - 12 - BELOW, key: [...axes.map((a) => a.key), judge.key].join() };
  }

  axes(g, s, c) {
    Object.assign(g, { fillStyle: c.fg, textAlign: "left" });
    s.axes.forEach((axis, i) => g.fillText(short(axis.title, s.room), s.at[i] - 6, 12));
  }

  path(row) {
    const { s } = this,
      points = [];
    for (let i = 0; i < s.axes.length; i += 1) {
      const share = s.axes[i].share(row);
      if (share === undefined && i === s.axes.length - 1) break;
      points.push([s.at[i], share === undefined ? s.bottom + BELOW : s.bottom - share * (s.bottom - s.top)]);
    }
    return points;
  }

  spots(row) {
    return this.path(row);
  }

  rings() {
    return [];
  }

  mark(g, row, faded) {
    const points = this.path(row),
      good = row.state === "completed" ? this.s.judge.share(row) : undefined,
      n = this.store.history.points.length;
    g.globalAlpha = faded ? 0.05 : good === undefined ? (this.desk.isFiltered ? 0.6 : Math.min(0.25, 2.5 / Math.sqrt(n))) : Math.min(0.9, Math.max(0.07, 7 / Math.sqrt(n)));
    g.strokeStyle = faded || good === undefined ? this.c.text : rgb(shade(good, this.c.dark));
    g.lineWidth = n < 100 ? 1.4 : 0.9;
    g.beginPath();
    for (const [x, y] of points) g.lineTo(x, y);
    g.stroke();
  }

  over(g, s, c) {
    const best = this.store.rows.get(this.store.head.best?.number);
    Object.assign(g, { strokeStyle: c.fg, lineWidth: 2, globalAlpha: 0.9 });
    g.beginPath();
    for (const [x, y] of best && !this.desk.faded(best) ? this.path(best) : []) g.lineTo(x, y);
    g.stroke();
    if (this.here) {
      g.lineWidth = 2.5;
      g.beginPath();
      for (const [x, y] of this.path(this.here)) g.lineTo(x, y);
      g.stroke();
    }
    s.axes.forEach((axis, i) => this.upright(g, s, c, axis, s.at[i], i === this.axis));
  }

  // On top of the lines: the axis, what is kept of it, and its ticks on a patch of the background.
  upright(g, s, c, axis, x, chosen) {
    Object.assign(g, { strokeStyle: c.fg, fillStyle: c.fg, lineWidth: chosen ? 3 : 1, globalAlpha: 1, textAlign: "left" });
    g.beginPath();
    g.moveTo(x, s.top);
    g.lineTo(x, s.bottom);
    g.stroke();
    for (const [share, text] of axis.ticks(Math.max(2, Math.round((s.bottom - s.top) / 40)))) {
      const y = s.bottom - share * (s.bottom - s.top),
        words = short(text, s.room);
      g.fillStyle = c.bg;
      g.globalAlpha = 0.75;
      g.fillRect(x + 3, y - 7, 6.4 * words.length + 4, 13);
      Object.assign(g, { globalAlpha: 1, fillStyle: c.text });
      g.fillText(words, x + 5, y + 4);
    }
    const kept = this.desk.brushes.get(axis.title);
    if (!kept) return;
    const [low, high] = kept.ends.map((v) => s.bottom - ((v - axis.low) / (axis.high - axis.low)) * (s.bottom - s.top));
    Object.assign(g, { fillStyle: c.point, strokeStyle: c.fg, globalAlpha: 0.35, lineWidth: 1 });
    g.fillRect(x - 6, high, 12, low - high);
    g.globalAlpha = 1;
    g.strokeRect(x - 6, high, 12, low - high);
  }

  // -- hands

  drag(x, y, _a, b) {
    const { s } = this,
      i = s.at.reduce((best, at, k) => (Math.abs(at - x) < Math.abs(s.at[best] - x) ? k : best), 0),
      clamp = (v) => Math.min(s.bottom, Math.max(s.top, v));
    this.axis = null;
    this.marked = { x: s.at[i] - 6, w: 12, y: clamp(Math.min(y, b)), h: clamp(Math.max(y, b)) - clamp(Math.min(y, b)), i };
  }

  release(event) {
    const box = this.marked;
    if (!box) {
      this.let_one_go(event);
      return;
    }
    const { axes, top, bottom } = this.s,
      axis = axes[box.i],
      value = (y) => axis.low + ((bottom - y) / (bottom - top)) * (axis.high - axis.low);
    this.letGo();
    this.keep(axis, [value(box.y + box.h), value(box.y)]);
  }

  // A click on an axis lets go what is kept of it, elsewhere it opens the trial there.
  let_one_go(event) {
    const { s } = this;
    if (!this.from || s.sentence) return;
    const i = s.at.findIndex((x) => Math.abs(x - event.offsetX) < 8);
    this.letGo();
    if (i >= 0 && this.desk.brushes.has(s.axes[i].title)) this.desk.brush(s.axes[i].title, null);
    else this.click(event);
  }

  keep(axis, [low, high]) {
    const ends = [Math.max(axis.low, low), Math.min(axis.high, high)],
      test = (row) => {
        const at = axis.place(row);
        return at !== undefined && at >= ends[0] && at <= ends[1];
      };
    const text = axis.items
      ? [...axis.items.keys()].filter((_, i) => i >= ends[0] && i <= ends[1]).join(", ") || "none"
      : `${axis.text(ends[0])} to ${axis.text(ends[1])}`;
    this.desk.brush(axis.title, { ends, test, text });
  }

  distance(row, x, y) {
    const points = this.path(row);
    let least = Infinity;
    for (let i = 1; i < points.length; i += 1) {
      const [[a, b], [c, d]] = [points[i - 1], points[i]];
      if (x < a - 4 || x > c + 4) continue;
      const t = Math.min(1, Math.max(0, (x - a) / (c - a)));
      least = Math.min(least, (b + t * (d - b) - y) ** 2);
    }
    return least;
  }

  nearest(event) {
    return super.nearest(event, 36);
  }

  hover(event) {
    const found = super.hover(event);
    if (!this.s.sentence && this.s.at.some((x) => Math.abs(x - event.offsetX) < 8)) this.canvas.style.cursor = "ns-resize";
    if (found === this.here) return;
    this.here = found;
    this.compose();
  }

  act(event) {
    const { axes } = this.s,
      { key, shiftKey } = event,
      axis = axes[this.axis ?? 0];
    if (key === "ArrowLeft" || key === "ArrowRight") {
      const by = key === "ArrowRight" ? 1 : -1;
      this.axis = this.axis === undefined || this.axis === null ? 0 : (this.axis + by + axes.length) % axes.length;
      const kept = this.desk.brushes.get(axes[this.axis].title);
      this.desk.speak(`axis ${axes[this.axis].title}, ${kept ? `kept ${kept.text}` : "all kept"}`);
      this.compose();
    } else if (key === "ArrowUp" || key === "ArrowDown") {
      const span = axis.high - axis.low,
        step = (axis.items ? 1 : span / 20) * (key === "ArrowUp" ? 1 : -1);
      const [low, high] = this.desk.brushes.get(axis.title)?.ends ?? [axis.low + span / 4, axis.high - span / 4];
      this.axis ??= 0;
      if (shiftKey) this.keep(axis, [low, Math.max(low + Math.abs(step) / 2, high + step)]);
      else if (low + step >= axis.low - 1e-9 && high + step <= axis.high + 1e-9) this.keep(axis, [low + step, high + step]);
      else this.keep(axis, [low, high]);
    } else if (key === "Delete" || key === "Backspace") this.desk.brush(axis.title, null);
    else if (key === "Escape" && this.desk.brushes.size) this.desk.release();
    else return key === "Escape" ? super.act(event) : false;
    return true;
  }

  words(row) {
    return this.desk.words(row);
  }
}
