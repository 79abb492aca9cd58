// What is asked of the server. A refusal is an Error whose message is the server's sentence.

import { URLExt } from '@jupyterlab/coreutils';
import { ServerConnection } from '@jupyterlab/services';
import type * as wire from './wire';

/** Which sweep: the newest version unless one is named. */
export interface SweepId {
  store: string;
  name: string;
  version?: number;
}

/** What `retry` and `enter` say of one trial: the metrics as they were written, or why there are none. */
export interface Result {
  number: number;
  metrics: { [name: string]: string };
  failed: string;
}

type Query = { [name: string]: string | number | string[] | undefined };

export const key = ({ store, name }: SweepId): string => `${store}/${name}`;
/** With the version, where one is named. */
export const exact = (id: SweepId): string => (id.version ? `${key(id)}@${id.version}` : key(id));

/** A refusal, with the status of the answer; 0 where there was none. */
export class Refused extends Error {
  constructor(
    message: string,
    readonly status: number
  ) {
    super(message);
  }
}

export class Api {
  constructor(private readonly settings: ServerConnection.ISettings) {}

  /** `clicked`: somebody waits for it. The other questions must not keep an idle server awake. */
  async get<T>(path: string, query: Query = {}, clicked = false): Promise<T> {
    return this.ask<T>(path, clicked ? query : { ...query, no_track_activity: 1 }, { method: 'GET' });
  }

  async post<T>(path: string, query: Query, body: object): Promise<T> {
    return this.ask<T>(path, query, { method: 'POST', body: JSON.stringify(body) });
  }

  sweep(id: SweepId, rest = ''): string {
    return `sweeps/${encodeURIComponent(id.name)}${rest}`;
  }

  of(id: SweepId): Query {
    return { store: id.store, version: id.version };
  }

  /** `jobs`: trials at once, for scale; `number`: which trial, for retry and enter; the rest for enter alone. */
  async request(
    id: SweepId,
    verb: wire.Request['verb'],
    more: Partial<Result> & { jobs?: number } = {}
  ): Promise<wire.Asked> {
    const body = { verb, version: id.version ?? null, ...more };
    return this.post(this.sweep(id, '/requests'), { store: id.store }, body);
  }

  private async ask<T>(path: string, query: Query, init: RequestInit): Promise<T> {
    const pairs = Object.entries(query).flatMap(([name, value]) =>
      value === undefined ? [] : [value].flat().map(one => [name, String(one)])
    );
    const url = `${URLExt.join(this.settings.baseUrl, 'jupyter-sweep/api', path)}?${new URLSearchParams(pairs)}`;
    let response: Response;
    try {
      // By default JupyterLab adds the time to the URL against caches; our answers say themselves that they aren't kept.
      response = await ServerConnection.makeRequest(url, { cache: 'default', ...init }, this.settings);
    } catch {
      throw new Refused('The Jupyter server does not answer.', 0);
    }
    const text = await response.text();
    let data: unknown;
    try {
      data = JSON.parse(text);
    } catch {
      data = null;
    }
    if (!response.ok || data === null) {
      const said = (data as wire.Message | null)?.message;
      throw new Refused(said || `The server answers ${response.status} ${response.statusText}.`, response.status);
    }
    return data as T;
  }
}
