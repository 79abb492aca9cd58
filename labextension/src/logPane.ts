// The log of one trial, followed while the trial runs.

import { Widget } from '@lumino/widgets';
import { Api, SweepId } from './api';
import { node } from './nodes';
import type * as wire from './wire';

/** Bytes that are asked for at once, characters that are kept, milliseconds between two questions. */
const PIECE = 64_000;
const KEPT = 400_000;
const EVERY = 1000;

export class LogPane extends Widget {
  constructor(
    private readonly api: Api,
    private readonly sweep: SweepId
  ) {
    super();
    this.addClass('jp-sweep-log');
    this.head = node('div', 'jp-sweep-dim', 'Open a trial above to read its log.');
    this.text = node('pre', 'jp-sweep-text');
    this.text.tabIndex = 0;
    this.text.setAttribute('role', 'log');
    this.text.setAttribute('aria-label', 'Log');
    this.node.append(this.head, this.text);
  }

  /** Show the log of this trial from its end on. */
  follow(trial: number): void {
    if (trial === this.trial) return;
    this.trial = trial;
    this.start = -PIECE;
    this.text.textContent = '';
    this.text.scrollTop = 0;
    clearTimeout(this.timer);
    void this.read();
  }

  dispose(): void {
    clearTimeout(this.timer);
    super.dispose();
  }

  private async read(): Promise<void> {
    const { trial, start } = this;
    const path = this.api.sweep(this.sweep, `/trials/${trial}/log`);
    let log: wire.Log;
    try {
      log = await this.api.get<wire.Log>(path, { store: this.sweep.store, start, limit: PIECE });
    } catch (error) {
      this.head.textContent = `Log of trial ${trial}: ${(error as Error).message}`;
      this.timer = setTimeout(() => void this.read(), 5 * EVERY);
      return;
    }
    if (this.isDisposed || trial !== this.trial) return;
    this.put(log, start);
    if (log.is_final && log.end >= log.size) return;
    this.timer = setTimeout(() => void this.read(), log.end < log.size ? 0 : this.isVisible ? EVERY : 5 * EVERY);
  }

  private put(log: wire.Log, asked: number): void {
    const { text } = this;
    const atEnd = text.scrollHeight - text.scrollTop - text.clientHeight < 30;
    if (log.start !== asked && asked >= 0) text.textContent = ''; // another attempt began a new log
    if (log.text) {
      const whole = text.textContent + log.text;
      if (whole.length > KEPT) text.textContent = whole.slice(-KEPT / 2);
      else text.append(log.text);
    }
    this.start = log.end;
    const state = log.is_final ? '' : ', following';
    this.head.textContent = `Log of trial ${this.trial}: ${log.size.toLocaleString('en')} bytes${state}`;
    if (!text.textContent && log.is_final) text.textContent = 'It printed nothing.';
    if (atEnd) text.scrollTop = text.scrollHeight;
  }

  private readonly head: HTMLElement;
  private readonly text: HTMLElement;
  private trial = -1;
  private start = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;
}
