// The best so far over the trials, as a line as high as a line of text.

import { svg } from './nodes';

const WIDE = 84;
const HIGH = 18;

export function sparkline(best: number[], label: string): SVGElement {
  const seen = best.filter(Number.isFinite);
  const box = svg('svg', { viewBox: `0 0 ${WIDE} ${HIGH}`, class: 'jp-sweep-spark', role: 'img', 'aria-label': label });
  if (seen.length < 2) return box;
  const low = Math.min(...seen);
  const span = Math.max(...seen) - low || 1;
  const last = seen.length - 1;
  const at = seen.map((v, i) => [2 + (i / last) * (WIDE - 6), HIGH - 3 - ((v - low) / span) * (HIGH - 6)]);
  const steps = at.map(([x, y], i) => (i ? `H${x.toFixed(1)}V${y.toFixed(1)}` : `M${x.toFixed(1)} ${y.toFixed(1)}`));
  box.append(svg('path', { d: steps.join('') }));
  box.append(svg('circle', { cx: at[last][0], cy: at[last][1], r: 2 }));
  return box;
}
