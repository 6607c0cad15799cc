import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { ensureExport } from '../../src/export/export-checkpoint.ts';
import { exporterVersion } from '../../src/export/exporter-version.ts';
import { copyCheckpoint } from '../support/checkpoint-copy.ts';

/** SHA-256 of the files that each exporter version writes for golden checkpoints; from 11 on, for a Gemma 3n too; from 16 on, in fp16 too. */
const written: Record<string, string> = {
  '1': '6aef476ba3d3f4005c3f978a6c41a8a142a3c06b6d816b88a32e12e67042b91b',
  '2': '237104c012074650edfd5294fff3329482db639e6e8891553a6c73df6b0c15f1',
  '3': '8cf681f86bd916d4c32c106401a719e88b33678079d91bc1e19ed4f0b2b03b52',
  '4': '943c00c7ae7b8aa6cc2fa2109a370034d04dc27ba36ac38f080aedaff3cb34dd',
  '5': '2e408ab94b90ed15f987192d76530f80393894d725ae7926e2705c8247d6f0e7',
  '6': 'f554992698ec343417ee0e35b543a6d562cd88c803ef8e10d17631052e5f444b',
  '7': 'ef5ccd57713ef9ef5a2c7dc6410cef143e992598b68a6e59c5bc9a5d73cb5933',
  '8': '73703e395cb7aa0b8a6295fc89d2325ec28997fec090f6e5b25ddd61ce56f27e',
  '9': '3afe5636d2989b98f6bd398417cbd78ca941788a3bfa004aa0dc0f886a78e299',
  '10': '29367382606b793adc593aa89a729e7a444892851e27d5ff0f34c86b57ae9d6e',
  '11': '7f9a18e7ffd881f4654be8333898ff42a661df7f33aee35357fb206740ba25d1',
  '12': '50064097c4024a959dc2fe392f4df600a39b949ffba37c7a509bc59b599f2714',
  '13': '32fad6d44e9410df5c99724bc3c379d68cfe86476487ee7ca79b9d0b2b0b68f6',
  '14': 'aec794e44fa168dfdc1f99ceb939a0449bfa148ad2a3d09e0411a9842c0e53e2',
  '15': '92ff29ceaf33d1e776849ba7c7d44a1f8b06a7e73a79f7fe3bd3a61d923261ba',
  '16': '81f17f65a4a945aa06b3319dbf06e69a89123f6e799de35d6c1e7d3c3e5566c6',
  '17': '6adff03ad35d2049fb97fb3a17d753f94d9998086ea177cb0f99323b45952147',
  '18': 'aa7287486ef38f1c8198f9ef26942fde84c24934fb8377192fbc374eeddfa340',
};

const exported = [
  ['altup-k2', 'fp32'],
  ['recycled-k2', 'fp32'],
  ['gemma3n-k2', 'fp32'],
  ['gemma3n-k2', 'fp16'],
] as const;

// Exports are kept until the version changes. If the exporter changes without it, the service keeps using old graphs.
it('the exporter version is raised whenever the exported files change', async () => {
  const hash = createHash('sha256');
  for (const [variant, precision] of exported) {
    const { folder } = await ensureExport(await copyCheckpoint(variant), precision);
    const graphs = variant.startsWith('gemma') ? ['decoder'] : ['encoder', 'decoder'];
    for (const file of graphs.flatMap((graph) => [`${graph}.onnx`, `${graph}.onnx.data`])) {
      hash.update(await readFile(join(folder, file)));
    }
  }
  expect(hash.digest('hex'), 'raise exporterVersion and note the new digest here').toBe(
    written[exporterVersion],
  );
});
