import { describe } from 'vitest';
import { type LoadedAddon, loadNativeAddon } from '../../src/runtime/native/native-addon.ts';

/** A group of tests that needs the addon; without it the group is skipped and its name says why. */
export function describeNative(name: string, tests: (native: LoadedAddon) => void): void {
  const native = loadNativeAddon();
  if (native.addon === null) describe.skip(`${name} (skipped: ${native.reason})`, () => {});
  else describe(name, () => tests(native));
}
