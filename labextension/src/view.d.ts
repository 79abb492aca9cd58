// The notebook's live view (jupyter_sweep/widgets/view*.js, joined by view.mjs): what of it is used here.

import type * as wire from './wire';

/** Where a view's rows come from: the kernel's widget there, the server here. */
export interface Source {
  get(name: string): unknown;
  on(kind: 'msg:custom', take: (message: object) => void): void;
  send(message: { kind: string; [key: string]: unknown }): void;
  widget_manager?: { context: unknown };
}

export interface Head extends wire.Head {
  cell_id?: string;
}

export class Store {
  constructor(source: Source);
  readonly head: Head;
  readonly rows: Map<number, unknown>;
  readonly ended: boolean;
}

export class View {
  constructor(store: Store, node: HTMLElement);
  dispose(): void;
}

export function number(value: unknown, digits?: number): string;
export function duration(seconds: number | null): string;
/** Where a dashboard can be opened from this page. */
export function reachable(address: string): Promise<string>;
