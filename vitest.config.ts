import { defineConfig } from 'vitest/config';

// ONNX Runtime reports home unless told otherwise before its library loads; tests never may.
process.env.ORT_DISABLE_TELEMETRY = '1';

export default defineConfig({
  test: {
    testTimeout: 30_000,
    hookTimeout: 60_000,
    projects: [
      {
        extends: true,
        test: {
          name: 'unit',
          include: ['test/**/*.test.ts'],
          exclude: [
            'test/e2e/**',
            'test/docs/**',
            'test/clients/**',
            'test/cluster/**',
            'test/cuda-placement/**',
            'test/hostile/**',
            'test/real/**',
          ],
        },
      },
      {
        extends: true,
        test: {
          name: 'cuda-placement',
          include: ['test/cuda-placement/**/*.test.ts'],
          globalSetup: 'test/cuda-placement/global-setup.ts',
          testTimeout: 240_000,
          hookTimeout: 600_000,
        },
      },
      { extends: true, test: { name: 'docs', include: ['test/docs/**/*.test.ts'] } },
      {
        extends: true,
        test: {
          name: 'clients',
          include: ['test/clients/**/*.test.ts'],
          testTimeout: 900_000,
          fileParallelism: false,
        },
      },
      {
        extends: true,
        test: {
          name: 'cluster',
          include: ['test/cluster/**/*.test.ts'],
          globalSetup: 'test/cluster/global-setup.ts',
          testTimeout: 900_000,
          hookTimeout: 600_000,
          fileParallelism: false,
        },
      },
      {
        extends: true,
        test: {
          name: 'hostile',
          include: ['test/hostile/**/*.test.ts'],
          testTimeout: 240_000,
          hookTimeout: 240_000,
          fileParallelism: false,
        },
      },
      {
        extends: true,
        test: {
          name: 'real',
          include: ['test/real/**/*.test.ts'],
          globalSetup: 'test/real/real-weights.ts',
          testTimeout: 600_000,
          hookTimeout: 600_000,
          fileParallelism: false,
        },
      },
      {
        extends: true,
        test: {
          name: 'e2e',
          include: ['test/e2e/**/*.test.ts'],
          testTimeout: 240_000,
          hookTimeout: 240_000,
          fileParallelism: false,
        },
      },
    ],
  },
});
