// Logs: the newest lines of many containers. Lines are set as text; only the newest are kept.
import { follow } from './stream.js';

const most = 5000;

export function startLog(root) {
  const filter = document.getElementById('filter');
  const box = document.getElementById('follow');
  const count = document.getElementById('count');
  let lines = [];
  let fresh = [];
  let drawing = 0;

  const wanted = l => {
    const t = filter ? filter.value.toLowerCase() : '';
    return !t || l.text.toLowerCase().includes(t) || l.from.toLowerCase().includes(t);
  };

  function element(l) {
    const e = document.createElement('div');
    e.className = l.note ? 'note' : '';
    const time = document.createElement('time');
    time.textContent = l.time ? l.time.slice(11, 23) : '';
    if (l.time) time.dateTime = l.time;
    const from = document.createElement('span');
    from.className = 'from';
    from.textContent = l.from;
    const text = document.createElement('span');
    text.textContent = l.text;
    e.append(time, ' ', from, ' ', text);
    return e;
  }

  function add() {
    drawing = 0;
    const list = fresh.slice(-most);
    fresh = [];
    lines = lines.concat(list).slice(-most);
    const f = document.createDocumentFragment();
    for (const l of list) if (wanted(l)) f.append(element(l));
    root.append(f);
    while (root.childElementCount > most) root.firstElementChild.remove();
    tell();
  }

  function tell() {
    if (count) count.textContent = count.dataset.count.replace('%d', root.childElementCount).replace('%d', lines.length);
    root.classList.toggle('none', lines.length === 0);
    if (!box || box.checked) root.scrollTop = root.scrollHeight;
  }

  function all() {
    root.replaceChildren(...lines.filter(wanted).map(element));
    tell();
  }

  if (filter) filter.addEventListener('input', all);
  if (box) {
    box.addEventListener('change', tell);
    root.addEventListener('wheel', e => { if (e.deltaY < 0) box.checked = false; }, { passive: true });
  }
  tell();
  follow(root.dataset.source, {
    reset: () => {
      lines = [];
      fresh = [];
      all();
    },
    lines: list => {
      fresh = fresh.concat(list);
      if (!drawing) drawing = requestAnimationFrame(add);
    },
  });
}
