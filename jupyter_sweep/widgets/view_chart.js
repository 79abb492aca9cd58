// What all plots on a canvas share: painting, the pointer, the keys.
//
// Ended trials are painted once, for some milliseconds a frame, and again only when the scale, the size, the theme or
// the filter changes; until that is done the picture before stays. What moves is drawn over it. A drag marks trials,
// a click opens one; with the keys: left and right go from trial to trial, Space marks, Enter opens, Escape lets go.

const SLICE_MS = 8;

class Chart {
  // `desk` is the `Plots` that the chart belongs to.
  constructor(desk, box) {
    Object.assign(this, { desk, store: desk.store, box, drawn: 0, key: "", base: make("canvas"), front: null });
    this.canvas = box.appendChild(make("canvas"));
    this.canvas.tabIndex = 0;
    this.canvas.setAttribute("role", "application");
    this.canvas.setAttribute("aria-roledescription", "plot");
    this.tip = box.appendChild(make("div", "tip"));
    this.tip.hidden = true;
    this.canvas.onpointerdown = (e) => this.press(e);
    this.canvas.onpointermove = (e) => this.move(e);
    this.canvas.onpointerup = (e) => this.release(e);
    this.canvas.onpointercancel = () => this.letGo();
    this.canvas.onpointerleave = () => {
      cancelAnimationFrame(this.hovering);
      this.tip.hidden = true;
    };
    this.canvas.onblur = () => {
      this.here = null;
      this.tip.hidden = true;
      this.compose();
    };
    this.canvas.onkeydown = (e) => this.keyed(e);
  }

  // -- what each plot says for itself: the scale with a key that tells when it moved, axes, a trial, what moves, words

  rows() {
    return this.store.history.points;
  }
  height(_width, visible) {
    return visible;
  }
  over() {}
  // All places of a row, in pixels.
  spots() {
    return [];
  }
  // Those that are ringed while the keys stand on the row.
  rings(row) {
    return this.spots(row);
  }
  words(row) {
    return `trial ${row.n}: ${number(row.metrics[0], 5) || row.reason || "no value"} (${row.state})`;
  }

  // -- painting

  draw() {
    const ratio = window.devicePixelRatio || 1,
      w = this.box.clientWidth,
      h = Math.round(this.height(w, this.box.clientHeight));
    if (!w || !h) return;
    this.c = this.desk.colours();
    this.s = { ...this.frame(w, h), w, h, ratio };
    const size = [w, h, ratio].join(),
      key = [size, this.desk.faint, this.store.history.epoch, this.s.key, Object.values(this.c)].join("|");
    if (key !== this.key || this.drawn > this.rows().length || this.of !== this.store.history) {
      if (size !== this.sized) this.front = null;
      Object.assign(this, { key, drawn: 0, of: this.store.history, sized: size });
      if (this.front === this.base) this.base = make("canvas");
      [this.base.width, this.base.height] = [w * ratio, h * ratio];
      this.canvas.style.height = `${h}px`;
      const g = this.base.getContext("2d");
      g.setTransform(ratio, 0, 0, ratio, 0, 0);
      Object.assign(g, { font: "11px system-ui, sans-serif", lineWidth: 1, lineJoin: "round" });
      if (this.s.sentence) this.sentence(g, this.s.sentence);
      else this.axes(g, this.s, this.c);
    }
    this.go();
  }

  go() {
    cancelAnimationFrame(this.next);
    const end = performance.now() + SLICE_MS,
      rows = this.s.sentence ? [] : this.rows(),
      g = this.base.getContext("2d");
    while (this.drawn < rows.length && (this.drawn % 32 || performance.now() < end)) {
      this.mark(g, rows[this.drawn], this.desk.faded(rows[this.drawn]));
      this.drawn += 1;
    }
    g.globalAlpha = 1;
    if (this.drawn < rows.length) this.next = requestAnimationFrame(() => this.go());
    else this.front = this.base;
    this.compose();
  }

