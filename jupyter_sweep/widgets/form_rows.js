// The rows of a form, one a parameter.

const KIND_WORDS = { float: "float", int: "int", choice: "choice", ordinal: "ordinal", normal: "normal" };

class ParameterRows extends Controls {
  constructor(box, edited) {
    super(edited);
    this.list = [];
    this.draw(box);
  }

  draw(box) {
    this.section = box.appendChild(make("section", "space"));
    this.section.setAttribute("aria-label", "Parameters");
    this.table = this.section.appendChild(make("div", "rows"));
    const head = this.table.appendChild(make("div", "head"));
    for (const text of ["Parameter", "Kind", "Range", "Step", "Default", "Only if", "Other", ""]) head.appendChild(make("span", "", text));
    head.setAttribute("aria-hidden", "true");
    this.none = this.section.appendChild(make("div", "dim", "No parameter yet."));
    this.button(this.section, "cell", "Parameter", () => {
      const taken = new Set(this.list.map((row) => row.name.value));
      let [name, n] = ["x", 1];
      while (taken.has(name)) name = `x${(n += 1)}`;
      const row = this.add();
      this.fill(row, { name, kind: "float", low: "0.0", high: "1.0", log: false, step: "", choices: "", default: "", when: "", more: "", key: -1, inline: false });
      this.edited(true);
      row.name.focus();
      row.name.select();
    }).classList.add("add");
  }

  add() {
    const node = this.table.appendChild(make("div", "row"));
    node.setAttribute("role", "group");
    const part = (cls, label) => {
      const cell = node.appendChild(make("div", `part ${cls}`));
      cell.appendChild(make("span", "label", label)).setAttribute("aria-hidden", "true");
      return cell;
    };
    const row = { node, key: -1, inline: false };
    part("of-name", "Parameter").appendChild((row.name = this.input("Name")));
    part("of-kind", "Kind").appendChild((row.kind = this.select("Kind", KIND_WORDS)));
    const range = part("of-range", "Range");
    row.low = range.appendChild(this.input("From", true, "from"));
    row.to = range.appendChild(make("span", "dim", "to"));
    row.high = range.appendChild(this.input("To", true, "to"));
    row.log_label = range.appendChild(make("label", "log"));
    row.log = row.log_label.appendChild(Object.assign(make("input"), { type: "checkbox" }));
    row.log.addEventListener("change", () => this.edited(true));
    row.log_label.appendChild(make("span", "", "log"));
    row.log_label.title = "Even in the logarithm";
    row.choices = range.appendChild(this.input("Values", true, '1, 2.5, "text", None'));
    part("of-step", "Step").appendChild((row.step = this.input("Step")));
    part("of-default", "Default").appendChild((row.default = this.input("Default", true, "middle")));
    part("of-when", "Only if").appendChild((row.when = this.input("Only if", true, "always")));
    part("of-more", "Other").appendChild((row.more = this.input("Other arguments", true, "")));
    row.more.title = "prior=, meta=True, ignore_default=True";
    row.remove = this.cross(node, "Remove this parameter", () => {
      this.list.splice(this.list.indexOf(row), 1);
      node.remove();
      this.edited(true);
    });
    row.kind.addEventListener("change", () => this.adapt(row));
    this.list.push(row);
    return row;
  }

  // Show the fields that a kind has.
  adapt(row) {
    const kind = row.kind.value,
      listed = kind === "choice" || kind === "ordinal";
    row.choices.hidden = !listed;
    row.low.hidden = row.high.hidden = row.to.hidden = row.log_label.hidden = listed;
    row.step.disabled = listed || kind === "normal";
    row.low.placeholder = kind === "normal" ? (row.log.checked ? "mu" : "mean") : "from";
    row.high.placeholder = kind === "normal" ? (row.log.checked ? "sigma" : "std") : "to";
    row.low.setAttribute("aria-label", kind === "normal" ? "Mean" : "From");
    row.high.setAttribute("aria-label", kind === "normal" ? "Standard deviation" : "To");
    row.to.textContent = kind === "normal" ? "±" : "to";
    row.when.disabled = row.inline;
    row.when.title = row.inline ? "It stands in a conditional expression: change its condition in the cell below." : "";
    row.default.placeholder = kind === "choice" ? "first" : kind === "normal" ? "mean" : "middle";
  }

  adapt_all() {
    for (const row of this.list) this.adapt(row);
  }

  values() {
    return this.list.map((row) => {
      const { low, high, step, choices, kind } = row,
        listed = kind.value === "choice" || kind.value === "ordinal";
      return {
        ...Object.fromEntries(["name", "kind", "when", "more", "default"].map((name) => [name, row[name].value])),
        low: listed ? "" : low.value.trim(),
        high: listed ? "" : high.value.trim(),
        log: !listed && row.log.checked,
        step: listed || kind.value === "normal" ? "" : step.value.trim(),
        choices: listed ? choices.value.trim() : "",
        key: row.key,
        inline: row.inline,
      };
    });
  }

  show({ rows, wrong, readable }) {
    while (this.list.length > rows.length) this.list.pop().node.remove();
    while (this.list.length < rows.length) this.add();
    rows.forEach((data, i) => {
      this.fill(this.list[i], data);
      this.list[i].node.classList.toggle("wrong", wrong.includes(i));
      this.list[i].node.setAttribute("aria-label", `Parameter ${data.name}`);
    });
    this.none.hidden = rows.length > 0;
    this.table.hidden = rows.length === 0;
    for (const node of this.section.querySelectorAll("input, select, button")) node.disabled = !readable;
    if (readable) this.adapt_all(); // some fields are not for every kind
  }

  fill(row, data) {
    for (const name of ["name", "kind", "low", "high", "step", "choices", "default", "when", "more"]) this.set(row[name], data[name]);
    row.log.checked = data.log;
    Object.assign(row, { key: data.key, inline: data.inline });
    this.adapt(row);
  }
}
