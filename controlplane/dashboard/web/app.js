// The pages are complete as the server sends them. These modules keep them current and add keys.
import { startAges } from './ages.js';
import { startKeys } from './keys.js';
import { startLive } from './live.js';
import { startTable } from './table.js';
import { startLog } from './log.js';
import { startCopy } from './copy.js';
import { startEditor } from './edit.js';
import { startSlider } from './slider.js';

startAges();
startKeys();
startCopy();
for (const e of document.querySelectorAll('.table[data-source]')) startTable(e);
for (const e of document.querySelectorAll('.log[data-source]')) startLog(e);
for (const e of document.querySelectorAll('textarea[data-code]')) startEditor(e);
for (const e of document.querySelectorAll('input[data-time]')) startSlider(e);
startLive();
for (const e of document.querySelectorAll('select[data-submit]')) e.addEventListener('change', () => e.form.requestSubmit());
