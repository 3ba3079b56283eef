import type { Binding, BoundSession, PlacedTensor } from '@tessera/inference';
import { AppendingAccess, type CacheAccess, type CallRows, InPlaceAccess } from './cache-access.js';
import type { HostCache } from './host-cache.js';

const cacheOutput = 'present_key.';

/** The layers whose attention a graph has, by their numbers in the model. */
export function cachedLayers({ outputs }: Pick<BoundSession, 'outputs'>): number[] {
  return outputs.flatMap(({ name }) => (name.startsWith(cacheOutput) ? [Number(name.slice(cacheOutput.length))] : []));
}

/**
 * A graph that is the model, or some of its layers, run over the cache of those that it has. What it computes, and what is
 * between it and the next part, is its owner's concern. Inputs and outputs of the cache: @tessera/compiler,
 * stages/causal-lm.ts.
 */
export class ModelPart {
  readonly #session: BoundSession;
  readonly #access: CacheAccess;
  readonly #inputs: ReadonlySet<string>;
  /** One for each set of outputs: what is bound stays bound, and what is bound is computed. */
  readonly #bindings = new Map<string, Binding>();

  /** @param cache has all layers that the graph has, and may have others */
  constructor(session: BoundSession, cache: HostCache) {
    this.#session = session;
    this.#inputs = new Set(session.inputs.map(({ name }) => name));
    const layers = cachedLayers(session);
    this.#access = session.backend === 'native' ? new InPlaceAccess(layers, cache) : new AppendingAccess(layers, cache);
  }

  /** Whether rows that begin a prompt need slots side by side: see callGroups. */
  get beginsInPlace(): boolean {
    return this.#access.beginsInPlace;
  }

  /**
   * Computes rows whose slots lie side by side, and puts what they add to the cache behind what their slots hold.
   * @param given inputs; of these it takes those that it has
   * @param wanted outputs, into which is written
   */
  async run(
    call: CallRows,
    given: Readonly<Record<string, PlacedTensor>>,
    wanted: Readonly<Record<string, PlacedTensor>>,
  ): Promise<void> {
    const inputs: Record<string, PlacedTensor> = this.#access.inputs(call);
    for (const [name, tensor] of Object.entries(given)) if (this.#inputs.has(name)) inputs[name] = tensor;
    const binding = this.#bindingFor(wanted);
    binding.bindInputs(inputs);
    binding.bindOutputs({ ...wanted, ...this.#access.outputs(call) });
    await binding.run();
    this.#access.ran(call);
  }

  /** Lets go of all memory that is bound: before the cache's is replaced, which there would else be twice. */
  async unbind(): Promise<void> {
    this.#access.letGo();
    const bindings = [...this.#bindings.values()];
    this.#bindings.clear();
    await Promise.all(bindings.map((binding) => binding.release()));
  }

  release(): Promise<void> {
    return this.#session.close();
  }

  #bindingFor(wanted: Readonly<Record<string, PlacedTensor>>): Binding {
    const names = Object.keys(wanted).join();
    let binding = this.#bindings.get(names);
    if (binding === undefined) {
      binding = this.#session.createBinding();
      this.#bindings.set(names, binding);
    }
    return binding;
  }
}
