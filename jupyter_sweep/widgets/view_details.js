// The open row: parameters and metrics, worker and attempts, curves, what it saved, its error, the end of its log.

// A line over the reports of one metric, small.
function sparkline({ metric: name, points }) {
  const box = make("figure", "spark"),
    shown = points.map(([step, v]) => [step, metric(v)]).filter(([, v]) => Number.isFinite(v));
  box.append(bdi("dim", short(name, 40)));
  if (!shown.length) return box;
  const [steps, values] = [0, 1].map((i) => shown.map((p) => p[i])),
    [first, last, low, high] = [Math.min(...steps), Math.max(...steps), Math.min(...values), Math.max(...values)];
  const at = shown.map(([step, v]) => [
    last > first ? (100 * (step - first)) / (last - first) : 50,
    high > low ? 37 - (34 * (v - low)) / (high - low) : 20,
  ]);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg"),
    line = svg.appendChild(document.createElementNS("http://www.w3.org/2000/svg", "polyline"));
  const words = `${short(name, 40)}: ${number(values[0])} at step ${first}, ${number(values[values.length - 1])} at step ${last}`;
  svg.setAttribute("viewBox", "0 0 100 40");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("role", "img");
  svg.setAttribute("aria-label", words);
  const path = at.length > 1 ? at : [[0, at[0][1]], [100, at[0][1]]];
  line.setAttribute("points", path.map((p) => p.map((v) => v.toFixed(2)).join()).join(" "));
  const ends = make("figcaption", "dim", `${number(low)} to ${number(high)} · step ${first} to ${last}`);
  box.append(svg, ends);
  return box;
}

// Fields for the result of a trial that a person evaluates; `enter` is called with the numbers as they were written.
function entry(metrics, enter) {
  const form = make("form", "entry"),
    fields = metrics.map((name) => {
      const label = form.appendChild(make("label")),
        field = make("input");
      Object.assign(field, { type: "text", inputMode: "decimal", autocomplete: "off", required: true });
      label.append(bdi("", short(name, 40)), field);
      return [name, field];
    });
  const button = (type, label, title) => Object.assign(make("button", "act", label), { type, title }),
    why = Object.assign(make("input"), { type: "text", placeholder: "or why there is none", ariaLabel: "Why there is no result" }),
    failed = button("button", "Failed", "There is no result, and there will be none");
  form.append(button("submit", "Enter", "Record this result"), why, failed);
  failed.onclick = () => enter({ metrics: {}, failed: why.value.trim() || "no result" });
  form.onkeydown = (event) => {
    if (event.key !== "Enter" || event.target.type !== "text") return;
    event.preventDefault(); // JupyterLab keeps the key from doing what it does in a form
    if (event.target === why) failed.click();
    else form.requestSubmit();
  };
  form.onsubmit = (event) => {
    event.preventDefault();
    enter({ metrics: Object.fromEntries(fields.map(([name, field]) => [name, field.value.trim()])), failed: "" });
  };
  return form;
}

// `acts`: `retry`, `replay` and `enter`, each called with the trial's number.
function details(store, { number: n, params, error, traceback, log_tail, curves, artifacts, attempts }, acts) {
  const row = store.rows.get(n),
    left = make("dl"),
    right = make("div", "texts");
  const line = (name, value) => left.append(...term(name, value));
  for (const [name, value] of params) line(name, value);
  store.head.columns.metrics.forEach((m, i) => {
    if (row.metrics[i] !== undefined) line(m, number(row.metrics[i], 6));
  });
  if (row.worker) line("worker", row.device ? `${row.worker}, device ${row.device}` : row.worker);
  if (row.attempt > 1) line("attempt", String(row.attempt));
  const buttons = right.appendChild(make("div", "hands")),
    button = (shape, label, title, act) => {
      const node = buttons.appendChild(make("button", "act"));
      Object.assign(node, { type: "button", title, onclick: () => act(n) });
      node.append(icon(shape), make("span", "", label));
    };
  if (row.state === "failed")
    button("retry", "Retry", "Run this trial again, under its number, as another attempt", acts.retry);
  const { passive, objectives } = store.head.sweep;
  if (passive && row.state === "waiting") {
    const metrics = objectives.map((o) => o.metric);
    right.append(entry(metrics, (result) => acts.enter(n, result)));
    return [left, right];
  }
  button("play", "Replay here", "Insert a cell that runs this trial again in this kernel", acts.replay);
  if (error || row.error) right.append(make("div", "error", error || row.error));
  if (curves?.length) right.appendChild(make("div", "sparks")).append(...curves.map(sparkline));
  if (artifacts?.length) {
    const list = right.appendChild(make("div", "artifacts"));
    list.append(make("span", "dim", "saved"));
    for (const { name, size } of artifacts) {
      const item = list.appendChild(make("span", "artifact"));
      item.append(icon("file"), bdi("", name), make("span", "dim", bytes(size)));
    }
  }
  for (const { attempt, reason, error: why, worker } of attempts ?? [])
    right.append(make("div", "dim", `attempt ${attempt} on ${worker || "?"}: ${[reason, why].filter(Boolean).join(": ")}`));
  for (const [title, text] of [
    ["traceback", traceback],
    ["end of its log", log_tail],
  ]) {
    if (text) right.append(make("div", "dim", title), make("pre", "", text));
  }
  if (!log_tail && !traceback && !passive) right.append(make("div", "dim", "it printed nothing"));
  return [left, right];
}
