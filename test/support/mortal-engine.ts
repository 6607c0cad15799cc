import { createRequire } from 'node:module';
import { BroadcastChannel, isMainThread, workerData } from 'node:worker_threads';

// Preloaded into a service under test. SIGWINCH ends its engine's thread immediately. With the flag --expose-internals,
// SIGURG makes native code on that thread write to address 0.
const channel = new BroadcastChannel('mortal-engine');
channel.unref();
if (isMainThread) {
  process.on('SIGWINCH', () => channel.postMessage('exit'));
  process.on('SIGURG', () => channel.postMessage('fault'));
} else if (workerData?.options) {
  channel.onmessage = ({ data }) => {
    if (data === 'exit') process.exit(1);
    const { internalBinding } = createRequire(import.meta.url)('internal/test/binding');
    internalBinding('process_methods').causeSegfault();
  };
}
