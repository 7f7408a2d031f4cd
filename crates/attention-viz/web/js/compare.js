'use strict';
// Two records side by side: what the second one attends to more or less.

// So many records are offered at first.
let most = 300;

// Records that are worth comparing, those of the same example first, and how many more there are. The present one is among them.
Attn.partners = (index, state) => {
  const all = index.runs.flatMap((run, number) => run.records.map((entry) => ({ ...entry, run: number, runName: run.name })));
  const own = all.find((entry) => entry.run === state.run && entry.id === state.id);
  const others = all.filter((entry) => entry !== own);
  const near = (entry) => (own && entry.example === own.example ? 0 : 2) + (own && entry.strategy === own.strategy ? 0 : 1);
  others.sort((left, right) => near(left) - near(right) || left.turn - right.turn);
  const now = others.findIndex((entry) => state.b === `${entry.run}/${entry.id}`);
  const partners = others.filter((_, at) => at < most || at === now);
  return { partners, more: others.length - partners.length };
};

Attn.partnerChooser = (index, state, actions) => {
  const { partners, more } = Attn.partners(index, state);
  const own = index.runs[state.run].records.find((entry) => entry.id === state.id);
  const option = (entry) => Attn.element('option', { value: `${entry.run}/${entry.id}`, selected: state.b === `${entry.run}/${entry.id}` },
    `${entry.strategy} · ${entry.layout} · turn ${entry.turn}${index.runs.length > 1 ? ` · ${entry.runName}` : ''}`);
  const group = (label, entries) => (entries.length ? Attn.element('optgroup', { label }, ...entries.map(option)) : null);
  const all = more ? Attn.element('option', { value: 'all' }, `list ${more} more …`) : null;
  const choose = ({ target: { value } }) => {
    if (value === 'all') most = Infinity;
    return actions.set(value === 'all' ? {} : { b: value || null });
  };
  return Attn.element('select', { id: 'partner', 'aria-label': 'Record to compare with', onchange: choose },
    Attn.element('option', { value: '' }, 'compare with …'),
    group('same dialogue', partners.filter((entry) => own && entry.example === own.example)),
    group('others', partners.filter((entry) => !own || entry.example !== own.example)), all);
};

// What of the state's choice all of these records can show: a layer or head counts only where every one has it.
Attn.commonChoice = (records, state) => {
  const choices = records.map((record) => record.choice(state));
  const common = (name) => (choices.some((choice) => choice[name] === null) ? null : state[name]);
  const layer = common('layer');
  return { layer, head: layer === null ? null : common('head'), sink: state.sink };
};

// What a comparison is of, a line for each.
const sides = (a, b) => [`A: ${Attn.about(a)}`, `B: ${Attn.about(b)}`];

// Spans that both have.
Attn.commonSpans = (a, b) => a.shownSpans().filter(({ label }) => b.span(label));

Attn.differenceBars = (a, b, choice) => {
  const rows = Attn.commonSpans(a, b).map(({ label }) => {
    const [left, right] = [a, b].map((record) => Attn.mean(record.spanSteps(label, choice)));
    return { label, left, right, difference: right - left };
  });
  const largest = Math.max(...rows.map(({ left, right }) => Math.max(left, right)), 1e-12);
  const [bar, height, left, width] = [100, 29, 132, 372];
  const svg = Attn.canvas(width, rows.length * height + 32);
  const { series, more, less } = Attn.palette();
  svg.append(Attn.svg('rect', { x: left, y: 8, width: 12, height: 10, fill: series[0] }), Attn.text(left + 18, 17, 'A'));
  svg.append(Attn.svg('rect', { x: left + 46, y: 8, width: 12, height: 10, fill: series[1] }), Attn.text(left + 64, 17, 'B'));
  svg.append(Attn.text(width - 6, 17, 'B − A', { 'text-anchor': 'end' }));
  rows.forEach(({ label, left: first, right: second, difference }, number) => {
    const y = 26 + number * height;
    svg.append(Attn.text(left - 8, y + 16, label, { 'text-anchor': 'end' }));
    [first, second].forEach((value, side) => {
      svg.append(Attn.svg('rect', { x: left, y: y + 2 + side * 12, width: Math.max(1, bar * value / largest), height: 10, fill: series[side] }));
      svg.append(Attn.text(left + bar * value / largest + 5, y + 11 + side * 12, Attn.number(value), { 'font-size': 10 }));
    });
    svg.append(Attn.text(width - 6, y + 16, (difference > 0 ? '+' : '') + Attn.number(difference),
      { 'text-anchor': 'end', fill: `rgb(${difference > 0 ? more : less})`, 'font-weight': 600 }));
  });
  const table = () => ({ columns: ['span', 'A', 'B', 'difference'], rows: rows.map((row) => [row.label, row.left, row.right, row.difference]) });
  return Attn.figure(`Spans: mean mass${Attn.restriction(choice)}`, `compare-${a.id}-${b.id}`, svg, { table, about: sides(a, b) });
};

