// Tables that stand in the page as they are: a click on a head sorts them.

const sortingKey = (text) => {
  const plain = text.replace('−', '-').replace('∞', 'Infinity').trim();
  return plain !== '' && !Number.isNaN(Number(plain)) ? Number(plain) : null;
};

// Numbers by size, other texts after them by letters, what is missing last.
const compareCells = (one, other, sign) => {
  const [left, right] = [sortingKey(one), sortingKey(other)];
  if (left !== null && right !== null) return sign * (left - right);
  if (left !== null || right !== null) return left !== null ? -1 : 1;
  if ((one === '–') !== (other === '–')) return one === '–' ? 1 : -1;
  return sign * one.localeCompare(other);
};

for (const table of document.querySelectorAll('table.sortable')) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const sort = () => {
      const sign = head.getAttribute('aria-sort') === 'ascending' ? -1 : 1;
      heads.forEach((other) => other.removeAttribute('aria-sort'));
      head.setAttribute('aria-sort', sign > 0 ? 'ascending' : 'descending');
      const body = table.tBodies[0];
      const rows = [...body.rows].sort((one, other) => compareCells(one.cells[column].textContent, other.cells[column].textContent, sign));
      body.append(...rows);
    };
    head.replaceChildren(element('button', { type: 'button', onclick: sort }, head.textContent));
  });
}
