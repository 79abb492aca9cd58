// The live view of a sweep: header, progress, best, history plot, table, failures. No library, no network, no build.
//
// The kernel sends whole rows that changed (`full` once, then `delta`); the page keeps all rows and draws those in
// sight, so that an update costs the same at 100 and at 10,000 trials. Heights are fixed when the view opens: nothing
// below it moves while trials come in. Text from outside goes through textContent and never through innerHTML.

const STALE_S = 15;

class View {
  constructor(store, el) {
    Object.assign(this, { store, el, id: Math.random().toString(36).slice(2), waiting: false });
    this.root = el.appendChild(make("div", "sweep-view"));
    this.inner = this.root.appendChild(make("div", "inner"));
    this.header();
    this.progress();
    this.workers = new Workers(store, this.inner.appendChild(make("div", "workers")), {
      ask: (open) => store.send({ kind: "workers", view: this.id, open }),
      order: (n) => this.order("scale", `run ${n} at once`, { n }),
      show: (row) => this.table.show(row),
    });
    this.main();
    this.tools();
    this.table = new Table(store, this.inner.appendChild(make("div", "table")), {
      ask: (n) => store.send({ kind: "detail", number: n }),
      is_dark: () => this.plots.colours().dark,
      acts: {
        retry: (n) => this.order("retry", `run trial ${n} again`, { number: n }),
        enter: (n, result) => this.order("enter", `enter the result of trial ${n}`, { number: n, ...result }),
        replay: (n) => this.offer({ replay_of: n }, `%sweep replay ${store.head.sweep.name} ${n}`, `cell that replays trial ${n}`),
      },
    });
    this.menu = new ColumnMenu(this.table, this.columns, this.table.grid.parentNode.appendChild(make("div", "columns")));
    const rows = Math.min(11, Math.max(4, store.head.progress.wanted ?? 11));
    this.root.style.setProperty("--grid", `${(rows + 1) * 26 + 14}px`);
    this.foot = this.inner.appendChild(make("div", "foot dim"));
    this.spoken = this.root.appendChild(make("div", "spoken"));
    this.spoken.setAttribute("role", "status");
    store.views.add(this);
    this.watch();
    this.draw(null); // at once: the view has its height before anybody sees it
    store.begin();
  }

  // -- parts

  header() {
    const top = (this.top = this.inner.appendChild(make("div", "top"))),
      title = top.appendChild(make("div", "title"));
    this.name = title.appendChild(bdi("name", ""));
    this.version = title.appendChild(make("span", "dim"));
    this.state = title.appendChild(make("span", "state"));
    this.plan = title.appendChild(bdi("dim", ""));
    this.dashboard = title.appendChild(make("a", "more"));
    Object.assign(this.dashboard, { target: "_blank", rel: "noopener noreferrer" });
    this.dashboard.append(icon("link"), "dashboard");
    this.dashboard.onpointerenter = this.dashboard.onfocus = () => this.find_dashboard();
    this.dashboard.onclick = (event) => this.open_dashboard(event);
    this.crew = title.appendChild(make("button", "more"));
    this.crew.append(icon("workers"), "workers");
    this.crew.onclick = () => {
      this.workers.toggle();
      this.crew.setAttribute("aria-expanded", String(this.workers.open));
    };
    this.crew.setAttribute("aria-expanded", "false");
    const buttons = top.appendChild(make("div", "buttons"));
    buttons.setAttribute("role", "group");
    buttons.setAttribute("aria-label", "Sweep");
    this.pause = this.button(buttons, "pause", "Pause", () => this.order(this.pause.dataset.verb));
    this.stop = this.button(buttons, "stop", "Stop", () => this.order("stop"));
    this.cell = this.button(buttons, "cell", "Best-config cell", () => this.best_cell());
  }

  button(box, shape, label, act) {
    const node = box.appendChild(make("button", "act"));
    node.type = "button";
    node.append(icon(shape), make("span", "", label));
    node.onclick = act;
    return node;
  }

