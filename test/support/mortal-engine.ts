import { BroadcastChannel, isMainThread, workerData } from 'node:worker_threads';

// Preloaded into a service under test: SIGWINCH makes its engine's thread end on the spot, as a fault of it would.
const channel = new BroadcastChannel('mortal-engine');
channel.unref();
if (isMainThread) process.on('SIGWINCH', () => channel.postMessage('die'));
else if (workerData?.models) channel.onmessage = () => process.exit(1);
