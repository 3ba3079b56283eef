import { formatPlacement, type PlacementFile, parsePlacementFile } from '@tessera/placement';
import { TesseraError } from '@tessera/protocol';
import { parse, stringify } from 'yaml';
import { z } from 'zod';

/** What a manifest of a placement is to be called; the chart of the llm service mounts it by its name. */
export interface ConfigMapOptions {
  readonly configmap: string;
  readonly namespace?: string;
  readonly labels: Readonly<Record<string, string>>;
}

/** The key of the placement in a ConfigMap: the name of the file that engines and shards see. */
const placementKey = 'placement.json';

/** What the API server lets the values of one ConfigMap have together. */
const maxConfigMapBytes = 2 ** 20;

/**
 * A manifest for `kubectl apply --server-side`, or a repository from which others apply it: the same placement gives the same
 * bytes. Without --server-side kubectl keeps a second copy in an annotation, and annotations have 256 KiB.
 * @throws TesseraError CONFIG_INVALID where it is larger than a ConfigMap may be
 */
export function placementManifest(
  placement: PlacementFile,
  { configmap, namespace, labels }: ConfigMapOptions,
  form: 'json' | 'yaml',
): string {
  const text = formatPlacement(placement);
  const bytes = Buffer.byteLength(text);
  if (bytes > maxConfigMapBytes) {
    throw new TesseraError(
      'CONFIG_INVALID',
      `the placement takes ${bytes} bytes, and a ConfigMap holds ${maxConfigMapBytes}: plan fewer copies (a higher ` +
        '--tolerance, less memory), fewer groups (--group-label), or put it on a volume that all mount, with --out',
    );
  }
  const manifest = {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: {
      name: configmap,
      ...(namespace === undefined ? {} : { namespace }),
      labels: {
        'app.kubernetes.io/name': 'tessera-llm',
        'app.kubernetes.io/component': 'placement',
        'app.kubernetes.io/part-of': 'tessera',
        ...labels,
      },
      // To be seen by who lists them; what counts stands in the placement.
      annotations: { 'tessera/revision': placement.revision, 'tessera/epoch': String(placement.epoch) },
    },
    data: { [placementKey]: text },
  };
  return form === 'json' ? `${JSON.stringify(manifest, null, 2)}\n` : stringify(manifest, { lineWidth: 0 });
}

const configMapSchema = z.object({
  kind: z.literal('ConfigMap'),
  data: z.object({ [placementKey]: z.string() }),
});

/**
 * A placement, from its own text or from a ConfigMap that holds it, as JSON or YAML.
 * @param invalid makes the error, of what is wrong
 * @throws what `invalid` makes
 */
export function placementFromText(
  text: string,
  invalid: (why: string, cause?: unknown) => TesseraError,
): PlacementFile {
  const found = configMapOf(text);
  if (found === undefined) return parsePlacementFile(text, invalid);
  const map = configMapSchema.safeParse(found);
  if (!map.success) throw invalid(`is a manifest, but no ConfigMap with a key ${placementKey}`, map.error);
  return parsePlacementFile(map.data.data[placementKey], invalid);
}

/** What looks like a manifest: a placement has no kind. */
function configMapOf(text: string): unknown {
  let value: unknown;
  try {
    value = parse(text);
  } catch {
    return undefined;
  }
  return typeof value === 'object' && value !== null && 'kind' in value ? value : undefined;
}
