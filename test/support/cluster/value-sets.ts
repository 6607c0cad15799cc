import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parse } from 'yaml';
import { chartFolder } from './release.ts';

export interface ValueSet {
  name: string;
  values: Record<string, unknown>;
  /** Release names; one unless said otherwise. */
  releases?: readonly string[];
  /** Who refuses it, and how; undefined: it is accepted, and its pods are admitted. */
  refusal?: { by: 'chart' | 'API server' | 'admission of pods'; message: RegExp };
}

/** Pods that no node takes: they are admitted, and need not run. */
const nowhere = { 'altup-serve.test/nowhere': 'true' };

const ofChart = (): ValueSet[] =>
  readdirSync(join(chartFolder, 'ci')).map((file) => ({
    name: `ci/${file}`,
    values: parse(readFileSync(join(chartFolder, 'ci', file), 'utf8')),
  }));

const longName = 'a-release-with-the-longest-name-that-helm-still-accepts';

const accepted: ValueSet[] = [
  { name: 'defaults', values: {} },
  { name: 'two releases in one namespace', values: {}, releases: ['austen', 'bronte'] },
  { name: 'a release with a name of 53 characters', values: {}, releases: [longName.slice(0, 53)] },
  {
    name: 'a full name of 63 characters',
    values: { fullnameOverride: 'm'.repeat(63), metrics: { dashboard: { enabled: true } } },
  },
  { name: 'dual stack required', values: { service: { ipFamilyPolicy: 'RequireDualStack' } } },
  { name: 'single stack', values: { host: '::', service: { ipFamilyPolicy: 'SingleStack' } } },
  { name: 'not strict', values: { settings: { ALTUP_STRICT: false } } },
  {
    name: 'numbers that YAML would write with an exponent',
    values: { settings: { ALTUP_BODY_LIMIT: 104857600, ALTUP_MAX_QUEUED_TOKENS: 1e7 } },
  },
  {
    name: 'a key for each role from a Secret',
    values: {
      apiKeys: { existingSecret: 'keys', secretKey: 'all.keys' },
      settings: { ALTUP_URGENT_KEYS: 'chat', ALTUP_ADMIN_KEYS: 'operators' },
    },
  },
  {
    name: 'KEDA with GPUs and models on a claim',
    values: {
      gpu: { enabled: true },
      autoscaling: { kind: 'keda', minReplicas: 1, maxReplicas: 1 },
      models: { source: 'pvc', pvc: { claimName: 'models' } },
    },
  },
  {
    name: 'no time to drain, and percentages',
    values: {
      drainSeconds: 0,
      preStopSeconds: 1,
      minReadySeconds: 0,
      updateStrategy: { rollingUpdate: { maxSurge: '50%', maxUnavailable: '25%' } },
      podDisruptionBudget: { enabled: true, maxUnavailable: '50%' },
    },
  },
  { name: 'the largest port', values: { service: { type: 'NodePort', port: 65535 } } },
  { name: 'no pods', values: { replicas: 0 } },
];

const refused: ValueSet[] = [
  {
    name: 'an unknown setting',
    values: { settings: { ALTUP_SLOT: 4 } },
    refusal: { by: 'chart', message: /ALTUP_SLOT/ },
  },
  {
    name: 'a claim without a name',
    values: { models: { source: 'pvc' } },
    refusal: { by: 'chart', message: /models\.pvc\.claimName/ },
  },
  {
    name: 'a download over HTTP',
    values: {
      models: {
        source: 'download',
        download: {
          files: [{ url: 'http://example.com/config.json', path: 'm/config.json', sha256: '0'.repeat(64) }],
        },
      },
    },
    refusal: { by: 'chart', message: /url/ },
  },
  {
    name: 'a full name with capitals',
    values: { fullnameOverride: 'Models' },
    refusal: { by: 'chart', message: /fullnameOverride/ },
  },
  {
    name: 'a release whose name begins with a digit',
    values: {},
    releases: ['2026-models'],
    refusal: { by: 'chart', message: /fullnameOverride/ },
  },
  {
    name: 'a release with a dot in its name',
    values: {},
    releases: ['models.v2'],
    refusal: { by: 'chart', message: /fullnameOverride/ },
  },
  {
    name: 'more pods at least than at most',
    values: { autoscaling: { kind: 'hpa', minReplicas: 9, maxReplicas: 8 } },
    refusal: { by: 'chart', message: /autoscaling/ },
  },
  {
    name: 'a rollout that may neither add nor remove a pod',
    values: { updateStrategy: { rollingUpdate: { maxSurge: 0, maxUnavailable: 0 } } },
    refusal: { by: 'API server', message: /may not be 0 when `maxSurge` is 0/ },
  },
  {
    name: 'limits below requests',
    values: { resources: { requests: { memory: '2Gi' } } },
    refusal: { by: 'API server', message: /must be less than or equal to memory limit/ },
  },
  {
    name: 'a label with a space',
    values: { podLabels: { team: 'slow readers' } },
    refusal: { by: 'API server', message: /valid label/ },
  },
  {
    name: 'a mount of a volume that does not exist',
    values: { extraVolumeMounts: [{ name: 'nothing', mountPath: '/nothing' }] },
    refusal: { by: 'API server', message: /nothing/ },
  },
  {
    name: "a volume of the node's own files",
    values: {
      extraVolumes: [{ name: 'node', hostPath: { path: '/etc' } }],
      extraVolumeMounts: [{ name: 'node', mountPath: '/node', readOnly: true }],
    },
    refusal: { by: 'admission of pods', message: /restricted volume types/ },
  },
  {
    name: 'a runtime class that the cluster does not have',
    values: { gpu: { enabled: true, runtimeClassName: 'absent' } },
    refusal: { by: 'admission of pods', message: /RuntimeClass "absent" not found/ },
  },
  {
    name: 'a priority that the cluster does not have',
    values: { priorityClassName: 'absent' },
    refusal: { by: 'admission of pods', message: /no PriorityClass with name absent/ },
  },
  {
    name: 'a service account that is not there',
    values: { serviceAccount: { create: false, name: 'absent' } },
    refusal: { by: 'admission of pods', message: /serviceaccount "absent" not found/ },
  },
];

export const valueSets: readonly ValueSet[] = [...accepted, ...ofChart(), ...refused].map((set) => ({
  ...set,
  values: { ...set.values, nodeSelector: { ...(set.values.nodeSelector as object), ...nowhere } },
}));
