// Nodes for the sidebar and the panels. Text from outside goes in as text, never as HTML.

export function node<K extends keyof HTMLElementTagNameMap>(
  tag: K,
  cls = '',
  ...content: (string | Node)[]
): HTMLElementTagNameMap[K] {
  const made = document.createElement(tag);
  if (cls) made.className = cls;
  made.append(...content);
  return made;
}

/** A name from outside, which may run from right to left. */
export function name(text: string, cls = ''): HTMLElement {
  const made = node('bdi', cls, text.length > 120 ? `${text.slice(0, 119)}…` : text);
  made.dir = 'auto';
  made.title = text.slice(0, 500);
  return made;
}

export function button(label: string, act: () => void, cls = ''): HTMLButtonElement {
  const made = node('button', `jp-sweep-button ${cls}`.trim(), label);
  made.type = 'button';
  made.onclick = event => {
    event.stopPropagation();
    act();
  };
  return made;
}

export function svg(tag: string, attributes: { [name: string]: string | number }, ...content: Node[]): SVGElement {
  const made = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value));
  made.append(...content);
  return made;
}

/** Put these into a node, leaving alone what is there already in its place. */
export function refill(box: HTMLElement, nodes: HTMLElement[]): void {
  nodes.forEach((one, i) => {
    if (box.children[i] !== one) box.insertBefore(one, box.children[i] ?? null);
  });
  while (box.children.length > nodes.length) box.lastElementChild!.remove();
}

/** A metric as the wire writes it, as a number. */
export function value(given: number | string | null | undefined): number {
  if (typeof given === 'number') return given;
  return given === 'inf' ? Infinity : given === '-inf' ? -Infinity : NaN;
}
