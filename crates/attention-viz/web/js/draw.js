'use strict';
// Elements, colours, and what figures are made of.

// Characters that turn the direction of what stands around them: shown as such, a text could reverse its neighbours.
const turning = /[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/g;
Attn.plain = (text) => (typeof text === 'string' ? text.replace(turning, '\ufffd') : text);

Attn.element = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith('on')) element.addEventListener(name.slice(2), value);
    else if (value !== null && value !== undefined && value !== false) element.setAttribute(name, value === true ? '' : value);
  }
  element.append(...children.filter((child) => child !== null).map(Attn.plain));
  return element;
};

Attn.svg = (tag, attributes = {}, ...children) => {
  const element = document.createElementNS('http://www.w3.org/2000/svg', tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children.map(Attn.plain));
  return element;
};

// A choice among options, each [value, text].
Attn.chooser = (label, options, now, set) => Attn.element('select', { 'aria-label': label, onchange: (event) => set(event.target.value) },
  ...options.map(([value, text]) => Attn.element('option', { value, selected: value === now }, text)));

// Colours are written into figures, so that an exported one stands alone.
Attn.palette = () => (document.documentElement.dataset.theme === 'dark'
  ? { bg: '#1b1f24', fg: '#e6e8ea', quiet: '#9aa4ae', line: '#333a42', mark: [224, 138, 30], accent: '#f0a94a', chosen: '#ff8f85',
      more: [238, 128, 62], less: [84, 160, 236], series: ['#56b4e9', '#e69f00', '#2fbf8f', '#d58ab8', '#e8743b', '#8ea2f0', '#c9c04a'] }
  : { bg: '#ffffff', fg: '#1c2024', quiet: '#5c656e', line: '#d9dde1', mark: [33, 102, 172], accent: '#2166ac', chosen: '#b3261e',
      more: [190, 75, 20], less: [33, 102, 172], series: ['#0072b2', '#c04a00', '#009e73', '#aa4499', '#b8860b', '#3b4cc0', '#555555'] });

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
// Under text a colour is at most this strong.
Attn.underText = 0.55;

// Colours of span kinds.
Attn.spanColour = (label) => {
  if (label.startsWith('strategy')) return '#c2410c';
  if (label.startsWith('turn')) return '#0f766e';
  if (label === 'situation') return '#7c3aed';
  if (label === 'history') return '#0369a1';
  return '#64748b';
};

// How a token reads on one line.
Attn.shown = (text) => text.replaceAll('\n', '¶').replaceAll('\t', '⇥').replace(/[\u0000-\u001f\u007f-\u009f]/g, '\ufffd').replace(turning, '\ufffd') || '∅';

const family = 'system-ui, DejaVu Sans, sans-serif';
Attn.text = (x, y, content, attributes = {}) => Attn.svg('text',
  { x, y, fill: Attn.palette().fg, 'font-family': family, 'font-size': 11, ...attributes }, content);

// Width of a text as `Attn.text` writes it.
const ruler = document.createElement('canvas').getContext('2d');
Attn.widthOf = (text, { 'font-size': size = 11, 'font-weight': weight = 400, 'font-family': name = family } = {}) => {
  ruler.font = `${weight} ${size}px ${name}`;
  return ruler.measureText(text).width;
};

// A text in lines that have room, broken between words, or within one that is longer than a line.
Attn.wrapped = (text, room, attributes) => {
  const lines = [''];
  for (const part of text.match(/\s*\S+/g) || []) {
    const fits = (line) => Attn.widthOf(line, attributes) <= room;
    if (fits(lines.at(-1) + part)) {
      lines[lines.length - 1] += part;
      continue;
    }
    if (lines.at(-1)) lines.push('');
    for (const letter of part.trimStart()) {
      if (!fits(lines.at(-1) + letter)) lines.push('');
      lines[lines.length - 1] += letter;
    }
  }
  return lines;
};

Attn.canvas = (width, height) => Attn.svg('svg', { width, height, viewBox: `0 0 ${width} ${height}` },
  Attn.svg('rect', { width, height, fill: Attn.palette().bg }));

// About five round steps from the lowest to the largest value; of things that are counted, none between two numbers.
Attn.ticks = (low, high, isWhole = false) => {
  if (!(high > low)) return [low];
  const rough = (high - low) / (isWhole ? 12 : 5);
  const power = 10 ** Math.floor(Math.log10(rough));
  const round = [1, 2, 5, 10].map((times) => times * power).find((size) => size >= rough);
  const step = isWhole ? Math.max(1, round) : round;
  const ticks = [];
  for (let at = Math.ceil(low / step) * step; at <= high + step * 1e-9; at += step) ticks.push(Number(at.toPrecision(12)));
  return ticks;
};

// What colours of the map stand for. The ramp is made once.
Attn.drawLegend = (legend, largest, what) => {
  if (!legend.children.length) {
    const share = (part) => `rgba(var(--mark), ${(Attn.underText * Math.sqrt(part / 20)).toFixed(3)})`;
    const ramp = Attn.element('span', { class: 'ramp', 'aria-hidden': 'true', style: `background: linear-gradient(to right, ${Array.from({ length: 21 }, (_, part) => share(part)).join(', ')})` });
    legend.append(Attn.element('span', {}, '0'), ramp, Attn.element('span', {}), Attn.element('span', {}));
  }
  const [, , number, text] = legend.children;
  number.textContent = Attn.number(largest);
  text.textContent = `· ${what} (root scale)`;
};

// What stands under the pointer.
Attn.tip = (() => {
  const tip = document.getElementById('tip');
  return {
    show({ clientX, clientY }, text) {
      tip.textContent = Attn.plain(text);
      tip.hidden = false;
      tip.style.left = `${Math.min(clientX + 14, innerWidth - tip.offsetWidth - 8)}px`;
      tip.style.top = `${Math.min(clientY + 16, innerHeight - tip.offsetHeight - 8)}px`;
    },
    hide() { tip.hidden = true; },
  };
})();