  compose() {
    if (!this.s) return;
    const { canvas, s, c } = this,
      g = canvas.getContext("2d"),
      shown = this.front ?? this.base;
    if (canvas.width !== shown.width || canvas.height !== shown.height)
      [canvas.width, canvas.height] = [shown.width, shown.height];
    g.setTransform(1, 0, 0, 1, 0, 0);
    g.clearRect(0, 0, canvas.width, canvas.height);
    g.drawImage(shown, 0, 0);
    g.setTransform(s.ratio, 0, 0, s.ratio, 0, 0);
    Object.assign(g, { font: "11px system-ui, sans-serif", globalAlpha: 1 });
    if (!s.sentence) this.over(g, s, c);
    const box = this.marked;
    if (box) {
      Object.assign(g, { strokeStyle: c.fg, fillStyle: c.point, lineWidth: 1, globalAlpha: 0.15 });
      g.fillRect(box.x, box.y, box.w, box.h);
      g.globalAlpha = 1;
      g.strokeRect(box.x + 0.5, box.y + 0.5, box.w, box.h);
    }
    if (!this.here || s.sentence) return;
    Object.assign(g, { strokeStyle: c.fg, lineWidth: 2 });
    for (const [x, y] of this.rings(this.here)) {
      g.beginPath();
      g.arc(x, y, 7, 0, 7);
      g.stroke();
    }
  }

  sentence(g, text) {
    Object.assign(g, { fillStyle: this.c.text, textAlign: "center" });
    g.fillText(text, this.s.w / 2, this.s.h / 2);
  }

  // A frame of two axes in the rectangle {left, top, right, bottom}, with titles; for `Axis`, not for the history.
  cross(g, c, across, up, at, { title = across.title, most = 4 } = {}) {
    const { left, top, right, bottom } = at,
      wide = right - left;
    Object.assign(g, { fillStyle: c.text, strokeStyle: c.line, lineWidth: 1, textAlign: "right" });
    for (const [share, text] of up.ticks(Math.max(2, Math.round((bottom - top) / 34)))) {
      const y = Math.round(bottom - share * (bottom - top)) + 0.5;
      g.globalAlpha = 0.6;
      g.beginPath();
      g.moveTo(left, y);
      g.lineTo(right, y);
      g.stroke();
      g.globalAlpha = 1;
      if (at.labels !== false) g.fillText(short(text, 9), left - 6, y + 3.5);
    }
    g.textAlign = "center";
    const ticks = across.ticks(Math.max(2, Math.min(most, Math.round(wide / 70)))),
      room = Math.max(3, Math.floor(wide / Math.max(1, ticks.length) / 6.5));
    for (const [share, text] of ticks) g.fillText(short(text, room), left + share * wide, bottom + 14);
    Object.assign(g, { fillStyle: c.fg, textAlign: "left" });
    g.fillText(short(title, Math.floor(wide / 6.2)), left, top - 6);
  }

  // One trial as a point; its shape tells its state too.
  dot(g, row, x, y, colour, size, faded) {
    const c = this.c;
    g.globalAlpha = faded ? 0.14 : row.state === "completed" ? 0.85 : 0.6;
    g.fillStyle = g.strokeStyle = faded ? c.text : colour;
    g.lineWidth = 1.2;
    if (size < 1.5) g.fillRect(x - size, y - size, 2 * size, 2 * size);
    else {
      g.beginPath();
      if (row.state === "completed") g.arc(x, y, size, 0, 7);
      else if (row.state === "failed") {
        g.moveTo(x - size, y - size);
        g.lineTo(x + size, y + size);
        g.moveTo(x - size, y + size);
        g.lineTo(x + size, y - size);
      } else {
        g.moveTo(x - size, y - size);
        g.lineTo(x + size, y - size);
        g.lineTo(x, y + size);
        g.closePath();
      }
      if (row.state === "failed") g.stroke();
      else g.fill();
    }
    g.globalAlpha = 1;
  }

  size() {
    const n = this.store.history.points.length;
    return n > 2000 ? 1.2 : n > 400 ? 1.9 : 2.8;
  }

  // -- pointer

