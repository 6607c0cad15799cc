import { callersFloat, callersInt } from '../onnx/attributes.ts';
import { microsoftDomain } from '../onnx/opset.ts';
import type { AltUpOperator } from './domain.ts';

const cacheInputs = ['query', 'key', 'value', 'past_key', 'past_value', 'seqlens_k', 'total_sequence_length'];
const cacheOutputs = ['mixed', 'present_key', 'present_value'];

/**
 * SelfAttention, computed by GroupQueryAttention: query, key, value [batch, sequence, heads·d] of new tokens, past_key,
 * past_value [batch, heads, capacity, d], seqlens_k int32 [batch], total_sequence_length int32 [1], bias [batch, heads,
 * sequence, total] → mixed [batch, sequence, heads·d], present_key, present_value.
 */
export const selfAttention: AltUpOperator = {
  name: 'SelfAttention',
  inputs: [...cacheInputs, 'bias'],
  outputs: cacheOutputs,
  attributes: ['num_heads', 'scale'],
  doc: 'Causal attention over a cache per row that the new keys and values are put into, with a bias for each pair.',
  bodies: {
    paper: (body) => {
      body.add('GroupQueryAttention', 'attention', [...cacheInputs, '', '', '', 'bias'], {
        domain: microsoftDomain,
        attributes: {
          num_heads: callersInt('num_heads'),
          kv_num_heads: callersInt('num_heads'),
          scale: callersFloat('scale'),
        },
        outputs: cacheOutputs,
      });
    },
  },
};

/**
 * CrossAttention: query [batch, sequence, heads·d], keys, values [batch, heads, capacity, d], lengths int32 [batch],
 * padding [batch, 1, sequence, capacity] → mixed [batch, sequence, heads·d]. Every query attends to the first `lengths`
 * keys of its row. MultiHeadAttention computes over the whole capacity; the bias `padding` hides the later keys.
 */
export const crossAttention: AltUpOperator = {
  name: 'CrossAttention',
  inputs: ['query', 'keys', 'values', 'lengths', 'padding'],
  outputs: ['mixed'],
  attributes: ['num_heads', 'scale'],
  doc: 'Attention to the first "lengths" keys of each row; "padding" is a bias that hides the others.',
  bodies: {
    paper: (body) => {
      body.add('MultiHeadAttention', 'mixed', ['query', 'keys', 'values', '', '', 'padding'], {
        domain: microsoftDomain,
        attributes: { num_heads: callersInt('num_heads'), scale: callersFloat('scale') },
      });
    },
  },
};

const grouped = {
  inputs: cacheInputs,
  outputs: cacheOutputs,
  integers: ['num_heads', 'kv_num_heads', 'local_window_size'],
  floats: ['scale', 'softcap'],
};

/**
 * GroupedQueryAttention, computed by GroupQueryAttention: query [batch, sequence, num_heads·d], key, value [batch,
 * sequence, kv_num_heads·d] of new tokens, past_key, past_value [batch, kv_num_heads, capacity, d], seqlens_k int32
 * [batch], total_sequence_length int32 [1], segments int32 [0, 3] → mixed [batch, sequence, num_heads·d], present_key,
 * present_value. A query attends to at most `local_window_size` keys (−1: all) up to its own. A `softcap` above 0 bounds
 * the scores.
 *
 * Keys, values and caches may have another type than the query, which attention then rounds to theirs.
 *
 * The kernel has a second form, which the body does not have: with `segments` [segments, 3] (slot, positions before,
 * number of tokens) batch is 1, and the tokens of all segments are packed one behind the other.
 */
export const groupedQueryAttention: AltUpOperator = {
  name: 'GroupedQueryAttention',
  inputs: [...grouped.inputs, 'segments'],
  outputs: grouped.outputs,
  attributes: [...grouped.integers, ...grouped.floats],
  doc: 'Causal attention over a cache per row, which gets the new keys and values, with fewer of their heads than of queries.',
  bodies: {
    gemma: (body) => {
      const [query, ...others] = grouped.inputs as [string, ...string[]];
      // The same types need no casts, and ONNX Runtime removes them.
      const rounded = body.add('CastLike', 'rounded', [query, 'key']);
      body.add('GroupQueryAttention', 'attention', [rounded, ...others], {
        domain: microsoftDomain,
        attributes: {
          ...Object.fromEntries(grouped.integers.map((name) => [name, callersInt(name)])),
          ...Object.fromEntries(grouped.floats.map((name) => [name, callersFloat(name)])),
        },
        outputs: ['attended', 'present_key', 'present_value'],
      });
      body.add('CastLike', 'mixed', ['attended', query]);
    },
  },
};
