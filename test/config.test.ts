import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterAll, describe, expect, it } from 'vitest';
import { availableThreads } from '../src/config/available-threads.ts';
import { configHelp, loadConfig } from '../src/config/config.ts';
import { environmentName, settingNames } from '../src/config/settings.ts';
import { ConfigurationError } from '../src/errors.ts';

const folder = mkdtempSync(join(tmpdir(), 'altup-config-'));
afterAll(() => rmSync(folder, { recursive: true }));

const refusal = (env: Record<string, string>, argv: string[] = []): string => {
  try {
    loadConfig(env, argv);
  } catch (error) {
    expect(error).toBeInstanceOf(ConfigurationError);
    return (error as Error).message;
  }
  return 'accepted';
};

const draftList = 'expected <model>=<draft>, or several of them separated by commas';
const precisionList = 'expected fp32, fp16, bf16, int8, int4, or several of them separated by commas';

describe('loadConfig', () => {
  it('has a default for everything', () => {
    expect(loadConfig({ PATH: '/bin' }, [])).toEqual({
      models: ['models'],
      warnings: [],
      host: '127.0.0.1',
      port: 8080,
      backend: 'auto',
      executionProvider: 'auto',
      precisions: ['fp32'],
      threads: availableThreads(),
      slots: 16,
      cacheMemory: null,
      cachePrecision: 'export',
      memoryLimit: null,
      loadsOnDemand: false,
      loadWaitMs: 20_000,
      adminKeys: new Set(),
      stepTokens: 512,
      stepMs: 250,
      prefillChunk: 256,
      promptLookup: true,
      drafts: new Map(),
      maxQueuedRequests: 256,
      maxQueuedTokens: 65_536,
      clientQueueShare: 75,
      urgentKeys: new Set(),
      trustedProxies: false,
      allowedHosts: [],
      corsOrigins: null,
      playgroundOrigins: [],
      queueTimeoutMs: 30_000,
      requestTimeoutMs: 300_000,
      drainTimeoutMs: 30_000,
      bodyLimit: 1_048_576,
      unknownFields: 'refuse',
      responsesStore: null,
      logLevel: 'info',
      strict: false,
      apiKeys: expect.objectContaining({ isOpen: true }),
      rateLimit: null,
      streamBuffer: 1_048_576,
      streamIntervalMs: 5,
    });
  });

  it('reads the environment, and flags beat it', () => {
    const env = { ALTUP_PORT: '1', ALTUP_MODELS: 'a, b', ALTUP_STRICT: 'true', ALTUP_THREADS: '3' };
    const config = loadConfig(env, ['--port', '2', '--queue-timeout-ms=50']);
    expect(config).toMatchObject({
      port: 2,
      models: ['a', 'b'],
      strict: true,
      threads: 3,
      queueTimeoutMs: 50,
    });
    expect([...loadConfig({ ALTUP_DRAFT: 'a=b, c:int4=c' }, []).drafts]).toEqual([
      ['a', 'b'],
      ['c:int4', 'c'],
    ]);
    expect(loadConfig({ ALTUP_PRECISION: 'int4, fp32' }, []).precisions).toEqual(['int4', 'fp32']);
    expect(loadConfig({ ALTUP_STRICT: 'true' }, ['--strict=false']).strict).toBe(false);
    expect(loadConfig({ ALTUP_CONTEXT: '64', ALTUP_CACHE_MEMORY: '1.5GiB' }, [])).toMatchObject({
      context: 64,
      cacheMemory: 1.5 * 2 ** 30,
    });
    expect(loadConfig({}, ['--responses-store', '64MiB']).responsesStore).toBe(2 ** 26);
    expect(loadConfig({}, ['--strict', '--slots', '4'])).toMatchObject({ strict: true, slots: 4 });
    expect(loadConfig({}, ['--memory-limit', '8GiB'])).toMatchObject({
      memoryLimit: 8 * 2 ** 30,
      loadsOnDemand: true,
    });
    expect(loadConfig({}, ['--max-loaded-models=4'])).toMatchObject({
      memoryLimit: null,
      maxLoadedModels: 4,
      loadsOnDemand: true,
    });
    expect(loadConfig({ ALTUP_API_KEYS: 'a,b', ALTUP_ADMIN_KEYS: 'key-1, key-2' }, []).adminKeys).toEqual(
      new Set(['key-1', 'key-2']),
    );
  });

  it.each([
    [{ ALTUP_PROT: '80' }, [], 'ALTUP_PROT: no such setting; did you mean ALTUP_PORT?'],
    [{ ALTUP_ZEBRA_CROSSING: '1' }, [], 'ALTUP_ZEBRA_CROSSING: no such setting, see altup serve --help'],
    [
      {},
      ['--max-queue-requests', '3'],
      '--max-queue-requests: no such flag; did you mean --max-queued-requests?',
    ],
    [{}, ['-p', '3'], '-p: no such flag, see altup serve --help'],
    [{}, ['--port'], '--port: needs a value'],
    [{}, ['models'], "unexpected argument 'models'"],
    [{ ALTUP_PORT: '80a' }, [], "ALTUP_PORT: '80a' is not valid; expected a whole number from 0 to 65535"],
    [{ ALTUP_PORT: '' }, [], "ALTUP_PORT: '' is not valid; expected a whole number from 0 to 65535"],
    [{}, ['--port', '65536'], "--port: '65536' is not valid; expected a whole number from 0 to 65535"],
    [{ ALTUP_SLOTS: '-1' }, [], "ALTUP_SLOTS: '-1' is not valid; expected a whole number from 1 to 1024"],
    ...['6GB', '1000', '-1GiB', '9999999999TiB'].map((text): [Record<string, string>, string[], string] => [
      { ALTUP_CACHE_MEMORY: text },
      [],
      `ALTUP_CACHE_MEMORY: '${text}' is not valid; expected a size from 1MiB, such as 800MiB or 6GiB`,
    ]),
    [{ ALTUP_SLOTS: '1e2' }, [], "ALTUP_SLOTS: '1e2' is not valid; expected a whole number from 1 to 1024"],
    [{ ALTUP_STRICT: 'yes' }, [], "ALTUP_STRICT: 'yes' is not valid; expected true or false"],
    [{ ALTUP_STRICT: 'constructor' }, [], "ALTUP_STRICT: 'constructor' is not valid; expected true or false"],
    [{ ALTUP_MODELS: 'a,,b' }, [], "ALTUP_MODELS: a folder's name is empty"],
    [
      { ALTUP_ADMIN_KEYS: 'alice' },
      [],
      'ALTUP_ADMIN_KEYS: names API keys, but none is set; set ALTUP_API_KEYS_FILE or ALTUP_API_KEYS',
    ],
    [
      { ALTUP_BACKEND: 'wasm' },
      [],
      "ALTUP_BACKEND: 'wasm' is not valid; expected one of auto, native, onnxruntime-node",
    ],
    [
      {},
      ['--execution-provider', 'rocm'],
      "--execution-provider: 'rocm' is not valid; expected one of auto, cpu, cuda, tensorrt, webgpu",
    ],
    [{}, ['--precision=int3'], `--precision: 'int3' is not valid; ${precisionList}`],
    [{ ALTUP_PRECISION: 'int8,fp32,int8' }, [], `ALTUP_PRECISION: 'int8' is listed twice; ${precisionList}`],
    [{ ALTUP_DRAFT: 'a=b,c' }, [], `ALTUP_DRAFT: 'c' is not valid; ${draftList}`],
    [{}, ['--draft', 'a=b=c'], `--draft: 'a=b=c' is not valid; ${draftList}`],
    [{ ALTUP_DRAFT: 'a=' }, [], `ALTUP_DRAFT: 'a=' is not valid; ${draftList}`],
    [{ ALTUP_DRAFT: 'a = a' }, [], "ALTUP_DRAFT: 'a = a' lets a model draft for itself"],
    [{ ALTUP_DRAFT: 'a=b, a=c' }, [], "ALTUP_DRAFT: 'a=c' is a second draft for a"],
    [{ ALTUP_PRECISION: 'int8,' }, [], `ALTUP_PRECISION: '' is not valid; ${precisionList}`],
  ] as [Record<string, string>, string[], string][])('refuses %j %j', (env, argv, message) => {
    expect(refusal(env, argv)).toBe(message);
  });
});