  nearest({ offsetX, offsetY }, reach = 400) {
    let found = null,
      closest = reach;
    for (const rows of this.s && !this.s.sentence ? [this.rows(), this.store.history.live.values()] : [])
      for (const row of rows) {
        const far = this.distance(row, offsetX, offsetY);
        if (far < closest) [closest, found] = [far, row];
      }
    return found;
  }

  distance(row, x, y) {
    let least = Infinity;
    for (const [a, b] of this.spots(row)) least = Math.min(least, (a - x) ** 2 + (b - y) ** 2);
    return least;
  }

  press(event) {
    if (event.button !== 0) return;
    this.from = [event.offsetX, event.offsetY];
    this.canvas.setPointerCapture(event.pointerId);
  }

  move(event) {
    if (!this.from) {
      // at most once a frame: with very many trials it takes some milliseconds
      const { offsetX, offsetY } = event;
      cancelAnimationFrame(this.hovering);
      this.hovering = requestAnimationFrame(() => this.hover({ offsetX, offsetY }));
      return;
    }
    const [x, y] = this.from;
    if (!this.marked && Math.hypot(event.offsetX - x, event.offsetY - y) < 5) return;
    this.drag(x, y, event.offsetX, event.offsetY);
    this.tip.hidden = true;
    this.compose();
  }

  drag(x, y, a, b) {
    this.marked = { x: Math.min(x, a), y: Math.min(y, b), w: Math.abs(a - x), h: Math.abs(b - y) };
  }

  release(event) {
    if (!this.from) return;
    const box = this.marked;
    this.letGo();
    if (box) this.desk.pick(this.inside(box));
    else this.click(event);
  }

  click(event) {
    const row = this.nearest(event);
    if (row) this.desk.open(row);
    else if (this.desk.picked) this.desk.pick(null);
  }

  letGo() {
    this.from = this.marked = null;
    this.compose();
  }

  inside({ x, y, w, h }) {
    const found = new Set();
    for (const rows of [this.rows(), this.store.history.live.values()])
      for (const row of rows)
        if (this.spots(row).some(([a, b]) => a >= x && a <= x + w && b >= y && b <= y + h)) found.add(row.n);
    return found;
  }

  hover(event) {
    const row = this.nearest(event);
    this.canvas.style.cursor = row ? "pointer" : "crosshair";
    if (row) this.tell(row, event.offsetX, event.offsetY);
    else this.tip.hidden = true;
    return row;
  }

  tell(row, x, y) {
    this.tip.hidden = false;
    say(this.tip, this.words(row));
    this.tip.style.left = `${Math.max(0, Math.min(x + 10, this.box.clientWidth - this.tip.offsetWidth - 4))}px`;
    this.tip.style.top = `${Math.max(2, y - 28)}px`;
  }

  dispose() {
    cancelAnimationFrame(this.next);
    cancelAnimationFrame(this.hovering);
  }

  // -- keys

  keyed(event) {
    if (event.altKey || event.ctrlKey || event.metaKey || !this.s || this.s.sentence) return;
    if (!this.act(event)) return;
    event.preventDefault();
    event.stopPropagation();
  }

  act({ key }) {
    if (key === "ArrowLeft" || key === "ArrowRight") this.step(key === "ArrowRight" ? 1 : -1);
    else if (key === "Enter" && this.here) this.desk.open(this.here);
    else if (key === " " && this.here) this.desk.toggle(this.here.n);
    else if (key === "Escape" && this.desk.picked) this.desk.pick(null);
    else return false;
    return true;
  }

  step(by) {
    const placed = this.rows().flatMap((row) => this.spots(row).slice(0, 1).map(([x, y]) => ({ row, x, y })));
    placed.sort((a, b) => a.x - b.x || a.y - b.y);
    const at = placed.findIndex(({ row }) => row === this.here),
      found = placed[Math.min(placed.length - 1, Math.max(0, at < 0 && by < 0 ? placed.length - 1 : at + by))];
    if (!found) return;
    this.here = found.row;
    this.tell(found.row, found.x, found.y);
    this.desk.speak(this.words(found.row));
    this.compose();
  }
}
