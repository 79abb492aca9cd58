// The table: all trials, of which only those in sight are in the page. One row can be opened for its details.
// Focus stays on the table itself and `aria-activedescendant` names the row, so that redrawing never loses it.

const ROW = 26,
  DETAIL = 244,
  WIDTHS = 1000; // rows by which columns get their first widths
const KINDS = { n: " first", state: " of-state" };

class Table {
  // `ask` asks for the details of a row, `is_dark` tells of the theme, `acts` are the buttons of an open row.
  constructor(store, box, { ask, is_dark, acts }) {
    Object.assign(this, {
      store,
      ask,
      is_dark,
      acts,
      chosen: new Chosen(store.head.sweep),
      marks: null,
      order: [],
      filter: [],
      cursor: null,
      open: null,
      pool: new Map(),
      touched: false,
    });
    this.sort = { id: "n", down: true };
    this.id = `sweep-${Math.random().toString(36).slice(2)}`;
    this.grid = box.appendChild(make("div", "grid"));
    this.grid.tabIndex = 0;
    this.grid.setAttribute("role", "treegrid");
    this.grid.setAttribute("aria-label", "Trials; arrow keys move, Enter opens");
    this.heads = this.grid.appendChild(make("div", "row heads"));
    this.heads.setAttribute("role", "row");
    this.body = this.grid.appendChild(make("div", "body"));
    this.body.setAttribute("role", "rowgroup");
    this.empty = box.appendChild(make("div", "empty"));
    this.grid.onscroll = () => this.paint();
    this.grid.onkeydown = (e) => this.key(e);
    this.body.onclick = (e) => this.click(e);
  }

  // -- columns

  seconds(row) {
    const live = row.state === "running" && row.started;
    return row.time ?? (live ? Math.max(0, Date.now() / 1000 - this.store.skew - row.started) : undefined);
  }

  // Widths only grow, and a cell counts with at most 26 characters: no column jumps, none pushes the others out.
  layout(changed) {
    const ids = JSON.stringify([this.store.head.columns, this.store.rows.size > 0]);
    const optional = (r) =>
      (r.error && !this.has("error")) ||
      (r.attempt > 1 && !this.has("try")) ||
      (r.repetition && !this.has("rep")) ||
      (r.device && !this.has("gpu")) ||
      (r.gigabytes !== undefined && !this.has("gpumem"));
    if (ids !== this.ids || !changed || changed.some(optional)) {
      this.ids = ids;
      this.all = columnsOf(this.store, (row) => this.seconds(row));
      this.cols = this.all.filter((c, i) => i === 0 || !this.chosen.hidden.has(c.id));
      for (const c of this.cols) c.width = Math.min(26, c.title.length + 2);
      this.drawHeads();
      for (const node of this.pool.values()) node.remove();
      this.pool.clear();
      changed = sample([...this.store.rows.values()], WIDTHS);
    }
    for (const row of changed) for (const c of this.cols) c.width = Math.min(26, Math.max(c.width, c.show(row).length));
    const widths = this.cols.map((c) => `${c.width}ch + ${c.id === "state" ? 46 : c.bar ? 36 : 20}px`);
    const css = this.cols.map((c, i) => `minmax(calc(${widths[i]}), ${c.width}fr)`).join(" ");
    if (css === this.css) return;
    this.css = css;
    this.grid.style.setProperty("--cols", css);
    this.grid.style.setProperty("--total", `calc(${widths.join(" + ")})`);
  }

  has(id) {
    return this.all.some((c) => c.id === id);
  }

  // Other columns, or another colour, were chosen.
  recolumn() {
    this.ids = "";
    this.layout([]);
    this.paint();
  }

  drawHeads() {
    this.heads.replaceChildren(
      ...this.cols.map((c) => {
        const cell = make("div", `cell${c.right ? " right" : ""}${KINDS[c.id] ?? ""}`),
          button = make("button", "head");
        button.append(bdi("name", c.title.length > 60 ? `${c.title.slice(0, 59)}…` : c.title), make("span", "arrow"));
        button.title = c.goal ? `${c.title} (${c.goal.direction})` : c.title.slice(0, 300);
        button.onclick = () => this.by(c);
        cell.setAttribute("role", "columnheader");
        cell.append(button);
        return cell;
      }),
    );
    this.markSort();
  }

  // Whether the user has arranged it: then the end of the sweep does not sort it anew.
  in_use() {
    return this.touched || this.open !== null || this.grid.scrollTop > 0;
  }

