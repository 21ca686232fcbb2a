// A text to write YAML in: line numbers, and Tab indents, until Escape was pressed.
const indent = '  ';

export function startEditor(text) {
  const numbers = text.parentElement.querySelector('.numbers');
  let leaving = false;
  let lines = 0;

  const count = () => {
    const n = text.value.split('\n').length;
    if (n === lines) return;
    lines = n;
    numbers.textContent = Array.from({ length: n }, (_, i) => i + 1).join('\n');
  };

  // What is written this way can be undone, unlike what is set.
  const write = (from, to, words) => {
    text.setSelectionRange(from, to);
    if (!document.execCommand('insertText', false, words)) text.setRangeText(words, from, to, 'end');
  };

  const shift = back => {
    const from = text.value.lastIndexOf('\n', text.selectionStart - 1) + 1;
    const to = Math.max(text.selectionEnd, from);
    const before = text.value.slice(from, to);
    const after = before.split('\n').map(l => back ? l.replace(/^ {1,2}/, '') : l && indent + l).join('\n');
    if (after === before) return;
    write(from, to, after);
    text.setSelectionRange(from, from + after.length);
  };

  text.addEventListener('keydown', e => {
    if (e.isComposing || e.ctrlKey || e.metaKey || e.altKey) return;
    if (e.key === 'Escape') {
      leaving = true;
      e.stopPropagation(); // it leaves other fields at once
      return;
    }
    const now = leaving;
    if (e.key !== 'Shift') leaving = false;
    if (e.key === 'Tab' && !now) {
      e.preventDefault();
      if (e.shiftKey || text.selectionStart !== text.selectionEnd) shift(e.shiftKey);
      else write(text.selectionStart, text.selectionEnd, indent);
      count();
    } else if (e.key === 'Enter') {
      const line = text.value.slice(text.value.lastIndexOf('\n', text.selectionStart - 1) + 1, text.selectionStart);
      const begin = line.match(/^ */)[0];
      if (!begin) return;
      e.preventDefault();
      write(text.selectionStart, text.selectionEnd, '\n' + begin);
      count();
    }
  });
  text.addEventListener('input', count);
  text.addEventListener('scroll', () => { numbers.scrollTop = text.scrollTop; });
  text.addEventListener('blur', () => { leaving = false; });
  count();
}