  progress() {
    this.bar = this.inner.appendChild(make("div", "progress"));
    this.bar.setAttribute("role", "progressbar");
    this.bar.setAttribute("aria-label", "Trials done");
    this.parts = Object.fromEntries(STATES.slice(0, 5).map((s) => [s, this.bar.appendChild(make("div", `part ${s}`))]));
    const line = this.inner.appendChild(make("div", "line"));
    const counts = line.appendChild(make("div", "counts"));
    this.counters = Object.fromEntries(STATES.map((state) => [state, counts.appendChild(this.counter(state))]));
    this.clock = line.appendChild(make("div", "clock"));
    this.message = this.inner.appendChild(make("div", "message"));
  }

  main() {
    const main = this.inner.appendChild(make("div", "main")),
      card = main.appendChild(make("div", "card"));
    this.goal = card.appendChild(bdi("dim", ""));
    const value = card.appendChild(make("div", "value"));
    this.value = value.appendChild(make("button", "number"));
    this.value.onclick = () => {
      const row = this.store.rows.get(this.store.head.best?.number);
      if (row) this.table.show(row);
    };
    this.value.title = "Show this trial";
    this.who = value.appendChild(bdi("dim", ""));
    this.baseline = card.appendChild(make("div", "dim baseline"));
    this.params = card.appendChild(make("dl", "params"));
    this.plots = new Plots(this.store, main.appendChild(make("div", "plots")), {
      send: (message) => this.store.send({ ...message, view: this.id }),
      show: (row) => this.table.show(row),
      speak: (text) => say(this.spoken, text),
      passes: (row) => this.table.passes(row),
      filtered: () => {
        this.table.marks = this.plots.marking ? (row) => this.plots.holds(row) : null;
        this.table.sift();
        this.sifted();
      },
    });
  }

  // The filter or what is marked in a plot has changed.
  sifted() {
    this.plots.sifted(this.table.filter.length > 0 || this.plots.marking);
    this.marks.hidden = !this.plots.marking;
    say(this.marks.querySelector("bdi"), this.plots.marked);
    this.marks.title = `Marked in the plots: ${this.plots.marked}. Click to show all again.`;
    this.count();
  }

  tools() {
    const line = this.inner.appendChild(make("div", "tools"));
    this.filter = line.appendChild(make("input", "filter"));
    const { params, metrics } = this.store.head.columns,
      example = `filter: failed  ${[`${metrics[0]}>…`, ...params.slice(0, 1).map((p) => `${p}=…`)].join("  ")}`;
    Object.assign(this.filter, { type: "search", placeholder: example, spellcheck: false });
    this.filter.setAttribute("aria-label", "Filter the trials: words, or comparisons such as lr>0.01");
    this.filter.oninput = () => {
      this.table.search(this.filter.value);
      this.sifted();
    };
    this.marks = line.appendChild(make("button", "act marks"));
    Object.assign(this.marks, { type: "button", hidden: true, onclick: () => this.plots.release() });
    this.marks.append(bdi("", ""), icon("clear"));
    this.shown = line.appendChild(make("span", "dim"));
    this.note = line.appendChild(make("span", "note"));
    this.note.setAttribute("role", "status");
    this.columns = this.button(line, "columns", "Columns", () => undefined);
    this.columns.setAttribute("aria-label", "Columns"); // where it is narrow the word is not shown
  }

  // -- drawing

  changed(rows) {
    this.pending = rows && this.pending !== null ? [...(this.pending ?? []), ...rows] : null;
    if (this.waiting) return;
    this.waiting = true;
    requestAnimationFrame(() => {
      this.waiting = false;
      const todo = this.pending;
      this.pending = [];
      this.draw(todo);
    });
  }

  draw(rows) {
    const { head, ended } = this.store;
    if (ended && this.table.cols && !this.table.in_use()) this.by_best();
    this.table.changed(rows && [...new Set(rows)]);
    this.draw_header(head);
    this.draw_counts(head);
    this.draw_best(head);
    this.draw_foot(head);
    this.workers.draw();
    this.count();
    this.tick();
    this.plots.changed();
  }

  by_best() {
    const column = this.table.cols.find((c) => c.goal);
    if (column && this.store.rows.size) {
      this.table.by(column);
      this.table.touched = true;
    }
  }

