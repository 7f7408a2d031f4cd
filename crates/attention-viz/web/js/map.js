'use strict';
// The prompt with its spans, the new tokens below it, and what is selected.

// What a selection means: new tokens (their rows count) or prompt tokens (the mass they receive counts).
Attn.selection = (record, text) => {
  const found = /^(\d+)-(\d+)$/.exec(text || '');
  if (!found) return { kind: 'all', first: record.prompt, last: record.tokens.length - 1 };
  let [first, last] = [Number(found[1]), Number(found[2])].sort((left, right) => left - right);
  last = Math.min(last, record.tokens.length - 1);
  if (last >= record.prompt) return { kind: 'new', first: Math.max(first, record.prompt), last };
  return { kind: 'prompt', first: Math.min(first, last), last };
};

// A value for every token of the page, and the numbers beside it.
Attn.measured = (record, state) => {
  const chosen = Attn.selection(record, state.sel);
  const rows = record.rows(state);
  const values = new Float32Array(record.tokens.length);
  if (chosen.kind === 'prompt') {
    const steps = Attn.massOf(record, state, chosen.first, chosen.last, rows);
    if (steps) steps.forEach((mass, row) => { values[record.prompt + row] = mass; });
    return { chosen, values, steps };
  }
  const [from, to] = [chosen.first - record.prompt, chosen.last - record.prompt];
  if (!rows) {
    Attn.spanMeans(record, state, values, from, to);
    return { chosen, values, steps: null };
  }
  for (let row = from; row <= to; row++) {
    const at = row * record.keys;
    const seen = record.prompt + row;
    for (let key = 0; key < seen; key++) values[key] += rows[at + key];
  }
  const count = to - from + 1;
  for (let key = 0; key < values.length; key++) values[key] /= count;
  return { chosen, values, steps: null };
};

// Mass that every new token gives to a range of prompt tokens; null where it can't be known.
Attn.massOf = (record, state, first, last, rows) => {
  if (rows) {
    return Float64Array.from({ length: record.manifest.rows }, (_, row) => {
      let sum = 0;
      for (let key = first; key <= last; key++) sum += rows[row * record.keys + key];
      return sum;
    });
  }
  const span = record.manifest.spans.find(({ tokens }) => tokens.start === first && tokens.end === last + 1);
  return span ? record.spanSteps(span.label, state) : null;
};

// Without whole rows, a span's tokens all get its mean; smaller spans win over larger ones.
Attn.spanMeans = (record, state, values, from, to) => {
  const spans = record.shownSpans().sort((left, right) => (right.tokens.end - right.tokens.start) - (left.tokens.end - left.tokens.start));
  for (const { label, tokens } of spans) {
    const steps = record.spanSteps(label, state).slice(from, to + 1);
    values.fill(Attn.mean(steps) / (tokens.end - tokens.start), tokens.start, tokens.end);
  }
};

