// Preloaded into every thread of a service: writes what each has run since the last time, when the process gets SIGWINCH.
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
