// All sweeps of the server: asked for on an event of the server, on a click, and now and then.

import type { Event } from '@jupyterlab/services';
import { Poll } from '@lumino/polling';
import { ISignal, Signal } from '@lumino/signaling';
import { Api, SweepId } from './api';
import * as wire from './wire';

const RUNNING = new Set(['queued', 'running', 'paused']);
/** Milliseconds between two questions: at rest, and at least. */
const SLOW = 10_000;
const FAST = 500;

export class Sweeps {
  constructor(
    readonly api: Api,
    events: Event.IManager
  ) {
    this.poll = new Poll({
      factory: () => this.fetch(),
      frequency: { interval: SLOW, backoff: true, max: 6 * SLOW },
      name: 'jupyter-sweep:sweeps',
      standby: 'when-hidden'
    });
    void this.listen(events);
  }

  list: wire.Summary[] = [];
  places: wire.Place[] = [];
  isComplete = true;
  /** Why the list can't be had; empty when it can. */
  problem = '';
  /** Whether the server has answered once. */
  isKnown = false;

  /** The list was read again. */
  get changed(): ISignal<this, void> {
    return this._changed;
  }

  /** The server said that a sweep changed. */
  get moved(): ISignal<this, wire.Event> {
    return this._moved;
  }

  get running(): wire.Summary[] {
    return this.list.filter(s => s.state === 'running');
  }

  /** Those that run first, then the newest. */
  get ordered(): wire.Summary[] {
    const rank = (s: wire.Summary): number => (s.state === 'running' ? 0 : RUNNING.has(s.state) ? 1 : 2);
    return [...this.list].sort((a, b) => rank(a) - rank(b) || b.taken_up_at - a.taken_up_at);
  }

  find({ store, name }: SweepId): wire.Summary | undefined {
    return this.list.find(s => s.store === store && s.name === name);
  }

  /** Ask again soon; `search`: look for new stores too. */
  async refresh(search = false): Promise<void> {
    this.search = this.search || search;
    await this.poll.refresh();
  }

  dispose(): void {
    this.isDisposed = true;
    clearTimeout(this.soon);
    this.poll.dispose();
    Signal.clearData(this);
  }

  private async fetch(): Promise<void> {
    try {
      const found = await this.api.get<wire.Sweeps>('sweeps', this.search ? { scan: 'true' } : {});
      this.search = false;
      this.list = found.sweeps;
      this.places = found.stores;
      this.isComplete = found.complete;
      this.problem = '';
    } catch (error) {
      this.problem = (error as Error).message;
    }
    this.isKnown = true;
    this._changed.emit();
  }

  private async listen(events: Event.IManager): Promise<void> {
    for await (const event of events.stream as AsyncIterable<{ schema_id: string }>) {
      if (this.isDisposed) return;
      if (event.schema_id !== wire.SCHEMA_ID) continue;
      this._moved.emit(event as unknown as wire.Event);
      this.soon ??= setTimeout(() => {
        this.soon = undefined;
        if (document.visibilityState === 'visible') void this.poll.refresh();
      }, FAST);
    }
  }

  private readonly poll: Poll;
  private soon: ReturnType<typeof setTimeout> | undefined;
  private search = false;
  private isDisposed = false;
  private readonly _changed = new Signal<this, void>(this);
  private readonly _moved = new Signal<this, wire.Event>(this);
}
