import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';

// Writes a CycloneDX list of the shipped npm packages. `npm sbom --omit dev` also omits shipped packages that
// development depends on directly, so this script lists everything and then drops the development packages.

interface Component {
  'bom-ref': string;
  scope: string;
  properties: { name: string; value: string }[];
}

interface Bom {
  metadata: { component: { 'bom-ref': string } };
  components: Component[];
  dependencies: { ref: string; dependsOn: string[] }[];
}

const isShipped = ({ scope, properties }: Component) =>
  scope === 'required' && !properties.some(({ name }) => name === 'cdx:npm:package:development');

const [file] = process.argv.slice(2);
if (file === undefined) {
  console.error('usage: node scripts/write-sbom.ts FILE');
  process.exit(1);
}
const text = execFileSync('npm', ['sbom', '--package-lock-only', '--sbom-format', 'cyclonedx'], {
  encoding: 'utf8',
  maxBuffer: 64 * 1024 * 1024,
});
const bom: Bom = JSON.parse(text);
const components = bom.components.filter(isShipped);
const shipped = new Set([bom.metadata.component, ...components].map((component) => component['bom-ref']));
const dependencies = bom.dependencies
  .filter(({ ref }) => shipped.has(ref))
  .map(({ ref, dependsOn }) => ({ ref, dependsOn: dependsOn.filter((each) => shipped.has(each)) }));
writeFileSync(file, `${JSON.stringify({ ...bom, components, dependencies }, null, 2)}\n`);
console.log(`${file}: ${components.length} components`);
