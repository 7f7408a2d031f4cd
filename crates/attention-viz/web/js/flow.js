'use strict';
// Tokens as a picture of flowing text, each on its colour.

// `blocks` hold a heading and tokens { text, fill }; each token is as wide as its letters are.
Attn.flow = (legend, blocks) => {
  const [size, leading, margin, width] = [12, 20, 14, 860];
  const font = { 'font-family': '"DejaVu Sans Mono", "Liberation Mono", monospace', 'font-size': size };
  const widthOf = (text) => Attn.widthOf(text, font);
  const { fg, quiet } = Attn.palette();
  const body = [];
  let [x, y] = [margin, margin];
  const newLine = () => { if (x > margin) y += leading; x = margin; };
  const line = (text, attributes) => { newLine(); body.push(Attn.text(margin, y + size, text, attributes)); y += leading; };
  const piece = (text, wide, fill) => {
    if (fill) body.push(Attn.svg('rect', { x, y, width: wide, height: leading - 3, fill }));
    body.push(Attn.text(x, y + size, text, { ...font, 'xml:space': 'preserve' }));
    x += wide;
  };
  const token = ({ text, fill }) => {
    let rest = Attn.shown(text);
    if (x > margin && x + widthOf(rest) > width - margin) newLine();
    while (rest) {
      const letters = fitting(rest, width - margin - x, widthOf);
      piece(rest.slice(0, letters), widthOf(rest.slice(0, letters)), fill);
      rest = rest.slice(letters);
      if (rest) newLine();
    }
    if (text.includes('\n')) newLine();
  };
  line(legend, { fill: quiet });
  for (const { heading, tokens } of blocks) {
    newLine();
    y += 6;
    line(heading, { fill: fg, 'font-weight': 600, 'font-size': 12 });
    tokens.forEach(token);
  }
  newLine();
  const svg = Attn.canvas(width, Math.round(y + margin));
  svg.append(...body);
  return svg;
};

// How many units of a text have room; at least one letter, and no half of one.
const fitting = (text, room, widthOf) => {
  if (widthOf(text) <= room) return text.length;
  let length = 0;
  for (const letter of text) {
    if (length && widthOf(text.slice(0, length + letter.length)) > room) break;
    length += letter.length;
  }
  return length;
};