Attn.headDifference = (a, b, span, state, actions) => {
  // A mean of rows and a ratio of means must not be subtracted from each other.
  const mean = [a, b].every((record) => record.headMean(state.sink) === 'rows') ? 'rows' : 'ratio';
  const remark = Attn.meanRemark[mean];
  const [first, second] = [a, b].map((record) => record.headMatrix(span, state.sink, mean));
  const matrix = first.map((row, layer) => row.map((value, head) => second[layer][head] - value));
  const largest = Math.max(...matrix.flat().map(Math.abs), 1e-12);
  const what = `B − A: blue, more in A; orange, more in B; up to ±${Attn.number(largest)} (root)`;
  const table = ({ layers, heads }) => ({ columns: ['layer', 'head', ...['A', 'B', 'difference'].map((name) => name + remark)],
    rows: layers.flatMap((layer) => heads.map((head) => [layer, head, first[layer][head], second[layer][head], matrix[layer][head]])) });
  return Attn.headGrid(`Heads: ${span}${remark}${Attn.restriction({ sink: state.sink })}`, `compare-heads-${a.id}-${b.id}`, matrix, state, actions,
    { colour: Attn.diverging, largest, what, table, room: 372, about: sides(a, b) });
};

// Spans that read the same in both, by place, without those that others are part of.
Attn.sameTexts = (a, b) => {
  const texts = (record, { tokens }) => record.tokens.slice(tokens.start, tokens.end).join('\0');
  const size = ({ tokens }) => tokens.end - tokens.start;
  const holds = (outer, inner) => outer.tokens.start <= inner.tokens.start && inner.tokens.end <= outer.tokens.end && size(inner) < size(outer);
  const same = a.shownSpans().map((span) => ({ span, other: b.manifest.spans.find(({ label }) => label === span.label) }))
    .filter(({ span, other }) => other && texts(a, span) === texts(b, other));
  const parts = same.filter(({ span }) => !same.some((part) => holds(span, part.span)))
    .sort((left, right) => left.span.tokens.start - right.span.tokens.start);
  let end = 0;
  return parts.filter(({ span }) => {
    const isFree = span.tokens.start >= end;
    if (isFree) end = span.tokens.end;
    return isFree;
  });
};

