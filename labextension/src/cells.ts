// What is done to the notebook: a cell becomes a sweep, a best-config cell is put in.

import { INotebookTracker, NotebookPanel } from '@jupyterlab/notebook';
import { Api, Refused, SweepId } from './api';
import type { Spot } from './model';
import type * as wire from './wire';

const MAGIC = /^\s*%%sweep\b/;

/** Put `%%sweep` over the active cell, with the cursor at what it minimizes; give what is in the way, or "". */
export function sweepThisCell(notebook: NotebookPanel | null): string {
  const cell = notebook?.content.activeCell;
  if (!notebook || cell?.model.type !== 'code') return 'Choose a code cell first.';
  const shared = cell.model.sharedModel;
  if (MAGIC.test(shared.source)) return 'This cell is a sweep already.';
  if (/^\s*%%/.test(shared.source)) return 'This cell has another magic in its first line.';
  const line = `%%sweep ${freeName(notebook)} --min loss`;
  shared.setSource(`${line}\n${shared.source}`);
  notebook.content.mode = 'edit';
  cell.editor?.focus();
  cell.editor?.setSelection({ start: { line: 0, column: line.length - 4 }, end: { line: 0, column: line.length } });
  return '';
}

/** A name after the notebook's file that no sweep of it has yet. */
function freeName(notebook: NotebookPanel): string {
  const sources = [...(notebook.content.model?.cells ?? [])].map(c => c.sharedModel.source);
  const taken = new Set(sources.map(s => /^\s*%%sweep\s+([A-Za-z]\w*)/.exec(s)?.[1]).filter(Boolean));
  const file = (notebook.context.path.split('/').pop() ?? '').replace(/\.ipynb$/, '');
  const base = file.replace(/\W+/g, '_').replace(/^[\d_]+|_+$/g, '').toLowerCase().slice(0, 40) || 'sweep';
  for (let i = 1; ; i += 1) {
    const name = i === 1 ? base : `${base}_${i}`;
    if (!taken.has(name)) return name;
  }
}

/** Put a cell with this source below the active one and run it. */
export function runBelow(notebook: NotebookPanel | null, source: string): string {
  const shared = notebook?.content.model?.sharedModel;
  if (!notebook || !shared) return 'Open a notebook first.';
  const at = notebook.content.activeCellIndex + 1;
  shared.insertCell(at, { cell_type: 'code', source, metadata: {} });
  notebook.content.activeCellIndex = at;
  return '';
}

/** Put the best configuration as a cell below the active cell; give what was done, or what is in the way. */
export async function insertBest(api: Api, id: SweepId, notebook: NotebookPanel | null): Promise<string> {
  const shared = notebook?.content.model?.sharedModel;
  if (!notebook || !shared) return 'Open the notebook that the cell shall go into, then ask again.';
  let best: wire.BestCell;
  try {
    best = await api.get<wire.BestCell>(api.sweep(id, '/best'), api.of(id), true);
  } catch (error) {
    if (error instanceof Refused) return error.message;
    throw error;
  }
  const at = notebook.content.activeCellIndex + 1;
  const source = best.cell.trimEnd();
  shared.insertCell(at, { cell_type: 'code', source, metadata: { jupyter_sweep: { best_of: id.name } } });
  notebook.content.activeCellIndex = at;
  return `The best configuration of ${id.name} (trial ${best.trial}) is in ${notebook.title.label}, below the active cell.`;
}

/** Where cells of a sweep go that is shown outside its notebook: below the active cell of its notebook, if it is open. */
export function spotIn(tracker: INotebookTracker | null, notebook: string): Spot | undefined {
  const found = tracker?.find(panel => panel.context.path === notebook) ?? tracker?.currentWidget;
  const cellId = found?.content.activeCell?.model.id;
  return found && cellId ? { context: found.context, cellId } : undefined;
}
