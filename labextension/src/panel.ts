// One sweep in the main area: the view of the notebook, the log of the trial that is open, code and versions.

import { Message } from '@lumino/messaging';
import { Panel, Widget } from '@lumino/widgets';
import { Api, exact, SweepId } from './api';
import { LogPane } from './logPane';
import { SweepModel, Spot } from './model';
import { node } from './nodes';
import type { Sweeps } from './sweeps';
import { Versions } from './versions';
import { Store, View } from './view';

export class SweepPanel extends Panel {
  constructor(
    private readonly api: Api,
    private readonly sweeps: Sweeps,
    readonly sweep: SweepId,
    private readonly spot: (notebook: string) => Spot | undefined
  ) {
    super();
    this.addClass('jp-sweep-panel');
    this.id = `jupyter-sweep-panel-${exact(sweep)}`;
    this.title.label = sweep.name;
    this.title.caption = `Sweep ${sweep.name} in ${sweep.store}`;
    this.title.closable = true;
    this.node.tabIndex = -1;
    this.node.setAttribute('role', 'region');
    this.node.setAttribute('aria-label', `Sweep ${sweep.name}`);
    this.said = this.node.appendChild(node('div', 'jp-sweep-dim', 'asking the server …'));
    void this.fill();
  }

  dispose(): void {
    this.view?.dispose();
    this.model?.dispose();
    super.dispose();
  }

  protected onActivateRequest(message: Message): void {
    super.onActivateRequest(message);
    this.node.focus();
  }

  private async fill(): Promise<void> {
    try {
      const found = this.sweeps.find(this.sweep);
      this.model = await SweepModel.open(this.api, this.sweeps, this.sweep, this.spot(found?.notebook ?? ''));
    } catch (error) {
      this.said.textContent = (error as Error).message;
      return;
    }
    const { model } = this;
    if (this.isDisposed) {
      model.dispose();
      return;
    }
    this.said.remove();
    const [box, log] = [new Widget(), new LogPane(this.api, this.sweep)];
    const versions = new Versions(this.api, this.sweep, model.detail.versions);
    for (const part of [box, log, new Widget({ node: versions.node })]) this.addWidget(part);
    this.view = new View(new Store(model), box.node);
    model.opened.connect((_sender, trial) => log.follow(trial));
  }

  private readonly said: HTMLElement;
  private model: SweepModel | undefined;
  private view: View | undefined;
}
