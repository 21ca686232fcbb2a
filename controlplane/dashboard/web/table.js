// A table of thousands of objects: all of them are known, and only those in view are elements. Everything from the cluster is set
// as text.
import { follow } from './stream.js';
import { ageOf } from './ages.js';

const height = 32; // of a row, as in the style
const calm = 250; // the shortest pause between two sorts

export function startTable(root) {
  const words = root.dataset;
  const filter = document.getElementById('filter');
  const count = document.getElementById('count');
  const rows = new Map();
  let columns = [];
  let namespaced = false;
  let shown = [];
  let sort = { by: -1, down: false };
  let synced = false;
  let due = 0;
  let last = 0;

  const head = document.createElement('div');
  const body = document.createElement('div');
  const empty = root.querySelector('.empty');
  head.className = 'row head';
  head.setAttribute('role', 'row');
  body.className = 'body';
  body.setAttribute('role', 'rowgroup');
  root.append(head, body);

  const cells = r => namespaced ? [r.namespace || '', ...r.cells] : r.cells;
  const isTime = i => !!columns[i - (namespaced ? 1 : 0)]?.time;
  const text = (r, i) => isTime(i) ? (r.created ? ageOf(r.created) : '') : cells(r)[i] ?? '';

  function define() {
    const titles = [...(namespaced ? [words.namespace] : []), ...columns.map(c => c.name)];
    head.replaceChildren(...titles.map((t, i) => {
      const b = document.createElement('button');
      b.type = 'button';
      b.textContent = t;
      b.addEventListener('click', () => {
        sort = { by: i, down: sort.by === i && !sort.down };
        arrange();
      });
      const h = document.createElement('div');
      h.setAttribute('role', 'columnheader');
      h.setAttribute('aria-sort', sort.by === i ? (sort.down ? 'descending' : 'ascending') : 'none');
      h.append(b);
      return h;
    }));
  }

  // Wide columns of kubectl are shown, too, if there is room: the table scrolls sideways.
  function widths() {
    const sample = shown.slice(0, 300);
    const list = [...head.children].map((h, i) => {
      let w = h.textContent.length + 2;
      for (const r of sample) w = Math.max(w, [...text(r, i)].reduce((n, c) => n + (c > '\u2e80' ? 2 : 1), 0));
      return Math.min(w + 2, 60) + 'ch';
    });
    root.style.setProperty('--columns', list.join(' '));
  }

  function matcher() {
    const parts = (filter ? filter.value : '').trim().toLowerCase().split(/\s+/).filter(Boolean);
    return r => parts.every(p => {
      const not = p.startsWith('!') && p.length > 1;
      if (not) p = p.slice(1);
      const at = p.indexOf('=');
      let ok = false;
      if (at > 0) {
        for (const [k, v] of Object.entries(r.labels || {})) {
          ok ||= k.toLowerCase() === p.slice(0, at) && v.toLowerCase() === p.slice(at + 1);
        }
      }
      ok ||= cells(r).some(c => c.toLowerCase().includes(p));
      return ok !== not;
    });
  }

  function compare(a, b) {
    const i = sort.by;
    const own = columns[i - (namespaced ? 1 : 0)];
    let n = 0;
    if (i >= 0 && own && own.time) n = Date.parse(b.created) - Date.parse(a.created);
    else if (i >= 0) {
      const x = cells(a)[i] ?? '', y = cells(b)[i] ?? '';
      n = own && own.numeric ? parseFloat(x) - parseFloat(y) || 0 : x < y ? -1 : x > y ? 1 : 0;
    }
    if (sort.down) n = -n;
    if (n) return n;
    if (!words.target && i < 0) return Date.parse(b.created) - Date.parse(a.created); // Events: the newest first
    const x = (a.namespace || '') + '/' + a.name, y = (b.namespace || '') + '/' + b.name;
    return x < y ? -1 : x > y ? 1 : 0;
  }

  function arrange() {
    last = Date.now();
    due = 0;
    const match = matcher();
    shown = [...rows.values()].filter(match).sort(compare);
    for (const [i, h] of [...head.children].entries()) h.setAttribute('aria-sort', sort.by === i ? (sort.down ? 'descending' : 'ascending') : 'none');
    if (count) count.textContent = count.dataset.count.replace('%d', shown.length).replace('%d', rows.size);
    empty.hidden = shown.length > 0;
    empty.textContent = !synced ? words.loading : rows.size ? words.nothing : words.empty;
    head.hidden = rows.size === 0;
    root.setAttribute('aria-rowcount', shown.length + 1);
    body.style.height = shown.length * height + 'px';
    widths();
    draw();
  }

  function soon() {
    if (!due) due = setTimeout(arrange, Math.max(0, calm - (Date.now() - last)));
  }

  function link(r) {
    if (words.target) {
      return words.target + (r.namespace ? '&ns=' + encodeURIComponent(r.namespace) : '') + '&name=' + encodeURIComponent(r.name);
    }
    if (!r.owner) return '';
    return '/object?type=' + encodeURIComponent(r.owner.kind) + (r.namespace ? '&ns=' + encodeURIComponent(r.namespace) : '') + '&name=' + encodeURIComponent(r.owner.name);
  }

  function draw() {
    const first = Math.max(0, Math.floor(root.scrollTop / height) - 5);
    const end = Math.min(shown.length, Math.ceil((root.scrollTop + root.clientHeight) / height) + 5);
    const old = new Map([...body.children].map(e => [e.dataset.uid, e]));
    const linked = words.target ? (namespaced ? 1 : 0) : 3;
    for (let i = first; i < end; i++) {
      const r = shown[i];
      let e = old.get(r.uid);
      old.delete(r.uid);
      if (!e) {
        e = document.createElement('div');
        e.className = 'row';
        e.setAttribute('role', 'row');
        e.dataset.uid = r.uid;
        body.append(e);
      }
      e.setAttribute('aria-rowindex', i + 2);
      e.style.transform = 'translateY(' + i * height + 'px)';
      e.classList.toggle('odd', i % 2 === 1);
      e.classList.toggle('deleting', !!r.deleting);
      const n = head.children.length;
      while (e.children.length > n) e.lastChild.remove();
      for (let c = 0; c < n; c++) {
        let cell = e.children[c];
        if (!cell) {
          cell = document.createElement('div');
          cell.setAttribute('role', 'cell');
          if (c === linked) cell.append(document.createElement('a'));
          e.append(cell);
        }
        const to = c === linked ? cell.firstChild : cell;
        const t = text(r, c);
        if (to.textContent !== t) to.textContent = to.title = t;
        if (c === linked) {
          const url = link(r);
          if (to.getAttribute('href') !== url) to.setAttribute('href', url);
        }
      }
    }
    for (const e of old.values()) e.remove();
  }

  let drawing = 0;
  root.addEventListener('scroll', () => {
    if (!drawing) drawing = requestAnimationFrame(() => { drawing = 0; draw(); });
  }, { passive: true });
  addEventListener('resize', draw);
  setInterval(() => { if (!document.hidden) draw(); }, 1000); // ages
  if (filter) {
    filter.addEventListener('input', () => {
      arrange();
      const u = new URL(location.href);
      if (filter.value) u.searchParams.set('q', filter.value);
      else u.searchParams.delete('q');
      history.replaceState(null, '', u);
    });
  }

  follow(words.source, {
    rows: b => {
      if (b.reset) {
        rows.clear();
        synced = false;
      }
      for (const r of b.set || []) rows.set(r.uid, r);
      for (const uid of b.delete || []) rows.delete(uid);
      if (b.synced) synced = true;
      const spaces = words.target !== '' && !new URL(words.source, location).searchParams.get('ns') && [...(b.set || [])].some(r => r.namespace);
      if (b.columns || spaces !== namespaced && spaces) {
        if (b.columns) columns = b.columns;
        namespaced = namespaced || spaces;
        define();
      }
      soon();
    },
  });
}
