import { JupyterFrontEnd, JupyterFrontEndPlugin } from '@jupyterlab/application';

const plugin: JupyterFrontEndPlugin<void> = {
  id: 'jupyter-sweep:plugin',
  autoStart: true,
  activate: (app: JupyterFrontEnd) => {
    console.debug('jupyter-sweep', app.name);
  }
};

export default plugin;
