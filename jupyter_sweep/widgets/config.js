// The editor of sweeps.toml: fields for the defaults, a table of the profiles, the text of the file.

let serial = 0;

class Config {
  constructor(model, root) {
    this.model = model;
    this.rev = 0;
    this.id = `sweep-config-${(serial += 1)}`;
    this.root = root;
    root.classList.add("sweep-form");
    const inner = root.appendChild(make("div", "inner"));
    const { fields, path, templates } = model.get("start");
    inner.appendChild(make("div", "path", path));
    this.draw_defaults(inner, fields);
    this.draw_profiles(inner, templates);
    this.mistakes = inner.appendChild(make("ul", "mistakes"));
    this.mistakes.setAttribute("aria-live", "polite");
    this.mistakes.setAttribute("aria-label", "Mistakes");
    this.draw_text(inner);
    this.on_state = () => this.show(model.get("state"));
    model.on("change:state", this.on_state);
    root.addEventListener("keydown", (event) => event.stopPropagation());
    this.show(model.get("state"));
  }

  draw_defaults(box, fields) {
    const section = box.appendChild(make("section", "what"));
    section.appendChild(make("div", "title", "What holds where a line says nothing"));
    const grid = section.appendChild(make("div", "fields"));
    this.fields = {};
    for (const { name, label, help, words } of fields) {
      const node = grid.appendChild(make("label", "field"));
      node.appendChild(make("span", "label", label));
      node.title = help;
      const input = node.appendChild(make("input"));
      Object.assign(input, { type: "text", spellcheck: false, autocomplete: "off" });
      input.setAttribute("aria-label", label);
      if (words.length) {
        const list = section.appendChild(make("datalist"));
        list.id = `${this.id}-${name}`;
        for (const word of words) list.appendChild(make("option")).value = word;
        input.setAttribute("list", list.id);
      }
      input.addEventListener("change", () => this.send({ kind: "default", name, value: input.value }));
      this.fields[name] = input;
    }
  }

  draw_profiles(box, templates) {
    const section = box.appendChild(make("section", "space"));
    section.appendChild(make("div", "title", "Places to run, for --on"));
    this.profiles = section.appendChild(make("div", "samples"));
    const bar = section.appendChild(make("div", "buttons"));
    for (const template of templates) this.button(bar, "cell", template, () => this.send({ kind: "add", template }));
  }

  button(box, shape, text, act) {
    const node = box.appendChild(make("button", "act"));
    node.type = "button";
    node.append(icon(shape), make("span", "", text));
    node.addEventListener("click", act);
    return node;
  }

  draw_text(box) {
    const label = box.appendChild(make("label", "field"));
    label.appendChild(make("span", "label", "File"));
    this.text = label.appendChild(make("textarea"));
    Object.assign(this.text, { spellcheck: false, autocomplete: "off" });
    this.text.setAttribute("aria-label", "The file");
    this.text.addEventListener("input", () => {
      clearTimeout(this.waiting);
      this.waiting = setTimeout(() => this.flush(), 250);
    });
    const bar = box.appendChild(make("div", "buttons"));
    this.save = this.button(bar, "completed", "Save", () => {
      this.flush();
      this.send({ kind: "save" });
    });
    this.note = bar.appendChild(make("span", "note dim"));
    this.note.setAttribute("role", "status");
  }

  // What was typed goes before anything else that is sent.
  flush() {
    if (!this.waiting) return;
    clearTimeout(this.waiting);
    this.waiting = null;
    this.send({ kind: "text", text: this.text.value });
  }

  send(message) {
    if (message.kind !== "text") this.flush();
    this.rev += 1;
    this.model.send({ ...message, rev: this.rev });
  }

  show(state) {
    if (state.rev < this.rev || this.waiting) return;
    this.rev = state.rev;
    for (const [name, input] of Object.entries(this.fields)) {
      const text = state.defaults[name] ?? "";
      if (input.value !== text) input.value = text;
    }
    if (this.text.value !== state.text) this.text.value = state.text;
    this.text.rows = Math.max(8, Math.min(28, state.text.split("\n").length));
    this.save.disabled = state.saved;
    say(this.note, state.said || (state.saved ? "" : "not saved yet"));
    this.mistakes.hidden = state.mistakes.length === 0;
    this.mistakes.replaceChildren(
      ...state.mistakes.map((text) => {
        const item = make("li");
        item.append(icon("warning"), make("pre", "", text));
        return item;
      }),
    );
    this.show_profiles(state.profiles);
  }

  show_profiles(profiles) {
    if (!profiles.length) {
      this.profiles.replaceChildren(make("div", "dim", "No profile yet: add one, then name it in the text."));
      return;
    }
    const table = make("table");
    const head = table.createTHead().insertRow();
    for (const text of ["name", "on", "options"]) Object.assign(head.appendChild(make("th", "", text)), { scope: "col" });
    const body = table.createTBody();
    for (const { name, on, more } of profiles) {
      const row = body.insertRow();
      for (const text of [name, on, more]) Object.assign(row.insertCell(), { textContent: text, title: text });
    }
    this.profiles.replaceChildren(table);
  }

  dispose() {
    clearTimeout(this.waiting);
    this.model.off("change:state", this.on_state);
  }
}

export default {
  render({ model, el }) {
    const config = new Config(model, el.appendChild(make("div")));
    return () => config.dispose();
  },
};
