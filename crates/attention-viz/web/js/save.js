'use strict';
// Figures as they stand in the page, with their tables, and as they leave it.

// A figure with its title, its exports and its table. `shown` is what the page shows; `picture` draws what is saved, unless
// `shown` is that itself; `about` says in lines what it is of; `table` gives { columns, rows }, where a cell without a value is
// null.
Attn.figure = (title, name, shown, { table, picture = () => shown, extra = [], about = [] }) => {
  const isPicture = shown instanceof SVGElement;
  if (isPicture) {
    if (!shown.hasAttribute('role')) shown.setAttribute('role', 'img');
    shown.setAttribute('aria-label', title);
    shown.prepend(Attn.svg('title', {}, title));
  }
  return Attn.element('div', { class: 'figure' },
    Attn.element('div', { class: 'figure-head' }, Attn.element('h2', {}, title), ...extra, Attn.exports(name, picture, table, () => ({ title, about }))),
    isPicture ? Attn.element('div', { class: 'scroll' }, shown) : shown,
    Attn.tableOf(table));
};

// Buttons that save a figure. Its picture names what the page names around it, which `caption` tells.
Attn.exports = (name, picture, table, caption) => {
  const drawn = () => captioned(picture(), caption());
  const button = (label, what, act) => Attn.element('button', { type: 'button', title: `Save as ${label}`, 'data-export': what, onclick: () => Attn.guard(act) }, label);
  return Attn.element('span', { class: 'exports' },
    button('SVG', 'svg', () => Attn.save(`${name}.svg`, Attn.svgText(drawn()), 'image/svg+xml')),
    button('PNG', 'png', () => Attn.savePng(`${name}.png`, drawn())),
    button('CSV', 'csv', () => Attn.save(`${name}.csv`, Attn.csv(table()), 'text/csv')));
};

// A figure below its title and what it is of.
const captioned = (svg, { title, about }) => {
  const [width, height] = ['width', 'height'].map((side) => Number(svg.getAttribute(side)));
  const margin = 8;
  const wrap = (text, attributes) => Attn.wrapped(text, width - 2 * margin, attributes).map((line) => ({ line, attributes }));
  const lines = [...wrap(title, { 'font-size': 14, 'font-weight': 600 }), ...about.flatMap((line) => wrap(line, { 'font-size': 11, fill: Attn.palette().quiet }))];
  const canvas = Attn.canvas(width, height + 14 + 18 * lines.length);
  lines.forEach(({ line, attributes }, at) => canvas.append(Attn.text(margin, 20 + 18 * at, line, attributes)));
  const figure = svg.cloneNode(true);
  figure.setAttribute('y', 14 + 18 * lines.length);
  canvas.prepend(Attn.svg('title', {}, [title, ...about].join('. ')));
  canvas.setAttribute('role', 'img');
  canvas.append(figure);
  return canvas;
};

// Characters that XML has no place for, as text and as attribute; one alone makes the whole picture unreadable.
const notXml = /[^\t\n\r\u0020-\ud7ff\ue000-\ufffd\u{10000}-\u{10ffff}]/gu;

Attn.svgText = (svg) => {
  const copy = svg.cloneNode(true);
  copy.setAttribute('xmlns', 'http://www.w3.org/2000/svg');
  copy.querySelectorAll('.ring').forEach((ring) => ring.remove());
  return `<?xml version="1.0" encoding="UTF-8"?>\n${new XMLSerializer().serializeToString(copy)}`.replace(notXml, '\ufffd');
};

Attn.csv = ({ columns, rows }) => [columns, ...rows]
  .map((row) => row.map((cell) => (/[",\r\n]/.test(cell) ? `"${String(cell).replaceAll('"', '""')}"` : cell)).join(','))
  .join('\n') + '\n';

Attn.save = (name, content, type) => {
  const url = URL.createObjectURL(content instanceof Blob ? content : new Blob([content], { type }));
  Attn.element('a', { href: url, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(url), 10000);
};

Attn.savePng = async (name, svg) => {
  const [width, height] = ['width', 'height'].map((side) => Number(svg.getAttribute(side)));
  const url = URL.createObjectURL(new Blob([Attn.svgText(svg)], { type: 'image/svg+xml' }));
  const image = new Image();
  await new Promise((done, failed) => {
    image.onload = done;
    image.onerror = () => failed(new Error('the picture could not be drawn'));
    image.src = url;
  });
  const canvas = Attn.element('canvas', { width: 2 * width, height: 2 * height });
  const context = canvas.getContext('2d');
  context.scale(2, 2);
  context.drawImage(image, 0, 0);
  URL.revokeObjectURL(url);
  const blob = await new Promise((done) => { canvas.toBlob(done); });
  if (!blob) throw new Error('the picture is too large for a PNG; save it as SVG');
  Attn.save(name, blob);
};

// The same numbers as a table, made when it is opened and whenever the numbers change while it is open.
Attn.tableOf = (table) => {
  const body = Attn.element('div', {});
  const details = Attn.element('details', {}, Attn.element('summary', {}, 'Table'), body);
  details.redraw = () => body.replaceChildren(...(details.open ? tableParts(table()) : []));
  details.addEventListener('toggle', details.redraw);
  return details;
};

Attn.redrawTables = (view) => view.querySelectorAll('details').forEach((details) => details.redraw());

const tableParts = ({ columns, rows }) => {
  const most = 2000;
  const isNumber = (cell) => typeof cell === 'number';
  const cell = (value) => Attn.element('td', { class: isNumber(value) ? 'number' : null }, isNumber(value) ? Attn.number(value) : String(value ?? '–'));
  const shown = Attn.element('div', { class: 'scroll' }, Attn.element('table', {},
    Attn.element('thead', {}, Attn.element('tr', {}, ...columns.map((name) => Attn.element('th', {}, name)))),
    Attn.element('tbody', {}, ...rows.slice(0, most).map((row) => Attn.element('tr', {}, ...row.map(cell))))));
  return rows.length > most ? [shown, Attn.element('p', { class: 'quiet' }, `${rows.length - most} more rows are in the CSV.`)] : [shown];
};
