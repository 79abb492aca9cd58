// Plots over the parameters and the targets: slices, contour, Pareto.

// A panel for each parameter: the metric by its value; trials without a value stand on the bottom edge.
class SlicesChart extends Chart {
  layout(w) {
    const shown = this.desk.params(12),
      across = Math.max(1, Math.min(shown.length, Math.floor((w - 46) / 150), 6));
    return { shown, across, down: Math.ceil(shown.length / across) };
  }

  height(w, visible) {
    return Math.max(visible, 140 * this.layout(w).down);
  }

  frame(w, h) {
    const { shown, across, down } = this.layout(w),
      judge = this.desk.judge();
    if (!shown.length) return { sentence: "no parameter varies", key: "" };
    const up = judge.axis(this.desk.metric),
      wide = (w - 46 - 8) / across,
      high = h / down,
      shares = new Map((this.desk.told?.told ? this.desk.told.importance : []).map((i) => [i.param, i.share]));
    const panels = shown.map((column, i) => {
      const left = 46 + (i % across) * wide,
        top = Math.floor(i / across) * high + 22,
        told = shares.has(column.title) ? ` · ${Math.round(100 * shares.get(column.title))} %` : "";
      const at = { left, top, right: left + wide - 14, bottom: top + high - 44, labels: i % across === 0 };
      return { axis: Axis.of(column, column.reach), at, title: short(column.title, 18) + told };
    });
    const size = Math.max(1, this.size() - 0.6);
    return { panels, up, judge, size, key: [up.key, judge.key, size, ...panels.map((p) => p.axis.key + p.title)].join() };
  }

  axes(g, s, c) {
    for (const { axis, at, title } of s.panels) this.cross(g, c, axis, s.up, at, { title, most: 3 });
  }

  spots(row) {
    const y = row.state === "running" || row.state === "waiting" ? undefined : (this.s.up.share(row) ?? 0);
    if (y === undefined) return [];
    return this.s.panels.flatMap(({ axis, at }) => {
      const x = axis.share(row);
      return x === undefined ? [] : [[at.left + x * (at.right - at.left), at.bottom - y * (at.bottom - at.top)]];
    });
  }

  mark(g, row, faded) {
    const good = this.s.judge.share(row),
      colour = row.state === "failed" ? this.c.failed : good === undefined ? this.c.text : rgb(shade(good, this.c.dark));
    for (const [x, y] of this.spots(row)) this.dot(g, row, x, y, colour, this.s.size, faded);
  }

  words(row) {
    return this.desk.words(row);
  }
}

// The metric over two parameters: trials as points, between them a smoothed surface, nothing far from any.
class ContourChart extends Chart {
  frame(w, h) {
    const [x, y] = this.desk.pair(),
      judge = this.desk.judge();
    if (!x || !y) return { sentence: "a contour needs two parameters that vary", key: "" };
    const [across, up] = [x, y].map((column) => Axis.of(column, column.reach)),
      at = { left: 74, top: 22, right: w - 14, bottom: h - 24 };
    // The surface is made anew from time to time: each time it costs a few milliseconds, whatever the number of trials.
    const age = Math.floor(2 * Math.sqrt(this.store.history.points.length));
    return { across, up, at, judge, key: [across.key, up.key, judge.key, age].join() };
  }

  axes(g, s, c) {
    this.surface(g, s, c);
    this.cross(g, c, s.across, s.up, s.at, { title: `${short(s.up.title, 24)} over ${short(s.across.title, 24)}`, most: 7 });
  }

  // Means of the trials around, by cells: counts and sums are spread along one axis, then along the other.
  surface(g, s, c) {
    const [wide, high] = [s.across, s.up].map((axis) => (axis.items ? Math.max(1, axis.items.size) : 48)),
      counts = new Float64Array(wide * high),
      sums = new Float64Array(wide * high);
    const cell = (axis, n, row) => {
      const at = axis.place(row);
      if (at === undefined) return -1;
      return Math.min(n - 1, Math.max(0, Math.floor(((at - axis.low) / (axis.high - axis.low)) * n)));
    };
    let n = 0;
    for (const row of this.store.history.points) {
      const good = row.state === "completed" ? s.judge.share(row) : undefined,
        i = cell(s.across, wide, row),
        j = cell(s.up, high, row);
      if (good === undefined || i < 0 || j < 0) continue;
      n += 1;
      counts[j * wide + i] += 1;
      sums[j * wide + i] += good;
    }
    if (n < 8) return;
    const width = Math.min(0.12, Math.max(0.035, 0.3 * n ** (-1 / 3)));
    const [near, total] = [counts, sums].map((grid) =>
      this.spread(this.spread(grid, wide, high, 1, wide, s.across.items, width), high, wide, wide, 1, s.up.items, width),
    );
    const { left, top, right, bottom } = s.at,
      [dx, dy] = [(right - left) / wide, (bottom - top) / high];
    g.globalAlpha = 0.5;
    near.forEach((weight, k) => {
      if (weight < 0.25) return;
      const [i, j] = [k % wide, Math.floor(k / wide)],
        [x, y] = [Math.round(left + i * dx), Math.round(bottom - (j + 1) * dy)];
      g.fillStyle = rgb(shade(total[k] / weight, c.dark));
      g.fillRect(x, y, Math.round(left + (i + 1) * dx) - x, Math.round(bottom - j * dy) - y);
    });
    g.globalAlpha = 1;
  }

