/** The number after `--<name>` on the command line, or `otherwise`. @throws Error if it is not above 0 */
export function numberAsked(name: string, otherwise: number): number {
  const at = process.argv.indexOf(`--${name}`);
  const value = at < 0 ? otherwise : Number(process.argv[at + 1]);
  if (!(value > 0)) throw new Error(`--${name} takes a number above 0`);
  return value;
}
