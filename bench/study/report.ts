import { barChart, scatter } from '../support/picture.ts';
import { atEqualLoss } from './equal-loss.ts';
import { findings } from './findings.ts';
import type { Quality } from './quality.ts';
import { type Relative, relativeText } from './relative.ts';
import type { Speed } from './speed.ts';

/** The data for the text and the pictures. */
export interface StudyData {
  machine: { cpu: string; threads: number; memoryGiB: number; node: string };
  qualities: Quality[];
  speeds: Speed[];
}

const shape = 'Base';

function table(header: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.join(' | ')} |`;
  return [line(header), line(header.map(() => '---')), ...rows.map(line)].join('\n');
}

const measured = (value?: Relative) => (value === undefined ? 'not measured' : relativeText(value));

function bars(speeds: readonly Speed[], what: 'decode' | 'encode') {
  return speeds.flatMap(({ shape: group, variant: label, [what]: times }) =>
    times === undefined ? [] : [{ group, label, value: times[0], least: times[1], most: times[2] }],
  );
}

/** Renders the page and its pictures. @returns the files of docs/ by name */
export function studyFiles({ machine, qualities, speeds }: StudyData): Map<string, string> {
  const equal = atEqualLoss(qualities, speeds, shape);
  const timeOf = (name: string) =>
    name === 'dense' ? 1 : speeds.find((own) => own.variant === name && own.shape === shape)?.decode?.[0];
  const dots = qualities.flatMap(({ variant, loss }) => {
    const x = timeOf(variant);
    return x === undefined ? [] : [{ label: variant, x, y: loss, isBaseline: variant.startsWith('dense') }];
  });
  const missing = speeds.filter(({ decode }) => decode === undefined);
  const page = `# What AltUp buys

Written by \`npm run study\` from [results.json](results.json), figures and pictures alike; \`npm run study -- --render\`
writes them again from the same data. Measured on ${machine.cpu}, ${machine.threads} threads, ${machine.memoryGiB} GiB.

## Quality at equal training

Loss of the shipped T5 models on chapters held out of training, nats per token; same tokens, same seed, one run each: distances
of a few hundredths are within what another seed would change.

${table(
  ['model', 'parameters', 'held-out loss'],
  qualities.map(({ variant, parameters, loss }) => [
    `\`austen-t5-${variant}\``,
    parameters.toLocaleString('en'),
    loss.toFixed(3),
  ]),
)}

## Time at the paper's shapes

T5 v1.1 ${[...new Set(speeds.map((speed) => speed.shape))].join(' and ')} with random weights, fp32, native backend. Time relative to the dense model of the same shape,
the two opened anew in turns: median (least–most) of rounds. Decode: one step at batch 1 behind 128 positions. Encode: a prompt
of 512 tokens. The Sequence-AltUp variants change the encoder alone.

![Decode time relative to dense](results-decode.svg)

![Encode time relative to dense](results-encode.svg)

${table(
  ['shape', 'variant', 'weights', 'decode', 'encode'],
  speeds.map(({ shape: of, variant, bytes, decode, encode }) => [
    of,
    variant,
    `${(bytes / 1e9).toFixed(2)} GB`,
    measured(decode),
    measured(encode),
  ]),
)}
${missing.length === 0 ? '' : '\nNot measured: the machine has not the memory to hold them.\n'}
## Both together

Loss of the small trained models against the decode time that their kind has at T5-${shape}'s shape. A dense model of the same loss
is taken from the line through dense and dense2x, loss falling with the logarithm of time. Two sizes of model are put together
here, so read it as a direction.

![Loss against decode time](results-equal-loss.svg)

${table(
  ['variant', 'decode time', 'dense model of equal loss', 'speed at equal loss'],
  equal.map(({ variant, time, denseTime }) => [
    variant,
    time.toFixed(2),
    denseTime === null ? 'outside of dense … dense2x' : denseTime.toFixed(2),
    denseTime === null ? '' : (denseTime / time).toFixed(2),
  ]),
)}

## The paper's findings

${table(
  ['finding', 'here', 'figures'],
  findings({ qualities, speeds, equal }).map(({ claim, holds, figures }) => [
    claim,
    holds ? 'holds' : '**does not hold**',
    figures,
  ]),
)}
`;
  return new Map([
    ['results.md', page],
    ['results-decode.svg', barChart('Decode time relative to dense, batch 1', bars(speeds, 'decode'))],
    ['results-encode.svg', barChart('Encode time relative to dense, 512 tokens', bars(speeds, 'encode'))],
    [
      'results-equal-loss.svg',
      scatter(
        'Held-out loss against decode time',
        [`decode time relative to dense, T5-${shape}'s shape`, 'held-out loss, nats per token'],
        dots,
      ),
    ],
  ]);
}