  draw_header({ sweep, best }) {
    const pruner = sweep.pruner && sweep.pruner !== "none" ? ` + ${sweep.pruner}` : "";
    say(this.name, sweep.name);
    say(this.version, `v${sweep.version}`);
    this.say_state(sweep);
    say(this.plan, sweep.passive ? `${sweep.algorithm}: ${sweep.where}` : `${sweep.algorithm}${pruner} on ${sweep.where}`);
    this.crew.hidden = Boolean(sweep.passive);
    this.draw_dashboard(sweep.dashboard ?? "");
    const verb = sweep.state === "paused" || ENDED.has(sweep.state) ? "resume" : "pause";
    if (this.pause.dataset.verb !== verb) {
      this.pause.dataset.verb = verb;
      this.pause.replaceChildren(
        icon(verb === "pause" ? "pause" : "play"),
        make("span", "", verb === "pause" ? "Pause" : "Resume"),
      );
    }
    // Fewer buttons at the end must not make the header lower.
    if (ENDED.has(sweep.state) && !this.stop.hidden) this.top.style.minHeight = `${this.top.offsetHeight}px`;
    this.pause.hidden = sweep.state === "finished";
    this.stop.hidden = ENDED.has(sweep.state);
    this.cell.disabled = !best?.cell;
  }

  // Its address: of its own, or on this server, as Dask's configuration may have it.
  draw_dashboard(address) {
    this.dashboard.hidden = !/^(https?:\/\/|\/(?!\/))/.test(address);
    if (this.dashboard.hidden || this.dashboard.dataset.own === address) return;
    this.dashboard.dataset.own = address;
    this.dashboard.href = address;
    this.found = null;
  }

  find_dashboard() {
    const own = this.dashboard.dataset.own;
    this.found ??= reachable(own).then((address) => {
      if (this.dashboard.dataset.own === own) this.dashboard.href = address;
      this.found.done = true;
    });
    return this.found;
  }

  // A click that comes before the way is known opens the tab at once, else the browser would block it.
  open_dashboard(event) {
    if (this.find_dashboard().done) return;
    event.preventDefault();
    const tab = window.open("", "_blank");
    if (tab) tab.opener = null;
    this.found.then(() => (tab ? (tab.location = this.dashboard.href) : this.tell("the browser blocked the new tab", true)));
  }

  say_state(sweep) {
    if (this.state.textContent === sweep.state) return;
    const first = !this.state.textContent;
    this.state.className = `state ${sweep.state}`;
    this.state.textContent = sweep.state;
    this.busy(null);
    if (!first) say(this.spoken, `Sweep ${sweep.name} is ${sweep.state}`);
  }

  // One that stays while its number changes: a click on a node that is replaced meanwhile is none.
  counter(state) {
    const node = make("button", `count ${state}`);
    node.append(icon(state), make("span"));
    Object.assign(node, { title: `Show only ${state} trials`, hidden: true });
    node.onclick = () => {
      this.filter.value = this.filter.value === `state=${state}` ? "" : `state=${state}`;
      this.filter.oninput();
    };
    return node;
  }

  draw_counts({ counts, progress, sweep }) {
    const all = STATES.reduce((n, s) => n + (counts[s] ?? 0), 0),
      whole = Math.max(progress.wanted ?? 0, all) || 1;
    for (const [state, node] of Object.entries(this.parts))
      node.style.width = `${(100 * (counts[state] ?? 0)) / whole}%`;
    this.bar.setAttribute("aria-valuemax", String(whole));
    this.bar.setAttribute("aria-valuenow", String(progress.final));
    for (const [state, node] of Object.entries(this.counters)) {
      node.hidden = !counts[state];
      say(node.lastChild, `${(counts[state] ?? 0).toLocaleString("en")} ${state}`);
    }
    this.message.hidden = !sweep.message && !sweep.warnings.length;
    const said = JSON.stringify([sweep.message, sweep.warnings]);
    if (this.message.dataset.text === said) return;
    this.message.dataset.text = said;
    const about = sweep.state === "failed" ? "failed" : "note";
    const lines = [[about, sweep.message], ...sweep.warnings.map((text) => ["warning", text])].filter(
      ([, text]) => text,
    );
    this.message.replaceChildren(
      ...lines.map(([kind, text]) => {
        const node = make("div", `said ${kind}`);
        node.append(icon(kind), bdi("", text));
        return node;
      }),
    );
  }

