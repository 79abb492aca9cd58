// The controls that a form is made of. Whoever makes them is told by `edited` of every key, and with `true` of each end.

class Controls {
  constructor(edited) {
    this.edited = edited;
  }

  field(box, label, control, help = "", cls = "") {
    const node = box.appendChild(make("label", `field ${cls}`));
    node.appendChild(make("span", "label", label));
    node.appendChild(control);
    if (help) node.title = help;
    return control;
  }

  input(label, on = true, hint = "") {
    const node = make("input");
    Object.assign(node, { type: "text", spellcheck: false, autocomplete: "off", placeholder: hint });
    node.setAttribute("aria-label", label);
    if (on) this.wire(node);
    return node;
  }

  wire(node) {
    node.addEventListener("input", () => this.edited(false));
    node.addEventListener("change", () => this.edited(true));
  }

  select(label, words) {
    const node = make("select");
    for (const [value, text] of Object.entries(words)) node.appendChild(Object.assign(make("option", "", text), { value }));
    node.setAttribute("aria-label", label);
    node.addEventListener("change", () => this.edited(true));
    return node;
  }

  button(box, shape, text, act, title = "") {
    const node = box.appendChild(make("button", "act"));
    node.type = "button";
    if (shape) node.appendChild(icon(shape));
    node.appendChild(make("span", "", text));
    if (title) node.title = title;
    node.addEventListener("click", act);
    return node;
  }

  cross(box, label, act) {
    const node = box.appendChild(make("button", "cross"));
    node.type = "button";
    node.appendChild(icon("failed"));
    node.setAttribute("aria-label", label);
    node.title = label;
    node.addEventListener("click", act);
    return node;
  }

  set(node, text) {
    if (node.value !== text) node.value = text;
  }
}
