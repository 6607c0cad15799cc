import type { Inspection } from './inspect-model.ts';
import { type Part, parts } from './parameters.ts';

const count = (value: number) => value.toLocaleString('en-US');

/** The human-readable output of `altup inspect`. */
export function formatInspection(model: Inspection): string {
  return [
    `${model.name} (${model.kind})`,
    ...facts(model),
    '',
    `parameters: ${count(model.parameters.total)} in ${count(model.sizes.total)} bytes`,
    ...parameterLines(model),
    '',
    'files, bytes',
    ...columns(
      Object.entries(model.files).map(([file, size]) => [file, count(size)]),
      'right',
    ),
    '',
    'operators',
    ...operatorLines(model),
    ...functionLines(model),
    '',
  ].join('\n');
}

function facts(model: Inspection): string[] {
  const { altup, sequence, moe, encoderContextLength: encoder } = model;
  const kind =
    altup?.coefficients === 'perToken'
      ? 'coefficients by token'
      : `${altup?.selection}, ${altup?.recycled ? 'recycled' : 'plain'}`;
  const blocks = altup && `K = ${altup.numBlocks}, ${kind}`;
  const cross =
    model.crossBytesPerToken > 0 ? `, ${count(model.crossBytesPerToken)} bytes per encoder token` : '';
  const rows = [
    ['family', model.family],
    ['AltUp', blocks ?? 'none'],
    ...(sequence ? [['sequence', `${sequenceNames[sequence.method]}, stride ${sequence.stride}`]] : []),
    ...(moe ? [['experts', `${moe.numExperts}, ${moe.topK} per token`]] : []),
    ['precision', model.precision],
    ['vocabulary', count(model.vocabSize)],
    ['context', `${count(model.contextLength)} tokens${encoder ? `, encoder ${count(encoder)}` : ''}`],
    ['cache', `${count(model.cacheBytesPerToken)} bytes per token${cross}`],
  ];
  return columns(rows, 'left');
}

const sequenceNames = { altup: 'Sequence-AltUp', skip: 'stride-and-skip', average: 'average pooling' };

const partNames: Record<Part, string> = {
  embedding: 'embedding',
  perLayerEmbedding: 'per-layer embedding',
  encoder: 'encoder',
  decoder: 'decoder',
  head: 'head',
  positionBias: 'position bias',
  experts: 'experts',
  altup: 'AltUp',
};

function parameterLines({ parameters, sizes }: Inspection): string[] {
  const rows = parts
    .filter((part) => parameters[part] > 0)
    .map((part) => [partNames[part], count(parameters[part]), count(sizes[part])]);
  return columns([['', 'parameters', 'bytes'], ...rows], 'right');
}

function operatorLines({ operators }: Inspection): string[] {
  const graphs = Object.entries(operators);
  const names = [...new Set(graphs.flatMap(([, counts]) => Object.keys(counts)))];
  const rows = names.map((name) => [name, ...graphs.map(([, counts]) => count(counts[name] ?? 0))]);
  return columns([['', ...graphs.map(([name]) => name)], ...rows], 'right');
}

function functionLines({ functions }: Inspection): string[] {
  if (functions.length === 0) return [];
  const rows = functions.map(({ name, nodes }) => [name, `${nodes} nodes`]);
  return ['', 'functions stored in the model, for runtimes without our kernels', ...columns(rows, 'left')];
}

/** Aligns cells in indented rows: the first column to the left, the others as `others` says. */
function columns(rows: readonly (readonly string[])[], others: 'left' | 'right'): string[] {
  const widthOf = (column: number) => Math.max(...rows.map((row) => row[column]?.length ?? 0));
  return rows.map((row) => {
    const cells = row.map((cell, column) =>
      column === 0 || others === 'left' ? cell.padEnd(widthOf(column)) : cell.padStart(widthOf(column)),
    );
    return `  ${cells.join('  ')}`.trimEnd();
  });
}
