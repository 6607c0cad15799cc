import { exportAll } from './cases.ts';
import { getLibraries } from './run-on-stand-in.ts';

/** Fetches and builds what the tests need. */
export async function setup(): Promise<void> {
  getLibraries();
  await exportAll();
}
