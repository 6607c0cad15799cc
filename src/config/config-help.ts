import { environmentName, flagName, settingNames, settingSchema } from './settings.ts';

/** The rows of the configuration table: one per setting. */
export function configRows(): { variable: string; flag: string; default: string; description: string }[] {
  return settingNames.map((name) => {
    const schema = settingSchema(name);
    const values = schema.enum ? ` One of ${schema.enum.map((value) => `\`${value}\``).join(', ')}.` : '';
    return {
      variable: environmentName(name),
      flag: flagName(name) ?? '',
      default: schema.default === undefined ? '' : String(schema.default),
      description: `${schema.description}${values}`,
    };
  });
}

/** The settings as `altup serve --help` prints them. */
export function configHelp(): string {
  const lines = configRows().map((row) => {
    const names = row.flag === '' ? row.variable : `${row.flag}, ${row.variable}`;
    const fallback = row.default === '' ? '' : ` [${row.default}]`;
    return `  ${names}${fallback}\n      ${row.description.replaceAll('`', '')}`;
  });
  return `Settings, as flag or environment variable [default]; a flag beats its variable:\n\n${lines.join('\n')}\n`;
}
