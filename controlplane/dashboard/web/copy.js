// Buttons that copy a command.
export function startCopy() {
  document.addEventListener('click', async e => {
    const b = e.target.closest('button[data-copy]');
    if (!b) return;
    const before = b.textContent;
    try {
      await navigator.clipboard.writeText(b.dataset.copy);
      b.textContent = '✓ ' + document.body.dataset.copied;
    } catch {
      const r = document.createRange(); // no permission: the command is selected instead
      r.selectNodeContents(b.previousElementSibling);
      getSelection().removeAllRanges();
      getSelection().addRange(r);
      return;
    }
    setTimeout(() => { b.textContent = before; }, 1500);
  });
}
