// The place of the slider in words while it moves; when it stops, the page of that time is opened.
export function startSlider(slider) {
  const out = slider.form.querySelector('[data-at]');
  const tell = () => { if (out) out.textContent = new Date(slider.value * 1000).toLocaleString(document.documentElement.lang); };
  if (out && slider.value !== slider.max) tell();
  slider.addEventListener('input', tell);
  slider.addEventListener('change', () => slider.form.requestSubmit());
}
