import type { ServerResponse } from 'node:http';

/** Aborted as soon as the connection closes before the answer is complete. */
export function clientGone(response: ServerResponse): AbortSignal {
  const controller = new AbortController();
  const check = () => {
    if (!response.writableEnded) controller.abort(new Error('the client closed the connection'));
  };
  if (response.closed || response.socket?.destroyed) check();
  else response.once('close', check);
  return controller.signal;
}
