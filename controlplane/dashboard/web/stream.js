// One stream of events from the server, for as long as the page is visible: a browser opens few connections to one address, and a
// page that nobody looks at costs nothing. The page says how old what it shows is.

const patience = 6000; // the server says something every two seconds
const status = document.getElementById('live');
const trouble = document.getElementById('trouble');
const words = document.body.dataset;
const streams = new Set();

export function span(seconds) {
  if (seconds < 120) return Math.max(0, Math.floor(seconds)) + 's';
  if (seconds < 7200) return Math.floor(seconds / 60) + 'm';
  if (seconds < 172800) return Math.floor(seconds / 3600) + 'h';
  return Math.floor(seconds / 86400) + 'd';
}

function say(text, kind) {
  if (!status || status.textContent === text) return;
  status.textContent = text;
  status.className = kind;
}

function look() {
  if (document.hidden || streams.size === 0) return;
  let oldest = Infinity;
  for (const s of streams) {
    if (s.ended) return say(words.ended, 'bad');
    oldest = Math.min(oldest, s.heard);
  }
  const age = Date.now() - oldest;
  if (age < patience) return say(words.current, 'ok');
  say(words.asof.replace('%s', span(age / 1000)) + ' · ' + words.lost, 'warn');
}

export function showTrouble(text) {
  if (!trouble) return;
  trouble.hidden = !text;
  trouble.textContent = text || '';
}

// follow calls handlers by the names of events, with their data. beat is called for all of them.
export function follow(url, handlers) {
  const s = { heard: Date.now(), ended: false };
  let source = null;
  let again = 0;
  const heard = () => { s.heard = Date.now(); look(); };
  const close = () => {
    clearTimeout(again);
    if (source) source.close();
    source = null;
  };
  const open = () => {
    close();
    if (s.ended) return;
    source = new EventSource(url);
    source.addEventListener('beat', heard);
    source.addEventListener('end', heard);
    source.addEventListener('trouble', e => { heard(); showTrouble(JSON.parse(e.data)); });
    for (const [name, f] of Object.entries(handlers)) {
      source.addEventListener(name, e => { heard(); showTrouble(''); f(JSON.parse(e.data)); });
    }
    source.onerror = async () => {
      close();
      again = setTimeout(open, 1000);
      try {
        const r = await fetch('/session', { cache: 'no-store' });
        if (r.status === 401) { s.ended = true; close(); look(); }
      } catch { /* the daemon does not answer; the next try is under way */ }
    };
  };
  streams.add(s);
  document.addEventListener('visibilitychange', () => {
    if (document.hidden) close();
    else open();
  });
  addEventListener('pagehide', close);
  addEventListener('pageshow', e => { if (e.persisted) open(); });
  if (!document.hidden) open();
}

setInterval(look, 1000);