  markSort() {
    this.cols.forEach((c, i) => {
      const on = c.id === this.sort.id,
        cell = this.heads.children[i];
      cell.setAttribute("aria-sort", on ? (this.sort.down ? "descending" : "ascending") : "none");
      say(cell.querySelector(".arrow"), on ? (this.sort.down ? "▼" : "▲") : "");
    });
  }

  by(column) {
    const same = this.sort.id === column.id;
    this.sort = { id: column.id, down: same ? !this.sort.down : Boolean(column.down) };
    this.touched = true;
    this.markSort();
    this.rebuild();
    this.grid.scrollTop = 0;
    this.paint();
  }

  // -- order

  compare() {
    const { get } = this.all.find((c) => c.id === this.sort.id) ?? this.all[0],
      turn = this.sort.down ? -1 : 1,
      older = this.sort.id.startsWith("m:") ? 1 : -1; // the earlier one of two equals is the best one
    const rank = (v) => (v === undefined || v === null || Number.isNaN(v) ? 2 : typeof v === "string" ? 1 : 0);
    return (a, b) => {
      const x = get(a),
        y = get(b),
        p = rank(x),
        q = rank(y);
      if (p !== q) return p - q;
      return (p === 2 || x === y ? 0 : (x < y ? -1 : 1) * turn) || (a.n - b.n) * older;
    };
  }

  rebuild() {
    this.order = [...this.store.rows.values()].filter((r) => this.passes(r)).sort(this.compare());
  }

  // Rows that changed are taken out and put back where they belong; the page stays on the row it showed.
  changed(rows) {
    const anchor = this.grid.scrollTop > 0 ? this.order[this.at(this.grid.scrollTop)] : null;
    const before = anchor && this.top(this.order.indexOf(anchor));
    this.layout(rows);
    if (!rows || rows.length > 300) {
      this.rebuild();
      this.learn();
    } else {
      const moved = new Set(rows),
        compare = this.compare();
      for (const row of rows) {
        const i = this.order.indexOf(row);
        if (i >= 0) this.order.splice(i, 1);
      }
      for (const row of moved)
        if (this.passes(row))
          this.order.splice(
            spot(this.order, (r) => compare(r, row) < 0),
            0,
            row,
          );
    }
    if (rows?.some((r) => r.n === this.open)) this.ask(this.open);
    this.paint();
    const now = anchor ? this.order.indexOf(anchor) : -1;
    if (now >= 0 && this.top(now) !== before) this.grid.scrollTop += this.top(now) - before;
  }

  // Words that a row must hold, in any column; `lr>0.01`, `opt=adam` and the like compare one column.
  search(text) {
    this.filter = text
      .trim()
      .toLowerCase()
      .split(/\s+/)
      .filter(Boolean)
      .map((word) => {
        const [, name, op, wanted] = /^(.+?)(<=|>=|!=|=|<|>)(.+)$/.exec(word) ?? [];
        const column = name && this.all.find((c) => c.title.toLowerCase() === name);
        return column ? this.comparison(column, op, wanted) : (row) => this.words(row).includes(word);
      });
    this.sift();
  }

  // What passes has changed.
  sift() {
    this.rebuild();
    this.grid.scrollTop = 0;
    this.paint();
  }

  comparison(column, op, wanted) {
    const y = Number(wanted),
      same = (row) => {
        const shown = column.show(row).toLowerCase();
        return shown === wanted || shown.startsWith(`${wanted}:`) || column.get(row) === y;
      };
    if (op === "=") return same;
    if (op === "!=") return (row) => !same(row);
    const holds = { "<": (x) => x < y, ">": (x) => x > y, "<=": (x) => x <= y, ">=": (x) => x >= y }[op];
    return (row) => typeof column.get(row) === "number" && holds(column.get(row));
  }

  words(row) {
    if (row.words?.version !== row.version)
      row.words = {
        version: row.version,
        text: this.all
          .map((c) => c.show(row))
          .join(" ")
          .toLowerCase(),
      };
    return row.words.text;
  }

  // Make the words of all rows while there is nothing else to do: all at once they would hold up the first search.
  learn() {
    const rows = [...this.store.rows.values()],
      slice = (act, end = performance.now() + 10) => act({ timeRemaining: () => end - performance.now() }),
      idle = globalThis.requestIdleCallback ?? ((act) => setTimeout(() => slice(act)));
    const some = (time) => {
      while (rows.length && time.timeRemaining() > 2) for (const row of rows.splice(-100)) this.words(row);
      if (rows.length) idle(some);
    };
    idle(some);
  }

