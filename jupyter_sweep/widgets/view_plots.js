// The plots beside the best: tabs, of which the open one is drawn; what the others know of it is here, as their desk.
//
// What marks trials in a plot (a rectangle, a stretch of an axis) filters the table and pales the others everywhere.

// Milliseconds until what the kernel or the server told is asked anew while trials come in, and how often its cost.
const TOLD_MS = 3000,
  TOLD_COST = 20;

const TABS = [
  { id: "history", title: "History", kind: HistoryChart },
  { id: "curves", title: "Curves", kind: CurvesChart, asks: true, metric: true },
  { id: "parallel", title: "Parallel", kind: ParallelChart, asks: true, metric: true, needs: "params" },
  { id: "slices", title: "Slices", kind: SlicesChart, asks: true, metric: true, needs: "params" },
  { id: "importance", title: "Importance", kind: ImportanceList, asks: true, metric: true, needs: "params" },
  { id: "pareto", title: "Pareto", kind: ParetoChart, asks: true, needs: "targets", pair: true },
  { id: "contour", title: "Contour", kind: ContourChart, asks: true, metric: true, needs: "two", pair: true },
  { id: "timeline", title: "Timeline", kind: TimelineChart },
];

class Plots {
  // `hands`: `send` a message, `show` a row, `speak` a sentence, `filtered` tells that what is marked has changed,
  // `passes` whether a row passes all filters.
  constructor(store, box, hands) {
    Object.assign(this, { store, box, ...hands, picked: null, brushes: new Map(), charts: new Map(), changes: 0 });
    this.id = `sweep-plots-${Math.random().toString(36).slice(2)}`;
    this.probe = box.appendChild(make("span", "probe"));
    this.tabs = box.appendChild(make("div", "tabs"));
    this.tabs.setAttribute("role", "tablist");
    this.tabs.setAttribute("aria-label", "Plots");
    this.tabs.onkeydown = (e) => this.turn(e);
    this.selects = box.appendChild(make("div", "selects"));
    this.x = this.select("across");
    this.y = this.select("up");
    this.which = this.select("metric");
    this.panel = box.appendChild(make("div", "plot"));
    this.panel.id = `${this.id}-panel`;
    this.panel.setAttribute("role", "tabpanel");
    this.metric = store.head.columns.metrics[0];
    this.current = TABS[0];
    this.list();
    this.choose(this.current, false);
  }

  select(label) {
    const shown = this.selects.appendChild(make("label", "dim", `${label} `)),
      node = shown.appendChild(make("select"));
    node.onchange = () => this.chosen(node);
    return node;
  }

  // -- tabs

  list() {
    const { head } = this.store,
      n = head.columns.params.length;
    const has = { params: n > 0, two: n > 1, targets: head.sweep.objectives.length > 1, undefined: true };
    const shown = TABS.filter((tab) => has[tab.needs]);
    const key = shown.map((tab) => tab.id).join();
    if (key === this.listed) return;
    this.listed = key;
    this.tabs.replaceChildren(
      ...shown.map((tab) => {
        const node = make("button", "tab", tab.title);
        Object.assign(node, { type: "button", id: `${this.id}-${tab.id}`, onclick: () => this.choose(tab) });
        node.dataset.id = tab.id;
        node.setAttribute("role", "tab");
        node.setAttribute("aria-controls", this.panel.id);
        return node;
      }),
    );
    this.mark();
  }

  mark() {
    for (const node of this.tabs.children) {
      const on = node.dataset.id === this.current.id;
      node.setAttribute("aria-selected", String(on));
      node.tabIndex = on ? 0 : -1;
      if (on) this.tabs.scrollLeft = node.offsetLeft - this.tabs.offsetLeft - (this.tabs.clientWidth - node.offsetWidth) / 2;
    }
    this.panel.setAttribute("aria-labelledby", `${this.id}-${this.current.id}`);
  }

