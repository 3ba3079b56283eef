import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from '@tessera/testing/repository';
import { parse, parseAllDocuments } from 'yaml';
// @ts-expect-error The scripts have no types.
import * as scripts from '../../../scripts/render-charts.mjs';
import type { Manifest, Release } from './manifest.js';

export interface ChartCase {
  readonly name: string;
  /** Folder of the chart, from the repository's root. */
  readonly chart: string;
  /** File of the values, from the repository's root. */
  readonly values: string;
}

interface HelmEnd {
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
}

const {
  chartCases,
  chartNames,
  helm,
  release,
  namespace,
  renderCase,
}: {
  chartCases(folder: string): ChartCase[];
  chartNames(): string[];
  helm(...args: string[]): Promise<HelmEnd>;
  renderCase(each: ChartCase, release?: string): Promise<string>;
  release: string;
  namespace: string;
} = scripts;

export { chartNames, helm, renderCase };

/** Those that users are shown, and those that only tests have. */
export const cases = [...chartCases(join(root, 'deploy/examples')), ...chartCases(join(root, 'test/charts/cases'))];

/** What Kubernetes would read in a manifest's text: YAML 1.1, in which 0440 is an octal number. */
export function parseManifests(text: string): Manifest[] {
  return parseAllDocuments(text, { version: '1.1' }).flatMap((document) => {
    const value = document.toJS() as Manifest | null;
    return value === null ? [] : [value];
  });
}

/** @param text as `renderCase` gives it */
export function releaseOf(each: ChartCase, text: string): Release {
  const manifests = parseManifests(text);
  return { name: release, namespace, manifests, values: parse(readFileSync(join(root, each.values), 'utf8')) };
}
