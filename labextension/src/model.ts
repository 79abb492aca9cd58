// One sweep as the view wants it: the server in the place of the kernel, with the same messages (see widgets/page.py).

import { Signal } from '@lumino/signaling';
import { Api, Result, SweepId } from './api';
import type { Sweeps } from './sweeps';
import type { Head, Source } from './view';
import * as wire from './wire';

/** Milliseconds between two questions at least, while nothing is heard, and while the workers are looked at. */
const FAST = 500;
const SLOW = 5_000;
const WORKERS = 1_000;
/** Characters from the end of a log that an open row shows. */
const TAIL = 20_000;
const ACTIVE = new Set(['queued', 'running', 'paused']);

type Send = { kind: string; [key: string]: unknown };

/** Where the view stands in a notebook, if it does: best-config cells go below it. */
export interface Spot {
  context: unknown;
  cellId: string;
}

export class SweepModel implements Source {
  static async open(api: Api, sweeps: Sweeps, id: SweepId, spot?: Spot): Promise<SweepModel> {
    const detail = await api.get<wire.Detail>(api.sweep(id), api.of(id), true);
    return new SweepModel(api, sweeps, { ...id, version: detail.head.sweep.version }, detail, spot);
  }

  private constructor(
    readonly api: Api,
    private readonly sweeps: Sweeps,
    readonly id: Required<SweepId>,
    readonly detail: wire.Detail,
    spot?: Spot
  ) {
    this.head = { ...detail.head, cell_id: spot?.cellId };
    if (spot) this.widget_manager = { context: spot.context };
    sweeps.moved.connect(this.heard, this);
  }

  readonly widget_manager?: { context: unknown };
  head: Head;
  /** Rows or the head changed. */
  readonly changed = new Signal<this, void>(this);
  /** A row was opened, by its number. */
  readonly opened = new Signal<this, number>(this);

  // -- what a view asks of its source

  get(name: string): unknown {
    return { start: this.head, source: 'server', own_id: '' }[name];
  }

  on(_kind: string, take: (message: object) => void): void {
    this.take = take;
  }

  send(message: Send): void {
    const { kind } = message;
    if (kind === 'ready') {
      this.epoch = '';
      void this.ask();
    } else if (kind === 'see') this.see(String(message.view), Boolean(message.visible));
    else if (kind === 'workers') this.look(String(message.view), Boolean(message.open));
    else if (kind === 'scale') void this.order('scale', { jobs: Number(message.n) });
    else if (kind === 'detail') void this.tell(Number(message.number));
    else if (kind === 'plots') void this.picture(String(message.view), String(message.metric));
    else if (kind === 'retry') void this.order('retry', { number: Number(message.number) });
    else if (kind === 'enter') {
      const { number, metrics, failed } = message as unknown as Result;
      void this.order('enter', { number, metrics, failed });
    } else if (kind === 'pause' || kind === 'stop' || kind === 'resume') void this.order(kind);
  }

  // -- keeping up

  get isActive(): boolean {
    return ACTIVE.has(this.head.sweep.state);
  }

  /** Ask now: something has happened. */
  refresh(): void {
    this.later(0);
  }

  dispose(): void {
    this.isDisposed = true;
    clearTimeout(this.timer);
    Signal.clearData(this);
  }

  private heard(_sender: unknown, event: wire.Event): void {
    if (event.store === this.id.store && event.name === this.id.name) this.later(FAST);
  }

  private see(view: string, visible: boolean): void {
    if (visible) this.watching.add(view);
    else this.watching.delete(view);
    if (visible) this.later(0);
  }

  /** The slots change all the time: they are asked for only while somebody looks at them. */
  private look(view: string, open: boolean): void {
    if (open) this.looking.add(view);
    else this.looking.delete(view);
    if (open) this.later(0);
  }