  turn(event) {
    const all = [...this.tabs.children],
      at = all.findIndex((node) => node === event.target),
      to = { ArrowRight: at + 1, ArrowLeft: at - 1 + all.length, Home: 0, End: all.length - 1 }[event.key];
    if (to === undefined || at < 0) return;
    const node = all[to % all.length];
    node.click();
    node.focus();
    event.preventDefault();
    event.stopPropagation();
  }

  choose(tab, draw = true) {
    this.current = tab;
    this.mark();
    let chart = this.charts.get(tab.id);
    if (!chart) {
      const box = this.panel.appendChild(make("div", `chart ${tab.id}`));
      this.charts.set(tab.id, (chart = new tab.kind(this, box)));
    }
    for (const [id, one] of this.charts) one.box.hidden = id !== tab.id;
    this.chart = chart;
    this.box.closest(".main").classList.toggle("tall", tab.id !== "history");
    if (tab.asks) this.ask();
    this.offer();
    if (draw) this.draw();
  }

  // -- what is chosen: the metric, and two axes

  offer() {
    const { metrics, params } = this.store.head.columns,
      { current } = this;
    this.fill(this.which, current.metric && metrics.length > 1 ? metrics : [], this.metric);
    const pairs = !current.pair ? [] : current.id === "contour" ? params : this.goals();
    const some = pairs.length > 2 || current.id === "contour" ? pairs : [];
    const [x, y] = current.id === "contour" ? this.pair().map((c) => c?.title) : this.targets().map((i) => metrics[i]);
    this.fill(this.x, some, x);
    this.fill(this.y, some, y);
    this.selects.hidden = [this.x, this.y, this.which].every((node) => node.parentNode.hidden);
  }

  fill(node, names, value) {
    const key = JSON.stringify(names);
    if (node.dataset.key !== key) {
      node.dataset.key = key;
      node.replaceChildren(...names.map((name) => Object.assign(make("option", "", short(name, 40)), { value: name })));
    }
    node.parentNode.hidden = !names.length;
    if (value !== undefined) node.value = value;
  }

  chosen(node) {
    if (node === this.which) {
      this.metric = node.value;
      this.told = null;
      this.ask();
    } else this.axes = { ...this.axes, [this.current.id]: [this.x.value, this.y.value] };
    this.draw();
  }

  goals() {
    return this.store.head.sweep.objectives.map((o) => o.metric);
  }

  // Indices of the two targets of the Pareto plot.
  targets() {
    const { metrics } = this.store.head.columns,
      chosen = this.axes?.pareto ?? this.goals().slice(0, 2);
    return chosen.map((name) => metrics.indexOf(name));
  }

  columns() {
    const { params, log } = this.store.head.columns;
    return params.map((title, i) => ({
      title,
      log: (log ?? []).includes(title),
      reach: this.store.params[i],
      get: (row) => plain(row.params[i]),
    }));
  }

  // The columns of at most `most` parameters that vary, as declared; the most important ones where there are more.
  params(most) {
    const vary = this.columns().filter((c) => (c.reach?.items.size ?? 0) > 1);
    if (vary.length <= most) return vary;
    const rank = new Map((this.told?.importance ?? []).map(({ param: name }, i) => [name, i]));
    const first = [...vary].sort((a, b) => (rank.get(a.title) ?? 999) - (rank.get(b.title) ?? 999)).slice(0, most);
    return vary.filter((c) => first.includes(c));
  }

  // The columns of the contour: the two most important ones unless others are chosen.
  pair() {
    const all = this.columns(),
      chosen = this.axes?.contour?.map((name) => all.find((c) => c.title === name));
    if (chosen?.every(Boolean)) return chosen;
    const told = (this.told?.told ? this.told.importance : []).map((i) => all.find((c) => c.title === i.param));
    return [...told.filter(Boolean), ...this.params(2)].filter((c, i, list) => list.indexOf(c) === i).slice(0, 2);
  }

