// The sidebar: all sweeps of the server, running ones first, each with its progress, its best and its buttons.

import { Widget } from '@lumino/widgets';
import { Message } from '@lumino/messaging';
import { Debouncer } from '@lumino/polling';
import { exact, key, SweepId } from './api';
import { button, name, node, refill, value } from './nodes';
import { sparkline } from './sparkline';
import { Sweeps } from './sweeps';
import { duration, number } from './view';
import type * as wire from './wire';

const DONE = ['completed', 'pruned', 'failed', 'cancelled'];
const ENDED = new Set(['finished', 'stopped', 'interrupted', 'failed']);
/** Sweeps whose best-so-far line is asked for. */
const LINES = 40;

export interface Hands {
  open(id: SweepId): void;
  compare(ids: SweepId[]): void;
  order(id: SweepId, verb: 'pause' | 'stop' | 'resume'): void;
  insertBest(id: SweepId): void;
  dashboard(url: string): void;
}

export class SweepList extends Widget {
  constructor(
    private readonly sweeps: Sweeps,
    private readonly hands: Hands
  ) {
    super();
    this.id = 'jupyter-sweep-list';
    this.addClass('jp-sweep-list');
    this.title.caption = 'Sweeps';
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', 'Sweeps');
    this.filter = node('input', 'jp-sweep-filter');
    Object.assign(this.filter, { type: 'search', placeholder: 'filter by name, state, folder', spellcheck: false });
    this.filter.setAttribute('aria-label', 'Filter the sweeps');
    this.filter.oninput = () => this.draw();
    this.compareButton = button('Compare', () => this.compare());
    const again = button('Refresh', () => void sweeps.refresh(true));
    again.title = 'Look for sweeps again, in new folders too';
    const tools = node('div', 'jp-sweep-tools', this.filter, this.compareButton, again);
    this.said = node('div', 'jp-sweep-said');
    this.said.setAttribute('role', 'status');
    this.rows = node('ul', 'jp-sweep-rows');
    this.node.append(node('div', 'jp-sweep-heading', 'Sweeps'), tools, this.said, this.rows);
    sweeps.changed.connect(() => this.draw());
    this.draw();
  }

  /** Show a sentence until the next one; "" for none. */
  say(sentence: string): void {
    this.told = sentence;
    this.draw();
  }

  protected onAfterShow(message: Message): void {
    super.onAfterShow(message);
    void this.sweeps.refresh();
  }

  protected onBeforeDetach(message: Message): void {
    this.lines.dispose();
    super.onBeforeDetach(message);
  }

  private draw(): void {
    const words = this.filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    const all = this.sweeps.ordered;
    const shown = all.filter(s => {
      const text = `${s.name} ${s.state} ${s.store} ${s.tags.join(' ')} ${s.note}`.toLowerCase();
      return words.every(word => text.includes(word));
    });
    const known = new Set(all.map(key));
    for (const id of this.chosen) if (!known.has(id)) this.chosen.delete(id);
    this.compareButton.disabled = this.chosen.size < 2;
    this.compareButton.title = this.chosen.size < 2 ? 'Tick two sweeps or more' : `Compare ${this.chosen.size} sweeps`;
    const problems = this.sweeps.places.filter(p => p.error).map(p => `${p.store}: ${p.error}`);
    const empty = this.sweeps.isKnown && !all.length ? 'No sweeps yet. Put %%sweep over a cell and run it.' : '';
    const none = all.length && !shown.length ? 'No sweep matches the filter.' : '';
    const cut = this.sweeps.isComplete ? '' : 'Not all folders were searched: there are too many.';
    const sentences = [this.told, this.sweeps.problem, ...problems, empty, none, cut].filter(Boolean);
    this.said.replaceChildren(...sentences.map(text => node('div', '', text)));
    refill(
      this.rows,
      shown.map(s => this.row(s))
    );
    void this.lines.invoke();
  }

  private row(sweep: wire.Summary): HTMLElement {
    const id = key(sweep);
    const drawn = JSON.stringify([sweep, this.chosen.has(id), this.history.get(id)?.change]);
    const old = this.made.get(id);
    if (old?.drawn === drawn) return old.row;
    const row = old?.row ?? node('li', 'jp-sweep-row');
    const focus = (document.activeElement as HTMLElement | null)?.dataset.part;
    const had = row.contains(document.activeElement);
    row.replaceChildren(this.title_line(sweep), this.bar(sweep), this.best_line(sweep), this.buttons(sweep));
    if (had && focus) row.querySelector<HTMLElement>(`[data-part="${focus}"]`)?.focus();
    this.made.set(id, { row, drawn });
    return row;
  }

