'use strict';
// Two records side by side: what the second one attends to more or less.

// Records that are worth comparing: those of the same example first.
Attn.partners = (index, state) => {
  const all = index.runs.flatMap((run, number) => run.records.map((entry) => ({ ...entry, run: number, runName: run.name })));
  const own = all.find((entry) => entry.run === state.run && entry.id === state.id);
  const others = all.filter((entry) => entry !== own);
  const near = (entry) => (own && entry.example === own.example ? 0 : 2) + (own && entry.strategy === own.strategy ? 0 : 1);
  return others.sort((left, right) => near(left) - near(right) || left.turn - right.turn).slice(0, 300);
};

Attn.partnerChooser = (index, state, actions) => {
  const partners = Attn.partners(index, state);
  const own = index.runs[state.run].records.find((entry) => entry.id === state.id);
  const option = (entry) => Attn.element('option', { value: `${entry.run}/${entry.id}`, selected: state.b === `${entry.run}/${entry.id}` },
    `${entry.strategy} · ${entry.layout} · turn ${entry.turn}${index.runs.length > 1 ? ` · ${entry.runName}` : ''}`);
  const group = (label, entries) => (entries.length ? Attn.element('optgroup', { label }, ...entries.map(option)) : null);
  return Attn.element('select', { id: 'partner', 'aria-label': 'Record to compare with', onchange: (event) => actions.set({ b: event.target.value || null }) },
    Attn.element('option', { value: '' }, 'compare with …'),
    group('same dialogue', partners.filter((entry) => own && entry.example === own.example)),
    group('others', partners.filter((entry) => !own || entry.example !== own.example)));
};

// Spans that both have, with their masses.
Attn.spanDifferences = (a, b, state) => a.shownSpans().filter(({ label }) => b.column(label) >= 0).map(({ label }) => {
  const [left, right] = [a, b].map((record) => Attn.mean(record.spanSteps(label, state)));
  return { label, left, right, difference: right - left };
});

Attn.differenceBars = (a, b, state) => {
  const rows = Attn.spanDifferences(a, b, state);
  const largest = Math.max(...rows.map(({ left, right }) => Math.max(left, right)), 1e-12);
  const [bar, height, left, width] = [360, 34, 170, 760];
  const svg = Attn.canvas(width, rows.length * height + 40);
  const { series, more, less } = Attn.palette();
  svg.append(Attn.svg('rect', { x: left, y: 8, width: 12, height: 10, fill: series[0] }), Attn.text(left + 18, 17, 'A'));
  svg.append(Attn.svg('rect', { x: left + 46, y: 8, width: 12, height: 10, fill: series[1] }), Attn.text(left + 64, 17, 'B'));
  svg.append(Attn.text(left + bar + 110, 17, 'B − A', { 'text-anchor': 'end' }));
  rows.forEach(({ label, left: first, right: second, difference }, number) => {
    const y = 28 + number * height;
    svg.append(Attn.text(left - 8, y + 18, label, { 'text-anchor': 'end' }));
    [first, second].forEach((value, side) => {
      svg.append(Attn.svg('rect', { x: left, y: y + 3 + side * 13, width: Math.max(1, bar * value / largest), height: 11, fill: series[side] }));
      svg.append(Attn.text(left + bar * value / largest + 5, y + 12 + side * 13, Attn.number(value), { 'font-size': 10 }));
    });
    svg.append(Attn.text(left + bar + 110, y + 18, (difference > 0 ? '+' : '') + Attn.number(difference),
      { 'text-anchor': 'end', fill: `rgb(${difference > 0 ? more : less})`, 'font-weight': 600 }));
  });
  const table = () => ({ columns: ['span', 'A', 'B', 'B − A'], rows: rows.map((row) => [row.label, row.left, row.right, row.difference]) });
  return Attn.figure('Attention to spans (mass, mean over new tokens)', `compare-${a.id}-${b.id}`, svg, table);
};

