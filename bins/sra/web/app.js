// The page of `sra head2head --web`. The server keeps the chat; the page shows what it is told and sends what the visitor does.
// Texts only ever become text nodes.

'use strict';

const LOOK_EVERY = 400;
const SIDES = ['left', 'right'];
const at = (id) => document.getElementById(id);

const page = {
  // A reload goes on with the tab's chat.
  get visitor() { return sessionStorage.getItem('visitor'); },
  set visitor(name) { sessionStorage.setItem('visitor', name); },
  state: null,
  busy: false,
  timer: 0,
  // What each turn on the screen shows, so that only what changed is made anew.
  turns: [],
};

/** Sends what the visitor does and shows what becomes of it. Tells whether it was done; null if the server did not answer. */
async function send(deed, fields = {}) {
  page.busy = true;
  showControls();
  try {
    const response = await fetch(`api/${deed}`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify({ visitor: page.visitor, ...fields }),
    });
    const told = await response.json();
    if (!response.ok) {
      tell(told.problem, true);
      return false;
    }
    page.visitor = told.visitor;
    show(told);
    return true;
  } catch {
    tell('The server does not answer.', true);
    return null;
  } finally {
    page.busy = false;
    showControls();
  }
}

function element(name, properties = {}, children = []) {
  const made = Object.assign(document.createElement(name), properties);
  made.append(...children);
  return made;
}

function show(state) {
  page.state = state;
  showChoices(state);
  showChat(state);
  const names = state.revealed ?? ['Left', 'Right'];
  at('left-name').textContent = names[0];
  at('right-name').textContent = names[1];
  document.querySelector('.heads').classList.toggle('revealed', Boolean(state.revealed));
  tell(...status(state));
  if (state.waiting !== null) lookSoon();
}

function lookSoon() {
  clearTimeout(page.timer);
  page.timer = setTimeout(look, LOOK_EVERY);
}

/** What became of the text that is being answered. */
async function look() {
  if (page.busy || (page.state.waiting !== null && await send('look') === null)) lookSoon();
}

function status(state) {
  if (state.problem) return [state.problem, true];
  if (state.waiting !== null) return ['Both are writing …', false];
  if (state.revealed) return [`Left was ${state.revealed[0]}, right was ${state.revealed[1]}. Clear begins a new chat.`, false];
  if (canPrefer(state)) return ['Which answer is better? (Keys 1, = and 2; Esc leaves the text.) Or say nothing and go on.', false];
  return ['', false];
}

function tell(text, isTrouble) {
  at('status').textContent = text;
  at('status').classList.toggle('trouble', isTrouble);
}

function showChoices(state) {
  at('strategy').textContent = state.strategy ?? 'none';
  const choices = at('choices');
  if (choices.childElementCount === 0) {
    for (const strategy of [null, ...state.strategies]) {
      const button = element('button', { type: 'button', textContent: strategy ?? 'none' });
      button.addEventListener('click', () => send('choose', { strategy }));
      choices.append(button);
    }
  }
  [null, ...state.strategies].forEach((strategy, number) => {
    choices.children[number].setAttribute('aria-pressed', String(strategy === state.strategy));
  });
}

function showChat(state) {
  const turns = state.exchanges.map((told) => [JSON.stringify(told), () => exchange(told)]);
  if (state.waiting !== null) turns.push([JSON.stringify([state.waiting, state.strategy]), () => waiting(state)]);
  const chat = at('chat');
  while (chat.childElementCount > turns.length) chat.lastElementChild.remove();
  turns.forEach(([shows, make], number) => {
    if (page.turns[number] === shows && number < chat.childElementCount) return;
    const made = make();
    if (number < chat.childElementCount) chat.children[number].replaceWith(made);
    else chat.append(made);
    made.scrollIntoView({ block: 'nearest' });
  });
  page.turns = turns.map(([shows]) => shows);
  at('empty').hidden = turns.length > 0;
}

function exchange({ text, strategy, answers, is_cut: isCut, preferred }) {
  const cards = SIDES.map((side, number) => {
    const isBetter = preferred === side;
    const notes = [isBetter ? 'better' : '', preferred === 'equal' ? 'equally good' : '', isCut[number] ? 'cut at its longest length' : ''];
    const note = notes.filter(Boolean).join(' · ');
    const children = [element('p', { textContent: answers[number] })];
    if (note) children.push(element('small', { textContent: note }));
    return card(side, isBetter ? 'answer better' : 'answer', children);
  });
  return turn(text, strategy, cards);
}

function waiting({ waiting: text, strategy }) {
  return turn(text, strategy, SIDES.map((side) => card(side, 'answer waiting', [element('p', { textContent: '…' })])));
}

function turn(text, strategy, cards) {
  const said = [element('p', { textContent: text })];
  if (strategy) said.push(element('small', { textContent: `answered by the strategy ${strategy}` }));
  return element('article', {}, [element('div', { className: 'said' }, said), element('div', { className: 'answers' }, cards)]);
}

function card(side, className, children) {
  const made = element('section', { className }, children);
  made.dataset.side = side === 'left' ? 'Left' : 'Right';
  made.setAttribute('aria-label', side === 'left' ? 'Left answer' : 'Right answer');
  return made;
}

function canPrefer(state) {
  return state.waiting === null && !state.revealed && state.exchanges.length > 0 && state.exchanges.at(-1).preferred === null;
}

function showControls() {
  const { state, busy } = page;
  const isOver = !state || state.waiting !== null || Boolean(state.revealed);
  // A look in the background must not take the focus from a button.
  const isWaiting = state !== null && state.waiting !== null;
  const isBusy = busy && !isWaiting;
  document.querySelectorAll('[data-prefer]').forEach((button) => { button.disabled = isBusy || !state || !canPrefer(state); });
  document.querySelectorAll('#choices button').forEach((button) => { button.disabled = isOver; });
  at('send').disabled = isBusy || isOver;
  at('reveal').disabled = isBusy || isOver || state.exchanges.length === 0;
  at('clear').disabled = isBusy || !state;
}

async function say() {
  const text = at('text').value.trim();
  if (text && !at('send').disabled && await send('say', { text })) at('text').value = '';
}

at('form').addEventListener('submit', (event) => {
  event.preventDefault();
  say();
});

at('text').addEventListener('keydown', (event) => {
  if (event.key === 'Enter' && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    say();
  }
});

document.querySelectorAll('[data-prefer]').forEach((button) => {
  button.addEventListener('click', async () => {
    await send('prefer', { preferred: button.dataset.prefer });
    at('text').focus();
  });
});

document.addEventListener('keydown', (event) => {
  const isTyping = event.target === at('text');
  if (event.key === 'Escape' && isTyping) at('text').blur();
  const preferred = { 1: 'left', '=': 'equal', 2: 'right' }[event.key];
  const isPlain = !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey;
  if (preferred && isPlain && page.state && canPrefer(page.state)) send('prefer', { preferred });
});

at('reveal').addEventListener('click', () => send('reveal'));
at('clear').addEventListener('click', async () => {
  await send('clear');
  at('text').focus();
});

send('visit').then(() => at('text').focus());
