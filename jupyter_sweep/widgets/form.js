// The form: draws the state that the kernel sends and sends what is typed. Every text goes into the page as text.

const TYPING_MS = 250; // after the last key the kernel is asked
let serial = 0;

class Form extends Controls {
  constructor(model, root) {
    super((commit) => this.changed(commit));
    this.model = model;
    this.rev = 0;
    this.targets = [];
    this.id = `sweep-form-${(serial += 1)}`;
    this.root = root;
    root.classList.add("sweep-form");
    const inner = root.appendChild(make("div", "inner"));
    this.draw_fields(inner);
    this.rows = new ParameterRows(inner, this.edited);
    this.preview = inner.appendChild(make("section", "preview"));
    this.preview.setAttribute("aria-label", "Preview");
    this.mistakes = inner.appendChild(make("ul", "mistakes"));
    this.mistakes.setAttribute("aria-live", "polite");
    this.mistakes.setAttribute("aria-label", "Mistakes");
    this.draw_source(inner);
    this.draw_buttons(inner);
    this.child = inner.appendChild(make("div", "child"));
    this.listen();
    this.show(model.get("state"), true);
    this.look();
    void this.show_view();
  }

  // -- parts

  draw_fields(box) {
    const section = (this.what = box.appendChild(make("section", "what")));
    section.setAttribute("aria-label", "The sweep");
    const top = section.appendChild(make("div", "fields first"));
    this.name = this.field(top, "Name", this.input("Name of the sweep", true, "after the notebook"));
    const goals = top.appendChild(make("div", "field goals"));
    goals.appendChild(make("span", "label", "Target"));
    this.goals = goals.appendChild(make("div", "goal-list"));
    const more = goals.appendChild(make("button", "link", "+ target"));
    more.type = "button";
    more.addEventListener("click", () => {
      this.add_target("min", "");
      this.targets[this.targets.length - 1].metric.focus();
    });
    this.goals.after(more);
    const grid = section.appendChild(make("div", "fields"));
    this.options = {};
    for (const { name, label, hint, help, words } of this.model.get("start").fields) {
      const node = this.input(label, true, hint);
      if (words.length) {
        const list = section.appendChild(make("datalist"));
        list.id = `${this.id}-${name}`;
        for (const word of words) list.appendChild(make("option")).value = word;
        node.setAttribute("list", list.id);
      }
      this.options[name] = this.field(grid, label, node, help, name === "note" ? "wide" : "");
    }
    this.tags = this.field(grid, "Tags", this.input("Tags", true, "one, another"), "Tags, with commas between them.");
    const rest = this.input("Other options", true, "--bg --fresh name=value");
    this.more = this.field(grid, "Other options", rest, "All other words of the line, as they are written there.", "wide");
  }

  add_target(way, metric) {
    const node = this.goals.appendChild(make("div", "goal"));
    const target = { node, way: this.select("Direction", { min: "minimize", max: "maximize" }), metric: this.input("Metric", true, "loss") };
    node.append(target.way, target.metric);
    target.way.value = way;
    target.metric.value = metric;
    this.cross(node, "Remove this target", () => {
      this.targets.splice(this.targets.indexOf(target), 1);
      node.remove();
      this.edited(true);
    });
    this.targets.push(target);
  }

  draw_source(box) {
    const section = box.appendChild(make("section", "cell"));
    const label = section.appendChild(make("label", "field"));
    label.appendChild(make("span", "label", "Cell"));
    this.source = label.appendChild(make("textarea"));
    Object.assign(this.source, { spellcheck: false, autocomplete: "off" });
    this.source.setAttribute("aria-label", "The cell");
    this.source.addEventListener("input", () => {
      this.fit();
      this.later(() => this.send({ kind: "source", source: this.source.value }));
    });
    this.source.addEventListener("keydown", (event) => event.stopPropagation());
  }

  fit() {
    this.source.rows = Math.max(6, Math.min(24, this.source.value.split("\n").length));
  }

