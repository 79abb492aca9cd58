// Axes and colours of all plots: where a value lies between the ends, what is written there, which colour it has.

// Viridis, from its dark to its light end: told apart with any colour vision, and in grey.
const VIRIDIS = ["440154", "472d7b", "3b528b", "2c728e", "21918c", "28ae80", "5ec962", "addc30", "fde725"].map((hex) =>
  [0, 2, 4].map((i) => parseInt(hex.slice(i, i + 2), 16)),
);

// The next of 1, 2, 5, 10, 20, ... from `x` on: what a step of an axis may be.
function nice(x) {
  const unit = 10 ** Math.floor(Math.log10(x));
  return [1, 2, 5, 10].map((m) => m * unit).find((step) => step >= x * 0.999);
}

const tick = (v) => {
  const text = String(+v.toPrecision(6));
  return text.length > 7 ? v.toExponential(0).replace("e+", "e") : text;
};
const short = (text, most) => (text.length > most ? `${text.slice(0, most - 1)}…` : text);

// Where the values of a column lie: numbers, by logarithm where they are meant so, or the items of a choice.
// `get` gives a row's value; ends are widened to round numbers, so that they rarely move while trials come in.
class Axis {
  constructor(title, get, { low, high, log = false, items = null }) {
    Object.assign(this, { title, get, items, log: log && low > 0, known: items ? items.size > 0 : low <= high });
    if (items) [this.low, this.high] = [-0.5, Math.max(1, items.size) - 0.5];
    else if (!this.known) [this.low, this.high] = [0, 1];
    else if (this.log) [this.low, this.high] = this.decades(low, high);
    else [this.low, this.high] = this.round(low, high);
    this.key = [title, this.low, this.high, this.log, items?.size].join("/");
  }

  static of(column, reach) {
    const { low, high, texts, items } = reach ?? new Reach();
    return new Axis(column.title, column.get, { low, high, log: column.log, items: texts ? items : null });
  }

  decades(low, high) {
    const [a, b] = [Math.floor(2 * Math.log10(low) + 0.01) / 2, Math.ceil(2 * Math.log10(high) - 0.01) / 2];
    return [a, b > a ? b : a + 0.5];
  }

  round(low, high) {
    const span = high - low || Math.abs(high) || 1,
      step = nice(span / 5);
    this.step = step;
    const [a, b] = [Math.floor(low / (step / 2) + 1e-9), Math.ceil(high / (step / 2) - 1e-9)].map((i) => (i * step) / 2);
    return b > a ? [a, b] : [a - step / 2, b + step / 2];
  }

  // A row's place in the units of `low` and `high`; undefined where it has none.
  place(row) {
    const v = this.get(row);
    if (this.items) return v === undefined ? undefined : (this.items.get(String(v)) ?? this.items.size - 1);
    if (!Number.isFinite(v)) return undefined;
    return this.log ? Math.log10(Math.max(v, 1e-300)) : v;
  }

  // Its share of the way from end to end; items of a choice are spread a little, the same way in every drawing.
  share(row) {
    const at = this.place(row);
    if (at === undefined) return undefined;
    const aside = this.items ? 0.4 * (((row.n * 0.6180339887) % 1) - 0.5) : 0;
    return Math.min(1, Math.max(0, (at + aside - this.low) / (this.high - this.low)));
  }

  // At most `most` shares with what to write there.
  ticks(most = 5) {
    const at = (v) => (v - this.low) / (this.high - this.low);
    if (!this.known) return [];
    if (this.items) {
      const stride = Math.ceil(this.items.size / (2 * most));
      return [...this.items.keys()].map((text, i) => [at(i), text]).filter((_, i) => i % stride === 0);
    }
    const found = [];
    if (this.log) {
      const first = Math.ceil(this.low - 1e-9),
        every = Math.max(1, Math.ceil((this.high - first + 0.01) / most));
      for (let d = first; d <= this.high + 1e-9; d += every) found.push([at(d), tick(10 ** d)]);
      if (found.length < 2) return [this.low, this.high].map((d) => [at(d), tick(+(10 ** d).toPrecision(2))]);
      return found;
    }
    const step = nice(Math.max((this.high - this.low) / most, this.step / 10));
    for (let i = Math.ceil(this.low / step - 1e-9); i * step <= this.high + step / 1e6; i += 1)
      found.push([at(i * step), tick(i * step)]);
    return found;
  }

  // A place as words.
  text(at) {
    if (this.items) return [...this.items.keys()][Math.round(Math.min(this.items.size - 1, Math.max(0, at)))] ?? "";
    return trim(number(this.log ? 10 ** at : at, 3));
  }
}

// The theme's colours, resolved: a canvas knows no variables, and forced colours show in computed values alone.
function colours(probe) {
  const of = (name) => {
    probe.style.color = `var(--sweep-${name})`;
    return getComputedStyle(probe).color;
  };
  const [fg, text, line, bg] = [of("fg"), of("dim"), of("line"), of("bg")];
  const [red, green, blue] = (/^rgba?\(([^)]*)\)/.exec(bg)?.[1] ?? "255, 255, 255").split(/[ ,/]+/).map(Number);
  const dark = 0.3 * red + 0.59 * green + 0.11 * blue < 128;
  return { fg, text, line, bg, dark, point: of("accent"), good: of("good"), pruned: of("warn"), failed: of("bad") };
}

// The colour of a share, 1 the best: the better, the further from the background.
function shade(share, dark) {
  const at = Math.min(1, Math.max(0, dark ? 0.12 + 0.88 * share : 0.88 * (1 - share))) * (VIRIDIS.length - 1),
    i = Math.min(VIRIDIS.length - 2, Math.floor(at));
  return VIRIDIS[i].map((v, k) => Math.round(v + (VIRIDIS[i + 1][k] - v) * (at - i)));
}
const rgb = (parts) => `rgb(${parts.join(",")})`;
const inkOn = ([r, g, b]) => (0.3 * r + 0.59 * g + 0.11 * b > 140 ? "#000" : "#fff");

// How good the values of one metric are, from 0 to 1, in the range that the plots show.
class Judge {
  constructor(store, index) {
    const { history, metrics, head } = store,
      goal = head.sweep.objectives.find((o) => o.metric === head.columns.metrics[index]);
    Object.assign(this, { index, sign: goal?.direction === "maximize" ? -1 : 1, ...(metrics[index] ?? new Reach()) });
    const range = index ? null : history.range();
    if (range) Object.assign(this, range);
    else this.log = Boolean(goal) && this.sign > 0 && this.low > 0 && this.high / this.low > 100;
    this.known = this.low <= this.high;
    this.key = [index, this.low, this.high, this.log].join("/");
  }

  // Undefined for a value that is none.
  share(row) {
    const value = row.metrics[this.index];
    if (!this.known || !Number.isFinite(value)) return undefined;
    const [a, b, v] = this.log ? [this.low, this.high, value].map((x) => Math.log10(Math.max(x, 1e-300))) : [this.low, this.high, value];
    const up = a === b ? 1 : Math.min(1, Math.max(0, (v - a) / (b - a)));
    return this.sign < 0 ? up : a === b ? 1 : 1 - up;
  }

  axis(title) {
    const { low, high, log } = this;
    return new Axis(title, (row) => row.metrics[this.index], { low, high, log });
  }
}
