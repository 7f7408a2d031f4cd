'use strict';
// What a selection means, and the number that every token gets from it.

// New tokens (their rows count) or prompt tokens (the mass they receive counts); nothing selected is all new tokens.
Attn.selection = (record, text) => {
  const range = Attn.within(record, text);
  if (!range) return { kind: 'all', first: record.prompt, last: record.tokens.length - 1 };
  const [first, last] = range;
  return last >= record.prompt ? { kind: 'new', first: Math.max(first, record.prompt), last } : { kind: 'prompt', first, last };
};

// The part of a range that is in the record; null if nothing is.
Attn.within = (record, text) => {
  const found = /^(\d+)-(\d+)$/.exec(text || '');
  if (!found) return null;
  const [first, last] = [Number(found[1]), Number(found[2])].sort((left, right) => left - right);
  const end = record.tokens.length - 1;
  return first <= end ? [first, Math.min(last, end)] : null;
};

// A value for every token of the page, and the mass of a selected range at each new token.
Attn.measured = (record, sel, choice) => {
  const chosen = Attn.selection(record, sel);
  const rows = record.rows(choice);
  const values = new Float32Array(record.tokens.length);
  if (chosen.kind === 'prompt') {
    const steps = Attn.massOf(record, choice, chosen.first, chosen.last, rows);
    if (steps) steps.forEach((mass, row) => { values[record.prompt + row] = mass; });
    return { chosen, values, steps };
  }
  const [from, to] = [chosen.first - record.prompt, chosen.last - record.prompt];
  if (!rows) {
    Attn.spanMeans(record, choice, values, from, to);
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
Attn.massOf = (record, choice, first, last, rows) => {
  if (rows) {
    return Float64Array.from({ length: record.manifest.rows }, (_, row) => {
      let sum = 0;
      for (let key = first; key <= last; key++) sum += rows[row * record.keys + key];
      return sum;
    });
  }
  const span = record.manifest.spans.find(({ tokens }) => tokens.start === first && tokens.end === last + 1);
  return span ? record.spanSteps(span.label, choice) : null;
};

// Without whole rows, a span's tokens all get its mean; smaller spans win over larger ones.
Attn.spanMeans = (record, choice, values, from, to) => {
  const size = ({ tokens }) => tokens.end - tokens.start;
  for (const span of record.shownSpans().sort((left, right) => size(right) - size(left))) {
    const steps = record.spanSteps(span.label, choice).slice(from, to + 1);
    values.fill(Attn.mean(steps) / size(span), span.tokens.start, span.tokens.end);
  }
};

// Attention that each position receives, mean over all new tokens.
Attn.received = (record, rows) => {
  const mean = new Float64Array(record.keys);
  const count = record.manifest.rows;
  for (let row = 0; row < count; row++) for (let key = 0; key < record.keys; key++) mean[key] += rows[row * record.keys + key] / count;
  return mean;
};

// Largest value that a colour stands for: sinks, where kept, would leave nothing for the rest.
Attn.largest = (record, values, sink) => {
  const without = new Set(sink === 'keep' ? record.manifest.sinks : []);
  let largest = 0;
  for (let at = 0; at < values.length; at++) if (values[at] > largest && !without.has(at)) largest = values[at];
  return largest;
};
