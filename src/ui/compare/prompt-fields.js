import { ApiError } from '../api/api-error.js';
import { showError } from '../errors/notice.js';
import { part } from '../part.js';
import { linesOf, promptsIn } from './prompts.js';

/** The prompts to compare with: typed, or from a file. */
export class PromptFields {
  #prompt = part(document, 'prompt', HTMLTextAreaElement);
  #error;
  /** @type {{ name: string, prompts: string[] } | null} */
  #file = null;

  /** @param {HTMLFormElement} form @param {HTMLElement} error where errors of files are shown */
  constructor(form, error) {
    this.#error = error;
    this.#prompt.addEventListener('keydown', ({ key, ctrlKey, metaKey }) => {
      if (key === 'Enter' && (ctrlKey || metaKey)) form.requestSubmit();
    });
    const input = part(document, 'file', HTMLInputElement);
    input.addEventListener('change', () => void this.#read(input));
    part(document, 'no-file', HTMLButtonElement).addEventListener('click', () => this.#use(null));
  }

  get all() {
    if (this.#file) return this.#file.prompts;
    return part(document, 'lines', HTMLInputElement).checked
      ? linesOf(this.#prompt.value)
      : [this.#prompt.value];
  }

  /** @param {HTMLInputElement} input */
  async #read(input) {
    const [file] = input.files ?? [];
    // So that the same file can be chosen again, once it has changed.
    input.value = '';
    if (!file) return;
    try {
      this.#use({ name: file.name, prompts: promptsIn(await file.text()) });
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      showError(this.#error, error);
    }
  }

  /** @param {{ name: string, prompts: string[] } | null} file null: the typed prompt */
  #use(file) {
    this.#file = file;
    const note = part(document, 'file-note', HTMLElement);
    note.hidden = file === null;
    note.textContent = file ? `${file.prompts.length} prompts from ${file.name}: ${file.prompts[0]} …` : '';
    part(document, 'no-file', HTMLButtonElement).hidden = file === null;
    this.#prompt.hidden = file !== null;
    part(document, 'prompt-label', HTMLElement).hidden = file !== null;
    part(document, 'lines', HTMLInputElement).disabled = file !== null;
    showError(this.#error, null);
  }
}