  /** Ask again in so many milliseconds, or sooner where that was planned already. */
  private later(ms: number): void {
    const at = Math.max(performance.now() + ms, this.asked + FAST);
    if (this.isDisposed || (this.timer !== undefined && this.at <= at)) return;
    clearTimeout(this.timer);
    this.at = at;
    this.timer = setTimeout(() => {
      this.timer = undefined;
      if (this.watching.size && document.visibilityState === 'visible') void this.ask();
    }, at - performance.now());
  }

  private async ask(): Promise<void> {
    if (this.asking) {
      this.again = true;
      return;
    }
    this.asking = true;
    this.asked = performance.now();
    try {
      let more = true;
      while (more && !this.isDisposed) more = await this.next();
    } catch (error) {
      this.take({ kind: 'said', text: (error as Error).message });
    } finally {
      this.asking = false;
    }
    if (this.again) this.later(FAST);
    else if (this.looking.size) this.later(WORKERS);
    else if (this.isActive) this.later(SLOW);
    this.again = false;
  }

  private async next(): Promise<boolean> {
    const { epoch, since, after } = this;
    const query = { ...this.api.of(this.id), epoch, since, after };
    const found = await this.api.get<wire.Changes>(this.api.sweep(this.id, '/changes'), query);
    const cluster = this.looking.size
      ? await this.api.get<wire.Cluster>(this.api.sweep(this.id, '/cluster'), this.api.of(this.id))
      : undefined;
    if (this.isDisposed) return false;
    this.epoch = found.epoch;
    this.since = found.change;
    this.after = found.after;
    const head = cluster ? { ...found.head, cluster } : found.head;
    this.head = { ...this.head, ...head };
    // The view checks by `since` that it missed nothing; what it has is what this model has given it.
    this.take({ ...found, head, since: this.given, change: ++this.given });
    this.changed.emit();
    return found.more;
  }

  // -- hands

  private async tell(number: number): Promise<void> {
    this.opened.emit(number);
    try {
      const path = this.api.sweep(this.id, `/trials/${number}`);
      const query = { store: this.id.store };
      const [trial, log] = await Promise.all([
        this.api.get<wire.Trial>(path, query, true),
        this.api.get<wire.Log>(`${path}/log`, { ...query, start: -TAIL, limit: TAIL }, true)
      ]);
      const params = trial.params.map(([name, value]) => [name, typeof value === 'object' ? value.t : String(value)]);
      const { error, traceback, curves, artifacts, attempts } = trial;
      const told = { params, error, traceback, curves, artifacts, attempts };
      this.take({ kind: 'detail', number, ...told, log_tail: log.text });
    } catch (error) {
      const message = (error as Error).message;
      this.take({ kind: 'detail', number, params: [], error: message, traceback: '', log_tail: '' });
    }
  }

  /** What rows alone don't tell of the plots, asked for when such a plot is opened. */
  private async picture(view: string, metric: string): Promise<void> {
    try {
      const query = { ...this.api.of(this.id), metric };
      const data = await this.api.get<wire.Plots>(this.api.sweep(this.id, '/plots'), query);
      this.take({ kind: 'plots', view, metric, data });
    } catch (error) {
      this.take({ kind: 'said', text: (error as Error).message });
    }
  }

  private async order(verb: wire.Request['verb'], more: Partial<Result> & { jobs?: number } = {}): Promise<void> {
    try {
      const { message } = await this.api.request(this.id, verb, more);
      if (verb === 'scale' || verb === 'retry' || verb === 'enter') this.take({ kind: 'said', text: message });
      this.later(FAST);
    } catch (error) {
      this.take({ kind: 'said', text: (error as Error).message });
    }
    void this.sweeps.refresh();
  }

  private take: (message: object) => void = () => undefined;
  private epoch = '';
  private since = 0;
  private after = -1;
  private given = 0;
  private readonly watching = new Set<string>();
  private readonly looking = new Set<string>();
  private asking = false;
  private again = false;
  private asked = -FAST;
  private at = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
  private isDisposed = false;
}
