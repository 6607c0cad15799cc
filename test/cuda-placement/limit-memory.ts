import { MemoryBudget } from '../../src/engine/worker/memory-budget.ts';
import { loadNativeAddon } from '../../src/runtime/native/native-addon.ts';
import { cases, open } from './cases.ts';

// What the service knows of a GPU's memory, and what it refuses for it, in a process of its own. Prints a line of JSON.

export interface Limits {
  /** Free bytes before a model is loaded, with the model, and after its close. */
  free: [before: number, during: number, after: number];
  /** The error of a model that gets less memory than its weights take. */
  tooLittle: string;
  /** The error of a model that is larger than the GPU. */
  tooLarge: string;
}

const messageOf = async (work: () => unknown): Promise<string> => {
  try {
    await work();
    return '';
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
};

const { addon } = loadNativeAddon();
const free = () => addon!.freeCudaMemory();
const [model] = cases as [(typeof cases)[number]];
const before = free();
const session = await open(model);
const during = free();
await session.close();
const after = free();
const budget = MemoryBudget.for({ backend: 'native', executionProvider: 'cuda' });
const cache = { cache: 0, slots: 1, positions: 1, isGrowing: false };
const limits: Limits = {
  free: [before, during, after],
  tooLittle: await messageOf(() => open(model, { memoryLimit: 2 ** 20 })),
  tooLarge: await messageOf(() => budget.reserve({ weights: 90 * 2 ** 30, ...cache })),
};
console.log(JSON.stringify(limits));
