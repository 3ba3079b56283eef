import { fileURLToPath } from 'node:url';
import { ChildService } from '@tessera/cli';
import { startNatsServer } from '@tessera/nats-server';
import { GenerateRequest, LlmServiceDefinition, Role, TextOptions } from '@tessera/protocol';
import { createClient, withHugePages } from '@tessera/service';
import { processorMs } from '../processes/processor-time.js';

const graceMs = 10_000;
const timeoutMs = 300_000;

/** What the process took for steps in which all streams wrote. */
export interface StepsTaken {
  readonly processorMs: number;
  readonly steps: number;
  /** Tokens of each sequence before the step in the middle. */
  readonly past: number;
}

/** The LLM's service alone with a nats-server, asked at its own door: no gateway. */
export class LlmService implements AsyncDisposable {
  private nextId = 0;

  private constructor(
    private readonly service: ChildService,
    private readonly nats: Awaited<ReturnType<typeof startNatsServer>>,
    private readonly client: ReturnType<typeof createClient<LlmServiceDefinition>>,
    private readonly pid: number,
  ) {}

  /** @param dir of a bundle */
  static async start(dir: string): Promise<LlmService> {
    const nats = await startNatsServer();
    const main = fileURLToPath(new URL('./main.js', import.meta.resolve('@tessera/llm')));
    const flags = ['--model-dir', dir, '--nats-url', nats.url];
    const service = new ChildService('llm', main, flags, () => undefined, withHugePages(process.env));
    try {
      const { grpc, pid } = await service.start();
      return new LlmService(service, nats, createClient(LlmServiceDefinition, grpc), pid);
    } catch (reason) {
      await nats.stop();
      throw reason;
    }
  }

  /**
   * So many answers at once of so many tokens each, chosen greedily. What is measured are the steps from when all
   * streams write until the first one is about to end.
   */
  async steps(streams: number, answerTokens: number): Promise<StepsTaken> {
    const margin = Math.floor(answerTokens / 16);
    const written = new Array<number>(streams).fill(0);
    const look = () => ({ ms: processorMs(this.pid), tokens: written.reduce((sum, each) => sum + each, 0) });
    let begin: ReturnType<typeof look> | undefined;
    let end: ReturnType<typeof look> | undefined;
    let prompt = 0;
    const one = async (stream: number): Promise<void> => {
      for await (const { event } of this.client.generate(this.request(answerTokens), { timeoutMs })) {
        if (event?.$case === 'admitted') prompt = event.value.promptTokens;
        if (event?.$case !== 'tokens') continue;
        written[stream] = (written[stream] as number) + event.value.tokenIds.length;
        if (begin === undefined && Math.min(...written) >= margin) begin = look();
        if (end === undefined && written[stream] >= answerTokens - margin) end = look();
      }
    };
    await Promise.all(Array.from({ length: streams }, (_, stream) => one(stream)));
    if (begin === undefined || end === undefined) throw new Error('the answers were shorter than they were to be');
    const [from, to] = [begin.tokens / streams, end.tokens / streams];
    return { processorMs: end.ms - begin.ms, steps: to - from, past: prompt + Math.round((from + to) / 2) };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.close();
    await this.service.stop(graceMs);
    await this.nats.stop();
  }

  private request(tokens: number): GenerateRequest {
    const request = GenerateRequest.fromPartial({
      requestId: `steps-${this.nextId++}`,
      attempt: 1,
      prompt: {
        $case: 'conversation',
        value: { messages: [{ role: Role.USER, content: [{ part: { $case: 'text', value: 'Hello!' } }] }] },
      },
    });
    request.text = TextOptions.fromPartial({ maxTokens: tokens, minTokens: tokens, temperature: 0 });
    return request;
  }
}