Attn.Map = class {
  constructor(record, actions) {
    Object.assign(this, { record, actions, elements: [], chips: [], cursor: record.prompt, anchor: null, buckets: new Uint8Array(record.tokens.length) });
    this.root = Attn.element('div', { class: 'map', tabindex: 0, role: 'group', id: 'map',
      'aria-label': 'Prompt and new tokens. Arrow keys move, with Shift they select; Escape clears; brackets choose spans.' });
    this.build();
    this.listen();
  }

  build() {
    const { record } = this;
    const starts = new Map();
    const ends = new Map();
    const note = (map, at, span) => map.set(at, [...(map.get(at) || []), span]);
    const bySize = (left, right) => (right.tokens.end - right.tokens.start) - (left.tokens.end - left.tokens.start);
    for (const span of record.shownSpans().sort(bySize)) {
      note(starts, span.tokens.start, span);
      note(ends, span.tokens.end, span);
    }
    const content = document.createDocumentFragment();
    content.append(Attn.element('h3', {}, `Prompt · ${record.prompt} tokens`));
    record.tokens.forEach((text, at) => {
      (ends.get(at) || []).forEach((span) => content.append(this.end(span)));
      if (at === record.prompt) content.append(Attn.element('h3', {}, `New · ${record.manifest.rows} tokens`));
      (starts.get(at) || []).forEach((span) => content.append(this.chip(span)));
      content.append(...this.token(text, at));
    });
    this.root.append(content);
  }

  chip(span) {
    const chip = Attn.element('button', { type: 'button', class: 'chip', 'aria-pressed': 'false', style: `--c:${Attn.spanColour(span.label)}`,
      title: `${span.label}: tokens ${span.tokens.start} to ${span.tokens.end - 1}; click selects them`,
      onclick: (event) => { event.stopPropagation(); this.toggle(span); } }, span.label);
    this.chips.push({ chip, span });
    return chip;
  }

  end(span) {
    return Attn.element('span', { class: 'end', style: `--c:${Attn.spanColour(span.label)}`, 'aria-hidden': 'true' }, '⌋');
  }

  token(text, at) {
    const element = Attn.element('span', { class: at < this.record.prompt ? 't' : 't new', 'data-at': at });
    element.textContent = text.includes('\n') ? text.replaceAll('\n', '¶') : text;
    this.elements.push(element);
    return text.includes('\n') ? [element, document.createElement('br')] : [element];
  }

  listen() {
    const at = (event) => {
      const token = event.target.closest && event.target.closest('.t');
      return token ? Number(token.dataset.at) : null;
    };
    let dragging = null;
    this.root.addEventListener('mousedown', (event) => {
      const token = at(event);
      if (token === null || event.button !== 0) return;
      event.preventDefault();
      this.root.focus({ preventScroll: true });
      dragging = event.shiftKey && this.anchor !== null ? this.anchor : token;
      this.select(dragging, token);
    });
    this.root.addEventListener('mousemove', (event) => {
      const token = at(event);
      if (token === null) return Attn.tip.hide();
      if (dragging !== null && event.buttons === 1) this.select(dragging, token);
      return Attn.tip.show(event, this.actions.describe(token));
    });
    this.root.addEventListener('mouseleave', () => Attn.tip.hide());
    addEventListener('mouseup', () => { dragging = null; });
    this.root.addEventListener('keydown', (event) => this.key(event));
  }

  key(event) {
    if (event.target !== this.root && event.key !== 'Escape') return;
    const last = this.record.tokens.length - 1;
    const to = { ArrowRight: this.cursor + 1, ArrowLeft: this.cursor - 1, ArrowDown: this.cursor + 12, ArrowUp: this.cursor - 12,
      Home: 0, End: last }[event.key];
    if (to !== undefined) {
      event.preventDefault();
      const next = Math.max(0, Math.min(last, to));
      if (event.shiftKey) this.select(this.anchor === null ? this.cursor : this.anchor, next);
      else this.move(next);
      this.elements[next].scrollIntoView({ block: 'nearest' });
    } else if (event.key === 'Enter' || event.key === ' ') {
      event.preventDefault();
      this.select(this.cursor, this.cursor);
    } else if (event.key === 'Escape') {
      this.anchor = null;
      this.actions.select('');
    }
  }

  move(to) {
    this.elements[this.cursor].classList.remove('cursor');
    this.cursor = to;
    this.anchor = null;
    this.elements[to].classList.add('cursor');
  }

  select(from, to) {
    this.move(to);
    this.anchor = from;
    const [first, last] = [Math.min(from, to), Math.max(from, to)];
    this.actions.select(`${first}-${last}`);
  }

  toggle(span) {
    const range = `${span.tokens.start}-${span.tokens.end - 1}`;
    this.anchor = null;
    this.actions.select(this.actions.selected() === range ? '' : range);
  }

  // The next or previous span, as a selection.
  step(direction) {
    if (!this.chips.length) return;
    const now = this.chips.findIndex(({ span }) => `${span.tokens.start}-${span.tokens.end - 1}` === this.actions.selected());
    const next = now < 0 && direction < 0 ? this.chips.length - 1 : (now + direction + this.chips.length) % this.chips.length;
    const { span, chip } = this.chips[next];
    chip.scrollIntoView({ block: 'nearest' });
    this.actions.select(`${span.tokens.start}-${span.tokens.end - 1}`);
  }

  // Colours by value. Only what changes is touched.
  paint({ chosen, values }, largest) {
    const levels = 40;
    const marked = chosen.kind !== 'all';
    this.elements.forEach((element, at) => {
      const bucket = Math.round(levels * Attn.shade(values[at], largest));
      const isChosen = marked && at >= chosen.first && at <= chosen.last;
      const level = bucket * 2 + (isChosen ? 1 : 0);
      if (level === this.buckets[at]) return;
      this.buckets[at] = level;
      element.style.backgroundColor = bucket ? `rgba(var(--mark), ${(0.55 * bucket / levels).toFixed(3)})` : '';
      element.classList.toggle('chosen', isChosen);
    });
    for (const { chip, span } of this.chips) {
      const isChosen = marked && span.tokens.start === chosen.first && span.tokens.end === chosen.last + 1;
      chip.setAttribute('aria-pressed', String(isChosen));
    }
  }

  scrollTo(at) { this.elements[at].scrollIntoView({ block: 'center' }); }

  // The map as a picture: lines of fixed width, each token on its colour.
  picture(measured, largest) {
    const [size, leading, width] = [7.2, 19, 112];
    const lines = [[]];
    let used = 0;
    this.record.tokens.forEach((text, at) => {
      if (at === this.record.prompt) { lines.push([], []); used = 0; }
      const shown = Attn.shown(text);
      if (used + shown.length > width) { lines.push([]); used = 0; }
      lines[lines.length - 1].push({ at, shown, x: used });
      used += shown.length;
      if (text.includes('\n')) { lines.push([]); used = 0; }
    });
    const svg = Attn.canvas(width * size + 24, lines.length * leading + 20);
    lines.forEach((line, number) => line.forEach(({ at, shown, x }) => {
      const value = measured.values[at];
      const [left, top] = [12 + x * size, 8 + number * leading];
      if (value > 0) svg.append(Attn.svg('rect', { x: left, y: top, width: shown.length * size, height: leading - 3, fill: Attn.heat(value, largest) }));
      svg.append(Attn.text(left, top + 12, shown, { 'font-family': 'DejaVu Sans Mono, monospace', 'font-size': 12, 'xml:space': 'preserve',
        textLength: shown.length * size, lengthAdjust: 'spacingAndGlyphs' }));
    }));
    return svg;
  }
};

// Largest value that a colour stands for: sinks, where kept, would leave nothing for the rest.
Attn.largest = (record, values, sink) => {
  const without = new Set(sink === 'keep' ? record.manifest.sinks : []);
  let largest = 0;
  for (let at = 0; at < values.length; at++) if (values[at] > largest && !without.has(at)) largest = values[at];
  return largest;
};

Attn.legend = (largest, what) => {
  const { bg, mark } = Attn.palette();
  const ramp = Attn.element('canvas', { class: 'ramp', width: 140, height: 12, 'aria-hidden': 'true' });
  const context = ramp.getContext('2d');
  for (let x = 0; x < 140; x++) {
    context.fillStyle = bg;
    context.fillRect(x, 0, 1, 12);
    context.fillStyle = `rgba(${mark.join(',')}, ${0.55 * Math.sqrt(x / 139)})`;
    context.fillRect(x, 0, 1, 12);
  }
  return Attn.element('div', { class: 'legend' }, '0', ramp, Attn.number(largest), `· ${what} (root scale)`);
};
