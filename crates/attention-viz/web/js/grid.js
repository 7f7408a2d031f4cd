'use strict';
// Marks of a figure that mouse and keyboard reach alike. One of them is in the tab order, arrows move among them, Enter does
// what a click does.

// `rows` holds rows of cells { element, key, label, act }; they are put into the figure. A matrix is a grid to screen readers,
// points are buttons.
Attn.grid = (svg, rows, { isMatrix = true } = {}) => {
  const places = new Map();
  const ring = focusRing();
  rows.forEach((cells, row) => {
    const group = Attn.svg('g', isMatrix ? { role: 'row' } : {});
    cells.forEach((cell, column) => {
      const { element, key, label } = cell;
      for (const [name, value] of Object.entries({ 'data-cell': key, role: isMatrix ? 'gridcell' : 'button', 'aria-label': label, tabindex: -1 })) {
        element.setAttribute(name, value);
      }
      places.set(element, { cell, row, column });
      group.append(element);
    });
    svg.append(group);
  });
  svg.append(ring);
  svg.setAttribute('role', isMatrix ? 'grid' : 'group');
  if (places.size) [...places.keys()][0].setAttribute('tabindex', 0);
  listen(svg, rows, places, ring);
};

// Where the focus is: light and dark, so that it is seen on every colour.
const focusRing = () => {
  const { fg, bg } = Attn.palette();
  const line = (stroke, width) => Attn.svg('rect', { fill: 'none', stroke, 'stroke-width': width, rx: 2 });
  return Attn.svg('g', { class: 'ring', 'pointer-events': 'none', visibility: 'hidden' }, line(bg, 5), line(fg, 2.5));
};

const putRing = (ring, element) => {
  const { x, y, width, height } = element.getBBox();
  for (const line of ring.children) {
    for (const [name, value] of Object.entries({ x: x - 1.5, y: y - 1.5, width: width + 3, height: height + 3 })) line.setAttribute(name, value);
  }
  ring.setAttribute('visibility', 'visible');
};

const listen = (svg, rows, places, ring) => {
  const at = (event) => places.get(event.target);
  const to = (row, column) => {
    const cells = rows[Math.max(0, Math.min(rows.length - 1, row))];
    cells[Math.max(0, Math.min(cells.length - 1, column))].element.focus();
  };
  svg.addEventListener('click', (event) => { if (at(event)) Attn.guard(at(event).cell.act); });
  svg.addEventListener('mousemove', (event) => (at(event) ? Attn.tip.show(event, at(event).cell.label) : Attn.tip.hide()));
  svg.addEventListener('mouseleave', Attn.tip.hide);
  svg.addEventListener('focusin', (event) => {
    if (!at(event)) return;
    for (const element of places.keys()) if (element.tabIndex === 0) element.setAttribute('tabindex', -1);
    event.target.setAttribute('tabindex', 0);
    if (!event.target.matches(':focus-visible')) return;
    putRing(ring, event.target);
    const { right, bottom } = event.target.getBoundingClientRect();
    Attn.tip.show({ clientX: right, clientY: bottom }, at(event).cell.label);
  });
  svg.addEventListener('focusout', () => { ring.setAttribute('visibility', 'hidden'); Attn.tip.hide(); });
  svg.addEventListener('keydown', (event) => {
    const place = at(event);
    if (!place || event.ctrlKey || event.metaKey || event.altKey) return;
    const { row, column } = place;
    const does = { ArrowRight: () => to(row, column + 1), ArrowLeft: () => to(row, column - 1), ArrowDown: () => to(row + 1, column),
      ArrowUp: () => to(row - 1, column), Home: () => to(row, 0), End: () => to(row, Infinity),
      Enter: () => Attn.guard(place.cell.act), ' ': () => Attn.guard(place.cell.act) }[event.key];
    if (!does) return;
    event.preventDefault();
    event.stopPropagation();
    does();
  });
};
