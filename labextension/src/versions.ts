// The versions of a sweep, and what changed in the code between two of them.

import { structuredPatch } from 'diff';
import { Api, SweepId } from './api';
import { node } from './nodes';
import type * as wire from './wire';

export class Versions {
  constructor(
    private readonly api: Api,
    private readonly id: SweepId,
    versions: wire.Version[]
  ) {
    this.node = node('details', 'jp-sweep-versions');
    const many = versions.length > 1 ? `${versions.length} versions` : 'one version';
    this.node.append(node('summary', '', `Code and versions (${many})`));
    this.node.ontoggle = () => {
      if (this.node.open && !this.isFilled) void this.fill(versions);
    };
  }

  readonly node: HTMLDetailsElement;

  private async fill(versions: wire.Version[]): Promise<void> {
    this.isFilled = true;
    const newest = versions.reduce((a, b) => (a.version > b.version ? a : b)).version;
    const before = Math.max(...versions.map(v => v.version).filter(v => v < newest), 0);
    this.left = this.picker(versions, before, true);
    this.right = this.picker(versions, newest, false);
    this.shown = node('pre', 'jp-sweep-text jp-sweep-code');
    this.shown.tabIndex = 0;
    const line = node('div', 'jp-sweep-line', 'from ', this.left, ' to ', this.right);
    this.node.append(line, this.shown);
    await this.draw();
  }

  private picker(versions: wire.Version[], chosen: number, withNone: boolean): HTMLSelectElement {
    const made = node('select', 'jp-sweep-pick');
    made.setAttribute('aria-label', withNone ? 'Older version' : 'Newer version');
    if (withNone) made.append(new Option('nothing', '0'));
    for (const v of versions) {
      const when = new Date(v.created_at * 1000).toLocaleString();
      made.append(new Option(`v${v.version}: ${v.trials} trials, ${v.state}, ${when}`, String(v.version)));
    }
    made.value = String(chosen);
    made.onchange = () => void this.draw();
    return made;
  }

  private async draw(): Promise<void> {
    const [from, to] = [Number(this.left.value), Number(this.right.value)];
    try {
      const [old, fresh] = await Promise.all([from ? this.code(from) : null, this.code(to)]);
      this.shown.replaceChildren(...lines(old, fresh));
    } catch (error) {
      this.shown.textContent = (error as Error).message;
    }
  }

  private async code(version: number): Promise<wire.Code> {
    const query = { store: this.id.store, version };
    return this.api.get<wire.Code>(this.api.sweep(this.id, '/code'), query, true);
  }

  private isFilled = false;
  private left!: HTMLSelectElement;
  private right!: HTMLSelectElement;
  private shown!: HTMLElement;
}

const whole = (code: wire.Code): string => `${code.line ? `%%sweep ${code.line}\n` : ''}${code.source.trimEnd()}\n`;

/** The newer code, with what was added and removed since the older one marked. */
function lines(old: wire.Code | null, fresh: wire.Code): Node[] {
  if (!old) return [document.createTextNode(whole(fresh))];
  const patch = structuredPatch('', '', whole(old), whole(fresh), '', '', { context: 1000 });
  const found = patch.hunks.flatMap(hunk => hunk.lines).filter(line => !line.startsWith('\\'));
  const captured = names(old) === names(fresh) ? 'The code is the same; what it captures has changed.' : '';
  if (!found.length) return [document.createTextNode(old.fingerprint === fresh.fingerprint ? 'The same.' : captured)];
  return found.map(line => {
    const cls = line.startsWith('+') ? 'jp-sweep-added' : line.startsWith('-') ? 'jp-sweep-removed' : '';
    return node('span', cls, `${line}\n`);
  });
}

const names = (code: wire.Code): string => code.captures.map(c => c.name).join();