  draw_buttons(box) {
    const bar = box.appendChild(make("div", "buttons"));
    this.update = this.button(bar, "completed", "Update cell", () => this.write(), "Write this into the notebook's cell that the form was read from");
    this.insert = this.button(bar, "cell", "Insert cell", () => this.put(), "Put this into a new cell below");
    this.run = this.button(bar, "play", "Run here", () => this.start(), "Start the sweep and show it below; no cell is needed");
    this.button(bar, "copy", "Copy", () => this.copy());
    this.reread = this.button(bar, "running", "Read the cell again", () => this.take(), "The notebook's cell was changed meanwhile");
    this.note = bar.appendChild(make("span", "note dim"));
    this.note.setAttribute("role", "status");
  }

  // -- the page to the kernel

  changed(commit) {
    this.rows.adapt_all();
    this.later(() => this.send({ kind: "edit", commit, drawn: this.drawn, ...this.values() }), commit ? 0 : TYPING_MS);
  }

  values() {
    const text = (nodes) => Object.fromEntries(Object.entries(nodes).map(([name, node]) => [name, node.value]));
    return {
      fields: {
        name: this.name.value,
        targets: this.targets.map(({ way, metric }) => [way.value, metric.value]),
        options: text(this.options),
        tags: this.tags.value,
        more: this.more.value,
      },
      rows: this.rows.values(),
    };
  }

  // Ask the kernel soon; what was waiting is overtaken, because an edit holds all fields.
  later(act, after = TYPING_MS) {
    clearTimeout(this.waiting);
    this.pending = act;
    this.waiting = setTimeout(() => this.flush(), after);
  }

  flush() {
    clearTimeout(this.waiting);
    const act = this.pending;
    this.pending = null;
    act?.();
  }

  send(message) {
    this.rev += 1;
    this.model.send({ ...message, rev: this.rev });
  }

  // -- the kernel to the page

  show(state, first = false) {
    if (!first && (state.rev < this.rev || this.pending)) return; // more was typed meanwhile: its answer comes
    this.rev = Math.max(this.rev, state.rev);
    this.drawn = state.drawn;
    this.root.classList.toggle("unread", !state.readable);
    this.show_fields(state.fields);
    this.rows.show(state);
    for (const node of this.what.querySelectorAll("input, select, button")) node.disabled = !state.readable;
    if (this.source.value !== state.source) this.source.value = state.source;
    this.fit();
    this.show_mistakes(state.mistakes);
    this.show_preview(state.preview);
    this.run.disabled = state.mistakes.length > 0;
    this.compare();
    for (const act of (this.after ?? []).splice(0)) act();
  }

  show_fields(fields) {
    this.set(this.name, fields.name);
    this.set(this.tags, fields.tags);
    this.set(this.more, fields.more);
    for (const [name, node] of Object.entries(this.options)) this.set(node, fields.options[name] ?? "");
    const here = this.targets.filter(({ metric }) => metric.value.trim()).map(({ way, metric }) => [way.value, metric.value.trim()]);
    if (JSON.stringify(here) !== JSON.stringify(fields.targets) || !this.targets.length) {
      this.goals.replaceChildren();
      this.targets = [];
      for (const [way, metric] of fields.targets.length ? fields.targets : [["min", ""]]) this.add_target(way, metric);
    }
  }

  show_mistakes(mistakes) {
    this.mistakes.hidden = mistakes.length === 0;
    this.mistakes.replaceChildren(
      ...mistakes.map(({ text }) => {
        const item = make("li");
        item.append(icon("warning"), make("pre", "", text));
        return item;
      }),
    );
  }

  show_preview(preview) {
    this.preview.hidden = !preview;
    if (!preview) return;
    const { size, names, rows, said } = preview;
    this.preview.replaceChildren(make("div", "size", said || size));
    if (!rows.length || !names.length) return;
    const table = make("table");
    const head = table.createTHead().insertRow();
    for (const name of names) {
      const cell = head.appendChild(make("th", "", name));
      cell.scope = "col";
    }
    const body = table.createTBody();
    for (const values of rows) {
      const line = body.insertRow();
      for (const value of values) line.appendChild(make("td", value ? "" : "dim", value || "–"));
    }
    const box = make("div", "samples");
    box.tabIndex = 0;
    box.setAttribute("role", "region");
    box.setAttribute("aria-label", "Sampled configurations");
    box.appendChild(table);
    this.preview.appendChild(box);
  }

  // -- the notebook around the form

  cells() {
    return place(this.model)?.shared?.cells ?? [];
  }