describe('a variable that Kubernetes makes of a Service’s name', () => {
  it.each([
    ['ALTUP_PORT', 'tcp://10.0.0.1:8080'],
    ['ALTUP_SERVE_PORT', 'tcp://10.0.0.1:8080'],
    ['ALTUP_SERVE_SERVICE_HOST', '10.0.0.1'],
    ['ALTUP_SERVICE_HOST', 'fd00::1'],
    ['ALTUP_SERVE_SERVICE_PORT', '8080'],
    ['ALTUP_SERVE_SERVICE_PORT_HTTP', '8080'],
    ['ALTUP_PORT_8080_TCP', 'tcp://10.0.0.1:8080'],
    ['ALTUP_PORT_8080_TCP_PROTO', 'tcp'],
    ['ALTUP_PORT_8080_TCP_PORT', '8080'],
    ['ALTUP_PORT_8080_TCP_ADDR', '10.0.0.1'],
    ['ALTUP_DNS_PORT_53_UDP', 'udp://10.0.0.1:53'],
  ])('%s=%s is ignored, with a warning', (variable, value) => {
    const { port, warnings } = loadConfig({ [variable]: value }, []);
    expect(port).toBe(8080);
    expect(warnings).toEqual([
      expect.stringMatching(new RegExp(`^${variable} is ignored: Kubernetes .*enableServiceLinks: false`)),
    ]);
  });

  it('is refused where its value is another, with where it may come from', () => {
    expect(refusal({ ALTUP_SERVE_SERVICE_HOST: 'altup' })).toMatch(
      /^ALTUP_SERVE_SERVICE_HOST: no such setting; Kubernetes .*enableServiceLinks: false/,
    );
    expect(refusal({ ALTUP_PORT: '10.0.0.1:8080' })).toMatch(/^ALTUP_PORT: '10.0.0.1:8080' is not valid/);
  });

  it('does not hide a port that is given as a flag', () => {
    expect(loadConfig({ ALTUP_PORT: 'tcp://10.0.0.1:8080' }, ['--port', '81']).port).toBe(81);
  });
});

