import { createParser } from 'eventsource-parser';

interface StreamedChoice {
  text: string;
  finish_reason: string | null;
}

/** The combined content of a stream of `/v1/completions`. */
export interface Streamed {
  choices: StreamedChoice[];
  /** Data of an error event, if one came. */
  error: { code: string; message: string } | null;
  isDone: boolean;
  usage: { prompt_tokens: number; completion_tokens: number } | null;
}

/** Reads a streamed answer to its end. @param onText called with each piece of text as it arrives */
export async function readStream(
  response: Response,
  onText: (text: string) => void = () => {},
): Promise<Streamed> {
  const streamed: Streamed = { choices: [], error: null, isDone: false, usage: null };
  const parser = createParser({
    onEvent: ({ data }) => {
      if (data === '[DONE]') {
        streamed.isDone = true;
        return;
      }
      const chunk = JSON.parse(data);
      if (chunk.error) streamed.error = chunk.error;
      if (chunk.usage) streamed.usage = chunk.usage;
      for (const { index, text, finish_reason } of chunk.choices ?? []) {
        streamed.choices[index] ??= { text: '', finish_reason: null };
        const choice = streamed.choices[index];
        choice.text += text;
        choice.finish_reason ??= finish_reason;
        if (text !== '') onText(text);
      }
    },
  });
  const decoder = new TextDecoder();
  for await (const bytes of response.body!) parser.feed(decoder.decode(bytes, { stream: true }));
  return streamed;
}
