import { lexer } from './marked.js';
import { startSettings } from './settings/settings.js';
import { Workbench } from './workbench.js';

/** Where the history is kept; nowhere if the browser forbids it. */
function storage() {
  try {
    return window.localStorage;
  } catch {
    return null;
  }
}

startSettings();
new Workbench(lexer, window.fetch.bind(window), storage()).start();
