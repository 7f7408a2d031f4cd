// Replies to one prompt over the epochs, beside each other, with the words that are new.

const drawGenerations = (place, prompts) => {
  const state = { prompt: 0, against: 'before' };
  const title = ({ id, prompt }) => `${id}: ${textOf(prompt).replace(/\s+/g, ' ').slice(0, 90)}`;
  const stage = ({ step, epoch }) => (step === 0 ? 'Base model' : epoch === null ? `Step ${step}` : `Epoch ${shown(epoch)} (step ${step})`);

  const older = (replies, index) => {
    const earlier = replies.filter((reply) => reply.step < replies[index].step);
    if (!earlier.length || state.against === 'nothing') return null;
    return textOf((state.against === 'base' ? earlier[0] : earlier[earlier.length - 1]).text);
  };

  const reply = (replies, index) => {
    const text = textOf(replies[index].text);
    const before = older(replies, index);
    const marked = before === null || text === before ? text : withNewWordsMarked(text, before) ?? text;
    const notes = [`${wordsOf(text).length} words`, text === before ? 'the same as before' : null, replies[index].end ? `ended by ${replies[index].end}` : null];
    return card(stage(replies[index]), marked.length ? marked : text, notes.filter(Boolean).join(', '));
  };

  const view = element('div');
  const draw = () => {
    const { prompt, chosen, rejected, replies } = prompts[state.prompt];
    const references = [['Chosen, in the data', chosen], ['Rejected, in the data', rejected]].filter(([, text]) => text !== null);
    view.replaceChildren(
      element('div', { class: 'prompt' }, card('Prompt', textOf(prompt))),
      element('div', { class: 'texts' }, ...replies.map((_, index) => reply(replies, index)), ...references.map(([name, text]) => card(name, textOf(text)))),
    );
    before.disabled = state.prompt === 0;
    after.disabled = state.prompt === prompts.length - 1;
    list.value = String(state.prompt);
  };
  const go = (prompt) => { state.prompt = prompt; draw(); };
  const list = choice(prompts.map((prompt, index) => [String(index), title(prompt)]), '0', (value) => go(Number(value)));
  const before = element('button', { type: 'button', onclick: () => go(state.prompt - 1) }, 'Before');
  const after = element('button', { type: 'button', onclick: () => go(state.prompt + 1) }, 'Next');
  const against = choice([['before', 'the reply before'], ['base', 'the base model'], ['nothing', 'nothing']], state.against, (value) => { state.against = value; draw(); });
  place.append(element('div', { class: 'controls' }, labelled(`Prompt (${prompts.length})`, list, true), before, after, labelled('Mark words that differ from', against)), view);
  draw();
};

{
  const place = document.getElementById('generation-view');
  if (place && report.generations.length) drawGenerations(place, report.generations);
}
