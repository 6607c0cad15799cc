import type { GemmaGraph } from '../gemma/graph-parts.ts';
import type { Gemma3nConfig } from './config.ts';

export type Gemma3nGraph = GemmaGraph<Gemma3nConfig>;
