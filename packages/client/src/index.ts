export { type ErrorCode, TesseraError } from '@tessera/protocol';
export type { Answer, AnswerChoice, Picture } from './answer.js';
export type {
  AcceptedEvent,
  ChatEvent,
  DrainEvent,
  DrawProgressEvent,
  FinishedEvent,
  FinishReason,
  ItemFinishedEvent,
  ItemStartedEvent,
  LogprobCandidate,
  PictureEvent,
  RequestState,
  RetryingEvent,
  SegmentEvent,
  Stage,
  StateEvent,
  TextEvent,
  TextFinishedEvent,
  TokenLogprob,
  WaitingEvent,
} from './chat-event.js';
export type { CallOptions, ChatRequest, DrawOptions, ResponseFormat, TextOptions } from './chat-request.js';
export type { ChatStream } from './chat-stream.js';
export { connect } from './connect.js';
export type { ConnectOptions, FetchOptions, RetryOptions, TlsOptions } from './connect-options.js';
export type { ContentPart, ImagePart, LocalMediaSource, MediaSource, Message, Role } from './conversation.js';
export type { ChatLimits, Modality, Model, ModelDescription, ModelInfo } from './model.js';
export type { TesseraClient, UploadedMedia } from './tessera-client.js';
export type { TimelineSpan } from './timeline.js';
export type { Usage } from './usage.js';
