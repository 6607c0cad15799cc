import type { ModelState } from '../catalog/served-model.ts';

/** What the decisions need to know about a model. */
export interface Resident {
  readonly name: string;
  readonly state: ModelState['state'];
  /** Memory it takes while loaded. */
  readonly bytes: number;
  /** Requests that use it. */
  readonly uses: number;
  /** When it was last asked for or used; milliseconds, as all times here. */
  readonly usedAt: number;
  /** Since when somebody wants it loaded; null: nobody does. */
  readonly wantedAt: number | null;
}

/** Maximum memory and number of loaded models; infinite: no limit. */
export interface ResidencyLimits {
  readonly bytes: number;
  readonly models: number;
}

export interface Decision {
  load: string | null;
  /** These take no more requests, and leave once nothing uses them. */
  unload: string[];
  /** When to decide again if nothing changes before; null: only then. */
  at: number | null;
}

/** How long a wanted model waits for others to become idle, before one in use takes no more requests. */
export const patienceMs = 1000;

const inMemory: readonly ModelState['state'][] = ['loading', 'ready', 'restarting', 'unloading'];
export const isInMemory = ({ state }: Pick<Resident, 'state'>) => inMemory.includes(state);

/** Whether the models fit together. A model always fits alone: what never fits is refused before. */
export function fitTogether(models: readonly Resident[], limits: ResidencyLimits): boolean {
  const bytes = models.reduce((sum, model) => sum + model.bytes, 0);
  return models.length <= limits.models && (models.length === 1 || bytes <= limits.bytes);
}

/** Whether a model can be loaded without another leaving, now or for those that are wanted already. */
export function hasRoom(models: readonly Resident[], wanted: Resident, limits: ResidencyLimits): boolean {
  const others = models.filter((model) => isInMemory(model) || model.wantedAt !== null);
  return fitTogether([...others.filter(({ name }) => name !== wanted.name), wanted], limits);
}

/**
 * Which model to load next and which to unload for it. The model that was wanted first comes first, even if a later
 * one would fit. The one that nobody has used for longest leaves. A model in use leaves only after `patienceMs`, and
 * not before its requests have ended.
 */
export function decide(models: readonly Resident[], limits: ResidencyLimits, now: number): Decision {
  const nothing: Decision = { load: null, unload: [], at: null };
  const [next] = models
    .filter(({ state, wantedAt }) => state === 'unloaded' && wantedAt !== null)
    .sort((a, b) => a.wantedAt! - b.wantedAt!);
  // Loads follow one another anyway, and the memory of one that runs is not known yet.
  if (!next || models.some(({ state }) => state === 'loading')) return nothing;
  const loaded = models.filter(isInMemory);
  if (fitTogether([...loaded, next], limits)) return { ...nothing, load: next.name };

  let staying = loaded.filter(({ state }) => state !== 'unloading');
  const at = next.wantedAt! + patienceMs;
  const leaving = staying
    .filter(({ uses }) => uses === 0 || now >= at)
    .sort((a, b) => Math.min(a.uses, 1) - Math.min(b.uses, 1) || a.usedAt - b.usedAt);
  const unload: string[] = [];
  for (const { name } of leaving) {
    if (fitTogether([...staying, next], limits)) break;
    staying = staying.filter((model) => model.name !== name);
    unload.push(name);
  }
  const isEnough = fitTogether([...staying, next], limits);
  return { load: null, unload, at: isEnough || now >= at ? null : at };
}
