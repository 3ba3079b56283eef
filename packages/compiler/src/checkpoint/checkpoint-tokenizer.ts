/** What prompts are built with, as a bundle has it. */
export interface CheckpointTokenizer {
  /** The file that it is from, in errors. */
  readonly path: string;
  /** tokenizer.json, parsed. */
  readonly tokenizer: object;
  /** tokenizer_config.json with the chat templates that the checkpoint has in files of their own. */
  readonly config: Readonly<Record<string, unknown>>;
}
