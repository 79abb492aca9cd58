// Several sweeps side by side: best so far over trials and over time, final values, what differs.

import { Message } from '@lumino/messaging';
import { Widget } from '@lumino/widgets';
import { Api, exact, SweepId } from './api';
import { legend, Series, steps } from './chart';
import { name, node, value } from './nodes';
import type { Sweeps } from './sweeps';
import { duration, number } from './view';
import type * as wire from './wire';

/** As many as the server compares at once. */
export const MOST = 8;
const EVERY = 2000;

export class Compare extends Widget {
  constructor(
    private readonly api: Api,
    private readonly sweeps: Sweeps,
    private readonly ids: SweepId[]
  ) {
    super();
    this.id = `jupyter-sweep-compare-${ids.map(exact).join('-')}`;
    this.addClass('jp-sweep-compare');
    this.title.label = `Compare ${ids.map(i => i.name).join(', ')}`;
    this.title.closable = true;
    this.node.tabIndex = 0;
    this.node.append(node('div', 'jp-sweep-dim', 'asking the server …'));
    sweeps.moved.connect(this.heard, this);
    void this.draw();
  }

  dispose(): void {
    clearTimeout(this.timer);
    this.sweeps.moved.disconnect(this.heard, this);
    super.dispose();
  }

  protected onActivateRequest(message: Message): void {
    super.onActivateRequest(message);
    this.node.focus();
  }

  private heard(_sender: unknown, event: wire.Event): void {
    if (!this.ids.some(i => i.store === event.store && i.name === event.name)) return;
    this.timer ??= setTimeout(() => {
      this.timer = undefined;
      if (this.isVisible) void this.draw();
    }, EVERY);
  }

  private async draw(): Promise<void> {
    try {
      const found = await this.api.get<wire.Comparison>('compare', { sweep: this.ids.map(exact) });
      const top = this.node.scrollTop;
      this.node.replaceChildren(...picture(found));
      this.node.scrollTop = top;
    } catch (error) {
      this.node.replaceChildren(node('div', 'jp-sweep-failed', (error as Error).message));
    }
  }

  private timer: ReturnType<typeof setTimeout> | undefined;
}

function picture({ sweeps, best, space, settings }: wire.Comparison): HTMLElement[] {
  const labels = sweeps.map(s => `${s.name} v${s.version}`);
  const goal = sweeps[0]?.objectives[0]?.metric ?? '';
  const series = (x: (p: wire.Point, i: number) => number): Series[] =>
    sweeps.map((s, i) => ({ label: labels[i], points: s.history.map((p, j) => [x(p, j), value(p.best)]) }));
  const charts = node(
    'div',
    'jp-sweep-charts',
    steps(`Best ${goal} so far, by trials`, 'completed trials', goal, series((_, i) => i + 1)),
    steps(`Best ${goal} so far, by time`, 'seconds since the first trial', goal, series(p => p.after_s ?? NaN))
  );
  const goals = new Set(sweeps.map(s => s.objectives[0]?.metric));
  const mixed = goals.size > 1 ? 'These sweeps have different targets: their values can not be compared.' : '';
  return [
    node('h2', '', 'Comparison'),
    ...(mixed ? [node('p', 'jp-sweep-failed', mixed)] : []),
    legend(labels),
    charts,
    finals(sweeps, labels),
    differences('Best configurations', best, labels, 'They have the same values.'),
    differences('Search spaces', space, labels, 'They are the same.'),
    differences('Settings', settings, labels, 'They are the same.')
  ];
}

function finals(sweeps: wire.Compared[], labels: string[]): HTMLElement {
  const repeated = sweeps.some(s => s.n > 1);
  const means = repeated ? ['mean of its repetitions, 95 % CI'] : [];
  const heads = ['sweep', 'state', 'target', 'best', 'trial', ...means, 'defaults', 'trials', 'time'];
  const rows = sweeps.map((s, i) => {
    const goal = s.objectives[0];
    const bounds = s.ci_low === null ? '' : ` (${number(value(s.ci_low))} … ${number(value(s.ci_high))}, n = ${s.n})`;
    const spread = s.mean === null ? '' : `${number(value(s.mean))}${bounds}`;
    const trials = Object.values(s.counts).reduce((a, b) => a + b, 0);
    return [
      labels[i],
      s.state,
      goal ? `${goal.direction} ${goal.metric}` : '',
      s.best ? number(value(s.best.value)) : 'none yet',
      s.best ? String(s.best.number) : '',
      ...(repeated ? [spread] : []),
      s.baseline ? number(value(s.baseline.value)) : '',
      String(trials),
      duration(Math.round(s.elapsed_s))
    ];
  });
  return section('Final values', table(heads, rows));
}

function differences(title: string, found: wire.Difference[], labels: string[], same: string): HTMLElement {
  if (!found.length) return section(title, node('p', 'jp-sweep-dim', same));
  return section(title, table(['', ...labels], found.map(d => [d.name, ...d.values.map(v => v ?? '–')])));
}

function section(title: string, content: HTMLElement): HTMLElement {
  return node('section', '', node('h3', '', title), content);
}

function table(heads: string[], rows: string[][]): HTMLElement {
  const head = node('tr', '', ...heads.map(text => {
    const cell = node('th', '', name(text));
    cell.scope = 'col';
    return cell;
  }));
  const body = rows.map(row => node('tr', '', ...row.map(text => node('td', '', name(text)))));
  return node('div', 'jp-sweep-scroll', node('table', '', node('thead', '', head), node('tbody', '', ...body)));
}
