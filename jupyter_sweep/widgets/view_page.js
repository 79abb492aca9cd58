// The notebook around the view: where it stands in it, and cells that it puts below itself.

const WIDGET = "application/vnd.jupyter.widget-view+json";

// Where this view stands in JupyterLab's or Notebook's document; null in front ends that don't show us theirs.
function place(model) {
  const notebook = model.widget_manager?.context?.model;
  const id = model.get("own_id"),
    { cell_id } = model.get("start");
  for (let i = 0; i < (notebook?.cells?.length ?? 0); i += 1) {
    const cell = notebook.cells.get(i);
    for (let j = 0; j < (cell.outputs?.length ?? 0); j += 1) {
      if (cell.outputs.get(j).data?.[WIDGET]?.model_id === id) return { shared: notebook.sharedModel, cell, i, j };
    }
    if (cell_id && cell.id === cell_id) return { shared: notebook.sharedModel, cell, i, j: -1 };
  }
  return null;
}

function keep(model, data) {
  try {
    const { cell, j } = place(model) ?? { j: -1 };
    if (j < 0) return false;
    cell.sharedModel.updateOutputs(j, j + 1, [{ output_type: "display_data", data, metadata: {} }], "silent-change");
    return true;
  } catch {
    return false; // another document model: the kernel replaces the output itself
  }
}

// Put the code into a cell below; a cell that an earlier click made, and nobody edited since, is replaced. `tag` says by
// one entry what the cell is for.
function insert(model, tag, code) {
  const { shared, i } = place(model) ?? {};
  if (!shared?.insertCell) return "";
  const [[key, value]] = Object.entries(tag),
    made = { ...tag, source: hash(code) };
  for (const cell of shared.cells) {
    const old = cell.getMetadata("jupyter_sweep");
    if (old?.[key] !== value || old.source !== hash(cell.getSource())) continue;
    cell.setSource(code);
    cell.setMetadata("jupyter_sweep", made);
    return "brought up to date";
  }
  shared.insertCell(i + 1, { cell_type: "code", source: code, metadata: { jupyter_sweep: made } });
  return "inserted below";
}