  cell(id = this.model.get("bound")) {
    return id ? this.cells().find((cell) => cell.id === id) : undefined;
  }

  // Find the cell to draw from: the sweep of a name, or the nearest one above.
  look() {
    const { look } = this.model.get("start");
    if (look === null || look === undefined || this.model.get("bound")) return this.follow();
    const at = place(this.model);
    if (!at) return;
    const cells = at.shared.cells;
    const found = look
      ? cells.findLast((cell) => cell.cell_type === "code" && /^\s*%%sweep\s+(\S+)/.exec(cell.getSource())?.[1] === look)
      : cells.slice(0, at.i).findLast((cell) => cell.cell_type === "code" && /^\s*%%sweep(\s|$)/.test(cell.getSource()));
    if (!found) return;
    this.bind(found.id);
    this.take();
  }

  bind(id) {
    this.model.set("bound", id);
    this.model.save_changes();
    this.follow();
  }

  // Notice when the notebook's cell is edited by hand.
  follow() {
    this.unfollow?.();
    const cell = this.cell();
    if (cell?.changed?.connect) {
      const changed = () => this.compare();
      cell.changed.connect(changed);
      this.unfollow = () => cell.changed.disconnect(changed);
    }
    this.compare();
  }

  compare() {
    const cell = this.cell();
    this.update.hidden = !cell;
    this.reread.hidden = !cell || cell.getSource() === this.known || cell.getSource().trimEnd() === this.source.value.trimEnd();
    this.update.disabled = !cell || cell.getSource().trimEnd() === this.source.value.trimEnd();
  }

  take() {
    const cell = this.cell();
    if (!cell) return;
    this.known = cell.getSource();
    this.source.value = this.known;
    this.send({ kind: "cell", source: this.known });
  }

  // Do something with the text when the kernel has answered what was typed last.
  then(act) {
    if (this.pending) this.flush();
    if (this.model.get("state").rev >= this.rev) act();
    else (this.after ??= []).push(act);
  }

  write() {
    this.then(() => {
      const cell = this.cell();
      if (!cell) return;
      this.known = this.source.value.trimEnd();
      cell.setSource(this.known);
      this.tell("the cell is updated");
      this.compare();
    });
  }

  put() {
    this.then(() => {
      const { shared, i } = place(this.model) ?? {};
      if (!shared?.insertCell) {
        this.tell("this front end can't insert a cell: copy the text instead");
        return;
      }
      this.known = this.source.value.trimEnd();
      shared.insertCell(i + 1, { cell_type: "code", source: this.known, metadata: {} });
      this.bind(shared.cells[i + 1].id);
      this.tell("inserted below");
    });
  }

  start() {
    this.then(() => {
      if (this.run.disabled) return;
      this.tell("starting …");
      this.send({ kind: "run" });
      (this.after ??= []).push(() => this.tell(""));
    });
  }

  copy() {
    this.then(() => {
      this.source.select();
      (navigator.clipboard?.writeText(this.source.value) ?? Promise.reject()).then(
        () => this.tell("copied"),
        () => this.tell("press Ctrl+C to copy"),
      );
    });
  }

  tell(text) {
    say(this.note, text);
  }

  async show_view() {
    const id = this.model.get("view");
    if (!id) return;
    try {
      const manager = this.model.widget_manager;
      const view = await manager.create_view(await manager.get_model(id));
      this.shown?.remove();
      this.shown = view;
      this.child.replaceChildren(view.el);
    } catch {
      this.child.replaceChildren(make("div", "dim", "The sweep runs: see it with %sweep show, or in the sidebar."));
    }
  }

  listen() {
    this.on_state = () => this.show(this.model.get("state"));
    this.on_view = () => void this.show_view();
    this.model.on("change:state", this.on_state);
    this.model.on("change:view", this.on_view);
    // The notebook's shortcuts would take keys that belong to the fields.
    this.root.addEventListener("keydown", (event) => event.stopPropagation());
  }

  dispose() {
    clearTimeout(this.waiting);
    this.unfollow?.();
    this.model.off("change:state", this.on_state);
    this.model.off("change:view", this.on_view);
    this.shown?.remove();
  }
}

export default {
  render({ model, el }) {
    const form = new Form(model, el.appendChild(make("div")));
    return () => form.dispose();
  },
};
