import closeWithGrace from 'close-with-grace';
import packageJson from '../../package.json' with { type: 'json' };
import { configHelp, loadConfig } from '../config/config.ts';
import { createLogger, LogOutput } from '../observability/logger.ts';
import { TerminalLog } from '../observability/terminal-log.ts';
import { Service } from '../service/app.ts';

/** Maximum time that a log which takes no lines may delay the exit. */
const lastLinesMs = 500;

/**
 * Signals raised by faults in native code. A JavaScript handler would return to the faulting instruction for ever.
 * Without one the system ends the process, and its supervisor sees the signal.
 */
const faultSignals = ['SIGSEGV', 'SIGBUS', 'SIGILL', 'SIGFPE', 'SIGTRAP', 'SIGABRT'] as const;

/** Maximum time to close the engine and the connections after the drain deadline. */
export const closingMs = 15_000;

/**
 * Serves until a stop signal ends the process.
 * @returns null while it serves; else the exit code
 * @throws ConfigurationError when it cannot serve
 */
export async function serveCommand(args: string[]): Promise<number | null> {
  if (args.includes('--help') || args.includes('-h')) {
    process.stdout.write(`Usage: altup serve [options]\n\n${configHelp()}\n`);
    return 0;
  }
  const config = loadConfig(process.env, args);
  const logOutput = new LogOutput(1);
  // People read a terminal, and programs whatever else takes the log.
  const lines = process.stdout.isTTY ? new TerminalLog(logOutput, packageJson.version) : logOutput;
  const logger = createLogger(config.logLevel, lines);
  for (const warning of config.warnings) logger.warn(warning);
  const service = new Service(config, logger, packageJson.version);
  logOutput.watch(service.logListener);
  const delay = config.drainTimeoutMs + closingMs;
  const grace = closeWithGrace({ delay, logger, skip: [...faultSignals, 'SIGHUP'] }, async ({ err }) => {
    if (err) logger.fatal({ err }, 'unexpected error');
    try {
      await service.stop();
    } finally {
      await logOutput.flush(lastLinesMs);
    }
  });
  process.on('SIGHUP', () => void service.reload());
  try {
    await service.start();
    return null;
  } catch (error) {
    grace.uninstall();
    await service.abandon();
    await logOutput.flush(lastLinesMs);
    throw error;
  }
}
