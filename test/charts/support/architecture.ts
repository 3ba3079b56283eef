/**
 * Who calls whom in Tessera, once, as data: docs/architecture.md in a few lines. What is missing here is an edge that no
 * NetworkPolicy may draw; test/charts/architecture.test.ts holds the calls to the code.
 */

/** The roles of pods (app.kubernetes.io/component), with the service that each is. */
export const components = {
  encoder: 'encoder',
  connector: 'connector',
  engine: 'llm',
  experts: 'llm',
  layers: 'llm',
  generator: 'generator',
  gateway: 'gateway',
} as const;

export type Component = keyof typeof components;

interface Call {
  readonly from: Component;
  readonly to: Component;
  /** The file that opens the channel. */
  readonly opens: string;
  /** What the caller's settings of it begin with. */
  readonly settings: string;
}

/** Calls by gRPC. All else between services goes over NATS. */
export const calls: readonly Call[] = [
  { from: 'gateway', to: 'engine', opens: 'services/gateway/src/routing/pooled-engine.ts', settings: 'engines' },
  { from: 'engine', to: 'experts', opens: 'services/llm/src/experts/open-experts.ts', settings: 'experts' },
  { from: 'engine', to: 'layers', opens: 'services/llm/src/layers/open-layers.ts', settings: 'layers' },
];

/** Whom a stranger may call, unless the values let clients in elsewhere too. */
export const openToClients: readonly Component[] = ['gateway'];
