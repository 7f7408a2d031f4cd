'use strict';
// Elements, colours, and figures that can leave the page.

Attn.element = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.filter((child) => child !== null));
  return element;
};

Attn.svg = (tag, attributes = {}, ...children) => {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
};

// Colours are written into figures, so that an exported one stands alone.
Attn.palette = () => (document.documentElement.dataset.theme === 'dark'
  ? { bg: '#1b1f24', fg: '#e6e8ea', quiet: '#9aa4ae', line: '#333a42', mark: [224, 138, 30], accent: '#f0a94a', chosen: '#ff8f85',
      more: [230, 120, 60], less: [70, 150, 230], series: ['#56b4e9', '#e69f00', '#2fbf8f', '#d58ab8', '#e8743b', '#8ea2f0', '#c9c04a'] }
  : { bg: '#ffffff', fg: '#1c2024', quiet: '#5c656e', line: '#d9dde1', mark: [33, 102, 172], accent: '#2166ac', chosen: '#b3261e',
      more: [190, 75, 20], less: [33, 102, 172], series: ['#0072b2', '#d55e00', '#009e73', '#aa4499', '#b8860b', '#3b4cc0', '#555555'] });

const mix = (from, to, share) => `rgb(${from.map((value, at) => Math.round(value + (to[at] - value) * share)).join(',')})`;
const rgb = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));

// Share 0..1 of the largest value; the root keeps small values visible, and the legend says so.
Attn.shade = (value, largest) => (largest > 0 && value > 0 ? Math.sqrt(Math.min(1, value / largest)) : 0);
Attn.heat = (value, largest) => {
  const { bg, mark } = Attn.palette();
  return mix(rgb(bg), mark, Attn.shade(value, largest));
};
Attn.diverging = (value, largest) => {
  const { bg, more, less } = Attn.palette();
  return mix(rgb(bg), value > 0 ? more : less, Attn.shade(Math.abs(value), largest));
};

// Colours of span kinds.
Attn.spanColour = (label) => {
  if (label.startsWith('strategy')) return '#c2410c';
  if (label.startsWith('turn')) return '#0f766e';
  if (label === 'situation') return '#7c3aed';
  if (label === 'history') return '#0369a1';
  return '#64748b';
};

// How a token reads on one line.
Attn.shown = (text) => text.replaceAll('\n', '¶').replaceAll('\t', '⇥') || '∅';

// A figure with its title, its exports and its table. `draw` gives the SVG, `table` { columns, rows }.
Attn.figure = (title, name, svg, table, extra = []) => {
  const button = (label, what, act) => Attn.element('button', { type: 'button', title: `Save as ${what}`, 'data-export': what, onclick: act }, label);
  svg.setAttribute('role', 'img');
  svg.setAttribute('aria-label', title);
  svg.prepend(Attn.svg('title', {}, title));
  return Attn.element('div', { class: 'figure' },
    Attn.element('div', { class: 'figure-head' }, Attn.element('h2', {}, title), ...extra,
      button('SVG', 'svg', () => Attn.save(`${name}.svg`, Attn.svgText(svg), 'image/svg+xml')),
      button('PNG', 'png', () => Attn.savePng(`${name}.png`, svg)),
      button('CSV', 'csv', () => Attn.save(`${name}.csv`, Attn.csv(table()), 'text/csv'))),
    Attn.element('div', { class: 'scroll' }, svg),
    Attn.tableOf(table));
};

Attn.svgText = (svg) => {
  const copy = svg.cloneNode(true);
  copy.setAttribute('xmlns', 'http://www.w3.org/2000/svg');
  return `<?xml version="1.0" encoding="UTF-8"?>\n${new XMLSerializer().serializeToString(copy)}`;
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
  const url = URL.createObjectURL(new Blob([Attn.svgText(svg)], { type: 'image/svg+xml' }));
  const image = new Image();
  await new Promise((done, failed) => { image.onload = done; image.onerror = failed; image.src = url; });
  const canvas = Attn.element('canvas', { width: 2 * svg.width.baseVal.value, height: 2 * svg.height.baseVal.value });
  const context = canvas.getContext('2d');
  context.scale(2, 2);
  context.drawImage(image, 0, 0);
  URL.revokeObjectURL(url);
  canvas.toBlob((blob) => Attn.save(name, blob));
};

// The same numbers as a table, made when it is opened.
Attn.tableOf = (table) => {
  const details = Attn.element('details', {}, Attn.element('summary', {}, 'Table'));
  details.addEventListener('toggle', () => {
    if (!details.open || details.children.length > 1) return;
    const { columns, rows } = table();
    const most = 2000;
    const isNumber = (cell) => typeof cell === 'number';
    const cell = (tag, value) => Attn.element(tag, { class: isNumber(value) ? 'number' : null }, isNumber(value) ? Attn.number(value) : String(value));
    details.append(Attn.element('div', { class: 'scroll' }, Attn.element('table', {},
      Attn.element('thead', {}, Attn.element('tr', {}, ...columns.map((name) => Attn.element('th', {}, name)))),
      Attn.element('tbody', {}, ...rows.slice(0, most).map((row) => Attn.element('tr', {}, ...row.map((value) => cell('td', value))))))));
    if (rows.length > most) details.append(Attn.element('p', { class: 'quiet' }, `${rows.length - most} more rows are in the CSV.`));
  });
  return details;
};

Attn.text = (x, y, content, attributes = {}) => Attn.svg('text',
  { x, y, fill: Attn.palette().fg, 'font-family': 'system-ui, DejaVu Sans, sans-serif', 'font-size': 11, ...attributes }, content);

Attn.canvas = (width, height) => Attn.svg('svg', { width, height, viewBox: `0 0 ${width} ${height}` },
  Attn.svg('rect', { width, height, fill: Attn.palette().bg }));

// About five round steps from 0 to the largest value.
Attn.ticks = (low, high) => {
  if (!(high > low)) return [low];
  const rough = (high - low) / 5;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((times) => times * power).find((size) => size >= rough);
  const ticks = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-9; at += step) ticks.push(Number(at.toPrecision(12)));
  return ticks;
};

// What stands under the pointer.
Attn.tip = (() => {
  const tip = document.getElementById('tip');
  return {
    show(event, text) {
      tip.textContent = text;
      tip.hidden = false;
      const left = Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8);
      tip.style.left = `${left}px`;
      tip.style.top = `${Math.min(event.clientY + 16, innerHeight - tip.offsetHeight - 8)}px`;
    },
    hide() { tip.hidden = true; },
  };
})();
