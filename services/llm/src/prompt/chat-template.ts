import { Template } from '@huggingface/jinja';
import { TesseraError } from '@tessera/protocol';
import { z } from 'zod';

/** A message as chat templates expect it. */
export interface TemplateMessage {
  readonly role: 'system' | 'user' | 'assistant' | 'developer' | 'tool';
  readonly content: string | readonly ({ readonly type: 'text'; readonly text: string } | { readonly type: 'image' })[];
}

const tokenText = z.union([z.string(), z.object({ content: z.string() }).transform(({ content }) => content)]);

const tokenizerConfig = z.object({
  chat_template: z.union([z.string(), z.array(z.object({ name: z.string(), template: z.string() }))]),
  bos_token: tokenText.nullish(),
  eos_token: tokenText.nullish(),
  pad_token: tokenText.nullish(),
  unk_token: tokenText.nullish(),
});

const nothing = new Template('');

/** The `chat_template` of tokenizer_config.json. */
export class ChatTemplate {
  readonly source: string;
  readonly #template: Template;
  readonly #constants: Readonly<Record<string, unknown>>;

  /** @throws TesseraError CHECKPOINT_INVALID when there is no template, or it does not parse */
  constructor(config: unknown) {
    const parsed = tokenizerConfig.safeParse(config);
    if (!parsed.success) {
      throw new TesseraError('CHECKPOINT_INVALID', `tokenizer_config.json: ${z.prettifyError(parsed.error)}`);
    }
    const { chat_template: templates, ...tokens } = parsed.data;
    const source = typeof templates === 'string' ? templates : defaultTemplate(templates);
    this.source = source;
    try {
      this.#template = new Template(source);
    } catch (cause) {
      throw new TesseraError('CHECKPOINT_INVALID', 'tokenizer_config.json: the chat template does not parse', {
        cause,
      });
    }
    this.#constants = Object.fromEntries(Object.entries(tokens).filter(([, value]) => typeof value === 'string'));
  }

  /** Whether a name is none of the template language's own, such as `range`, which no variable can have. */
  isFreeName(name: string): boolean {
    try {
      nothing.render({ [name]: '' });
      return true;
    } catch {
      return false;
    }
  }

  /**
   * The prompt as text, ending where the assistant's answer begins.
   * @param variables of the template, besides its own; none of those can be set
   * @throws TesseraError REQUEST_INVALID with the template's own words when it refuses the conversation
   */
  render(messages: readonly TemplateMessage[], variables: Readonly<Record<string, unknown>> = {}): string {
    try {
      return this.#template.render({
        ...variables,
        ...this.#constants,
        messages,
        add_generation_prompt: true,
      });
    } catch (cause) {
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new TesseraError('REQUEST_INVALID', `the chat template refuses the conversation: ${why}`, {
        cause,
        field: 'conversation.messages',
      });
    }
  }
}

function defaultTemplate(templates: readonly { name: string; template: string }[]): string {
  const chosen = templates.find(({ name }) => name === 'default') ?? templates[0];
  if (chosen === undefined) throw new TesseraError('CHECKPOINT_INVALID', 'tokenizer_config.json: no chat template');
  return chosen.template;
}