describe('ALTUP_RATE_LIMIT', () => {
  it.each([
    ['120/minute', { requests: { count: 120, withinMs: 60_000 }, concurrent: null }],
    ['2 / second,16 concurrent', { requests: { count: 2, withinMs: 1000 }, concurrent: 16 }],
    ['3 concurrent, 10/hour', { requests: { count: 10, withinMs: 3_600_000 }, concurrent: 3 }],
  ])('%s', (text, expected) => {
    expect(loadConfig({ ALTUP_RATE_LIMIT: text }, []).rateLimit).toEqual(expected);
    expect(loadConfig({}, ['--rate-limit', text]).rateLimit).toEqual(expected);
  });

  it.each(['0/minute', '10/day', '10', 'concurrent', '1/minute,2/second', '1 concurrent, 2 concurrent', ','])(
    'refuses %s',
    (text) => {
      expect(refusal({ ALTUP_RATE_LIMIT: text })).toMatch(
        /^ALTUP_RATE_LIMIT: .* 120\/minute, 16 concurrent$/,
      );
    },
  );
});

describe('API keys', () => {
  it('are those in the variable and the file, and not to be seen', () => {
    const file = join(folder, 'keys');
    writeFileSync(file, '# staff\nalpha\n\n  beta \n');
    const config = loadConfig({ ALTUP_API_KEYS: 'gamma, delta', ALTUP_API_KEYS_FILE: file }, []);
    const { apiKeys } = config;
    expect(apiKeys.isOpen).toBe(false);
    const names = ['gamma', 'delta', 'alpha', 'beta'].map((key) => apiKeys.nameOf(key));
    expect(names).toEqual(['key-1', 'key-2', 'key-3', 'key-4']);
    for (const other of ['', 'gamm', '# staff', 'alpha ']) expect(apiKeys.nameOf(other)).toBeNull();
    expect(inspect(config, { showHidden: true, depth: 9 })).not.toMatch(/gamma|delta|alpha|beta/);
  });

  it('have the names that the file gives them; of one client, two keys may have the same', () => {
    const file = join(folder, 'named');
    writeFileSync(file, 'alpha alice\r\nbeta\t alice\ngamma\ndelta team_b.x-1\nalpha\n');
    const { apiKeys } = loadConfig({ ALTUP_API_KEYS: 'delta', ALTUP_API_KEYS_FILE: file }, []);
    expect(['alpha', 'beta', 'gamma', 'delta', 'alice'].map((key) => apiKeys.nameOf(key))).toEqual([
      'alice',
      'alice',
      'key-2',
      'team_b.x-1',
      null,
    ]);
  });

  it.each([
    ['sesame open wide', 'has more than two words; expected a key, optionally followed by a name'],
    ['sesame äö', 'a name has at most 64 letters, digits and ._-'],
    [`sesame ${'x'.repeat(65)}`, 'a name has at most 64 letters, digits and ._-'],
    ['sesame key-1', 'the name key-1 is reserved; choose another'],
    ['sesame other', 'the name other is reserved; choose another'],
  ])('are refused with the line they are in: %s', (line, problem) => {
    const file = join(folder, 'wrong');
    writeFileSync(file, `# keys\nalpha\n${line}\n`);
    expect(refusal({ ALTUP_API_KEYS_FILE: file })).toBe(`ALTUP_API_KEYS_FILE: line 3: ${problem}`);
  });

  it('are never silently none, and never echoed', () => {
    const file = join(folder, 'empty');
    writeFileSync(file, '# none yet\n');
    expect(refusal({ ALTUP_API_KEYS_FILE: file })).toBe('ALTUP_API_KEYS_FILE: holds no key');
    expect(refusal({ ALTUP_API_KEYS: ' , ' })).toBe('ALTUP_API_KEYS: holds no key');
    expect(refusal({ ALTUP_API_KEYS: '' })).toMatch(/^ALTUP_API_KEYS: its value is not valid/);
    expect(refusal({ ALTUP_API_KEYS: 'sesame street' })).toBe(
      'ALTUP_API_KEYS: a key contains white space; names of keys go into ALTUP_API_KEYS_FILE',
    );
    expect(refusal({ ALTUP_API_KEYS_FILE: join(folder, 'nowhere') })).toMatch(
      /^ALTUP_API_KEYS_FILE: cannot read .*nowhere/,
    );
    const onCommandLine = refusal({}, ['--api-keys', 'sesame']);
    expect(onCommandLine).toMatch(/^--api-keys: .*this secret.*set ALTUP_API_KEYS instead$/);
    expect(onCommandLine).not.toContain('sesame');
  });
});

