import { readFileSync } from 'node:fs';
import { join } from 'node:path';

interface Panel {
  id: number;
  type: string;
  title: string;
  gridPos: { x: number; y: number; w: number; h: number };
  targets?: { expr: string }[];
}

interface Dashboard {
  panels: Panel[];
  templating: { list: { name: string; query: unknown; definition?: string; allValue?: string }[] };
}

const file = join(import.meta.dirname, '../../deploy/helm/altup-serve/files/dashboard.json');

export const readDashboard = () => JSON.parse(readFileSync(file, 'utf8')) as Dashboard;

/** Values of the dashboard's variables when nothing is selected, at a scrape interval of 5 s. */
const variables: Record<string, string> = {
  job: '.*',
  instance: '.*',
  model: '.*',
  __rate_interval: '20s',
  __range: '5m',
};

/** Each query of the Grafana dashboard as Grafana would send it, with its panel's title. */
export function dashboardQueries(): { panel: string; query: string }[] {
  return readDashboard().panels.flatMap(({ title, targets = [] }) =>
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