  judge() {
    return new Judge(this.store, Math.max(0, this.store.head.columns.metrics.indexOf(this.metric)));
  }

  words(row) {
    const i = Math.max(0, this.store.head.columns.metrics.indexOf(this.metric));
    return `trial ${row.n}: ${number(row.metrics[i], 5) || row.reason || "no value"} (${row.state})`;
  }

  // -- what is told

  ask() {
    if (this.asked || (this.told && this.toldAt === this.store.change)) return;
    this.asked = performance.now();
    if (!this.send({ kind: "plots", metric: this.metric })) {
      this.asked = 0;
      this.waiting = "this kernel is gone: run the cell again to see this plot";
    } else this.waiting = `asking the ${this.store.source} …`;
  }

  answer({ metric: asked, data }) {
    const cost = performance.now() - this.asked;
    Object.assign(this, { asked: 0, rest: performance.now() + Math.max(TOLD_MS, TOLD_COST * cost) });
    if (asked !== this.metric) {
      this.ask();
      return;
    }
    Object.assign(this, { told: data, toldAt: this.store.change });
    this.offer();
    this.draw();
  }

  // What was asked for was refused, with a sentence in the line of notes.
  refused() {
    if (!this.asked) return;
    Object.assign(this, { asked: 0, waiting: "there was no answer: see the line above the table" });
    this.draw();
  }

  // -- drawing

  colours() {
    return colours(this.probe);
  }

  changed() {
    this.list();
    this.offer();
    if (this.current.asks && performance.now() > (this.rest ?? 0)) this.ask();
    this.draw();
  }

  draw() {
    this.chart.draw();
    this.label();
  }

  // For those who can't see it: which plot, of what, and the best.
  label() {
    const { head } = this.store,
      { best } = head;
    const said = best ? `best ${trim(number(best.value, 6))} at trial ${best.number}` : "no completed trial yet";
    const text = `${this.current.title} of ${this.current.metric ? this.metric : head.sweep.objectives[0].metric}: ${said}`;
    const canvas = this.chart.canvas;
    if (canvas && canvas.getAttribute("aria-label") !== text) canvas.setAttribute("aria-label", text);
  }

  again() {
    for (const chart of this.charts.values()) chart.key = "";
    this.draw();
  }

  // -- marking

  get faint() {
    return this.isFiltered ? this.changes : "";
  }
  faded(row) {
    return this.isFiltered && !this.passes(row);
  }
  open(row) {
    this.show(row);
  }

  pick(numbers) {
    this.picked = numbers?.size ? numbers : null;
    this.speak(this.picked ? `${plural(this.picked.size, "trial")} marked` : "no trial marked");
    this.filtered();
  }

  toggle(n) {
    const all = new Set(this.picked ?? []);
    if (!all.delete(n)) all.add(n);
    this.pick(all);
  }

  brush(title, kept) {
    if (kept) this.brushes.set(title, kept);
    else this.brushes.delete(title);
    this.speak(kept ? `${title} kept: ${kept.text}` : `${title}: all kept`);
    this.filtered();
  }

  release() {
    this.brushes.clear();
    this.pick(null);
  }

  get marking() {
    return this.picked !== null || this.brushes.size > 0;
  }

  // Whether a row is among those marked.
  holds(row) {
    if (this.picked && !this.picked.has(row.n)) return false;
    for (const { test } of this.brushes.values()) if (!test(row)) return false;
    return true;
  }

  get marked() {
    const kept = [...this.brushes].map(([title, { text }]) => `${short(title, 16)} ${short(text, 24)}`);
    return [...kept, ...(this.picked ? [plural(this.picked.size, "trial")] : [])].join(" · ");
  }

  // What passes has changed: the table was searched, or something marked.
  sifted(isFiltered) {
    this.isFiltered = isFiltered;
    this.changes += 1;
    this.draw();
  }

  dispose() {
    for (const chart of this.charts.values()) chart.dispose();
  }
}
