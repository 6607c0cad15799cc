import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { describeMachine } from '../support/machine.ts';
import { shippedQualities } from './quality.ts';
import { type StudyData, studyFiles } from './report.ts';
import { measureSpeeds } from './speed.ts';
import { type ShapeName, shapes } from './variants.ts';

// npm run study: measures, and writes docs/results.json, .md and the pictures. --render: writes them from the last
// measured speeds. --shapes Small,Base: measures only these shapes, and keeps the last speeds of the others.

const docs = join(import.meta.dirname, '../../docs');
const dataFile = join(docs, 'results.json');

const { values } = parseArgs({
  options: { render: { type: 'boolean' }, shapes: { type: 'string' } },
});
const all = Object.keys(shapes) as ShapeName[];
const asked = values.render ? [] : (values.shapes?.split(',') ?? all);
const unknown = asked.filter((name) => !all.some((shape) => shape === name));
if (unknown.length > 0) throw new Error(`--shapes: ${unknown.join(', ')} is none of ${all.join(', ')}`);

const last = existsSync(dataFile) ? (JSON.parse(readFileSync(dataFile, 'utf8')) as StudyData) : null;
const machine = values.render && last ? last.machine : describeMachine();
const fresh = await measureSpeeds(asked as ShapeName[], (line) => console.error(line));
const speeds = all.flatMap((shape) =>
  (asked.includes(shape) ? fresh : (last?.speeds ?? [])).filter((speed) => speed.shape === shape),
);
const data: StudyData = { machine, qualities: shippedQualities(), speeds };
writeFileSync(dataFile, `${JSON.stringify(data, null, 2)}\n`);
for (const [name, content] of studyFiles(data)) writeFileSync(join(docs, name), content);
