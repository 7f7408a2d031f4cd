'use strict';
// The prompt with its spans, the new tokens beside it, and what is selected.

Attn.Map = class {
  constructor(record, actions) {
    Object.assign(this, { record, actions, elements: [], chips: [], cursor: record.prompt, anchor: null, buckets: new Uint8Array(record.tokens.length) });
    this.root = Attn.element('div', { class: 'map', tabindex: 0, role: 'group', id: 'map',
      'aria-label': 'Prompt and new tokens. Arrow keys move, with Shift they select; Escape clears; brackets choose spans.' });
    this.legend = Attn.element('div', { id: 'map-legend', class: 'legend' });
    this.build();
    this.listen();
  }

  // What stands in the view: the legend, empty until there are numbers, and the tokens.
  get parts() { return [this.legend, this.root]; }

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
    const prompt = Attn.element('div', { class: 'prompt' }, Attn.element('h3', {}, `Prompt · ${record.prompt} tokens`));
    const answer = Attn.element('div', { class: 'answer' }, Attn.element('h3', {}, `New · ${record.manifest.rows} tokens`));
    record.tokens.forEach((text, at) => {
      (ends.get(at) || []).forEach((span) => prompt.append(this.end(span)));
      (starts.get(at) || []).forEach((span) => prompt.append(this.chip(span)));
      (at < record.prompt ? prompt : answer).append(...this.token(text, at));
    });
    this.root.append(prompt, answer);
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
    element.textContent = Attn.shown(text);
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
      addEventListener('mouseup', () => { dragging = null; }, { once: true });
      this.select(dragging, token);
    });
    this.root.addEventListener('mousemove', (event) => {
      const token = at(event);
      if (token === null) return Attn.tip.hide();
      if (dragging !== null && event.buttons === 1) this.select(dragging, token);
      return Attn.tip.show(event, this.actions.describe(token));
    });
    this.root.addEventListener('mouseleave', () => Attn.tip.hide());
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

  // Colours by value. Only what changes is touched; a theme changes everything.
  paint({ chosen, values }, largest) {
    const levels = 40;
    const { mark } = Attn.palette();
    if (this.mark !== String(mark)) this.buckets.fill(255);
    this.mark = String(mark);
    const fills = Array.from({ length: levels + 1 }, (_, bucket) => (bucket ? `rgba(${mark},${(Attn.underText * bucket / levels).toFixed(3)})` : ''));
    const marked = chosen.kind !== 'all';
    this.elements.forEach((element, at) => {
      const bucket = Math.round(levels * Attn.shade(values[at], largest));
      const isChosen = marked && at >= chosen.first && at <= chosen.last;
      const level = bucket * 2 + (isChosen ? 1 : 0);
      if (level === this.buckets[at]) return;
      this.buckets[at] = level;
      element.style.backgroundColor = fills[bucket];
      element.classList.toggle('chosen', isChosen);
    });
    for (const { chip, span } of this.chips) {
      const isChosen = marked && span.tokens.start === chosen.first && span.tokens.end === chosen.last + 1;
      if (chip.ariaPressed !== String(isChosen)) chip.ariaPressed = String(isChosen);
    }
  }

  scrollTo(at) { this.elements[at].scrollIntoView({ block: 'center' }); }

  // The map as a picture.
  picture({ chosen, values }, largest) {
    const { prompt, tokens, manifest } = this.record;
    const fill = (at) => (values[at] > 0 ? Attn.heat(values[at] * Attn.underText ** 2, largest) : null);
    const block = (heading, first, last) => ({ heading, tokens: tokens.slice(first, last).map((text, at) => ({ text, fill: fill(first + at) })) });
    return Attn.flow(`${Attn.mapLegend(chosen)}, from 0 to ${Attn.number(largest)} (root scale)`,
      [block(`Prompt · ${prompt} tokens`, 0, prompt), block(`New · ${manifest.rows} tokens`, prompt, tokens.length)]);
  }
};

// What the colours are the amount of.
Attn.mapLegend = ({ kind, first, last }) => ({
  all: 'attention that all new tokens give to each token',
  new: `attention that new tokens ${first} to ${last} give to each token`,
  prompt: `mass that each new token gives to tokens ${first} to ${last}`,
}[kind]);
