import { environmentName, flagName, settingNames, settingSchema } from './settings.ts';

export interface ConfigRow {
  variable: string;
  /** Empty: the command line is no place for it. */
  flag: string;
  /** Empty: none. */
  default: string;
  description: string;
}

/** The rows of the configuration table: one per setting. */
export function configRows(): ConfigRow[] {
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
