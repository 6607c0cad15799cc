import { once } from 'node:events';
import { isMainThread, parentPort, Worker, workerData } from 'node:worker_threads';
import { interruptNativeSessions, loadNativeAddon } from '../../src/runtime/native/native-addon.ts';
import { openSession } from '../../src/runtime/open-session.ts';

/**
 * A process with a native session that decodes continuously on its own thread. After the given time, the process ends
 * in the given way: `node ending-process.ts <way> <export folder> <milliseconds>`.
 *
 * `exit`: the process exits. `terminate`: the thread is terminated. `throw`: the main thread throws an uncaught error.
 * `interrupt`: the session is interrupted. `fail`: every second run fails by itself; then the session is interrupted.
 */
async function decode({ folder, way }: { folder: string; way: string }): Promise<void> {
  const options = { folder, slots: 4, maxContext: 512, threads: 2 };
  const session = await openSession(options, { backend: 'native', executionProvider: 'cpu' });
  await session.encode(0, [5, 6, 7]);
  let failures = 0;
  for (let step = 0; ; step += 1) {
    try {
      const token = way === 'fail' && step % 2 === 1 ? 1_000_000 : 5;
      await session.decode([{ token, past: step % 500, sampling: null }]);
    } catch (error) {
      const { message } = error as Error;
      if (!message.includes('out of data bounds')) {
        parentPort!.postMessage({ message, failures });
        break;
      }
      failures += 1;
    }
    if (step === 10) parentPort!.postMessage('decoding');
  }
  await session.close();
}

async function main([way = '', folder = '', milliseconds = '0']: string[]): Promise<void> {
  loadNativeAddon();
  const worker = new Worker(new URL(import.meta.url), { workerData: { folder, way } });
  await once(worker, 'message');
  await new Promise((resolve) => setTimeout(resolve, Number(milliseconds)));
  if (way === 'exit') process.exit(0);
  if (way === 'throw') throw new Error('thrown while a session runs');
  if (way === 'terminate') {
    await worker.terminate();
    return;
  }
  const last = once(worker, 'message');
  interruptNativeSessions();
  console.log(JSON.stringify((await last)[0]));
}

if (isMainThread) await main(process.argv.slice(2));
else await decode(workerData);
