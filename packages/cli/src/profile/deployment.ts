import { readFile } from 'node:fs/promises';
import { type StageName, stageNames } from '@tessera/adviser';
import { TesseraError } from '@tessera/protocol';
import { z } from 'zod';

/** Where one service answers. */
export interface StageAddress {
  /** host:port. */
  readonly grpc: string;
  /** host:port, or a URL. */
  readonly metrics: string;
}

/** Where a deployment's services answer: one replica of each stage. */
export interface DeploymentAddresses {
  readonly stages: Readonly<Partial<Record<StageName, StageAddress>>>;
  /** The nats-server, where it runs on this machine: then its processor time is counted too. */
  readonly natsPid?: number;
}

const line = z.object({
  service: z.string(),
  address: z.string(),
  metrics: z.string().optional(),
  pid: z.int().positive().optional(),
});

/**
 * @param file what `tessera up --json` printed
 * @param given such as `encoder=HOST:PORT,HOST:PORT`: gRPC, then metrics; they go before the file
 * @throws TesseraError CONFIG_INVALID
 */
export async function readAddresses(file: string | undefined, given: readonly string[]): Promise<DeploymentAddresses> {
  const stages: Partial<Record<StageName, StageAddress>> = {};
  let natsPid: number | undefined;
  for (const { service, address, metrics, pid } of file === undefined ? [] : await linesOf(file)) {
    if (service === 'nats') natsPid = pid;
    if (isStage(service) && metrics !== undefined) stages[service] = { grpc: address, metrics };
  }
  for (const text of given) {
    const [, stage = '', grpc, metrics] = /^(\w+)=([^,]+),([^,]+)$/.exec(text) ?? [];
    if (!isStage(stage) || grpc === undefined || metrics === undefined) {
      throw new TesseraError(
        'CONFIG_INVALID',
        `${text} names no stage: say NAME=HOST:PORT,HOST:PORT, its gRPC and its metrics; NAME is one of ${stageNames.join(', ')}`,
      );
    }
    stages[stage] = { grpc, metrics };
  }
  for (const needed of ['gateway', 'llm'] as const) {
    if (stages[needed] === undefined) {
      throw new TesseraError(
        'CONFIG_INVALID',
        `nothing says where the ${needed} is: give the file of \`tessera up --json\` (--deployment), or --stage ${needed}=HOST:PORT,HOST:PORT`,
      );
    }
  }
  return { stages, natsPid };
}

function isStage(name: string): name is StageName {
  return (stageNames as readonly string[]).includes(name);
}

async function linesOf(file: string): Promise<z.infer<typeof line>[]> {
  let text: string;
  try {
    text = await readFile(file, 'utf8');
  } catch (cause) {
    throw new TesseraError('CONFIG_INVALID', `${file} cannot be read: ${(cause as Error).message}`, { cause });
  }
  const lines: z.infer<typeof line>[] = [];
  for (const [at, each] of text.split('\n').entries()) {
    if (each.trim() === '') continue;
    let value: unknown;
    try {
      value = JSON.parse(each);
    } catch (cause) {
      throw new TesseraError(
        'CONFIG_INVALID',
        `${file}, line ${at + 1} is not JSON; it is to be what \`tessera up --json\` printed`,
        { cause },
      );
    }
    const parsed = line.safeParse(value);
    if (parsed.success) lines.push(parsed.data);
  }
  return lines;
}
