import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { prebuiltAddon, prebuiltPackages } from '../../src/runtime/native/native-addon.ts';
import { temporaryFolder } from '../support/temporary-folder.ts';
import { describeNative } from './native-addon.ts';

describeNative('the package of the addon built here', () => {
  it('is found where it is installed, and loads', async () => {
    const name = prebuiltPackages[`${process.platform}-${process.arch}`]!;
    const folder = await temporaryFolder();
    const script = join(import.meta.dirname, '../../scripts/pack-native.ts');
    execFileSync(process.execPath, [script, join(folder, 'node_modules', name)]);
    const { path } = prebuiltAddon(join(folder, 'main.js'));
    expect(path).toMatch(/\.node$/);
    expect(createRequire(import.meta.url)(path!)).toHaveProperty('NativeModel');
  });
});