// Tokens of those spans, coloured by the difference.
Attn.tokenDifference = (a, b, choice) => {
  const [rowsA, rowsB] = [a.rows(choice), b.rows(choice)];
  if (!rowsA || !rowsB) return Attn.element('p', { class: 'quiet' }, 'Single tokens are compared where both records have whole rows.');
  const [meanA, meanB] = [Attn.received(a, rowsA), Attn.received(b, rowsB)];
  const blocks = Attn.sameTexts(a, b).map(({ span, other }) => ({ heading: span.label,
    tokens: a.tokens.slice(span.tokens.start, span.tokens.end).map((text, offset) => {
      const [at, to] = [span.tokens.start + offset, other.tokens.start + offset];
      return { text, at, to, left: meanA[at], right: meanB[to], difference: meanB[to] - meanA[at] };
    }) }));
  if (!blocks.length) return Attn.element('p', { class: 'quiet' }, 'No span reads the same in both, so there are no tokens to compare.');
  const largest = Math.max(...blocks.flatMap(({ tokens }) => tokens.map(({ difference }) => Math.abs(difference))), 1e-12);
  const what = `B − A, mean over new tokens: blue, more in A; orange, more in B; up to ±${Attn.number(largest)} (root scale)`;
  const { more, less } = Attn.palette();
  const token = ({ text, at, to, difference }) => Attn.element('span', { class: 't', title: `A ${at}, B ${to}: ${difference > 0 ? '+' : ''}${Attn.number(difference)}`,
    style: `background-color: rgba(${difference > 0 ? more : less}, ${(Attn.underText * Attn.shade(Math.abs(difference), largest)).toFixed(3)})` }, Attn.shown(text));
  const shown = Attn.element('div', {}, Attn.element('p', { class: 'quiet' }, what),
    Attn.element('div', { class: 'map tokens', id: 'token-difference', tabindex: 0, role: 'group', 'aria-label': 'Tokens by difference' },
      ...blocks.map(({ heading, tokens }) => Attn.element('p', {}, Attn.element('span', { class: 'chip', style: `--c:${Attn.spanColour(heading)}` }, heading), ...tokens.map(token)))));
  const fill = (difference) => (difference ? Attn.diverging(difference * Attn.underText ** 2, largest) : null);
  const picture = () => Attn.flow(what, blocks.map(({ heading, tokens }) => ({ heading, tokens: tokens.map(({ text, difference }) => ({ text, fill: fill(difference) })) })));
  const table = () => ({ columns: ['span', 'position in A', 'position in B', 'token', 'A', 'B', 'difference'],
    rows: blocks.flatMap(({ heading, tokens }) => tokens.map(({ at, to, text, left, right, difference }) => [heading, at, to, text, left, right, difference])) });
  return Attn.figure(`Tokens of spans that read the same${Attn.restriction(choice)}`, `compare-tokens-${a.id}-${b.id}`, shown, { picture, table, about: sides(a, b) });
};

const side = (letter, { strategy, layout, turn, model, response }) => Attn.element('div', { class: 'side' },
  Attn.element('p', {}, Attn.element('strong', {}, `${letter}: ${strategy}`), ` · ${layout} · turn ${turn} · ${model}`),
  Attn.element('p', { class: 'response', title: response }, response));

// The view of A and what it is compared with: a record, nothing yet, or the reason why it can't be had.
Attn.compareView = (a, b, index, state, actions) => {
  const head = Attn.element('div', { class: 'figure-head' }, Attn.partnerChooser(index, state, actions));
  const say = (text, role = null) => Attn.element('p', { class: 'quiet', role }, text);
  if (b instanceof Error) return [head, Attn.element('p', { class: 'note', role: 'alert' }, `B could not be shown: ${b.message}`)];
  if (!b) return [head, say('Choose a second record: another strategy or layout of the same dialogue, say.')];
  head.append(Attn.element('button', { type: 'button', onclick: () => actions.set({ run: b.run, id: b.id, b: `${a.run}/${a.id}`, sel: '' }) }, 'swap A and B'));
  const heading = Attn.element('div', { class: 'sides' }, side('A', a.manifest.record), side('B', b.manifest.record));
  const spans = Attn.commonSpans(a, b);
  if (!spans.length) return [head, heading, say('A and B have no span in common.')];
  const choice = Attn.commonChoice([a, b], state);
  const span = spans.some(({ label }) => label === state.span) ? state.span : spans[0].label;
  head.append(Attn.spanChooser(spans, span, actions));
  const { layers, heads } = a.manifest;
  const other = b.manifest;
  const matrix = layers === other.layers && heads === other.heads ? Attn.headDifference(a, b, span, state, actions)
    : say(`Single heads can't be compared: A has ${layers} layers × ${heads} heads, B ${other.layers} × ${other.heads}.`);
  return [head, heading, Attn.tokenDifference(a, b, choice), Attn.element('div', { class: 'pair' }, matrix, Attn.differenceBars(a, b, choice))];
};
