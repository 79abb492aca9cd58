// The workers: how many trials run at once, to be set here, and what each slot of the cluster runs and holds.
//
// Shut until somebody opens it; the kernel sends the slots only then. Rows are kept by slot and rewritten in place, so
// that the focus and a selection outlive an update.

const SLOTS_SHOWN = 400;
const SLOT_COLUMNS = [
  ["worker", (slot) => slot.worker],
  ["state", (slot) => slot.state],
  ["trial", null],
  ["for", null],
  ["memory", (slot) => gigabytes(slot.memory_gb)],
  ["peak", (slot) => gigabytes(slot.peak_gb)],
  ["device", (slot) => slot.device],
  ["host", (slot) => slot.host],
  ["pid", (slot) => slot.pid],
  ["job", (slot) => slot.job],
  ["queue", (slot) => [slot.job_state, slot.reason].filter(Boolean).join(": ")],
];
const gigabytes = (gb) => (typeof gb === "number" ? bytes(gb * 2 ** 30) : "");
const plural = (n, word) => `${n.toLocaleString("en")} ${word}${n === 1 ? "" : "s"}`;

class Workers {
  // `ask` sends a message to the kernel, `order` one that is answered, `show` opens a trial's row.
  constructor(store, box, { ask, order, show }) {
    Object.assign(this, { store, box, ask, order, show, rows: new Map(), filled: new Set() });
    box.hidden = true;
    const line = box.appendChild(make("div", "atonce")),
      label = line.appendChild(make("label", "", "trials at once"));
    this.input = label.appendChild(make("input"));
    Object.assign(this.input, { type: "number", min: "1", step: "1", inputMode: "numeric" });
    this.input.onchange = () => {
      clearTimeout(this.later); // a held arrow changes it many times
      this.later = setTimeout(() => this.scale(), 500);
    };
    this.input.onkeydown = ({ key }) => {
      if (key === "Enter") this.scale();
    };
    this.about = line.appendChild(make("span", "dim"));
    this.scroll = box.appendChild(make("div", "slots"));
    const table = this.scroll.appendChild(make("table"));
    this.heads = table.createTHead().insertRow();
    this.heads.replaceChildren(
      ...SLOT_COLUMNS.map(([name]) => Object.assign(make("th", `of-${name}`, name), { scope: "col" })),
    );
    this.body = table.createTBody();
    this.more = this.scroll.appendChild(make("div", "dim"));
  }

  get open() {
    return !this.box.hidden;
  }

  toggle() {
    this.box.hidden = this.open;
    this.ask(this.open);
    this.draw();
  }

  dispose() {
    clearTimeout(this.later);
    if (this.open) this.ask(false);
  }

  scale() {
    clearTimeout(this.later);
    const n = Number(this.input.value),
      now = this.asked ?? this.store.head.cluster?.at_once;
    if (!Number.isInteger(n) || n < 1) this.input.value = now ?? "";
    else if (n !== now) this.order((this.asked = n));
  }

  // What was asked for is answered: it is so now, or was refused.
  answered() {
    this.asked = undefined;
    this.input.value = this.store.head.cluster?.at_once ?? "";
  }

  draw() {
    if (!this.open) return;
    const { cluster } = this.store.head,
      slots = cluster?.workers ?? [];
    if (document.activeElement !== this.input) this.input.value = cluster?.at_once ?? "";
    this.scroll.hidden = !slots.length;
    const shown = slots.slice(0, SLOTS_SHOWN);
    say(this.more, slots.length > shown.length ? `and ${slots.length - shown.length} more` : "");
    this.heads.childNodes.forEach((head, i) => (head.hidden = !this.has(SLOT_COLUMNS[i], shown)));
    const left = new Set(this.rows.keys());
    shown.forEach((slot, i) => {
      left.delete(slot.worker);
      const row = this.row(slot);
      if (this.body.children[i] !== row) this.body.insertBefore(row, this.body.children[i] ?? null);
    });
    for (const name of left) {
      this.rows.get(name).remove();
      this.rows.delete(name);
    }
    this.tick();
  }

  // A column that had something once stays, or the table would jump whenever short trials begin and end.
  has([name, get], slots) {
    const filled = get ? slots.some((slot) => ![null, undefined, ""].includes(get(slot))) : this.busy(slots);
    if (filled) this.filled.add(name);
    return this.filled.has(name);
  }

  busy(slots) {
    return slots.some((slot) => slot.number !== null);
  }

  row(slot) {
    let row = this.rows.get(slot.worker);
    if (!row) {
      this.rows.set(slot.worker, (row = make("tr")));
      row.append(...SLOT_COLUMNS.map(([name]) => make("td", `of-${name}`)));
      row.querySelector(".of-trial").append(make("button"));
    }
    row.className = `slot ${slot.state}`;
    row.since = slot.since;
    SLOT_COLUMNS.forEach(([, get], i) => {
      const cell = row.children[i];
      cell.hidden = this.heads.children[i].hidden;
      if (get) say(cell, String(get(slot) ?? "").slice(0, 200));
    });
    const button = row.querySelector("button"),
      ours = slot.sweep === this.store.head.sweep.name,
      trial = ours ? this.store.rows.get(slot.number) : undefined;
    say(button, slot.number === null ? "" : ours ? String(slot.number) : `${slot.sweep} ${slot.number}`.slice(0, 80));
    button.disabled = !trial;
    button.onclick = () => this.show(trial);
    return row;
  }

  // Once a second, for the clocks.
  tick() {
    if (!this.open) return;
    const now = Date.now() / 1000 - (this.store.skew ?? 0);
    for (const row of this.rows.values())
      say(row.querySelector(".of-for"), row.since ? duration(Math.max(0, Math.round(now - row.since))) : "");
    say(this.about, this.sentence(this.store.head.cluster, now));
  }

  sentence(cluster, now) {
    if (!cluster) return "asking the kernel …";
    const { workers, idle_since, idle_limit_s, warm } = cluster;
    if (!warm) return "no cluster runs; it takes this up when it goes on";
    const states = new Map();
    for (const { state } of workers) states.set(state, (states.get(state) ?? 0) + 1);
    const told = [...states].map(([state, n]) => `${n} ${state}`).join(", ");
    const slots = `${plural(workers.length, "slot")}${told ? `: ${told}` : ""}`;
    if (!idle_since) return slots;
    const left = duration(Math.max(0, Math.round(idle_since + idle_limit_s - now)));
    return `${slots} · kept warm for the next cell, ends in ${left}`;
  }
}

// Where the dashboard can be opened from this page: through the Jupyter server where that passes it on (a page seen
// through a tunnel or on a hub doesn't reach the kernel's machine itself), else at its own address.
async function reachable(address) {
  const own = /^https?:\/\/(?:127\.0\.0\.1|localhost):(\d+)(\/.*)?$/.exec(address),
    config = document.getElementById("jupyter-config-data");
  if (!own || !config) return address;
  try {
    const { baseUrl } = JSON.parse(config.textContent),
      proxy = new URL(`${baseUrl}proxy/${own[1]}`, location.href).href;
    const health = await fetch(`${proxy}/health`, { credentials: "same-origin" });
    return health.ok && (await health.text()).trim() === "ok" ? proxy + (own[2] ?? "/") : address;
  } catch {
    return address;
  }
}
