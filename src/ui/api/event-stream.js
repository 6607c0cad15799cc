/**
 * Yields the data of each server-sent event as it arrives. Events of OpenAI's API are one line of data each.
 *
 * @param {ReadableStream<Uint8Array>} body
 * @returns {AsyncGenerator<string, void, void>}
 */
export async function* eventData(body) {
  // Safari lacks `for await` on a stream.
  const reader = body.getReader();
  const decoder = new TextDecoder();
  let rest = '';
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      const lines = (rest + decoder.decode(value, { stream: true })).split('\n');
      rest = lines.pop() ?? '';
      for (const line of lines) {
        const data = /^data: ?(.*?)\r?$/.exec(line)?.[1];
        if (data !== undefined) yield data;
      }
    }
  } finally {
    // A reader that stops early ends the answer too. A stream that has failed refuses it.
    await reader.cancel().catch(() => {});
  }
}
