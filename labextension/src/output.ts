// The output of a sweep's cell, drawn from the server: it lives through a restart of the kernel, a reload of the page and
// in a copy that is not trusted. Where the server doesn't see the sweep, the rest of the output is shown instead.

import { PathExt } from '@jupyterlab/coreutils';
import { NotebookPanel } from '@jupyterlab/notebook';
import { IRenderMimeRegistry } from '@jupyterlab/rendermime';
import { IRenderMime } from '@jupyterlab/rendermime-interfaces';
import { Panel, Widget } from '@lumino/widgets';
import { Api } from './api';
import { SweepModel } from './model';
import { node } from './nodes';
import type { Sweeps } from './sweeps';
import { Store, View } from './view';
import type * as wire from './wire';

export const MIME = 'application/vnd.jupyter-sweep.run+json';
/** Before the widget and HTML of the same output. */
const RANK = -20;
/** The kernel's end of the comm that tells who draws (see widgets/view.py). */
const TARGET = 'jupyter_sweep';

/** What the kernel puts into the bundle; `store` is a path from the notebook's folder, or a whole one. */
interface Run {
  store: string;
  name: string;
  version: number;
  view: string;
}

/** Draw the outputs of this notebook. */
export function drawOutputs(notebook: NotebookPanel, api: Api, sweeps: Sweeps): void {
  const { rendermime } = notebook.content;
  const createRenderer = (): IRenderMime.IRenderer => new SweepOutput(notebook, rendermime, api, sweeps);
  rendermime.addFactory({ safe: true, mimeTypes: [MIME], createRenderer }, RANK);
}

class SweepOutput extends Panel implements IRenderMime.IRenderer {
  constructor(
    private readonly notebook: NotebookPanel,
    private readonly rendermime: IRenderMimeRegistry,
    private readonly api: Api,
    private readonly sweeps: Sweeps
  ) {
    super();
    this.addClass('jp-sweep-output');
  }

  /** Draw it. A later output of the same sweep is the kernel's word that its cell has ended. */
  async renderModel(model: IRenderMime.IMimeModel): Promise<void> {
    const run = model.data[MIME] as unknown as Run;
    const shown = `${run.store}/${run.name}@${run.version}`;
    if (shown === this.shown && this.model) {
      this.model.refresh();
      return;
    }
    this.clear();
    this.shown = shown;
    try {
      const id = { store: await this.store(run), name: run.name, version: run.version };
      const found = await SweepModel.open(this.api, this.sweeps, id, {
        context: this.notebook.context,
        cellId: this.cell()
      });
      if (this.isDisposed || this.shown !== shown) {
        found.dispose();
        return;
      }
      this.model = found;
    } catch {
      await this.showRest(model);
      return;
    }
    this.view = new View(new Store(this.model), this.node.appendChild(node('div')));
    this.tellKernel(run.view);
  }

  dispose(): void {
    this.clear();
    super.dispose();
  }

  private clear(): void {
    this.view?.dispose();
    this.model?.dispose();
    this.view = this.model = undefined;
    for (const old of [...this.widgets]) old.dispose();
    this.node.replaceChildren();
  }

  private async store(run: Run): Promise<string> {
    if (!run.store.startsWith('/')) return PathExt.join(PathExt.dirname(this.notebook.context.localPath), run.store);
    const found = await this.api.get<wire.Place>('where', { folder: run.store });
    if (found.error) throw new Error(found.error);
    return found.store;
  }

  /** The id of the cell that holds this output. */
  private cell(): string {
    const inside = (one: Widget): boolean => one.node.contains(this.node);
    return this.notebook.content.widgets.find(inside)?.model.id ?? '';
  }

  /** Show what else the output holds: the widget, or HTML. */
  private async showRest(model: IRenderMime.IMimeModel): Promise<void> {
    const data = Object.fromEntries(Object.entries(model.data).filter(([mime]) => mime !== MIME));
    const rest = this.rendermime.createModel({ data, metadata: { ...model.metadata }, trusted: model.trusted });
    const mime = this.rendermime.preferredMimeType(data, model.trusted ? 'any' : 'ensure');
    if (!mime || this.isDisposed) return;
    const renderer = this.rendermime.createRenderer(mime);
    this.addWidget(renderer);
    await renderer.renderModel(rest);
  }

  /** The kernel needs not send rows to a widget that nobody draws. */
  private tellKernel(view: string): void {
    const kernel = this.notebook.sessionContext.session?.kernel;
    if (!view || !kernel?.handleComms || kernel.status === 'dead') return;
    const comm = kernel.createComm(TARGET);
    comm.open({ drawn: view });
    void Promise.resolve(comm.close({}).done).catch(() => undefined);
  }

  private shown = '';
  private model: SweepModel | undefined;
  private view: View | undefined;
}
