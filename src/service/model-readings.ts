import type { ServedModel } from '../catalog/served-model.ts';
import { type ModelTexts, readTexts, type TextWorkers } from '../catalog/texts/text-workers.ts';
import { requireVocabulary } from '../catalog/tokenizer/tokenizer-file.ts';
import type { VocabularyData } from '../catalog/tokenizer/vocabulary.ts';

/** The tokenizers and chat templates of models, read while the models are exported and loaded. */
export class ModelReadings {
  readonly #workers: TextWorkers;
  /** Those of one checkpoint share one. */
  readonly #readings = new Map<ServedModel, Promise<ModelTexts>>();

  constructor(workers: TextWorkers) {
    this.#workers = workers;
  }

  /** Starts to read a checkpoint's files for these models. Faults reach those who wait for a vocabulary. */
  start(checkpoint: string, models: readonly ServedModel[]): void {
    const reading = readTexts(checkpoint, this.#workers);
    reading.catch(() => {});
    for (const model of models) this.#readings.set(model, reading);
  }

  /**
   * Gives the model its texts once they are read.
   * @returns its vocabulary; rejects with ConfigurationError if it cannot be read or belongs to another model
   */
  finish(model: ServedModel, checkpoint: string, vocabSize: number): Promise<VocabularyData> {
    const finished = this.#readings.get(model)!.then((texts) => {
      requireVocabulary(checkpoint, texts.vocabulary.data.ownTokens, vocabSize);
      Object.assign(model, texts);
      return texts.vocabulary.data;
    });
    finished.catch(() => {});
    return finished;
  }

  /** Frees what helper processes hold for a model, unless others need it. */
  forget(model: ServedModel): void {
    const reading = this.#readings.get(model);
    this.#readings.delete(model);
    if ([...this.#readings.values()].includes(reading!)) return;
    reading?.then(
      ({ texts }) => texts.forget(),
      () => {},
    );
  }
}
