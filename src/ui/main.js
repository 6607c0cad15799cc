import { lexer } from './marked.js';
import { startSettings } from './settings/settings.js';
import { Workbench } from './workbench.js';

startSettings();
new Workbench(lexer, window.fetch.bind(window), window.localStorage).start();
