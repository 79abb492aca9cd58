// The table's columns: what there is to show, and the menu that chooses of it.

function columnsOf(store, seconds) {
  const { head, rows } = store,
    { params, metrics } = head.columns,
    goals = new Map(head.sweep.objectives.map((o) => [o.metric, o]));
  const any = (has) => {
    for (const row of rows.values()) if (has(row)) return true;
    return false;
  };
  const list = [
    { id: "n", title: "trial", right: true, get: (r) => r.n, show: (r) => String(r.n) },
    {
      id: "state",
      title: "state",
      get: (r) => STATES.indexOf(r.state),
      show: (r) => (r.reason ? `${r.state}: ${r.reason}` : r.state),
    },
    ...metrics
      .map((m, i) => ({ m, i }))
      .sort((a, b) => goals.has(b.m) - goals.has(a.m))
      .map(({ m, i }) => ({
        id: `m:${m}`,
        title: m,
        right: true,
        goal: goals.get(m),
        bar: i === 0,
        index: i,
        down: goals.get(m)?.direction === "maximize",
        get: (r) => r.metrics[i],
        show: (r) => number(r.metrics[i]),
      })),
    ...params.map((p, i) => ({
      id: `p:${p}`,
      title: p,
      right: !store.params[i]?.texts,
      get: (r) => plain(r.params[i]),
      show: (r) => param(r.params[i]),
    })),
    { id: "time", title: "time", right: true, get: seconds, show: (r) => duration(seconds(r)) },
    any((r) => r.repetition) && {
      id: "rep",
      title: "repetition",
      right: true,
      get: (r) => r.repetition,
      show: (r) => String(r.repetition),
    },
    any((r) => r.attempt > 1) && {
      id: "try",
      title: "attempt",
      right: true,
      get: (r) => r.attempt,
      show: (r) => String(r.attempt),
    },
    { id: "worker", title: "worker", get: (r) => r.worker, show: (r) => r.worker ?? "" },
    any((r) => r.device) && { id: "gpu", title: "device", get: (r) => r.device, show: (r) => r.device ?? "" },
    any((r) => r.gigabytes !== undefined) && {
      id: "gpumem",
      title: "device memory",
      right: true,
      get: (r) => r.gigabytes,
      show: (r) => (r.gigabytes === undefined ? "" : bytes(r.gigabytes * 2 ** 30)),
    },
    any((r) => r.error) && {
      id: "error",
      title: "error",
      get: (r) => r.error || undefined,
      show: (r) => r.error ?? "",
    },
  ];
  return list.filter(Boolean);
}

// What was chosen stays for the browser's session, by the sweep's folder and name.
class Chosen {
  constructor({ folder, name }) {
    this.key = `jupyter-sweep:columns:${folder ?? ""}:${name}`;
    this.hidden = new Set();
    this.colour = "";
    try {
      const { hidden, colour } = JSON.parse(sessionStorage.getItem(this.key) ?? "{}");
      this.hidden = new Set(hidden);
      this.colour = colour ?? "";
    } catch {
      // a page without a storage of its own: chosen for this view alone
    }
  }

  save() {
    try {
      sessionStorage.setItem(this.key, JSON.stringify({ hidden: [...this.hidden], colour: this.colour }));
    } catch {
      // as above
    }
  }
}

// The menu: which columns are shown, and the metric by which cells are coloured.
class ColumnMenu {
  constructor(table, button, box) {
    Object.assign(this, { table, button, box });
    box.hidden = true;
    box.id = `${table.id}-columns`;
    box.setAttribute("role", "group");
    box.setAttribute("aria-label", "Columns of the table");
    button.setAttribute("aria-expanded", "false");
    button.setAttribute("aria-controls", box.id);
    button.onclick = () => this.toggle();
    box.onkeydown = (event) => {
      if (event.key !== "Escape") return;
      event.stopPropagation();
      this.toggle();
      button.focus();
    };
    this.outside = (event) => {
      if (!box.contains(event.target) && !button.contains(event.target)) this.toggle();
    };
  }

  toggle() {
    this.box.hidden = !this.box.hidden;
    this.button.setAttribute("aria-expanded", String(!this.box.hidden));
    if (this.box.hidden) document.removeEventListener("pointerdown", this.outside, true);
    else {
      document.addEventListener("pointerdown", this.outside, true);
      this.draw();
      this.box.querySelector("input, select")?.focus();
    }
  }

  draw() {
    const { chosen, all } = this.table,
      colour = make("label", "pick", "colour by "),
      select = colour.appendChild(make("select"));
    const metrics = all.filter((c) => c.index !== undefined);
    select.append(
      Object.assign(make("option", "", "nothing"), { value: "" }),
      ...metrics.map((c) => Object.assign(make("option", "", short(c.title, 40)), { value: c.id })),
    );
    select.value = chosen.colour;
    select.onchange = () => {
      chosen.colour = select.value;
      this.apply();
    };
    const boxes = all.slice(1).map((c) => {
      const label = make("label", "pick"),
        input = label.appendChild(make("input"));
      Object.assign(input, { type: "checkbox", checked: !chosen.hidden.has(c.id) });
      input.onchange = () => {
        if (input.checked) chosen.hidden.delete(c.id);
        else chosen.hidden.add(c.id);
        this.apply();
      };
      label.append(bdi("", short(c.title, 40)));
      return label;
    });
    this.box.replaceChildren(colour, make("hr"), ...boxes);
  }

  apply() {
    this.table.chosen.save();
    this.table.recolumn();
  }

  dispose() {
    document.removeEventListener("pointerdown", this.outside, true);
  }
}
