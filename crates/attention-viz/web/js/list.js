'use strict';
// The list of records and its search.

// What a search asks for: "turn 5" is that turn, everything else is looked for in the record's texts.
const searchTerms = (query) => [...query.toLowerCase().matchAll(/\bturn\s+(\d+)\b|\S+/g)].map(([word, turn]) => (turn === undefined
  ? { word } : { turn: Number(turn) }));
const searchText = (entry, run) => [entry.strategy, entry.layout, entry.conversation, entry.example, entry.model, entry.response, run.name]
  .join(' ').toLowerCase();

Attn.drawList = (index, state, actions) => {
  const $ = (id) => document.getElementById(id);
  const terms = searchTerms(state.q);
  const found = [];
  index.runs.forEach((run, number) => run.records.forEach((entry) => {
    const own = terms.length ? searchText(entry, run) : '';
    if (terms.every(({ word, turn }) => (word === undefined ? entry.turn === turn : own.includes(word)))) found.push({ entry, number });
  }));
  const most = 300;
  if ($('search').value !== state.q) $('search').value = state.q;
  $('found').textContent = found.length > most ? `${found.length} records, the first ${most} are shown` : `${found.length} records`;
  $('list').replaceChildren(...found.slice(0, most).map(({ entry, number }) => Attn.element('li', {},
    Attn.element('button', { type: 'button', 'data-key': `${number}/${entry.id}`, onclick: () => actions.open(number, entry.id) },
      Attn.element('span', { title: `${entry.conversation}: ${entry.response.slice(0, 200)}` }, entry.strategy),
      Attn.element('small', {}, about(entry))))));
  $('problems').replaceChildren(...index.problems.map((problem) => Attn.element('p', {}, `left out: ${problem}`)));
  Attn.markRecord(state);
};

const about = ({ layout, turn, values }) => {
  const sra = Number.isFinite(values.sra) ? ` · SRA ${Number(values.sra.toPrecision(2))}` : '';
  return `${layout} · turn ${turn}${sra}`;
};

Attn.markRecord = ({ run, id }) => {
  for (const button of document.querySelectorAll('#list button')) button.setAttribute('aria-current', String(button.dataset.key === `${run}/${id}`));
};