  draw_best({ best, baseline, sweep }) {
    const goal = sweep.objectives[0],
      sign = goal.direction === "maximize" ? 1 : -1;
    say(this.goal, `${this.store.ended ? "best" : "best so far"}: ${sign > 0 ? "highest" : "lowest"} ${goal.metric}`);
    say(this.value, best ? trim(number(best.value, 6)) : "–");
    this.value.disabled = !best;
    say(this.who, best ? this.whose(best, sweep.objectives.slice(1)) : "no completed trial yet");
    const gain = best && baseline ? sign * (best.value - baseline.value) : 0;
    const better = gain > 0 ? `, best is ${trim(number(gain))} better` : best ? ", not beaten" : "";
    say(this.baseline, baseline ? `baseline ${trim(number(baseline.value))} (trial ${baseline.number})${better}` : "");
    const key = best ? `${best.number}/${this.store.change && best.params.length}` : "";
    if (this.params.dataset.key === key) return;
    this.params.dataset.key = key;
    this.params.replaceChildren(
      ...(best?.params ?? []).flatMap(([name, value]) => {
        const [left, right] = term(name, param(value));
        left.title = name.slice(0, 300);
        right.title = right.textContent;
        return [left, right];
      }),
    );
  }

  // "trial 4", or "trial 4, size 3.2" where there are further targets.
  whose({ number: n }, further) {
    const { metrics } = this.store.head.columns,
      row = this.store.rows.get(n);
    const values = further.map((o) => [o.metric, row?.metrics[metrics.indexOf(o.metric)]]);
    const told = values.filter(([, value]) => Number.isFinite(value));
    return [`trial ${n}`, ...told.map(([metric, value]) => `${metric} ${trim(number(value))}`)].join(", ");
  }

  draw_foot({ sweep }) {
    const said = sweep.captures.filter((c) => c.kind !== "module").map((c) => `${c.name} ${bytes(c.nbytes)}`);
    const more = said.length > 8 ? ` and ${said.length - 8} more` : "";
    const text = [sweep.note ?? "", said.length ? `captured: ${said.slice(0, 8).join(", ")}${more}` : ""]
      .filter(Boolean)
      .join(" · ");
    say(this.foot, text);
    this.foot.title = `${text}\n${sweep.folder ?? ""}`;
  }

  count() {
    const { order } = this.table,
      all = this.store.rows.size;
    say(
      this.shown,
      order.length === all
        ? `${all.toLocaleString("en")} trials`
        : `${order.length.toLocaleString("en")} of ${all.toLocaleString("en")} trials`,
    );
  }

  // Once a second: the clock goes on by itself, the running rows too; a silent kernel is said.
  tick() {
    const { head, ended, heard } = this.store,
      { progress } = head,
      quiet = (performance.now() - heard) / 1000;
    const stale = !ended && head.sweep.state !== "paused" && quiet > STALE_S,
      since = ended || head.sweep.state === "paused" || stale ? 0 : quiet;
    const left =
      progress.eta_s === null || ended
        ? ""
        : ` · about ${duration(Math.max(1, Math.round(progress.eta_s - since)))} left`;
    const wanted = progress.wanted === null ? "" : ` of ${progress.wanted.toLocaleString("en")}`;
    const took = duration(Math.max(0, Math.round(progress.elapsed_s + since)));
    say(this.clock, `${progress.final.toLocaleString("en")}${wanted} · ${took}${left}`);
    this.bar.setAttribute("aria-valuetext", this.clock.textContent);
    if (stale) this.tell(`no news from the ${this.store.source} for ${duration(quiet)}; the sweep itself goes on`, true);
    else if (this.stale) this.tell("");
    this.stale = stale;
    if (!ended) this.table.paint();
    this.workers.tick();
  }

  tell(text, alarm = false) {
    say(this.note, text);
    this.note.title = text;
    this.note.classList.toggle("alarm", alarm);
  }

  // -- hands

  order(kind, words = kind, more = {}) {
    if (this.store.send({ kind, ...more })) this.busy(words);
    else this.tell(`this kernel is gone; run the cell again, or %sweep show ${this.store.head.sweep.name}`, true);
  }

