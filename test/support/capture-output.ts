import { vi } from 'vitest';

/** Runs a command and captures its output. */
export async function captureOutput(command: () => Promise<number>) {
  const printed = { stdout: '', stderr: '' };
  const spies = (['stdout', 'stderr'] as const).map((name) =>
    vi.spyOn(process[name], 'write').mockImplementation((text) => {
      printed[name] += text;
      return true;
    }),
  );
  try {
    return { code: await command(), ...printed };
  } finally {
    for (const spy of spies) spy.mockRestore();
  }
}