  // A Gaussian along `n` cells, `step` apart, for each of `m` lines; items of a choice have no neighbours.
  spread(grid, n, m, step, line, items, width) {
    if (items) return grid;
    const out = new Float64Array(grid.length),
      reach = Math.ceil(3 * width * n);
    for (let j = 0; j < m; j += 1)
      for (let i = 0; i < n; i += 1) {
        const v = grid[j * line + i * step];
        if (!v) continue;
        for (let k = Math.max(0, i - reach); k <= Math.min(n - 1, i + reach); k += 1)
          out[j * line + k * step] += v * Math.exp(-0.5 * ((k - i) / n / width) ** 2);
      }
    return out;
  }

  spots(row) {
    const { across, up, at } = this.s,
      x = across.share(row),
      y = up.share(row);
    if (x === undefined || y === undefined) return [];
    return [[at.left + x * (at.right - at.left), at.bottom - y * (at.bottom - at.top)]];
  }

  mark(g, row, faded) {
    const good = this.s.judge.share(row),
      colour = row.state === "failed" ? this.c.failed : good === undefined ? this.c.text : rgb(shade(good, this.c.dark));
    for (const [x, y] of this.spots(row)) this.dot(g, row, x, y, colour, this.size() + 0.4, faded);
  }

  over(g, s, c) {
    const best = this.store.rows.get(this.store.head.best?.number);
    if (!best) return;
    Object.assign(g, { strokeStyle: c.fg, lineWidth: 2 });
    for (const [x, y] of this.spots(best)) {
      g.beginPath();
      g.arc(x, y, 6, 0, 7);
      g.stroke();
    }
  }

  words(row) {
    return this.desk.words(row);
  }
}

// Two targets against each other; the trials that no other one dominates are ringed and joined.
class ParetoChart extends Chart {
  frame(w, h) {
    const [x, y] = this.desk.targets(),
      judges = [x, y].map((i) => new Judge(this.store, i)),
      names = this.store.head.columns.metrics;
    if (!judges.every((j) => j.known)) return { sentence: "no trial has both targets yet", key: "" };
    const [across, up] = judges.map((judge, k) => judge.axis(names[[x, y][k]])),
      at = { left: 60, top: 22, right: w - 14, bottom: h - 24 };
    return { across, up, at, judges, key: [across.key, up.key].join() };
  }

  axes(g, s, c) {
    const told = s.judges.map(({ sign }) => (sign < 0 ? "high" : "low"));
    const title = `${short(s.up.title, 24)} (${told[1]} is better) over ${short(s.across.title, 24)} (${told[0]})`;
    this.cross(g, c, s.across, s.up, s.at, { title, most: 7 });
  }

  spots(row) {
    return row.state === "failed" ? [] : ContourChart.prototype.spots.call(this, row);
  }

  mark(g, row, faded) {
    const colour = { completed: this.c.point, pruned: this.c.pruned }[row.state] ?? this.c.text;
    for (const [x, y] of this.spots(row)) this.dot(g, row, x, y, colour, this.size(), faded);
  }

  over(g, _s, c) {
    const rows = (this.desk.told?.pareto ?? []).map((n) => this.store.rows.get(n)).filter(Boolean),
      at = rows.flatMap((row) => this.spots(row)).sort((a, b) => a[0] - b[0]);
    Object.assign(g, { strokeStyle: c.good, lineWidth: 1.5 });
    if (this.store.head.sweep.objectives.length === 2) {
      g.beginPath();
      for (const [x, y] of at) g.lineTo(x, y);
      g.stroke();
    }
    for (const [x, y] of at) {
      g.beginPath();
      g.arc(x, y, 4.5, 0, 7);
      g.stroke();
    }
  }

  words(row) {
    const { columns } = this.store.head;
    return `trial ${row.n}: ${this.desk.targets().map((i) => `${columns.metrics[i]} ${number(row.metrics[i], 4)}`).join(", ")}`;
  }
}
