// Small things that every part of the live view uses: nodes, icons, numbers and durations as words.
// The parts view_*.js and view.js are one module: the kernel joins them, so there is no build and no import.

const STATES = ["completed", "pruned", "failed", "cancelled", "running", "waiting"];
const ENDED = new Set(["finished", "stopped", "interrupted", "failed"]);
const SHAPES = {
  completed: "M2.5 6.5 5 9l4.5-6",
  pruned: "M2.5 6h7",
  failed: "M3 3l6 6M9 3l-6 6",
  cancelled: "M6 1.5a4.5 4.5 0 1 0 .01 0M3 9l6-6",
  running: "M6 1.5A4.5 4.5 0 1 1 1.5 6",
  waiting: "M6 1.5a4.5 4.5 0 1 0 .01 0",
  pause: "M4 2v8M8 2v8",
  stop: "M2.5 2.5h7v7h-7z",
  play: "M3.5 2v8l6-4z",
  cell: "M6 2v8M2 6h8",
  copy: "M4 4h6v6H4zM2 8V2h6",
  note: "M6 1.5a4.5 4.5 0 1 0 .01 0M6 5.5v3M6 3.6v.2",
  warning: "M6 1.5 11 10.5H1zM6 5v2.5M6 9v.2",
  link: "M4.5 2H2v8h8V7.5M7 2h3v3M10 2 5.5 6.5",
  columns: "M2 2h8v8H2zM4.7 2v8M7.3 2v8",
  retry: "M9.5 6A3.5 3.5 0 1 1 8.2 3.3M8.5 1v2.6H6",
  clear: "M3 3l6 6M9 3l-6 6",
  file: "M3 1.5h4l2 2v7H3zM7 1.5v2h2",
  workers: "M2 2h8v3H2zM2 7h8v3H2zM4 3.5h.1M4 8.5h.1",
};

const make = (tag, cls = "", text = undefined) => {
  const node = document.createElement(tag);
  if (cls) node.className = cls;
  if (text !== undefined) node.textContent = text;
  return node;
};
const say = (node, text) => {
  if (node.textContent !== text) node.textContent = text;
};
// Text from outside, whose direction stays its own.
const own = (tag, cls, text) => {
  const node = make(tag, cls, text);
  node.dir = "auto";
  return node;
};
const bdi = (cls, text) => own("bdi", cls, text);
// A name and its value, for a list of those.
const term = (name, value) => [own("dt", "", name), own("dd", "", value)];

function icon(name) {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  const path = svg.appendChild(document.createElementNS("http://www.w3.org/2000/svg", "path"));
  svg.setAttribute("viewBox", "0 0 12 12");
  svg.setAttribute("aria-hidden", "true");
  svg.setAttribute("class", `icon icon-${name}`);
  path.setAttribute("d", SHAPES[name]);
  return svg;
}

function number(v, digits = 4) {
  if (typeof v !== "number") return v === null || v === undefined ? "" : String(v);
  if (!Number.isFinite(v)) return Number.isNaN(v) ? "nan" : v > 0 ? "inf" : "-inf";
  const size = Math.abs(v);
  if (Number.isInteger(v) && size < 1e6) return String(v);
  if (size >= 1e-4 && size < 1e6) return v.toFixed(Math.max(0, digits - 1 - Math.floor(Math.log10(size))));
  return v.toExponential(digits - 1).replace(/\.?0*e\+?/, "e");
}

const trim = (text) => text.replace(/(\.\d*?)0+$/, "$1").replace(/\.$/, "");

function duration(s) {
  if (s === null || s === undefined) return "";
  if (s < 0.0995 && s > 0) return `${(1000 * s).toFixed(0)} ms`;
  if (s < 9.95 && !Number.isInteger(s)) return `${s.toFixed(s < 1 ? 2 : 1)} s`;
  const whole = Math.round(s);
  for (const [unit, name, below, small] of [
    [86400, "d", 3600, "h"],
    [3600, "h", 60, "m"],
    [60, "m", 1, "s"],
  ]) {
    const rest = Math.floor((whole % unit) / below);
    if (whole >= unit) return `${Math.floor(whole / unit)} ${name}${rest ? ` ${rest} ${small}` : ""}`;
  }
  return `${whole} s`;
}

function bytes(n) {
  for (const unit of ["B", "KB", "MB"]) {
    if (n < 1024) return unit === "B" ? `${n} B` : `${n.toFixed(1)} ${unit}`;
    n /= 1024;
  }
  return `${n.toFixed(1)} GB`;
}

// Parameters arrive as JSON values, or as {t: text} for what JSON has no word for; metrics as numbers, or as "nan",
// "inf", "-inf".
function param(v) {
  if (v === null || v === undefined) return "";
  if (typeof v === "number") return trim(number(v));
  return typeof v === "object" ? v.t : String(v);
}
// The same to sort and to draw by: numbers, texts, undefined where the parameter is not active.
function plain(v) {
  if (v === null || v === undefined) return undefined;
  return typeof v === "object" ? v.t : typeof v === "boolean" ? Number(v) : v;
}
const metric = (v) => (typeof v === "string" ? { nan: NaN, inf: Infinity, "-inf": -Infinity }[v] : (v ?? undefined));
const hash = (text) => [...text].reduce((h, c) => (Math.imul(h, 31) + c.codePointAt(0)) | 0, 7);
