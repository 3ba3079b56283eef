import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Chart.yaml of each chart with the version of the code, which is the chart's, that of the images it starts, and that of the
 * charts beside it which it is made of.
 * @param charts folder of the charts
 * @returns {Record<string, string>} texts by the names of the charts' folders
 */
export function chartVersions(charts, version) {
  const names = readdirSync(charts).filter((name) => existsSync(join(charts, name, 'Chart.yaml')));
  return Object.fromEntries(
    names.map((name) => {
      const text = readFileSync(join(charts, name, 'Chart.yaml'), 'utf8');
      return [
        name,
        text
          .replace(/^version: .*$/m, `version: ${version}`)
          .replace(/^appVersion: .*$/m, `appVersion: ${version}`)
          .replaceAll(/^( +)version: .*\n(?=\1repository: file:)/gm, `$1version: ${version}\n`),
      ];
    }),
  );
}
