import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { shippedQualities } from '../../bench/study/quality.ts';
import { type StudyData, studyFiles } from '../../bench/study/report.ts';

const docs = join(import.meta.dirname, '../../docs');
const data = JSON.parse(readFileSync(join(docs, 'results.json'), 'utf8')) as StudyData;

describe('docs/results.md', () => {
  it('has the losses of the shipped models', () => {
    expect(data.qualities, 'run: npm run study -- --render').toEqual(shippedQualities());
  });

  it.each([...studyFiles(data)])('%s says what the data say', (name, content) => {
    expect(readFileSync(join(docs, name), 'utf8'), 'run: npm run study -- --render').toBe(content);
  });
});
