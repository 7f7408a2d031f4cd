// The table of samples: sorted, filtered and shown page by page, with the texts of a pair below its row.

const drawSamples = (place, { pairs, pair, heldOut, columns, predictions }) => {
  const count = pair.length;
  const column = (name) => columns[name].map(numberOf);
  const values = Object.fromEntries(Object.keys(columns).map((name) => [name, column(name)]));
  const { step, chosen_reward: chosen, rejected_reward: rejected } = values;
  values.margin = chosen.map((reward, row) => (reward === null || rejected[row] === null ? null : reward - rejected[row]));
  const isRight = (row) => (values.margin[row] === null ? null : chosen[row] > rejected[row]);

  const evaluations = [...new Set(step.filter((_, row) => heldOut[row]))].sort((one, other) => one - other);
  const lastEvaluation = evaluations[evaluations.length - 1];
  const state = { set: evaluations.length ? 'held-out' : 'train', step: evaluations.length ? String(lastEvaluation) : 'all', verdict: 'all', words: [], sort: 'margin', sign: 1, page: 0, size: 25 };

  const shownColumns = [
    ['pair', 'Pair'], ['prompt', 'Prompt'], ['set', 'Set'], ['epoch', 'Epoch'], ['step', 'Step'], ['loss', 'Loss'], ['margin', 'Margin'],
    ['chosen_reward', 'Reward chosen'], ['rejected_reward', 'Reward rejected'], ['policy_logps_chosen', 'log p chosen'],
    ['policy_logps_rejected', 'log p rejected'], ['reference_logps_chosen', 'reference chosen'], ['reference_logps_rejected', 'reference rejected'],
    ['chosen_tokens', 'Tokens chosen'], ['rejected_tokens', 'Tokens rejected'],
  ].filter(([name]) => !values[name] || values[name].some((value) => value !== null));

  // Each text is searched once, however many samples it belongs to.
  let lower = null;
  const matching = () => {
    if (!state.words.length) return null;
    lower ??= report.texts.map((text) => text.toLowerCase());
    return pairs.map(([id, , ...texts]) => {
      const all = [String(id).toLowerCase(), ...texts.filter((text) => text !== null).map((text) => lower[text])];
      return state.words.every((word) => all.some((text) => text.includes(word)));
    });
  };

  const filtered = () => {
    const found = matching();
    const rows = [];
    for (let row = 0; row < count; row += 1) {
      if (state.set !== 'all' && (state.set === 'held-out') !== Boolean(heldOut[row])) continue;
      if (state.step !== 'all' && step[row] !== Number(state.step)) continue;
      if (state.verdict !== 'all' && isRight(row) !== (state.verdict === 'right')) continue;
      if (found && !found[pair[row]]) continue;
      rows.push(row);
    }
    return rows;
  };

  const promptOf = (row) => textOf(pairs[pair[row]][2]) ?? '';
  const keys = {
    pair: (row) => String(pairs[pair[row]][0]), prompt: promptOf, set: (row) => (heldOut[row] ? 'held out' : 'train'),
  };
  const names = new Intl.Collator(undefined, { numeric: true });
  const sorted = (rows) => {
    const text = keys[state.sort];
    if (text) {
      const all = new Map(rows.map((row) => [row, text(row)]));
      return rows.sort((one, other) => state.sign * names.compare(all.get(one), all.get(other)) || one - other);
    }
    const numbers = values[state.sort];
    const isMissing = (row) => numbers[row] === null || Number.isNaN(numbers[row]);
    return rows.sort((one, other) => {
      if (isMissing(one) || isMissing(other)) return isMissing(one) - isMissing(other) || one - other;
      if (numbers[one] === numbers[other]) return one - other;
      return state.sign * (numbers[one] < numbers[other] ? -1 : 1);
    });
  };

  let rows = [];
  const body = element('tbody');
  const found = element('output', { role: 'status' });
  const pages = element('output');
  const steps = element('span');
  const heads = shownColumns.map(([name, title]) => element('th', { scope: 'col' },
    element('button', { type: 'button', onclick: () => sortBy(name) }, title)));
  const [first, before, after, last] = [['First', () => 0], ['Before', () => state.page - 1], ['Next', () => state.page + 1], ['Last', () => Infinity]]
    .map(([title, page]) => element('button', { type: 'button', onclick: () => { state.page = page(); draw(); } }, title));

  const sortBy = (name) => {
    state.sign = state.sort === name ? -state.sign : 1;
    state.sort = name;
    refresh();
  };

  const cell = (name, row) => {
    if (name === 'pair') {
      const toggle = element('button', { type: 'button', class: 'open', 'aria-expanded': 'false', onclick: () => open(toggle, row) }, keys.pair(row));
      return element('th', { scope: 'row', class: 'id' }, toggle);
    }
    if (name === 'prompt') return element('td', { class: 'preview' }, promptOf(row).slice(0, 120));
    if (name === 'set') return element('td', {}, keys.set(row));
    if (name === 'margin') {
      const right = isRight(row);
      const mark = right === null ? '' : right ? '✓ ' : '✗ ';
      return element('td', { class: right === null ? null : right ? 'right' : 'wrong' }, mark + shown(values.margin[row]));
    }
    return element('td', {}, shown(values[name][row]));
  };

  const history = (row) => {
    const same = [];
    for (let other = 0; other < count; other += 1) if (pair[other] === pair[row]) same.push(other);
    if (same.length < 2) return null;
    same.sort((one, other) => step[one] - step[other]);
    const titles = ['Set', 'Step', 'Loss', 'Margin', 'Reward chosen', 'Reward rejected'];
    const line = (other) => [keys.set(other), ...['step', 'loss', 'margin', 'chosen_reward', 'rejected_reward'].map((name) => shown(values[name][other]))];
    return element('details', {}, element('summary', {}, `All ${same.length} records of this pair`), element('div', { class: 'scroll', tabindex: '0' },
      element('table', {}, element('thead', {}, element('tr', {}, ...titles.map((title) => element('th', { scope: 'col' }, title)))),
        element('tbody', {}, ...same.map((other) => element('tr', {}, ...line(other).map((value) => element('td', {}, value))))))));
  };

  const open = (toggle, row) => {
    const line = toggle.closest('tr');
    const isOpen = toggle.getAttribute('aria-expanded') === 'true';
    toggle.setAttribute('aria-expanded', String(!isOpen));
    if (isOpen) { line.nextElementSibling.remove(); return; }
    const [, split, prompt, preferred, other] = pairs[pair[row]];
    const texts = prompt === null ? [element('p', { class: 'absent' }, 'The texts of this pair are not in outputs/pairs.jsonl.')]
      : [element('div', { class: 'prompt' }, card(`Prompt (split ${split})`, textOf(prompt))),
        element('div', { class: 'texts' }, card('Chosen', textOf(preferred), `reward ${shown(chosen[row])}`), card('Rejected', textOf(other), `reward ${shown(rejected[row])}`))];
    const guesses = Object.entries(predictions).filter(([, places]) => places[row] !== null);
    const guessed = guesses.length ? element('details', {}, element('summary', {}, 'Likeliest token at each place'),
      element('div', { class: 'texts' }, ...guesses.map(([title, places]) => card(title, textOf(places[row]))))) : null;
    line.after(element('tr', { class: 'inside' }, element('td', { colspan: shownColumns.length }, ...texts, guessed ?? '', history(row) ?? '')));
  };

  const draw = () => {
    const most = Math.max(0, Math.ceil(rows.length / state.size) - 1);
    state.page = Math.max(0, Math.min(state.page, most));
    const start = state.page * state.size;
    const part = rows.slice(start, start + state.size);
    body.replaceChildren(...part.map((row) => element('tr', {}, ...shownColumns.map(([name]) => cell(name, row)))));
    found.textContent = `${rows.length} of ${count} rows`;
    pages.textContent = rows.length ? `${start + 1} to ${start + part.length}` : 'none';
    first.disabled = before.disabled = state.page === 0;
    last.disabled = after.disabled = state.page === most;
    heads.forEach((head, index) => {
      if (shownColumns[index][0] === state.sort) head.setAttribute('aria-sort', state.sign > 0 ? 'ascending' : 'descending');
      else head.removeAttribute('aria-sort');
    });
  };

  const drawSteps = () => {
    const all = state.set === 'train' ? [] : evaluations.map((value) => [String(value), value === lastEvaluation ? `${value} (last)` : String(value)]);
    if (!all.some(([value]) => value === state.step)) state.step = 'all';
    steps.replaceChildren(choice([['all', 'all'], ...all.reverse()], state.step, (value) => { state.step = value; refresh(); }));
  };

  const refresh = () => {
    state.page = 0;
    rows = sorted(filtered());
    draw();
  };

  let waiting = null;
  const search = element('input', { type: 'search', placeholder: 'words in prompt, replies or name', oninput: () => {
    clearTimeout(waiting);
    waiting = setTimeout(() => { state.words = search.value.toLowerCase().split(/\s+/).filter(Boolean); refresh(); }, 150);
  } });
  const sets = choice([['held-out', 'held out'], ['train', 'train'], ['all', 'both']], state.set, (value) => { state.set = value; drawSteps(); refresh(); });
  const verdicts = choice([['all', 'all'], ['right', 'ranked right'], ['wrong', 'ranked wrong']], state.verdict, (value) => { state.verdict = value; refresh(); });
  const sizes = choice([['25', '25'], ['100', '100'], ['500', '500']], '25', (value) => { state.size = Number(value); draw(); });
  drawSteps();
  place.append(
    element('div', { class: 'controls' }, labelled('Set', sets), labelled('Step', steps), labelled('Verdict', verdicts), labelled('Search', search, true), found),
    element('div', { class: 'scroll', tabindex: '0' }, element('table', { class: 'samples' }, element('thead', {}, element('tr', {}, ...heads)), body)),
    element('div', { class: 'controls' }, first, before, pages, after, last, labelled('Rows', sizes)),
  );
  refresh();
};

{
  const place = document.getElementById('sample-table');
  if (place) drawSamples(place, report.samples);
}
