'use strict';
// The page's state and how it stands in the address: everything shown follows from it.

Attn.views = { map: 'Prompt map', spans: 'Spans × steps', heads: 'Layers × heads', compare: 'A / B', turns: 'Over turns' };

Attn.fresh = { run: 0, id: null, view: 'map', sel: '', span: 'strategy_name', sink: 'drop', layer: null, head: null, order: 'number', b: null,
  value: 'sra', by: 'layout', q: '' };

// An address may name what is not here: the first record is shown then, and what makes no sense is left out.
Attn.readAddress = (index) => {
  const read = { ...Attn.fresh };
  for (const [name, value] of new URLSearchParams(location.hash.slice(1))) {
    if (!(name in Attn.fresh)) continue;
    if (!['run', 'layer', 'head'].includes(name)) read[name] = value;
    else if (/^\d{1,9}$/.test(value)) read[name] = Number(value);
  }
  const known = { view: Object.keys(Attn.views), order: Object.keys(Attn.orderNames), by: Attn.lineKinds, sink: ['drop', 'keep'] };
  for (const [name, values] of Object.entries(known)) if (!values.includes(read[name])) read[name] = Attn.fresh[name];
  if (read.layer === null) read.head = null;
  if (!Attn.partnerOf(index, read)) read.b = null;
  return { ...read, ...existing(index, read) };
};

const existing = (index, { run, id }) => {
  const hasRecords = (number) => index.runs[number] && index.runs[number].records.length > 0;
  const found = hasRecords(run) ? run : index.runs.findIndex((_, number) => hasRecords(number));
  if (found < 0) throw new Error('no record could be read');
  const { records } = index.runs[found];
  return { run: found, id: records.some((entry) => entry.id === id) ? id : records[0].id };
};

// Run and id of the record that is compared with; null if there is none.
Attn.partnerOf = (index, { b }) => {
  const found = /^(\d+)\/(.+)$/.exec(b || '');
  if (!found) return null;
  const [run, id] = [Number(found[1]), found[2]];
  return index.runs[run] && index.runs[run].records.some((entry) => entry.id === id) ? { run, id } : null;
};

// Going to another record or view can be gone back from; everything else only replaces the address.
Attn.writeAddress = (state, isStep) => {
  const changed = Object.entries(state).filter(([name, value]) => value !== Attn.fresh[name] && value !== null && value !== '');
  const hash = `#${new URLSearchParams(changed)}`;
  if (hash === location.hash) return;
  if (isStep) history.pushState(null, '', hash);
  else history.replaceState(null, '', hash);
};
