import { readFileSync } from 'node:fs';
import type { Bundle } from '@tessera/bundle';
import { type ServiceName, serviceNames } from '@tessera/cli';
import { LocalDeployment } from '@tessera/cli/testing/local-deployment';
import {
  type ChatRequest,
  ChatServiceDefinition,
  ChatStart,
  durationMs,
  RequestState,
  Role,
  spanWords,
} from '@tessera/protocol';
import { createClient, type TesseraClient } from '@tessera/service';
import { processorMs } from '../processes/processor-time.js';
import type { Prompt } from '../prompts.js';
import { AnswerClock, type TimedAnswer } from './timed-answer.js';

const timeoutMs = 120_000;
/** Drawings are part of the traffic, not what is measured. */
export const drawSteps = 2;

export type ProcessName = ServiceName | 'nats-server';
export const processNames: readonly ProcessName[] = [...serviceNames, 'nats-server'];

/** How one question is asked. */
export interface AskTerms {
  /** When the answer must be complete. */
  readonly timeoutMs?: number;
  /** Steps of a drawing that the answer comes to. */
  readonly steps?: number;
}

export interface ProcessMemory {
  readonly residentBytes: number;
  /** The most that was ever resident. */
  readonly peakBytes: number;
}

/** A nats-server and the five services, each a process of its own, asked through the gateway's gRPC. */
export class Deployment implements AsyncDisposable {
  private constructor(
    private readonly services: LocalDeployment,
    /** One connection for all questions, as a client that asks more than once has. */
    private readonly client: TesseraClient<ChatServiceDefinition>,
  ) {}

  static async start(bundle: Bundle): Promise<Deployment> {
    const services = await LocalDeployment.start({
      bundleDir: bundle.dir,
      onEnded: (service, status) => process.stderr.write(`${service} ended with status ${status}\n`),
    });
    return new Deployment(services, createClient(ChatServiceDefinition, services.gateway));
  }

  /** The gateway's gRPC, host:port. */
  get address(): string {
    return this.services.gateway;
  }

  get natsUrl(): string {
    return this.services.natsUrl;
  }

  /** @throws TesseraError */
  async ask(prompt: Prompt, terms: AskTerms = {}): Promise<TimedAnswer> {
    const clock = new AnswerClock();
    const call = { timeoutMs: terms.timeoutMs ?? timeoutMs };
    for await (const { event } of this.client.chat(chatRequests(prompt, terms.steps), call)) {
      const what = event?.event;
      switch (what?.$case) {
        case 'accepted':
          clock.mark('accepted');
          break;
        case 'stateChanged':
          clock.mark(RequestState[what.value.state]);
          break;
        case 'segmentArrived':
          clock.mark('tile done');
          break;
        case 'textDelta':
          clock.delta(what.value.text, what.value.tokenCount);
          break;
        case 'mediaPart':
          if (what.value.last) clock.drawing();
          break;
        case 'finished':
          clock.mark('input tokens', what.value.usage?.inputTokens);
          clock.mark('cached tokens', what.value.usage?.cachedInputTokens);
          for (const span of what.value.spans) {
            const { stage, name } = spanWords(span);
            clock.mark(`${stage} ${name}`, durationMs(span.duration));
          }
          break;
      }
    }
    return clock.end();
  }

  /** Processor time that each process, and this one as `client`, has used so far, milliseconds. */
  processorMs(): Map<ProcessName | 'client', number> {
    const { user, system } = process.cpuUsage();
    return new Map<ProcessName | 'client', number>([
      ...processNames.map((name) => [name, processorMs(this.services.pid(name))] as const),
      ['client', (user + system) / 1000],
    ]);
  }

  /** What the kernel counts of each process. */
  memory(): Map<ProcessName, ProcessMemory> {
    return new Map(
      processNames.map((name) => {
        const pid = this.services.pid(name);
        const status = readFileSync(`/proc/${pid}/status`, 'utf8');
        const bytesOf = (field: string): number =>
          Number(new RegExp(`^${field}:\\s+(\\d+) kB$`, 'm').exec(status)?.[1]) * 1024;
        return [name, { residentBytes: bytesOf('VmRSS'), peakBytes: bytesOf('VmHWM') }];
      }),
    );
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.client.close();
    await this.services.stop();
  }
}

/** What a client sends to ask a question. */
export async function* chatRequests(
  { picture, text, later = [], sampling }: Prompt,
  steps = drawSteps,
): AsyncGenerator<ChatRequest> {
  const shown = picture === undefined ? [] : ['picture'];
  const start = ChatStart.fromPartial({
    messages: [
      {
        role: Role.USER,
        content: [
          ...shown.map((value) => ({ part: { $case: 'media' as const, value } })),
          { part: { $case: 'text' as const, value: text } },
        ],
      },
      ...later.map((said, turn) => ({
        role: turn % 2 === 0 ? Role.ASSISTANT : Role.USER,
        content: [{ part: { $case: 'text' as const, value: said } }],
      })),
    ],
    media: shown.map((name) => ({ name, source: { $case: 'parts' as const, value: {} } })),
    text: sampling,
    draw: { steps },
  });
  yield { body: { $case: 'start', value: start } };
  if (picture !== undefined) {
    yield { body: { $case: 'mediaPart', value: { name: 'picture', data: picture, last: true } } };
  }
}
