import { spawnSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { copyFileSync, existsSync, globSync, readFileSync, renameSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { nativeAddonPath, nativeFolder } from '../src/runtime/native/native-addon.ts';

// Builds the native addon if its sources changed since the last build. Missing cargo is not an error: the service falls
// back to onnxruntime-node. With --optional a failed build is not an error either.

const target = join(nativeFolder, 'target');
const stamp = join(target, `${process.platform}-${process.arch}.sha256`);
const libraryName = {
  linux: 'libaltup_native.so',
  darwin: 'libaltup_native.dylib',
  win32: 'altup_native.dll',
};

function cargoVersion(): string | null {
  const { status, stdout } = spawnSync('cargo', ['--version'], { encoding: 'utf8' });
  return status === 0 ? stdout.trim() : null;
}

function sourceHash(cargo: string): string {
  const files = globSync(['Cargo.toml', 'Cargo.lock', 'build.rs', 'src/**/*.{rs,cu}'], {
    cwd: nativeFolder,
  }).sort();
  const hash = createHash('sha256').update(cargo);
  for (const file of files) hash.update(`\0${file}\0`).update(readFileSync(join(nativeFolder, file)));
  return hash.digest('hex');
}

function isCurrent(hash: string): boolean {
  return existsSync(nativeAddonPath) && existsSync(stamp) && readFileSync(stamp, 'utf8') === hash;
}

function build(hash: string): boolean {
  console.log('native addon: building with cargo (a minute or two the first time)');
  const { status } = spawnSync('cargo', ['build', '--release', '--locked'], {
    cwd: nativeFolder,
    env: { ...process.env, CARGO_TARGET_DIR: target },
    stdio: 'inherit',
  });
  if (status !== 0) return false;
  const name = libraryName[process.platform as keyof typeof libraryName];
  // Rename into place, so that a process that has mapped the old file keeps it.
  const fresh = `${nativeAddonPath}.${process.pid}`;
  copyFileSync(join(target, 'release', name), fresh);
  renameSync(fresh, nativeAddonPath);
  writeFileSync(stamp, hash);
  return true;
}

const isOptional = process.argv.includes('--optional');
const cargo = cargoVersion();
if (cargo === null) {
  console.log('native addon: cargo is not installed, so the portable onnxruntime-node session is used');
} else if (!(process.platform in libraryName)) {
  console.log(`native addon: not supported on ${process.platform}, so onnxruntime-node is used`);
} else {
  const hash = sourceHash(cargo);
  if (isCurrent(hash)) console.log('native addon: up to date');
  else if (build(hash)) console.log(`native addon: built ${nativeAddonPath}`);
  else {
    console.error(
      'native addon: the build failed (see above); the portable onnxruntime-node session still works',
    );
    process.exitCode = isOptional ? 0 : 1;
  }
}
