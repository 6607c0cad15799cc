import { readFileSync } from 'node:fs';

export const readDoc = (name: string): string =>
  readFileSync(new URL(`../../docs/${name}`, import.meta.url), 'utf8');

/** The rows of each table with exactly this header, as cells. */
export function tableRows(markdown: string, header: readonly string[]): string[][] {
  const lines = markdown.split('\n');
  const cells = (line: string) =>
    line
      .slice(1, line.lastIndexOf('|'))
      .split('|')
      .map((cell) => cell.trim());
  const rows: string[][] = [];
  lines.forEach((line, index) => {
    if (cells(line).join() !== header.join() || !line.startsWith('|')) return;
    for (let at = index + 2; lines[at]?.startsWith('|'); at++) rows.push(cells(lines[at]!));
  });
  return rows;
}

/** `` `a` `` → a. */
export const plain = (cell: string): string => cell.replace(/^`(.*)`$/, '$1');