  passes(row) {
    return this.filter.every((test) => test(row)) && (!this.marks || this.marks(row));
  }

  // -- places: the open row is taller by its details

  opened() {
    return this.open === null ? -1 : this.order.findIndex((r) => r.n === this.open);
  }
  top(i) {
    const open = this.openAt;
    return i * ROW + (open >= 0 && i > open ? DETAIL : 0);
  }
  at(y) {
    const open = this.openAt,
      below = (open + 1) * ROW;
    return Math.floor((open >= 0 && y >= below ? Math.max(below - 1, y - DETAIL) : y) / ROW);
  }

  // -- drawing

  paint() {
    if (!this.cols) return;
    this.openAt = this.opened();
    this.range = this.store.history.range();
    this.judge = this.judged();
    this.bars = [...Object.values(this.range ?? {}), this.judge?.key, this.dark].join();
    const { scrollTop, clientHeight } = this.grid,
      n = this.order.length;
    const from = Math.max(0, this.at(scrollTop) - 2),
      to = Math.min(n, this.at(scrollTop + clientHeight) + 2);
    this.body.style.height = `${n * ROW + (this.openAt >= 0 ? DETAIL : 0)}px`;
    this.grid.setAttribute("aria-rowcount", String(n + 1));
    const wanted = [];
    for (let i = from; i < to; i += 1) wanted.push(this.place(this.order[i], i));
    const keep = new Set(wanted.flat());
    for (const [key, node] of this.pool)
      if (!keep.has(node)) {
        node.remove();
        this.pool.delete(key);
      }
    [...keep].forEach((node, i) => {
      if (this.body.children[i] !== node) this.body.insertBefore(node, this.body.children[i] ?? null);
    });
    if (this.details && !keep.has(this.details)) this.details.remove();
    this.empty.hidden = n > 0;
    say(this.empty, this.store.rows.size ? "no trial matches the filter" : "no trials yet");
    this.activate();
  }

  // By what cells are coloured.
  judged() {
    const column = this.all.find((c) => c.id === this.chosen.colour && c.index !== undefined);
    this.dark = column ? this.is_dark() : false;
    return column ? new Judge(this.store, column.index) : null;
  }

  place(row, i) {
    let node = this.pool.get(row.n);
    if (!node) this.pool.set(row.n, (node = this.node(row)));
    const best = this.store.head.best?.number === row.n,
      open = row.n === this.open;
    const second = row.state === "running" ? Math.floor(performance.now() / 1000) : "";
    const state = [row.version, best, open, second, this.bars].join("/");
    if (node.dataset.drawn !== state) {
      this.fill(node, row, best, open);
      node.dataset.drawn = state;
    }
    node.style.top = `${this.top(i)}px`;
    node.setAttribute("aria-rowindex", String(i + 2));
    node.classList.toggle("odd", i % 2 === 1);
    if (!open || !this.details) return [node];
    this.details.style.top = `${this.top(i) + ROW}px`;
    return [node, this.details];
  }

  node(row) {
    const node = make("div", "row");
    node.id = `${this.id}-${row.n}`;
    node.dataset.n = row.n;
    node.setAttribute("role", "row");
    this.cols.forEach((c) => {
      const cell = node.appendChild(
        make("div", `cell${c.right ? " right" : ""}${KINDS[c.id] ?? ""}${c.bar ? " bar" : ""}`),
      );
      cell.setAttribute("role", "gridcell");
    });
    return node;
  }

  fill(node, row, best, open) {
    const good = this.judge?.share(row),
      colour = good === undefined ? null : shade(good, this.dark);
    node.className = `row ${row.state}${best ? " best" : ""}${open ? " open" : ""}`;
    node.setAttribute("aria-expanded", String(open));
    this.cols.forEach((c, i) => {
      const cell = node.children[i],
        text = c.show(row);
      if (c.id === "state") cell.replaceChildren(icon(row.state), make("span", "", text));
      else if (cell.firstChild?.textContent !== text) cell.replaceChildren(bdi("", text));
      cell.title = text.length > 14 ? text : "";
      const coloured = colour && c.index === this.judge.index;
      cell.classList.toggle("coloured", Boolean(coloured));
      cell.style.backgroundColor = coloured ? rgb(colour) : "";
      cell.style.color = coloured ? inkOn(colour) : "";
      if (c.bar) cell.style.setProperty("--share", `${row.state === "failed" ? 0 : this.share(row.metrics[0])}%`);
    });
  }

