// Times are shown as ages, and in full on demand.
import { span } from './stream.js';

export function ageOf(time) {
  return span((Date.now() - Date.parse(time)) / 1000);
}

export function ages() {
  for (const e of document.querySelectorAll('time[data-age]')) {
    const text = ageOf(e.dateTime);
    if (e.textContent !== text) e.textContent = text;
    if (!e.title) e.title = new Date(e.dateTime).toLocaleString(document.documentElement.lang);
  }
}

export function startAges() {
  ages();
  setInterval(() => { if (!document.hidden) ages(); }, 1000);
}
