// Keys: / filters, ? shows the keys, g and a letter lead to a page, Escape leaves.
export function startKeys() {
  const help = document.getElementById('help');
  let pending = 0; // until when a letter after g counts
  const showHelp = () => { if (help && !help.open) help.showModal(); };
  for (const b of document.querySelectorAll('[data-help]')) b.addEventListener('click', showHelp);
  document.addEventListener('keydown', e => {
    if (e.ctrlKey || e.metaKey || e.altKey || e.isComposing) return;
    const typing = e.target.closest('input, textarea, select, [contenteditable]');
    if (e.key === 'Escape' && typing) {
      typing.blur();
      return;
    }
    if (typing || help && help.open) return;
    if (pending > Date.now()) {
      pending = 0;
      const to = document.querySelector('a[data-key="' + CSS.escape(e.key) + '"]:is(nav > a, dialog a)');
      if (to) {
        e.preventDefault();
        location.assign(to.href);
      }
      return;
    }
    const filter = document.getElementById('filter');
    if (e.key === 'g') pending = Date.now() + 1500;
    else if (e.key === '?') showHelp();
    else if (e.key === '/' && filter) {
      e.preventDefault();
      filter.focus();
      filter.select();
    }
  });
  // A part of the drawing leads to its explanation, which gets the focus.
  document.addEventListener('click', e => {
    const a = e.target.closest('a[data-explain]');
    const to = a && document.getElementById('explain-' + a.dataset.explain);
    if (!to) return;
    e.preventDefault();
    for (const o of document.querySelectorAll('.explanations .chosen')) o.classList.remove('chosen');
    to.classList.add('chosen');
    to.scrollIntoView({ block: 'nearest' });
    to.focus({ preventScroll: true });
  });
}
