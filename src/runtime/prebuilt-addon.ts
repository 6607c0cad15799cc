import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import packageJson from '../../package.json' with { type: 'json' };

/** npm packages that hold the addon built for a platform, as .github/workflows/release.yml attaches them to a release. */
export const prebuiltPackages: Readonly<Record<string, string>> = {
  'linux-x64': 'altup-serve-linux-x64-gnu',
  'linux-arm64': 'altup-serve-linux-arm64-gnu',
  'darwin-arm64': 'altup-serve-darwin-arm64',
  'win32-x64': 'altup-serve-win32-x64-msvc',
};

/**
 * The addon of the prebuilt package for this platform, or why there is none.
 * @param from file or URL whose `node_modules` are searched
 */
export function prebuiltAddon(
  from: string,
  platform = `${process.platform}-${process.arch}`,
): { path: string; reason?: never } | { path: null; reason: string } {
  const name = prebuiltPackages[platform];
  if (name === undefined) return { path: null, reason: `there is no prebuilt one for ${platform}` };
  let path: string;
  try {
    path = createRequire(from).resolve(name);
  } catch {
    return { path: null, reason: `its package ${name} is not installed` };
  }
  const { version } = JSON.parse(readFileSync(join(dirname(path), 'package.json'), 'utf8'));
  if (version === packageJson.version) return { path };
  return { path: null, reason: `${name} is of version ${version}, not ${packageJson.version}` };
}
