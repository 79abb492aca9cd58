// What JupyterLab and Notebook load: the list of sweeps, their panels, the outputs, commands, the status bar.

import { ILabShell, ILayoutRestorer, JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';
import { ICommandPalette, Notification, WidgetTracker } from '@jupyterlab/apputils';
import { INotebookTracker } from '@jupyterlab/notebook';
import { ISettingRegistry } from '@jupyterlab/settingregistry';
import { IStatusBar } from '@jupyterlab/statusbar';
import { LabIcon } from '@jupyterlab/ui-components';
import { ISignal } from '@lumino/signaling';
import { Widget } from '@lumino/widgets';
import { Api, exact, SweepId } from './api';
import { insertBest, runBelow, spotIn, sweepThisCell } from './cells';
import { Compare, MOST } from './compare';
import { node } from './nodes';
import { drawOutputs } from './output';
import { SweepPanel } from './panel';
import { Hands, SweepList } from './sweepList';
import type * as wire from './wire';
import { Sweeps } from './sweeps';
import { reachable } from './view';

const ID = 'jupyter-sweep:plugin';
const CATEGORY = 'Sweeps';

const icon = new LabIcon({
  name: 'jupyter-sweep:icon',
  svgstr:
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 22 22" width="16"><g class="jp-icon3" fill="#616161">' +
    '<circle cx="5" cy="7" r="1.7"/><circle cx="9" cy="13" r="1.7"/><circle cx="13" cy="9" r="1.7"/>' +
    '<circle cx="17" cy="15.5" r="2.6"/><path d="M3 18.4h16v1.4H3z"/></g></svg>'
});

const plugin: JupyterFrontEndPlugin<void> = {
  id: ID,
  description: 'All sweeps of this server: list, panels, outputs.',
  autoStart: true,
  optional: [INotebookTracker, ICommandPalette, ISettingRegistry, IStatusBar, ILayoutRestorer, ILabShell],
  activate: (
    app: JupyterFrontEnd,
    notebooks: INotebookTracker | null,
    palette: ICommandPalette | null,
    registry: ISettingRegistry | null,
    statusBar: IStatusBar | null,
    restorer: ILayoutRestorer | null,
    lab: ILabShell | null
  ) => {
    const api = new Api(app.serviceManager.serverSettings);
    const sweeps = new Sweeps(api, app.serviceManager.events);
    const panels = new Panels(app, api, sweeps, notebooks, lab);
    const list = new SweepList(sweeps, panels);
    list.title.icon = icon;
    app.shell.add(list, 'left', { rank: 600, type: 'Sweeps' });
    restorer?.add(list, list.id);
    addCommands(app, panels, list, notebooks, palette);
    if (restorer) panels.restore(restorer);
    void settings(registry).then(chosen => {
      if (chosen.outputs && notebooks) {
        notebooks.forEach(notebook => drawOutputs(notebook, api, sweeps));
        notebooks.widgetAdded.connect((_sender, notebook) => drawOutputs(notebook, api, sweeps));
      }
      if (chosen.statusBar && statusBar) addStatus(statusBar, sweeps, () => app.shell.activateById(list.id));
    });
  }
};

async function settings(registry: ISettingRegistry | null): Promise<{ outputs: boolean; statusBar: boolean }> {
  const found = registry ? await registry.load(ID).catch(() => null) : null;
  const on = (name: string): boolean => found?.get(name).composite !== false;
  return { outputs: on('outputs'), statusBar: on('statusBar') };
}

/** Opens panels and does what the buttons say. */
class Panels implements Hands {
  constructor(
    private readonly app: JupyterFrontEnd,
    readonly api: Api,
    readonly sweeps: Sweeps,
    private readonly notebooks: INotebookTracker | null,
    private readonly lab: ILabShell | null
  ) {}

  open({ store, name, version }: SweepId): void {
    const id = { store, name };
    const made = new SweepPanel(this.api, this.sweeps, version ? { ...id, version } : id, path => spotIn(this.notebooks, path));
    this.show(made);
    if (!this.tracker.has(made) && !made.isDisposed) void this.tracker.add(made);
  }

  compare(ids: SweepId[]): void {
    if (ids.length < 2 || ids.length > MOST) {
      Notification.warning(`Choose 2 to ${MOST} sweeps to compare; ${ids.length} are chosen.`);
      return;
    }
    this.show(new Compare(this.api, this.sweeps, ids.map(({ store, name }) => ({ store, name }))));
  }

  order(id: SweepId, verb: 'pause' | 'stop' | 'resume'): void {
    void this.api
      .request({ store: id.store, name: id.name, version: id.version }, verb)
      .catch((error: Error) => Notification.error(error.message))
      .finally(() => void this.sweeps.refresh());
  }

  insertBest(id: SweepId): void {
    void insertBest(this.api, id, this.notebooks?.currentWidget ?? null).then(said => Notification.info(said));
  }

  dashboard(url: string): void {
    const tab = window.open('', '_blank'); // at once, or the browser takes it for a pop-up
    void reachable(url).then(address => {
      if (!tab) Notification.warning(`The browser did not open a new tab for ${address}.`);
      else tab.location = address;
    });
  }

  restore(restorer: ILayoutRestorer): void {
    void restorer.restore(this.tracker, {
      command: 'jupyter-sweep:open',
      args: panel => ({ ...panel.sweep }),
      name: panel => exact(panel.sweep)
    });
  }

  /** In JupyterLab a tab of its own; in Notebook, which has one document a page, beside it. */
  private show(panel: Widget): void {
    const there = [...this.app.shell.widgets('main'), ...this.app.shell.widgets('right')].find(w => w.id === panel.id);
    if (there) panel.dispose();
    else {
      panel.title.icon = icon;
      this.app.shell.add(panel, this.lab ? 'main' : 'right');
    }
    this.app.shell.activateById(panel.id);
  }

  private readonly tracker = new WidgetTracker<SweepPanel>({ namespace: 'jupyter-sweep' });
}

function addCommands(
  app: JupyterFrontEnd,
  panels: Panels,
  list: SweepList,
  notebooks: INotebookTracker | null,
  palette: ICommandPalette | null
): void {
  const { commands } = app;
  const current = (): SweepId | undefined => {
    const shown = app.shell.currentWidget;
    return shown instanceof SweepPanel ? shown.sweep : panels.sweeps.ordered[0];
  };
  const add = (id: string, label: string, execute: (args: Partial<SweepId>) => void, isEnabled = () => true): void => {
    commands.addCommand(id, { label, execute: args => execute(args as Partial<SweepId>), isEnabled });
    palette?.addItem({ command: id, category: CATEGORY });
  };
  const given = (args: Partial<SweepId>): SweepId | undefined =>
    args.store !== undefined && args.name ? (args as SweepId) : current();
  const hasNotebook = (): boolean => Boolean(notebooks?.currentWidget);
  const inNotebook = (act: () => string): void => {
    const said = act();
    if (said) Notification.warning(said);
  };

  add('jupyter-sweep:list', 'Show All Sweeps', () => app.shell.activateById(list.id));
  add('jupyter-sweep:refresh', 'Look for Sweeps Again', () => void panels.sweeps.refresh(true));
  for (const verb of ['pause', 'resume', 'stop'] as const) {
    const label = `${verb[0].toUpperCase()}${verb.slice(1)} the Newest Sweep`;
    add(`jupyter-sweep:${verb}`, label, args => {
      const id = given(args);
      if (id) panels.order(id, verb);
    });
  }
  add('jupyter-sweep:open', 'Open the Newest Sweep', args => {
    const id = given(args);
    if (id) panels.open(id);
  });
  add('jupyter-sweep:best', 'Insert the Best-Config Cell of the Newest Sweep', args => {
    const id = given(args);
    if (id) panels.insertBest(id);
  }, hasNotebook);
  add('jupyter-sweep:sweep-cell', 'Sweep This Cell', () => {
    inNotebook(() => sweepThisCell(notebooks?.currentWidget ?? null));
  }, hasNotebook);
  add('jupyter-sweep:form', 'Open the Form of a Sweep', () => {
    inNotebook(() => runBelow(notebooks?.currentWidget ?? null, '%sweep form'));
    void commands.execute('notebook:run-cell');
  }, hasNotebook);
  const selector = '.jp-Notebook .jp-CodeCell';
  app.contextMenu.addItem({ command: 'jupyter-sweep:sweep-cell', selector, rank: 40 });
  app.contextMenu.addItem({ command: 'jupyter-sweep:form', selector, rank: 41 });
}

/** How many trials run now; a click opens the list. */
function addStatus(statusBar: IStatusBar, sweeps: Sweeps, open: () => void): void {
  const item = new Widget({ node: node('div', 'jp-sweep-status') });
  const button = item.node.appendChild(node('button', 'jp-sweep-status-button'));
  button.type = 'button';
  button.onclick = open;
  // A passive sweep has no driver: it waits for people, maybe for weeks.
  const busy = (): wire.Summary[] => sweeps.running.filter(s => s.driver !== null);
  const count = (): number => busy().reduce((n, s) => n + s.progress.running, 0);
  sweeps.changed.connect(() => {
    const [many, trials] = [busy().length, count()];
    const text = `${trials} ${trials === 1 ? 'trial' : 'trials'} running`;
    button.textContent = text;
    button.title = `${many} ${many === 1 ? 'sweep is' : 'sweeps are'} running. Click to see all sweeps.`;
  });
  statusBar.registerStatusItem('jupyter-sweep:status', {
    item,
    align: 'left',
    rank: 90,
    isActive: () => busy().length > 0,
    activeStateChanged: sweeps.changed as unknown as ISignal<object, void>
  });
}

export default plugin;
