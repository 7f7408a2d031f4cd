'use strict';
// What stands beside the views: the record's name, and the numbers of the selection.

// The heading comes from the list, so that it is right before the record has come and where it can't be read.
Attn.drawHeading = (entry, record) => {
  const situation = record && record.manifest.record.situation;
  document.getElementById('about').replaceChildren(
    Attn.element('h2', {}, `${entry.strategy} · ${entry.layout} · turn ${entry.turn}`),
    Attn.element('p', { class: 'quiet' }, `${entry.model} · ${entry.layers} layers × ${entry.heads} heads · ${entry.prompt_tokens} prompt tokens, ${entry.rows} new · ${entry.example}`),
    Attn.element('p', {}, situation ? `Situation: ${situation}` : ''));
};

// What the views are restricted to, or why not: one record's, or what both of two can show.
Attn.drawRestriction = (records, { layer, head }, state, actions) => {
  const note = document.getElementById('restricted');
  note.hidden = state.layer === null;
  if (note.hidden) return;
  if (state.view === 'turns') return void note.replaceChildren('Over turns stand numbers of whole records: the choice of a layer or head does not count here.');
  const names = records.length > 1 ? ['A', 'B'] : ['This record'];
  const lacks = records.map((record, at) => [names[at], record.lack(state)]).filter(([, lack]) => lack).map(([name, lack]) => `${name} has ${lack}`);
  const shown = layer === null ? 'all layers' : `the whole layer ${layer}`;
  const what = lacks.length ? `${lacks.join(', ')}: ${records.length > 1 ? `both show ${shown}. ` : `it shows ${shown}. `}`
    : `Everything is restricted to layer ${layer}${head === null ? '' : `, head ${head}`}; layers × heads and the profile stay whole and mark it. `;
  note.replaceChildren(what, Attn.element('button', { type: 'button', onclick: () => actions.set({ layer: null, head: null }) }, 'show all layers'));
};

Attn.drawDetails = (record, measured, choice) => {
  drawNumbers(record, measured, choice);
  drawTop(record, measured);
};

Attn.clearDetails = () => {
  const $ = (id) => document.getElementById(id);
  for (const id of ['numbers', 'steps', 'top']) $(id).replaceChildren();
  $('details-title').textContent = 'Selection';
  $('top-title').textContent = '';
};

const drawNumbers = (record, { chosen, steps }, { layer, sink }) => {
  const $ = (id) => document.getElementById(id);
  const { rows, sinks } = record.manifest;
  const span = record.shownSpans().find(({ tokens }) => tokens.start === chosen.first && tokens.end === chosen.last + 1);
  const count = chosen.last - chosen.first + 1;
  $('details-title').textContent = chosen.kind === 'all' ? 'All new tokens' : chosen.kind === 'new' ? 'New tokens' : span ? span.label : 'Prompt tokens';
  const entries = [['tokens', count === 1 ? `1 (at ${chosen.first})` : `${count} (${chosen.first} to ${chosen.last})`]];
  if (chosen.kind === 'prompt' && steps) {
    const mass = Attn.mean(steps);
    const dropped = sink === 'drop' ? sinks.length : 0;
    const ratio = Attn.mean(steps.map((value, row) => value * (record.prompt + row - dropped) / count));
    entries.push(['attention (mass)', Attn.number(mass)], ['per token', Attn.number(mass / count)], ['ratio to uniform', Attn.number(ratio)]);
  } else if (chosen.kind === 'prompt') {
    entries.push(['attention', 'only whole spans: the record has no rows']);
  } else {
    entries.push(['of', `${rows} new tokens`]);
  }
  // The record's own numbers are of all layers and heads.
  const isWhole = chosen.kind === 'all' && layer === null;
  for (const [name, value] of isWhole ? Object.entries(record.manifest.record.values) : []) entries.push([name, Attn.number(value)]);
  $('numbers').replaceChildren(...entries.flatMap(([name, value]) => [Attn.element('dt', {}, name), Attn.element('dd', { 'data-number': name }, value)]));
  $('steps').replaceChildren(...(steps ? [Attn.sparkline(steps)] : []));
};

const drawTop = (record, { chosen, values }) => {
  const $ = (id) => document.getElementById(id);
  $('top-title').textContent = chosen.kind === 'prompt' ? 'New tokens that attend most' : 'Most attended';
  const order = [...values.keys()].filter((at) => values[at] > 0).sort((left, right) => values[right] - values[left] || left - right).slice(0, 20);
  const largest = values[order[0]] || 1;
  $('top').replaceChildren(...order.map((at) => Attn.element('li', {},
    Attn.element('span', { class: 'where' }, at),
    Attn.element('span', { class: 'word', style: `--w:${(100 * values[at] / largest).toFixed(1)}%` }, Attn.shown(record.tokens[at])),
    Attn.element('span', { class: 'value' }, Attn.number(values[at])))));
};

// Value and rank of a token.
Attn.describe = (record, { values }, token) => {
  const value = values[token];
  const rank = 1 + values.reduce((more, one) => more + (one > value ? 1 : 0), 0);
  const place = token < record.prompt ? `prompt token ${token}` : `new token ${token - record.prompt}`;
  return `“${Attn.shown(record.tokens[token])}” · ${place} · ${Attn.number(value)} · rank ${rank} of ${record.tokens.length}`;
};
