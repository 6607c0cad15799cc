import { readFileSync } from 'node:fs';
import { join } from 'node:path';

interface Panel {
  type: string;
  title: string;
  targets?: { expr: string }[];
}

const file = join(import.meta.dirname, '../../deploy/helm/altup-serve/files/dashboard.json');

/** Values of the dashboard's variables when nothing is selected, at a scrape interval of 5 s. */
const variables: Record<string, string> = {
  instance: '.*',
  model: '.*',
  __rate_interval: '20s',
  __range: '5m',
};

/** Each query of the Grafana dashboard as Grafana would send it, with its panel's title. */
export function dashboardQueries(): { panel: string; query: string }[] {
  const { panels } = JSON.parse(readFileSync(file, 'utf8')) as { panels: Panel[] };
  return panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr }) => ({
      panel: title,
      query: expr.replace(/\$(\w+)/g, (_, name: string) => {
        const value = variables[name];
        if (value === undefined) throw new Error(`the panel "${title}" uses $${name}, which is no variable`);
        return value;
      }),
    })),
  );
}