  private title_line(sweep: wire.Summary): HTMLElement {
    const id = key(sweep);
    const tick = node('input', 'jp-sweep-tick');
    tick.type = 'checkbox';
    tick.checked = this.chosen.has(id);
    tick.dataset.part = 'tick';
    tick.setAttribute('aria-label', `Compare ${sweep.name}`);
    tick.onchange = () => {
      if (tick.checked) this.chosen.add(id);
      else this.chosen.delete(id);
      this.draw();
    };
    const open = button('', () => this.hands.open(sweep), 'jp-sweep-name');
    open.append(name(sweep.name));
    open.dataset.part = 'open';
    open.title = `Open ${sweep.name}\n${sweep.store}${sweep.notebook ? `\n${sweep.notebook}` : ''}`;
    const version = sweep.versions.length > 1 ? ` v${sweep.version}` : '';
    const state = node('span', `jp-sweep-state jp-sweep-${sweep.state}`, sweep.state);
    return node('div', 'jp-sweep-line', tick, open, node('span', 'jp-sweep-dim', version), state);
  }

  private bar(sweep: wire.Summary): HTMLElement {
    const { progress, counts } = sweep;
    const whole = Math.max(progress.wanted ?? 0, progress.total, 1);
    const bar = node('div', 'jp-sweep-bar');
    for (const state of [...DONE, 'running']) {
      const part = node('div', `jp-sweep-part jp-sweep-${state}`);
      part.style.width = `${(100 * (counts[state] ?? 0)) / whole}%`;
      bar.append(part);
    }
    const text = `${progress.final}${progress.wanted === null ? '' : ` of ${progress.wanted}`} trials`;
    bar.setAttribute('role', 'progressbar');
    bar.setAttribute('aria-label', `${sweep.name}: trials done`);
    bar.setAttribute('aria-valuemin', '0');
    bar.setAttribute('aria-valuemax', String(whole));
    bar.setAttribute('aria-valuenow', String(progress.final));
    bar.setAttribute('aria-valuetext', text);
    bar.title = DONE.concat('running', 'waiting')
      .filter(state => counts[state])
      .map(state => `${counts[state]} ${state}`)
      .join(', ');
    return bar;
  }

  private best_line(sweep: wire.Summary): HTMLElement {
    const { progress, best, objectives } = sweep;
    const wanted = progress.wanted === null ? '' : `/${progress.wanted}`;
    const left = progress.eta_s !== null && sweep.state === 'running' ? `, ${duration(Math.round(progress.eta_s))} left` : '';
    const count = node('span', 'jp-sweep-dim', `${progress.final}${wanted}${left}`);
    const line = node('div', 'jp-sweep-line', count);
    if (best) {
      const goal = name(objectives[0]?.metric ?? '', 'jp-sweep-dim jp-sweep-metric');
      const text = number(value(best.value));
      line.append(node('span', 'jp-sweep-best', goal, ` ${text}`));
      const known = this.history.get(key(sweep))?.best ?? [];
      if (known.length > 1) line.append(sparkline(known, `Best so far, now ${text}`));
    }
    if (sweep.state === 'failed' && sweep.message) line.append(name(sweep.message, 'jp-sweep-failed'));
    return line;
  }

  private buttons(sweep: wire.Summary): HTMLElement {
    const { state, best, dashboard } = sweep;
    const line = node('div', 'jp-sweep-buttons');
    const add = (label: string, part: string, act: () => void): void => {
      const made = button(label, act);
      made.dataset.part = part;
      made.setAttribute('aria-label', `${label} ${sweep.name}`);
      line.append(made);
    };
    if (state === 'running' || state === 'queued') add('Pause', 'pause', () => this.hands.order(sweep, 'pause'));
    if (state === 'paused' || (ENDED.has(state) && state !== 'finished'))
      add('Resume', 'resume', () => this.hands.order(sweep, 'resume'));
    if (!ENDED.has(state)) add('Stop', 'stop', () => this.hands.order(sweep, 'stop'));
    if (best) add('Best cell', 'best', () => this.hands.insertBest(sweep));
    if (/^https?:\/\//.test(dashboard) && !ENDED.has(state))
      add('Dashboard', 'dashboard', () => this.hands.dashboard(dashboard));
    return line;
  }

  private compare(): void {
    this.hands.compare(this.sweeps.list.filter(s => this.chosen.has(key(s))));
  }

  /** Ask for the best-so-far lines of the sweeps that changed; a few at a time, and only while they can be seen. */
  private async fetchLines(): Promise<void> {
    if (!this.isVisible) return;
    const stale = this.sweeps.ordered
      .slice(0, LINES)
      .filter(s => s.best && this.history.get(key(s))?.change !== s.change)
      .slice(0, 8);
    if (!stale.length) return;
    try {
      const query = { sweep: stale.map(exact) };
      const found = await this.sweeps.api.get<wire.Comparison>('compare', query);
      found.sweeps.forEach((s, i) => {
        this.history.set(key(stale[i]), { change: stale[i].change, best: s.history.map(p => value(p.best)) });
      });
    } catch {
      return; // the list itself tells what is wrong; the lines come with the next change
    }
    this.draw();
  }

  private readonly lines = new Debouncer(() => this.fetchLines(), 1000);
  private readonly filter: HTMLInputElement;
  private readonly compareButton: HTMLButtonElement;
  private readonly said: HTMLElement;
  private readonly rows: HTMLElement;
  private readonly chosen = new Set<string>();
  private readonly made = new Map<string, { row: HTMLElement; drawn: string }>();
  private readonly history = new Map<string, { change: number; best: number[] }>();
  private told = '';
}
