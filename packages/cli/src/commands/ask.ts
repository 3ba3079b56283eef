import { writeFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import {
  type Answer,
  type AnswerChoice,
  type ChatStream,
  connect,
  type LogprobCandidate,
  TesseraError,
} from '@tessera/client';
import { requireWritable } from '../chat/output-file.js';
import { type TextFlags, textOptions } from '../chat/text-flags.js';
import { formatTimeline } from '../chat/timeline.js';
import { explained } from '../chat/unreachable.js';
import { note, progress } from '../terminal.js';
import { readTls, type TlsFlags } from '../tls-flags.js';

export interface AskOptions extends TextFlags, TlsFlags {
  readonly image: readonly string[];
  readonly choices: number;
  readonly json: boolean;
  readonly out?: string;
  readonly system?: string;
  readonly steps?: number;
  readonly guidance?: number;
  readonly timeline: boolean;
  readonly address: string;
  readonly timeoutMs: number;
}

/** Asks one question; text goes to stdout, a drawing to a file. */
export async function ask(question: string, options: AskOptions, signal: AbortSignal): Promise<void> {
  const { answer, files } = await converse(question, options, signal);
  if (options.json) printJson(answer, files);
}

/** Asks for a drawing, and fails when the answer holds none. */
export async function draw(request: string, options: AskOptions & { out: string }, signal: AbortSignal): Promise<void> {
  const { answer, files } = await converse(request, options, signal);
  if (options.json) printJson(answer, files);
  if (files.every((saved) => saved.length === 0)) {
    throw new TesseraError(
      'UNSUPPORTED',
      `the model answered without drawing. Say it as a request, such as "Draw a red apple on a blue background."`,
    );
  }
}

async function converse(
  question: string,
  options: AskOptions,
  signal: AbortSignal,
): Promise<{ answer: Answer; files: string[][] }> {
  if (options.out !== undefined) await requireWritable(resolve(options.out));
  const { choices, seed, steps, guidance, timeoutMs } = options;
  const text = await textOptions(options);
  const content = [...options.image.map((file) => ({ image: { file } })), ...(question === '' ? [] : [question])];
  // Whoever calls from a shell decides there whether to try again; the exit status says whether it is worth it.
  using client = connect(options.address, { tls: await readTls(options), retry: { maxAttempts: 1 } });
  const stream = client.chat(
    {
      messages: [
        ...(options.system === undefined ? [] : [{ role: 'system' as const, content: options.system }]),
        { role: 'user', content },
      ],
      text,
      draw: { seed, steps, guidance },
      choices,
    },
    { timeoutMs, signal },
  );
  const answer = await show(stream, options);
  const files = await savePictures(answer, options.out);
  if (!options.json) for (const file of files.flat()) note(`drawing saved: ${file}`);
  if (options.timeline && !options.json) note(formatTimeline(answer.timeline));
  return { answer, files };
}

/** Text goes to stdout as it comes; that of several choices, one after the other, when all are complete. */
async function show(stream: ChatStream, { json, address, choices }: AskOptions): Promise<Answer> {
  const bar = progress('drawing');
  let isAccepted = false;
  let wrote = false;
  try {
    for await (const event of stream) {
      if (event.type === 'accepted') isAccepted = true;
      if (event.type === 'waiting' && event.stages.length > 0 && !json) {
        note(`waiting for ${event.stages.join(' and ')}: no replica is there yet`);
      }
      if (event.type === 'draw_progress') bar.update(event.step, event.steps);
      if (event.type !== 'text' || json || choices > 1) continue;
      process.stdout.write(event.text);
      wrote = true;
    }
    const answer = await stream.answer();
    if (choices > 1 && !json) {
      for (const [choice, { text }] of answer.choices.entries()) {
        note(`choice ${choice}:`);
        process.stdout.write(`${text}\n`);
      }
    }
    return answer;
  } catch (reason) {
    const error = TesseraError.from(reason);
    throw isAccepted ? error : explained(error, address);
  } finally {
    bar.stop();
    if (wrote) process.stdout.write('\n');
  }
}

/**
 * The first drawing goes to `out`, further ones beside it with a number.
 * @returns the files of each choice
 */
async function savePictures({ choices, requestId }: Answer, out: string | undefined): Promise<string[][]> {
  const first = resolve(out ?? `tessera-${requestId}.png`);
  let saved = 0;
  const files: string[][] = [];
  for (const { pictures } of choices) {
    const ofChoice: string[] = [];
    for (const { bytes } of pictures) {
      saved++;
      const file = saved === 1 ? first : first.replace(/(\.\w+)?$/, `-${saved}$1`);
      await writeFile(file, bytes);
      ofChoice.push(file);
    }
    files.push(ofChoice);
  }
  return files;
}

function candidate({ tokenId, bytes, logprob }: LogprobCandidate) {
  return { tokenId, text: Buffer.from(bytes).toString('utf8'), logprob };
}

function choiceJson({ text, logprobs, finishReason }: AnswerChoice, pictures: readonly string[]) {
  const likely = logprobs?.map((token) => ({ ...candidate(token), top: token.top.map(candidate) }));
  return { text, logprobs: likely, finishReason, pictures };
}

/** @param files of each choice */
function printJson(answer: Answer, files: readonly (readonly string[])[]): void {
  const { requestId, model, seed, usage, timeline } = answer;
  const choices = answer.choices.map((choice, at) => choiceJson(choice, files[at] ?? []));
  const value = {
    requestId,
    model: model.name,
    seed: String(seed),
    ...choices[0],
    choices: choices.length > 1 ? choices : undefined,
    usage,
    spans: timeline,
  };
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}
