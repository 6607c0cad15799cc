import { Api } from './api.js';
import { part } from './part.js';
import { Playground } from './playground.js';

const key = part(document, 'key', HTMLInputElement);
new Playground(new Api(() => key.value.trim(), window.fetch.bind(window))).start();
