import { existsSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';

const { HOME, XDG_CACHE_HOME } = process.env;
/** Where scripts/get-chromium.sh and Debian's package install it. */
const folders = [
  join(XDG_CACHE_HOME ?? join(HOME ?? homedir(), '.cache'), 'altup-serve/swiftshader/usr/lib/chromium'),
  '/usr/lib/chromium',
];

/** Environment variables that let Vulkan find SwiftShader, a software GPU; null if it is not installed. */
export function swiftshaderEnvironment(): Record<string, string> | null {
  const folder = folders.find((each) => existsSync(join(each, 'vk_swiftshader_icd.json')));
  if (folder === undefined) return null;
  const icd = join(folder, 'vk_swiftshader_icd.json');
  return {
    VK_ICD_FILENAMES: icd,
    VK_DRIVER_FILES: icd,
    LD_LIBRARY_PATH: folder,
    XDG_RUNTIME_DIR: process.env.XDG_RUNTIME_DIR ?? '/tmp',
  };
}