describe('trusted proxies', () => {
  it('are addresses, prefixes and named ranges', () => {
    const text = '10.0.0.1, 10.1.0.0/16,::1 ,fd00::/8,loopback';
    const proxies = ['10.0.0.1', '10.1.0.0/16', '::1', 'fd00::/8', 'loopback'];
    expect(loadConfig({ ALTUP_TRUSTED_PROXIES: text }, []).trustedProxies).toEqual(proxies);
    expect(loadConfig({}, []).trustedProxies).toBe(false);
  });

  it.each([
    '',
    '10.0.0',
    '10',
    'proxy.example.com',
    '10.0.0.0/33',
    '0.0.0.0/0',
    '::/0',
    '10.0.0.1,',
    'fd00::/8/9',
  ])('are never %j', (text) => {
    expect(refusal({ ALTUP_TRUSTED_PROXIES: text })).toMatch(
      /^ALTUP_TRUSTED_PROXIES: '.*' is not valid; exp/,
    );
  });
});

describe('allowed hosts', () => {
  const hostsOf = (env: Record<string, string>) => loadConfig(env, []).allowedHosts;

  it.each(['127.0.0.1', '127.0.0.9', 'localhost', '::1'])(
    'are none beside addresses on %s without keys',
    (host) => {
      expect(hostsOf({ ALTUP_HOST: host })).toEqual([]);
      expect(hostsOf({ ALTUP_HOST: host, ALTUP_API_KEYS: 'alpha' })).toBeNull();
      expect(hostsOf({ ALTUP_HOST: host, ALTUP_ALLOWED_HOSTS: '*' })).toEqual(['*']);
    },
  );

  it.each(['0.0.0.0', '::', '192.168.0.7', 'my-machine'])('are all on %s, unless they are named', (host) => {
    expect(hostsOf({ ALTUP_HOST: host })).toBeNull();
    const named = { ALTUP_HOST: host, ALTUP_ALLOWED_HOSTS: 'API.example.com, *.example.org' };
    expect(hostsOf(named)).toEqual(['api.example.com', '*.example.org']);
  });

  it.each(['https://example.com', 'example.com:80', 'a b', 'example..com', '*.*.com', 'example.com,'])(
    'are never %j',
    (text) => {
      expect(refusal({ ALTUP_ALLOWED_HOSTS: text })).toMatch(/^ALTUP_ALLOWED_HOSTS: '.*' is not valid; exp/);
    },
  );
});

