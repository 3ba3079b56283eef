import {
  type ChatServiceDescribeResponse,
  durationMs,
  type Modality as ModalityEnum,
  type ModelInfo as ModelInfoMessage,
  type Model as ModelMessage,
  Modality as modalities,
  WeightFormat,
} from '@tessera/protocol';
import { wordOf } from './words.js';

/** What is said, shown or made. */
export type Modality = 'text' | 'image' | 'audio' | 'video' | 'unspecified';

/** Which model answers. */
export interface ModelInfo {
  /** The model's name. */
  readonly name: string;
  /** Twelve hex digits: equal revisions compute equal numbers. */
  readonly revision: string;
  /** How its weights are stored. */
  readonly weights: 'float32' | 'float16' | 'int8' | 'int4' | 'unspecified';
}

/** A model that is served. */
export interface Model extends ModelInfo {
  /** What it can be told. */
  readonly inputModalities: readonly Modality[];
  /** What it can answer with. */
  readonly outputModalities: readonly Modality[];
  /** Prompt and answer together, in tokens. */
  readonly contextTokens: number;
}

/** Limits of one request; each is named in the error that refuses more. */
export interface ChatLimits {
  /** Prompt, media and answer together, in tokens. */
  readonly contextTokens: number;
  /** Media items shown in one conversation. */
  readonly mediaItems: number;
  /** Bytes of one media item. */
  readonly mediaBytes: number;
  /** Pixels of one picture. */
  readonly mediaPixels: number;
  /** Messages in one conversation. */
  readonly messages: number;
  /** Characters of text in one conversation. */
  readonly textCharacters: number;
  /** Answers that one request may ask for. */
  readonly choices: number;
  /** The longest time one request may take. */
  readonly maxDeadlineMs: number;
}

/** What a model can do, and what a request for it may ask. */
export interface ModelDescription {
  /** The model. */
  readonly model: Model;
  /** The limits of one request. */
  readonly limits: ChatLimits;
}

export const modalityOf = (value: ModalityEnum): Modality => wordOf(modalities, value);

export function modelInfo(message: ModelInfoMessage | undefined): ModelInfo {
  const { name = '', revision = '', weights = WeightFormat.UNSPECIFIED } = message ?? {};
  return { name, revision, weights: wordOf(WeightFormat, weights) };
}

export function modelOf({ info, inputModalities, outputModalities, contextTokens }: ModelMessage): Model {
  return {
    ...modelInfo(info),
    inputModalities: inputModalities.map(modalityOf),
    outputModalities: outputModalities.map(modalityOf),
    contextTokens,
  };
}

export function limitsOf(limits: NonNullable<ChatServiceDescribeResponse['limits']>): ChatLimits {
  const { contextTokens, mediaItems, mediaBytes, mediaPixels, messages, textCharacters, choices, maxDeadline } = limits;
  return {
    contextTokens,
    mediaItems,
    mediaBytes: Number(mediaBytes),
    mediaPixels: Number(mediaPixels),
    messages,
    textCharacters,
    choices,
    maxDeadlineMs: durationMs(maxDeadline),
  };
}
