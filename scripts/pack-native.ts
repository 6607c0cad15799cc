import { copyFileSync, mkdirSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import packageJson from '../package.json' with { type: 'json' };
import { nativeAddonPath, prebuiltPackages } from '../src/runtime/native/native-addon.ts';

// Writes the npm package of the locally built addon into a folder, for `npm pack`.

const [folder] = process.argv.slice(2);
const name = prebuiltPackages[`${process.platform}-${process.arch}`];
if (folder === undefined || name === undefined) {
  console.error('usage: node scripts/pack-native.ts <folder>, on a platform that packages are made for');
  process.exit(1);
}
const file = basename(nativeAddonPath);
mkdirSync(folder, { recursive: true });
copyFileSync(nativeAddonPath, join(folder, file));
const manifest = {
  name,
  version: packageJson.version,
  description: `The native addon of altup-serve for ${process.platform}-${process.arch}`,
  license: packageJson.license,
  main: file,
  // The second file exists only if scripts/write-notices.ts wrote it.
  files: [file, 'THIRD-PARTY-NOTICES.txt'],
  os: [process.platform],
  cpu: [process.arch],
  ...(name.endsWith('-gnu') ? { libc: ['glibc'] } : {}),
};
writeFileSync(join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
console.log(`${name} ${manifest.version} in ${folder}`);
