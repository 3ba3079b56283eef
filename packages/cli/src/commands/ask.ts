import { readFile, writeFile } from 'node:fs/promises';
import { basename, resolve } from 'node:path';
import {
  type ContentPart,
  durationMs,
  FinishReason,
  Modality,
  outsideText,
  Role,
  type Span,
  spanWords,
  TesseraError,
  type Usage,
} from '@tessera/protocol';
import { type ChatAnswer, callChat } from '../chat/chat-call.js';
import { requireWritable } from '../chat/output-file.js';
import { formatTimeline } from '../chat/timeline.js';
import { note, progress } from '../terminal.js';

export interface AskOptions {
  readonly image: readonly string[];
  readonly json: boolean;
  readonly seed?: bigint;
  readonly out?: string;
  readonly system?: string;
  readonly maxTokens?: number;
  readonly temperature?: number;
  readonly steps?: number;
  readonly guidance?: number;
  readonly timeline: boolean;
  readonly address: string;
  readonly timeoutMs: number;
}

/** Asks one question; text streams to stdout, a drawing goes to a file. */
export async function ask(question: string, options: AskOptions, signal: AbortSignal): Promise<void> {
  const { answer, files } = await converse(question, options, signal);
  if (options.json) printJson(answer, files);
}

/** Asks for a drawing, and fails when the answer holds none. */
export async function draw(request: string, options: AskOptions & { out: string }, signal: AbortSignal): Promise<void> {
  const { answer, files } = await converse(request, options, signal);
  if (options.json) printJson(answer, files);
  if (files.length === 0) {
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
): Promise<{ answer: ChatAnswer; files: string[] }> {
  if (options.out !== undefined) await requireWritable(resolve(options.out));
  const { media, content } = await readImages(options.image);
  if (question !== '') content.push({ part: { $case: 'text', value: question } });
  const messages = [{ role: Role.USER, content }];
  if (options.system !== undefined) {
    messages.unshift({ role: Role.SYSTEM, content: [{ part: { $case: 'text', value: options.system } }] });
  }
  const bar = progress('drawing');
  let wrote = false;
  const answer = await callChat(
    {
      address: options.address,
      messages,
      media,
      text: { seed: options.seed, maxTokens: options.maxTokens, temperature: options.temperature },
      draw: { seed: options.seed, steps: options.steps, guidance: options.guidance },
      timeoutMs: options.timeoutMs,
      signal,
    },
    {
      onText(text) {
        if (options.json) return;
        process.stdout.write(text);
        wrote = true;
      },
      onMediaProgress: (step, steps) => bar.update(step, steps),
    },
  ).finally(() => {
    bar.stop();
    if (wrote) process.stdout.write('\n');
  });
  const files = await savePictures(answer, options.out);
  if (!options.json) for (const file of files) note(`drawing saved: ${file}`);
  if (options.timeline && !options.json) note(formatTimeline(answer.finished.spans));
  return { answer, files };
}

async function readImages(
  paths: readonly string[],
): Promise<{ media: Map<string, Uint8Array>; content: ContentPart[] }> {
  const media = new Map<string, Uint8Array>();
  const content: ContentPart[] = [];
  for (const [index, path] of paths.entries()) {
    const name = outsideText(`${index}-${basename(path)}`, 256);
    try {
      media.set(name, await readFile(path));
    } catch (reason) {
      throw new TesseraError('REQUEST_INVALID', `${path} cannot be read: ${(reason as Error).message}`);
    }
    content.push({ part: { $case: 'media', value: name } });
  }
  return { media, content };
}

/** The first drawing goes to `out`, further ones beside it with a number. */
async function savePictures(answer: ChatAnswer, out: string | undefined): Promise<string[]> {
  const files: string[] = [];
  for (const [index, picture] of answer.pictures.entries()) {
    const first = resolve(out ?? `tessera-${answer.requestId}.png`);
    const file = index === 0 ? first : first.replace(/(\.\w+)?$/, `-${index + 1}$1`);
    await writeFile(file, picture.bytes);
    files.push(file);
  }
  return files;
}

function printJson(answer: ChatAnswer, files: readonly string[]): void {
  const { requestId, model, seed, text, reason, finished } = answer;
  const value = {
    requestId,
    model,
    seed: String(seed),
    text,
    finishReason: FinishReason[reason].toLowerCase(),
    pictures: files,
    usage: finished.usage && plainUsage(finished.usage),
    spans: finished.spans.map(plainSpan),
  };
  process.stdout.write(`${JSON.stringify(value, null, 2)}\n`);
}

function plainUsage({ inputTokens, cachedInputTokens, outputTokens, inputByModality, outputMedia }: Usage) {
  const byModality = inputByModality.map(({ modality, tokenCount }) => [Modality[modality].toLowerCase(), tokenCount]);
  return { inputTokens, cachedInputTokens, inputByModality: Object.fromEntries(byModality), outputTokens, outputMedia };
}

function plainSpan(span: Span) {
  const { start, duration, media, segment, item } = span;
  return {
    ...spanWords(span),
    startMs: durationMs(start),
    durationMs: durationMs(duration),
    media,
    segment,
    item,
  };
}