Attn.headDifference = (a, b, state, actions) => {
  const [first, second] = [a, b].map((record) => record.headMatrix(state.span, state.sink));
  const matrix = first.map((row, layer) => row.map((value, head) => second[layer][head] - value));
  const largest = Math.max(...matrix.flat().map(Math.abs), 1e-12);
  const what = `B − A, −${Attn.number(largest)} (blue) to +${Attn.number(largest)} (orange), root scale`;
  return Attn.headGrid(`Difference of attention to ${state.span}`, `compare-heads-${a.id}-${b.id}`, matrix, state, actions,
    { colour: Attn.diverging, largest, what, extra: [Attn.spanChooser(a, state, actions)] });
};

// Tokens of spans that read the same in both, coloured by the difference.
Attn.tokenDifference = (a, b, state) => {
  const [rowsA, rowsB] = [a.rows(state), b.rows(state)];
  if (!rowsA || !rowsB) return Attn.element('p', { class: 'quiet' }, 'Single tokens are compared where both records have whole rows.');
  const means = [[a, rowsA], [b, rowsB]].map(([record, rows]) => {
    const mean = new Float64Array(record.keys);
    for (let row = 0; row < record.manifest.rows; row++) for (let key = 0; key < record.keys; key++) mean[key] += rows[row * record.keys + key] / record.manifest.rows;
    return mean;
  });
  const textOf = (record, { tokens }) => record.tokens.slice(tokens.start, tokens.end);
  const blocks = [];
  for (const span of a.shownSpans().sort((left, right) => left.tokens.start - right.tokens.start)) {
    const other = b.manifest.spans.find(({ label }) => label === span.label);
    if (!other || ['system', 'instruction', 'history'].includes(span.label)) continue;
    const texts = textOf(a, span);
    if (texts.join('\0') !== textOf(b, other).join('\0')) continue;
    blocks.push({ label: span.label, tokens: texts.map((text, at) => ({ text, difference: means[1][other.tokens.start + at] - means[0][span.tokens.start + at] })) });
  }
  const largest = Math.max(...blocks.flatMap(({ tokens }) => tokens.map(({ difference }) => Math.abs(difference))), 1e-12);
  const { more, less } = Attn.palette();
  const token = ({ text, difference }) => Attn.element('span', { class: 't', title: Attn.number(difference),
    style: `background-color: rgba(${difference > 0 ? more : less}, ${0.55 * Attn.shade(Math.abs(difference), largest)})` }, text);
  return Attn.element('div', { class: 'figure' }, Attn.element('h2', {}, 'Difference by token, in spans that read the same'),
    Attn.element('div', { class: 'map', style: 'cursor: default' }, ...blocks.flatMap(({ label, tokens }) => [
      Attn.element('h3', {}, label), ...tokens.map(token)])),
    Attn.element('p', { class: 'quiet' }, `blue: less in B, orange: more in B; up to ±${Attn.number(largest)}, root scale`));
};

Attn.compareView = (a, b, index, state, actions) => {
  const chooser = Attn.element('div', { class: 'figure-head' }, Attn.partnerChooser(index, state, actions),
    b ? Attn.element('button', { type: 'button', onclick: () => actions.set({ run: b.run, id: b.id, b: `${a.run}/${a.id}`, sel: '' }) }, 'swap A and B') : null);
  if (!b) return [chooser, Attn.element('p', { class: 'quiet' }, 'Choose a second record: another strategy or layout of the same dialogue, say.')];
  const side = (letter, record) => {
    const { strategy, layout, turn, model, response } = record.manifest.record;
    return Attn.element('div', { class: 'figure' }, Attn.element('h2', {}, `${letter}: ${strategy}`),
      Attn.element('p', { class: 'quiet' }, `${layout} · turn ${turn} · ${model}`), Attn.element('p', {}, response));
  };
  if (!a.shownSpans().length || !b.shownSpans().length) return [chooser, side('A', a), side('B', b)];
  const same = a.manifest.layers === b.manifest.layers && a.manifest.heads === b.manifest.heads && b.column(state.span) >= 0;
  return [chooser, Attn.element('div', { class: 'sides' }, side('A', a), side('B', b)), Attn.differenceBars(a, b, state),
    same ? Attn.headDifference(a, b, state, actions) : Attn.element('p', { class: 'quiet' }, 'The models have different layers or heads.'),
    Attn.tokenDifference(a, b, state)];
};
