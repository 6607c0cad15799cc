import { globSync, readFileSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';

/** A shipped model's loss on text held out of training, nats per token. */
export interface Quality {
  variant: string;
  parameters: number;
  loss: number;
}

const models = join(import.meta.dirname, '../../models');
const prefix = 'austen-t5-';

/** Qualities of the T5 models, best first; all were trained with the same tokens and seed (training/README.md). */
export function shippedQualities(): Quality[] {
  return globSync(`${prefix}*/training.json`, { cwd: models })
    .map((file) => {
      const { held_out_loss, parameters } = JSON.parse(readFileSync(join(models, file), 'utf8')) as {
        held_out_loss: number;
        parameters: { total: number };
      };
      const variant = basename(dirname(file)).slice(prefix.length);
      return { variant, parameters: parameters.total, loss: held_out_loss };
    })
    .sort((a, b) => a.loss - b.loss);
}
