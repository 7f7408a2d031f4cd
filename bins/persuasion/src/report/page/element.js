'use strict';
// Elements, data and numbers. Texts of the data only ever become text nodes.

const report = JSON.parse(document.getElementById('data').textContent);

const element = (tag, attributes = {}, ...children) => {
  const made = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) made.addEventListener(name.slice(2), value);
    else if (value === true) made.setAttribute(name, '');
    else if (value !== false && value !== undefined && value !== null) made.setAttribute(name, value);
  }
  made.append(...children.filter((child) => child !== null));
  return made;
};

const labelled = (label, control, wide = false) => element('label', { class: wide ? 'wide' : null }, label, control);

const choice = (options, chosen, changed) => {
  const made = element('select', { onchange: () => changed(made.value) },
    ...options.map(([value, text]) => element('option', { value, selected: value === chosen }, text)));
  return made;
};

const textOf = (place) => (place === null ? null : report.texts[place]);

// JSON has neither NaN nor infinities; they come as texts. What is missing is null.
const numberOf = (value) => (typeof value === 'string' ? Number(value) : value);

const shown = (value) => {
  if (value === null || value === undefined) return '–';
  if (Number.isNaN(value)) return 'NaN';
  if (!Number.isFinite(value)) return value > 0 ? '∞' : '−∞';
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e6)) return value.toExponential(2);
  return Number.isInteger(value) ? String(value) : value.toFixed(Math.max(1, Math.min(4, 3 - Math.floor(Math.log10(size)))));
};

const card = (title, text, note = null) => element('div', { class: 'text' }, element('h3', {}, title),
  element('p', {}, ...(typeof text === 'string' ? [text || '(empty)'] : text)), note && element('small', {}, note));
