// Which words of a text are not in another one, by the longest run of words that both have in common.

const wordsOf = (text) => text.match(/\s*\S+/g) ?? [];

// More comparisons than this would keep the page waiting; then nothing is marked.
const mostComparisons = 4e6;

// The text in pieces, those that are new as `mark` elements; null if the texts are too long to be compared.
const withNewWordsMarked = (text, older) => {
  const words = wordsOf(text);
  const [own, others] = [words, wordsOf(older)].map((all) => all.map((word) => word.trim()));
  let start = 0;
  while (start < own.length && start < others.length && own[start] === others[start]) start += 1;
  let end = 0;
  while (end < Math.min(own.length, others.length) - start && own[own.length - 1 - end] === others[others.length - 1 - end]) end += 1;
  const [rows, columns] = [own.length - end - start, others.length - end - start];
  if (rows * columns > mostComparisons) return null;
  const width = columns + 1;
  const common = new Uint16Array((rows + 1) * width);
  for (let row = rows - 1; row >= 0; row -= 1) {
    for (let column = columns - 1; column >= 0; column -= 1) {
      common[row * width + column] = own[start + row] === others[start + column] ? common[(row + 1) * width + column + 1] + 1
        : Math.max(common[(row + 1) * width + column], common[row * width + column + 1]);
    }
  }
  const isNew = new Array(words.length).fill(false);
  for (let row = 0, column = 0; row < rows;) {
    if (column < columns && own[start + row] === others[start + column]) { row += 1; column += 1; }
    else if (column < columns && common[row * width + column + 1] > common[(row + 1) * width + column]) column += 1;
    else { isNew[start + row] = true; row += 1; }
  }
  const pieces = [];
  words.forEach((word, index) => {
    const last = pieces[pieces.length - 1];
    if (last && last.isNew === isNew[index]) last.text += word;
    else pieces.push({ isNew: isNew[index], text: word });
  });
  return pieces.map((piece) => (piece.isNew ? element('mark', {}, piece.text) : piece.text));
};
