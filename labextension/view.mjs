// Joins the parts of the notebook's live view into one module, so that the page of the sidebar draws with the same code.
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';

const widgets = new URL('../jupyter_sweep/widgets/', import.meta.url);
const page = readFileSync(new URL('page.py', widgets), 'utf-8');
const parts = [.../^PARTS = \(([^)]*)\)/m.exec(page)[1].matchAll(/"([^"]+)"/g)].map(([, name]) => name);
const lib = new URL('lib/', import.meta.url);
const read = name => readFileSync(new URL(name, widgets), 'utf-8');

mkdirSync(lib, { recursive: true });
writeFileSync(new URL('view.js', lib), `${parts.map(read).join('\n')}\nexport { Store, View, number, duration, reachable };\n`);
writeFileSync(new URL('view.css', lib), read('view.css'));
