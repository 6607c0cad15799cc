import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import {
  existsSync,
  globSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout } from 'node:timers/promises';
import { provide } from '../test/support/cluster/provide.ts';
import { docker } from '../test/support/containers/docker.ts';
import { buildServiceImage, serviceImage } from '../test/support/containers/images.ts';

// node scripts/test-cluster.ts [arguments of vitest]: runs the tests of test/cluster on Kubernetes on this machine. They run in
// network, mount and process namespaces of their own, so the kernel removes all that they leave, however they end.

const projectRoot = join(import.meta.dirname, '..');
const nodes = 2;
const prefix = 'altup-cluster-';

const cgroups = '/sys/fs/cgroup';
const isUnified = existsSync(join(cgroups, 'cgroup.controllers'));
/** Folders of a control group, in each hierarchy. */
const foldersOf = (name: string) =>
  isUnified
    ? [join(cgroups, name)]
    : globSync(join(cgroups, '*/cgroup.procs')).map((file) => join(file, '..', name));

/** Creates a control group for each node. */
function createCgroups(name: string): void {
  for (const folder of foldersOf(name)) {
    mkdirSync(folder);
    if (isUnified) {
      const controllers = readFileSync(join(folder, 'cgroup.controllers'), 'utf8').trim().split(' ');
      writeFileSync(join(folder, 'cgroup.subtree_control'), controllers.map((each) => `+${each}`).join(' '));
    }
    for (let node = 1; node <= nodes; node += 1) mkdirSync(join(folder, `node-${node}`));
  }
}

/** Removes a control group and those in it, when their last processes are gone. */
async function removeCgroup(folder: string): Promise<void> {
  if (!existsSync(folder)) return;
  for (const each of readdirSync(folder, { withFileTypes: true }))
    if (each.isDirectory()) await removeCgroup(join(folder, each.name));
  for (let tries = 1; ; tries += 1) {
    try {
      rmdirSync(folder);
      return;
    } catch (error) {
      if (tries === 100) throw error;
      await setTimeout(100);
    }
  }
}

/** Removes what a run left: its control groups and its folder. */
async function remove(name: string): Promise<void> {
  for (const each of foldersOf(name)) await removeCgroup(each);
  if (process.env.ALTUP_KEEP_CLUSTER) console.log(`${join(tmpdir(), name)}: kept, with the logs`);
  else rmSync(join(tmpdir(), name), { recursive: true, force: true });
}

if (process.getuid?.() !== 0) {
  console.error('A cluster needs root: it makes namespaces, mounts and control groups.');
  process.exit(1);
}
const name = `${prefix}${process.pid}`;
const folder = join(tmpdir(), name);
/** Has the process id of Docker's daemon, if it was started here. */
const daemon = join(folder, 'daemon.pid');
// A killed run could not remove its own.
for (const left of readdirSync(tmpdir()).filter((each) => each.startsWith(prefix)))
  if (!existsSync(`/proc/${left.slice(prefix.length)}`)) await remove(left);
mkdirSync(folder);
try {
  const tools = provide('get-cluster-tools.sh');
  const helm = provide('get-kubernetes-tools.sh');
  execFileSync('bash', ['scripts/get-docker.sh', daemon], {
    cwd: projectRoot,
    stdio: 'inherit',
  });
  await buildServiceImage();
  mkdirSync(join(folder, 'images'));
  await docker('save', '--output', join(folder, 'images/service.tar'), serviceImage);
  // The image's models, exported: tests put them on volumes.
  const container = await docker('create', serviceImage);
  await docker('cp', `${container}:/models`, folder);
  await docker('rm', container);
  execFileSync('cp', [join(tools, 'pause.tar'), join(folder, 'images/pause.tar')]);
  createCgroups(name);

  // /run is the cluster's own; bash stays the first process, which takes in orphans.
  const enclosed = 'mount -t tmpfs tmpfs /run && ip link set lo up && "$@"; exit $?';
  const vitest = ['npx', 'vitest', 'run', '--project', 'cluster', ...process.argv.slice(2)];
  const namespaces = ['--net', '--mount', '--pid', '--fork', '--mount-proc', '--kill-child'];
  // The cluster ends with this process, even if it is killed.
  const child = spawn(
    'setpriv',
    ['--pdeathsig', 'KILL', 'unshare', ...namespaces, 'bash', '-c', enclosed, 'bash', ...vitest],
    {
      cwd: projectRoot,
      stdio: 'inherit',
      env: {
        ...process.env,
        ALTUP_TEST_CLUSTER: JSON.stringify({ tools, helm, folder, nodes, cgroup: `/${name}` }),
      },
    },
  );
  // Ctrl-C reaches vitest too, which ends the tests in order.
  process.on('SIGINT', () => {});
  process.on('SIGTERM', () => child.kill('SIGKILL'));
  const [status] = await once(child, 'exit');
  process.exitCode = status ?? 1;
} finally {
  if (existsSync(daemon)) process.kill(Number(readFileSync(daemon, 'utf8')));
  await remove(name);
}