describe('availableThreads', () => {
  const files = (contents: Record<string, string>) => (file: string) => contents[file] ?? null;

  it('is the machine’s where no quota is set', () => {
    expect(availableThreads(files({}), 8)).toBe(8);
    expect(availableThreads(files({ '/sys/fs/cgroup/cpu.max': 'max 100000\n' }), 8)).toBe(8);
  });

  it('reads version 2, the tightest group on the way to the root', () => {
    const read = files({
      '/proc/self/cgroup': '0::/pods/one\n',
      '/sys/fs/cgroup/pods/one/cpu.max': '600000 100000\n',
      '/sys/fs/cgroup/pods/cpu.max': '350000 100000\n',
    });
    expect(availableThreads(read, 8)).toBe(3);
  });

  it('reads version 1', () => {
    const read = files({
      '/proc/self/cgroup': '4:cpu,cpuacct:/box\n3:memory:/box\n',
      '/sys/fs/cgroup/cpu/box/cpu.cfs_quota_us': '250000\n',
      '/sys/fs/cgroup/cpu/box/cpu.cfs_period_us': '100000\n',
      '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '-1\n',
      '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
    });
    expect(availableThreads(read, 8)).toBe(2);
  });

  it('is never none, and never more than the machine has', () => {
    expect(availableThreads(files({ '/sys/fs/cgroup/cpu.max': '50000 100000' }), 8)).toBe(1);
    expect(availableThreads(files({ '/sys/fs/cgroup/cpu.max': '1600000 100000' }), 4)).toBe(4);
  });
});

it('the help names every setting', () => {
  for (const name of settingNames) expect(configHelp()).toContain(environmentName(name));
});

describe('ALTUP_PLAYGROUND_ORIGINS', () => {
  it.each([
    ['http://127.0.0.1:8000, https://llm.example.com', ['http://127.0.0.1:8000', 'https://llm.example.com']],
    ['http://[::1]:8000', null],
    ['*', ['*']],
    ['http://127.0.0.1:8000/v1', null],
    ['llm.example.com', null],
    ['ftp://llm.example.com', null],
    ['http://a;script-src', null],
    ["'unsafe-inline'", null],
  ])('%s', (text, expected) => {
    const env = { ALTUP_PLAYGROUND_ORIGINS: text };
    if (expected) expect(loadConfig(env, []).playgroundOrigins).toEqual(expected);
    else expect(refusal(env)).toMatch(/^ALTUP_PLAYGROUND_ORIGINS: .* or \*$/);
  });
});

describe('ALTUP_CORS_ORIGINS', () => {
  it.each([
    ['*', ['*']],
    ['https://a.example, http://localhost:3000', ['https://a.example', 'http://localhost:3000']],
    ['chrome-extension://abcdef,http://[::1]:80a0', null],
    ['chrome-extension://abcdef,http://[::1]:81', ['chrome-extension://abcdef', 'http://[::1]:81']],
    ['https://a.example/', null],
    ['https://a.example:443', null],
    ['https://A.example', null],
    ['https://*.example', null],
    ['a.example', null],
    ['https://a.example,', null],
  ])('%s', (text, expected) => {
    if (expected) expect(loadConfig({ ALTUP_CORS_ORIGINS: text }, []).corsOrigins).toEqual(expected);
    else expect(refusal({ ALTUP_CORS_ORIGINS: text })).toMatch(/^ALTUP_CORS_ORIGINS: .* or \*$/);
  });
});