  busy(kind) {
    clearTimeout(this.late);
    this.pause.disabled = this.stop.disabled = kind !== null;
    if (kind || this.asked) this.tell(kind ? `asked to ${kind} …` : "");
    this.asked = kind !== null; // an answer stays until something else is said
    if (kind)
      this.late = setTimeout(() => {
        this.busy(null);
        this.tell(`no answer to ${kind} yet; the ${this.store.source} may be busy or gone`, true);
      }, 8000);
  }

  best_cell() {
    const { head } = this.store;
    if (!this.offer({ best_of: head.sweep.name }, head.best.cell.trimEnd(), `cell with trial ${head.best.number}`))
      this.store.send({ kind: "cell" });
  }

  // Put code into a cell below; where the document can't be had, show it to be copied. True when there is a cell.
  offer(tag, code, what) {
    let done = "";
    try {
      done = insert(this.store.model, tag, code);
    } catch {
      done = ""; // an unknown document model: show it instead
    }
    if (done) {
      this.tell(`${what} ${done}`);
      return true;
    }
    this.box?.remove();
    this.box = make("div", "code");
    const text = make("textarea"),
      copy = this.button(this.box, "copy", "Copy", () => {
        text.select();
        (navigator.clipboard?.writeText(code) ?? Promise.reject()).then(
          () => this.tell("copied"),
          () => this.tell("press Ctrl+C to copy"),
        );
      });
    Object.assign(text, { value: code, readOnly: true, rows: Math.min(14, code.split("\n").length) });
    text.setAttribute("aria-label", `Source of the ${what}`);
    this.box.prepend(text);
    this.top.after(this.box);
    copy.focus();
    return false;
  }

  answer(message) {
    if (message.kind === "detail") this.table.answer(message);
    else if (message.kind === "plots") {
      if (message.view === this.id) this.plots.answer(message);
    } else if (message.kind === "said") {
      this.busy(null);
      this.plots.refused();
      this.workers.answered();
      this.tell(message.text);
    }
  }

  // -- what goes on around the view

  watch() {
    const see = (visible) => {
      if (visible === this.visible) return;
      this.visible = visible;
      this.store.send({ kind: "see", view: this.id, visible });
    };
    const looked = () => see(this.inSight && document.visibilityState === "visible");
    const resized = () => {
      if (this.wide !== this.root.clientWidth) this.top.style.minHeight = "";
      this.wide = this.root.clientWidth;
      again();
    };
    const again = () => {
      this.plots.again();
      this.table.paint();
    };
    // The notebook's own keys (Enter, arrows, a, b, x) must not act in here; it looks at this attribute of the focus.
    const keys = ({ target, ctrlKey, metaKey }) => {
      if (this.root.contains(target)) target.toggleAttribute("data-lm-suppress-shortcuts", !ctrlKey && !metaKey);
    };
    const sight = new IntersectionObserver(([entry]) => {
      this.inSight = entry.isIntersecting;
      looked();
    });
    const size = new ResizeObserver(resized);
    // A theme's style sheet comes some time after its name.
    const theme = new MutationObserver(() => [0, 100, 600].forEach((ms) => setTimeout(again, ms)));
    const clock = setInterval(() => {
      if (this.visible && (!this.store.ended || this.workers.open)) this.tick();
    }, 1000);
    window.addEventListener("keydown", keys, true);
    sight.observe(this.root);
    size.observe(this.root);
    theme.observe(document.body, {
      attributes: true,
      attributeFilter: ["data-jp-theme-name", "data-jp-theme-light", "class", "data-vscode-theme-kind"],
    });
    document.addEventListener("visibilitychange", looked);
    this.dispose = () => {
      this.store.views.delete(this);
      see(false);
      this.workers.dispose();
      this.plots.dispose();
      this.menu.dispose();
      for (const observer of [sight, size, theme]) observer.disconnect();
      document.removeEventListener("visibilitychange", looked);
      window.removeEventListener("keydown", keys, true);
      clearInterval(clock);
      clearTimeout(this.late);
      this.root.remove();
    };
  }
}

export default () => {
  let store = null;
  return {
    initialize({ model }) {
      store = new Store(model);
    },
    render({ el }) {
      const view = new View(store, el);
      return () => view.dispose();
    },
  };
};
