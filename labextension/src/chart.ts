// A line chart of a few series, as SVG in the colours of the theme.

import { name, node, svg } from './nodes';
import { number } from './view';

export interface Series {
  label: string;
  points: [number, number][];
}

/** Colours that colour-blind readers tell apart (Okabe and Ito), with a dash of their own for those who see none. */
export const COLOURS = ['#0072b2', '#d55e00', '#009e73', '#cc79a7', '#e69f00', '#56b4e9', '#8a8f98', '#b8a800'];
const DASHES = ['', '6 3', '2 3', '8 3 2 3', '', '6 3', '2 3', '8 3 2 3'];
const [WIDE, HIGH, LEFT, BELOW] = [560, 220, 58, 34];

/** Steps from point to point: each value holds until the next one. */
export function steps(title: string, across: string, up: string, series: Series[]): HTMLElement {
  const box = node('figure', 'jp-sweep-chart', node('figcaption', '', title));
  const all = series.flatMap(s => s.points).filter(([x, y]) => Number.isFinite(x) && Number.isFinite(y));
  if (!all.length) {
    box.append(node('div', 'jp-sweep-dim', 'No completed trials yet.'));
    return box;
  }
  const [x0, x1] = ends(all.map(p => p[0]));
  const [y0, y1] = ends(all.map(p => p[1]));
  const x = (v: number): number => LEFT + ((v - x0) / (x1 - x0)) * (WIDE - LEFT - 12);
  const y = (v: number): number => HIGH - BELOW - ((v - y0) / (y1 - y0)) * (HIGH - BELOW - 12);
  const picture = svg('svg', { viewBox: `0 0 ${WIDE} ${HIGH}`, role: 'img', 'aria-label': `${title}: ${up} by ${across}` });
  for (const t of ticks(y0, y1, 5)) {
    picture.append(svg('path', { class: 'jp-sweep-grid', d: `M${LEFT} ${y(t)}H${WIDE - 12}` }));
    picture.append(text(LEFT - 6, y(t) + 4, number(t, 3), 'end'));
  }
  for (const t of ticks(x0, x1, 6)) picture.append(text(x(t), HIGH - BELOW + 16, number(t, 3), 'middle'));
  picture.append(text(WIDE - 12, HIGH - 4, across, 'end'));
  series.forEach((one, i) => {
    const seen = one.points.filter(([a, b]) => Number.isFinite(a) && Number.isFinite(b));
    if (!seen.length) return;
    const path = seen.map(([a, b], j) => (j ? `H${x(a).toFixed(1)}V${y(b).toFixed(1)}` : `M${x(a).toFixed(1)} ${y(b).toFixed(1)}`));
    picture.append(
      svg('path', { d: path.join(''), fill: 'none', stroke: COLOURS[i], 'stroke-width': 2, 'stroke-dasharray': DASHES[i] })
    );
    const [a, b] = seen[seen.length - 1];
    picture.append(svg('circle', { cx: x(a), cy: y(b), r: 3, fill: COLOURS[i] }));
  });
  box.append(picture);
  return box;
}

/** What colour and dash stand for. */
export function legend(labels: string[]): HTMLElement {
  const items = labels.map((label, i) => {
    const dash = svg('svg', { viewBox: '0 0 28 10', width: 28, height: 10, 'aria-hidden': 'true' });
    dash.append(
      svg('path', { d: 'M1 5H27', stroke: COLOURS[i], 'stroke-width': 2, 'stroke-dasharray': DASHES[i], fill: 'none' })
    );
    return node('li', '', dash, name(label));
  });
  return node('ul', 'jp-sweep-legend', ...items);
}

function text(x: number, y: number, said: string, anchor: string): SVGElement {
  return svg('text', { x, y, 'text-anchor': anchor }, document.createTextNode(said));
}

function ends(values: number[]): [number, number] {
  const low = values.reduce((a, b) => Math.min(a, b));
  const high = values.reduce((a, b) => Math.max(a, b));
  const room = (high - low) / 25 || Math.abs(high) / 10 || 1;
  return [low - room, high + room];
}

function ticks(low: number, high: number, about: number): number[] {
  const rough = (high - low) / about;
  const unit = 10 ** Math.floor(Math.log10(rough));
  const step = unit * ([1, 2, 5, 10].find(m => m * unit >= rough) ?? 10);
  const found = [];
  for (let i = Math.ceil(low / step); i * step <= high; i += 1) found.push(Number((i * step).toPrecision(12)));
  return found;
}
