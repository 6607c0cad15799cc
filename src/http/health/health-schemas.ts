import Type from 'typebox';
import { modelStates } from '../../catalog/served-model.ts';

export const LiveSchema = Type.Object({ status: Type.Literal('live') });

export const ReadySchema = Type.Object(
  {
    status: Type.Unsafe<'ready' | 'not_ready' | 'draining'>({
      type: 'string',
      enum: ['ready', 'not_ready', 'draining'],
    }),
    models: Type.Array(
      Type.Object({
        id: Type.String(),
        state: Type.Unsafe<string>({ type: 'string', enum: modelStates }),
        message: Type.Unsafe<string | null>({ type: ['string', 'null'], description: 'Why it failed.' }),
      }),
    ),
    load: Type.Object({
      waiting: Type.Integer({ description: 'Sequences waiting for a slot.' }),
      running: Type.Integer({ description: 'Sequences that hold a slot.' }),
    }),
  },
  {
    $id: 'Health',
    examples: [
      {
        status: 'ready',
        models: [{ id: 'austen-t5-altup-k2', state: 'ready', message: null }],
        load: { waiting: 0, running: 1 },
      },
    ],
  },
);

export const VersionSchema = Type.Object({ version: Type.String() }, { examples: [{ version: '0.1.0' }] });