  // How good a value is, from 0 to 100, in the range that the plot shows.
  share(value) {
    const { history } = this.store,
      range = this.range;
    if (!range || !Number.isFinite(value) || range.low === range.high) return 0;
    const [a, b, v] = range.log
      ? [range.low, range.high, value].map((x) => Math.log10(Math.max(x, 1e-300)))
      : [range.low, range.high, value];
    const up = Math.min(1, Math.max(0, (v - a) / (b - a)));
    return Math.round(100 * (history.sign < 0 ? up : 1 - up));
  }

  activate() {
    for (const node of this.pool.values()) node.classList.toggle("cursor", Number(node.dataset.n) === this.cursor);
    if (this.pool.has(this.cursor)) this.grid.setAttribute("aria-activedescendant", `${this.id}-${this.cursor}`);
    else this.grid.removeAttribute("aria-activedescendant");
  }

  // -- hands

  click(event) {
    const node = event.target.closest(".row");
    const marked = getSelection();
    const copying = !marked.isCollapsed && this.body.contains(marked.anchorNode);
    if (!node || copying) return;
    this.cursor = Number(node.dataset.n);
    this.toggle(this.cursor);
  }

  key(event) {
    const page = Math.max(1, Math.floor(this.grid.clientHeight / ROW) - 2),
      here = this.order.findIndex((r) => r.n === this.cursor);
    const steps = {
      ArrowDown: here + 1,
      ArrowUp: Math.max(0, here - 1),
      PageDown: here + page,
      PageUp: here - page,
      Home: 0,
      End: this.order.length,
    };
    if (event.target !== this.grid || event.altKey || event.ctrlKey || event.metaKey) return;
    if (event.key in steps && this.order.length) {
      this.cursor = this.order[Math.min(this.order.length - 1, Math.max(0, steps[event.key]))].n;
      this.reveal();
    } else if ((event.key === "Enter" || event.key === " ") && here >= 0) this.toggle(this.cursor);
    else if (event.key === "Escape" && this.open !== null) this.toggle(this.open);
    else return;
    event.preventDefault();
    event.stopPropagation();
  }

  reveal() {
    const i = this.order.findIndex((r) => r.n === this.cursor),
      y = this.top(i),
      room = this.grid.clientHeight - this.heads.offsetHeight;
    if (y < this.grid.scrollTop) this.grid.scrollTop = y;
    else if (y + ROW > this.grid.scrollTop + room) this.grid.scrollTop = y + ROW - room;
    this.paint();
  }

  show(row) {
    if (!this.order.includes(row)) return;
    this.cursor = row.n;
    if (this.open !== row.n) this.toggle(row.n);
    this.openAt = this.opened();
    this.grid.scrollTop = this.top(this.openAt);
    this.paint();
  }

  toggle(n) {
    this.open = this.open === n ? null : n;
    this.details?.remove();
    this.details = this.open === null ? null : opened();
    this.grid.classList.toggle("tall", this.open !== null);
    if (this.open !== null) {
      this.details.firstChild.append(make("div", "dim", `asking the ${this.store.source} …`));
      if (!this.ask(n)) this.answer(this.known(n));
    }
    this.paint();
  }

  // What can be told of a row without a kernel.
  known(n) {
    const { params } = this.store.rows.get(n),
      given = this.store.head.columns.params.map((name, i) => [name, param(params[i])]);
    return { number: n, params: given.filter(([, text]) => text), log_tail: "not to be read: this kernel is gone" };
  }

  answer(message) {
    if (message.number !== this.open) return;
    this.details.firstChild.replaceChildren(...details(this.store, message, this.acts));
  }
}

// The place of an open row's details: to a screen reader a row of one cell.
function opened() {
  const row = make("div", "opened"),
    cell = row.appendChild(make("div", "details"));
  row.setAttribute("role", "row");
  cell.setAttribute("role", "gridcell");
  return row;
}

// At most `most` items, evenly spread.
function sample(list, most) {
  const stride = Math.ceil(list.length / most);
  return stride > 1 ? list.filter((_, i) => i % stride === 0) : list;
}
