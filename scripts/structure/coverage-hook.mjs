// Preloaded into every thread of a service: on SIGWINCH each thread writes its coverage since the last time.
import v8 from 'node:v8';
import { isMainThread } from 'node:worker_threads';

const channel = new BroadcastChannel('coverage');
channel.unref();
channel.onmessage = () => v8.takeCoverage();
if (isMainThread) {
  process.on('SIGWINCH', () => {
    channel.postMessage('take');
    v8.takeCoverage();
  });
}
