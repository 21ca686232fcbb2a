// Newer versions of the part of the page that changes come as markup that the server made, with everything from the cluster
// escaped. This is the only place where text becomes markup; the content security policy knows the name of this policy alone.
import { follow } from './stream.js';
import { ages } from './ages.js';

const policy = window.trustedTypes
  ? window.trustedTypes.createPolicy('bonsai', { createHTML: text => text })
  : { createHTML: text => text };

function parse(html) {
  const t = document.createElement('template');
  t.innerHTML = policy.createHTML(html);
  return t.content;
}

const keyOf = n => n.nodeType === Node.ELEMENT_NODE ? n.dataset.key || n.id || '' : '';
const alike = (a, b) => a.nodeType === b.nodeType && a.nodeName === b.nodeName && keyOf(a) === keyOf(b);

// morph makes the children of one element those of another one, and keeps what is the same: the focus, what is selected, what is
// open, and what scripts have put into elements with data-keep.
export function morph(from, to) {
  const keyed = new Map();
  for (const c of from.children) if (keyOf(c)) keyed.set(c.nodeName + keyOf(c), c);
  let at = from.firstChild;
  for (const next of [...to.childNodes]) {
    let same = at && alike(at, next) ? at : null;
    if (!same && keyOf(next)) same = keyed.get(next.nodeName + keyOf(next)) || null;
    if (!same) {
      from.insertBefore(next, at);
      continue;
    }
    if (same === at) at = at.nextSibling;
    else from.insertBefore(same, at);
    update(same, next);
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}

function update(old, next) {
  if (old.nodeType !== Node.ELEMENT_NODE) {
    if (old.data !== next.data) old.data = next.data;
    return;
  }
  if (old.dataset.keep) return;
  if (old.hasAttribute('data-age') && old.getAttribute('datetime') === next.getAttribute('datetime')) return;
  for (const a of [...old.attributes]) {
    if (!next.hasAttribute(a.name) && !(a.name === 'open' && old.nodeName === 'DETAILS')) old.removeAttribute(a.name);
  }
  for (const a of next.attributes) {
    if (old.getAttribute(a.name) !== a.value) old.setAttribute(a.name, a.value);
  }
  morph(old, next);
}

export function startLive() {
  const part = document.getElementById('part');
  const url = document.body.dataset.live;
  if (!part || !url) return;
  follow(url, {
    main: html => {
      morph(part, parse(html));
      ages();
    },
  });
}
