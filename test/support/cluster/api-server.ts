import { execFile } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { Kubectl, until } from './kubectl.ts';

interface ApiServerOptions {
  /** Takes its keys, and the file `kubeconfig` with which clients find it. */
  folder: string;
  /** What scripts/get-cluster-tools.sh built. */
  tools: string;
  address: string;
  port: number;
  /** Folder for etcd's data. */
  data: string;
  /** For its clients, and for other members. */
  etcdPorts: readonly [number, number];
  /** Starts a program of which `name` is the log's. */
  start(name: string, program: string, ...args: string[]): void;
  flags: readonly string[];
}

const token = 'administrator';

/** Starts etcd and Kubernetes' API server. Resolves when it answers. */
export async function startApiServer(options: ApiServerOptions): Promise<void> {
  const { folder, address, port } = options;
  const file = (name: string) => join(folder, name);
  await mkdir(folder, { recursive: true });
  await run('openssl', ['genrsa', '-out', file('service-accounts.key'), '2048']);
  await makeCertificate(folder);
  await writeFile(file('tokens.csv'), `${token},administrator,1,system:masters\n`);
  await writeFile(file('kubeconfig'), JSON.stringify(kubeconfig(`https://${address}:${port}`)));

  const [etcd, members] = options.etcdPorts.map((each) => `http://127.0.0.1:${each}`);
  options.start(
    'etcd',
    'etcd',
    `--data-dir=${options.data}`,
    `--listen-client-urls=${etcd}`,
    `--advertise-client-urls=${etcd}`,
    `--listen-peer-urls=${members}`,
    `--initial-advertise-peer-urls=${members}`,
    `--initial-cluster=default=${members}`,
  );
  options.start(
    'kube-apiserver',
    join(options.tools, 'kube-apiserver'),
    `--etcd-servers=${etcd}`,
    `--advertise-address=${address}`,
    `--secure-port=${port}`,
    `--cert-dir=${folder}`,
    `--service-account-key-file=${file('service-accounts.key')}`,
    `--service-account-signing-key-file=${file('service-accounts.key')}`,
    '--service-account-issuer=https://kubernetes.default.svc',
    `--token-auth-file=${file('tokens.csv')}`,
    '--authorization-mode=RBAC',
    `--proxy-client-cert-file=${file('aggregator.crt')}`,
    `--proxy-client-key-file=${file('aggregator.key')}`,
    `--requestheader-client-ca-file=${file('aggregator.crt')}`,
    '--requestheader-username-headers=X-Remote-User',
    '--requestheader-group-headers=X-Remote-Group',
    '--requestheader-extra-headers-prefix=X-Remote-Extra-',
    ...options.flags,
  );
  const kubectl = new Kubectl(options.tools, file('kubeconfig'));
  const isReady = async () => (await kubectl.run('get', '--raw', '/readyz')) === 'ok';
  await until(`the API server is ready; its log is in ${folder}`, isReady, 180_000);
}

const run = promisify(execFile);

/** For the API server as a client of the APIs that others serve for it. */
async function makeCertificate(folder: string): Promise<void> {
  const key = ['-newkey', 'rsa:2048', '-nodes', '-keyout', join(folder, 'aggregator.key')];
  const certificate = ['-out', join(folder, 'aggregator.crt'), '-days', '2', '-subj', '/CN=aggregator'];
  await run('openssl', ['req', '-x509', ...key, ...certificate, '-addext', 'extendedKeyUsage=clientAuth']);
}

const kubeconfig = (server: string) => ({
  apiVersion: 'v1',
  kind: 'Config',
  clusters: [{ name: 'test', cluster: { server, 'insecure-skip-tls-verify': true } }],
  users: [{ name: 'administrator', user: { token } }],
  contexts: [{ name: 'test', context: { cluster: 'test', user: 'administrator' } }],
  'current-context': 'test',
});
