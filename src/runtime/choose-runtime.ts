import type { Precision } from '../catalog/manifest.ts';
import { ConfigurationError } from '../errors.ts';
import {
  type ExecutionProvider,
  executionProviders,
  providerFault,
  providerNames,
} from './execution-providers.ts';
import { type LoadedAddon, loadNativeAddon, type MissingAddon } from './native/native-addon.ts';
import type { Runtime } from './session.ts';

export interface RuntimeSettings {
  backend: 'auto' | Runtime['backend'];
  executionProvider: 'auto' | ExecutionProvider;
  precisions: readonly Precision[];
}

export interface ChosenRuntime {
  runtime: Runtime;
  /** Why `auto` does not use the native addon; null: it is used, or onnxruntime-node was requested. */
  fallback: string | null;
  /** Why this execution provider was chosen. */
  because: string;
}

/**
 * @throws ConfigurationError when a backend or provider requested by name is not available, or when none of the
 *   precisions can run on what there is
 */
export async function chooseRuntime(
  settings: RuntimeSettings,
  load: () => LoadedAddon | MissingAddon = loadNativeAddon,
): Promise<ChosenRuntime> {
  const chosen = await chooseAvailable(settings, load);
  const { executionProvider } = chosen.runtime;
  // Said here too, because exporting a large model takes minutes.
  const { exportFault } = executionProviders[executionProvider];
  const faults = settings.precisions.map((precision) => exportFault({ precision, cross: [] }));
  if (faults.every((fault) => fault !== null)) {
    throw new ConfigurationError(
      `ALTUP_PRECISION: ${settings.precisions.join(', ')} cannot run on ${executionProvider}: ${faults[0]} (${chosen.because})`,
    );
  }
  return chosen;
}

async function chooseAvailable(
  settings: RuntimeSettings,
  load: () => LoadedAddon | MissingAddon,
): Promise<ChosenRuntime> {
  const { backend } = settings;
  const native: LoadedAddon | MissingAddon =
    backend === 'onnxruntime-node' ? { addon: null, reason: `ALTUP_BACKEND is ${backend}` } : load();
  if (native.addon !== null) {
    const { executionProvider, because } = await nativeProvider(settings, native);
    return { runtime: { backend: 'native', executionProvider }, fallback: null, because };
  }
  if (backend === 'native') {
    throw new ConfigurationError(
      `ALTUP_BACKEND: native cannot be used: ${native.reason}; set ALTUP_BACKEND=auto to run without it`,
    );
  }
  const { executionProvider, because } = portableProvider(settings, native.reason);
  const fallback = backend === 'auto' ? native.reason : null;
  return { runtime: { backend: 'onnxruntime-node', executionProvider }, fallback, because };
}

type ChosenProvider = Pick<Runtime, 'executionProvider'> & Pick<ChosenRuntime, 'because'>;

const asked = 'ALTUP_EXECUTION_PROVIDER sets it';

async function nativeProvider(settings: RuntimeSettings, native: LoadedAddon): Promise<ChosenProvider> {
  const { executionProvider, precisions } = settings;
  if (executionProvider !== 'auto') {
    const fault = await faultOf(executionProvider, native);
    if (fault === null) return { executionProvider, because: asked };
    const { needs } = executionProviders[executionProvider];
    throw new ConfigurationError(
      `ALTUP_EXECUTION_PROVIDER: ${executionProvider} cannot be used: ${fault}; ${needs}`,
    );
  }
  const faults: string[] = [];
  for (const name of providerNames) {
    const { auto } = executionProviders[name];
    if (auto === null) continue;
    const unfit = precisions.find((precision) => !auto.precisions.includes(precision));
    const fault =
      unfit === undefined
        ? await faultOf(name, native)
        : `auto takes it only for ${auto.precisions.join(', ')}, not for ${unfit}`;
    if (fault === null) return { executionProvider: name, because: auto.because };
    faults.push(`${name} cannot be used: ${fault}`);
  }
  return { executionProvider: 'cpu', because: faults.join('; ') };
}

/** Why the provider cannot compute here; null: it can. */
async function faultOf(name: ExecutionProvider, native: LoadedAddon): Promise<string | null> {
  const request = executionProviders[name].request('', 'fp32');
  if (request === null) return null;
  try {
    await native.addon.probeProvider(native.library, request.provider, request.providerOptions);
    return null;
  } catch (error) {
    return providerFault(error);
  }
}

function portableProvider({ executionProvider }: RuntimeSettings, reason: string): ChosenProvider {
  if (executionProvider === 'auto')
    return { executionProvider: 'cpu', because: 'auto uses only cpu with onnxruntime-node' };
  if (executionProviders[executionProvider].isPortable) return { executionProvider, because: asked };
  throw new ConfigurationError(
    `ALTUP_EXECUTION_PROVIDER: ${executionProvider} needs the native addon, which is not used: ${reason}`,
  );
}
