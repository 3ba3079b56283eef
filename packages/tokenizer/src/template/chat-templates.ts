import { TesseraError } from '@tessera/protocol';
import { z } from 'zod';
import { invalid } from '../invalid.js';
import type { Tokenizer } from '../tokenizer.js';
import { ChatTemplate } from './chat-template.js';

/** Chat templates of one model; published ones have up to three. */
export const mostTemplates = 64;

const tokenText = z.union([z.string(), z.object({ content: z.string() }).transform(({ content }) => content)]);

const tokenizerConfig = z.object({
  chat_template: z
    .union([z.string(), z.array(z.object({ name: z.string(), template: z.string() })).max(mostTemplates)])
    .nullish()
    .transform((templates) => templates ?? []),
  bos_token: tokenText.nullish(),
  eos_token: tokenText.nullish(),
  pad_token: tokenText.nullish(),
  unk_token: tokenText.nullish(),
});

/** The template that a model has where it has only one, or that counts where none is named. */
const defaultName = 'default';

/** Templates that every model can be given. */
const builtIn: Readonly<Record<string, string>> = {
  chatml:
    '{% for message in messages %}<|im_start|>{{ message.role }}\n{{ message.content }}<|im_end|>\n{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}',
  plain:
    "{{ prefix }}{% for message in messages %}{% if not loop.first %}{{ '\\n\\n' }}{% endif %}{{ message.content }}{% endfor %}",
};
const marksOfChatMl = ['<|im_start|>', '<|im_end|>'];

export const builtInTemplates: readonly string[] = Object.keys(builtIn);

/** The chat templates of a model. */
export class ChatTemplates {
  /** By name. */
  readonly #own: ReadonlyMap<string, string>;
  readonly #constants: Readonly<Record<string, unknown>>;
  /** The text that ends an answer, where tokenizer_config.json says it. */
  readonly endText: string | undefined;

  /**
   * @param config the parsed tokenizer_config.json
   * @throws TesseraError CHECKPOINT_INVALID
   */
  constructor(config: unknown) {
    const parsed = tokenizerConfig.safeParse(config);
    if (!parsed.success) throw invalid('tokenizer_config.json', z.prettifyError(parsed.error), parsed.error);
    const { chat_template: templates, ...tokens } = parsed.data;
    const named = typeof templates === 'string' ? [{ name: defaultName, template: templates }] : templates;
    this.#own = new Map(named.map(({ name, template }) => [name, template]));
    this.#constants = Object.fromEntries(Object.entries(tokens).filter(([, value]) => typeof value === 'string'));
    this.endText = parsed.data.eos_token ?? undefined;
  }

  /** Their names, in their order. */
  get names(): readonly string[] {
    return [...this.#own.keys()];
  }

  /**
   * The one that counts where none is named: `default`, or the only one; undefined where there is none, or several are.
   * @throws TesseraError CHECKPOINT_INVALID
   */
  default(): ChatTemplate | undefined {
    const [only, ...others] = this.#own.values();
    const source = this.#own.get(defaultName) ?? (others.length === 0 ? only : undefined);
    return source === undefined ? undefined : this.of(source, 'tokenizer_config.json');
  }

  /**
   * The model's own by name, or else one that every model can be given.
   * @returns undefined where there is none of the name
   * @throws TesseraError CHECKPOINT_INVALID, CONFIG_INVALID where the model has not the tokens that it writes
   */
  named(name: string, tokenizer: Tokenizer): ChatTemplate | undefined {
    const own = this.#own.get(name);
    if (own !== undefined) return this.of(own, `tokenizer_config.json: ${name}`);
    const source = Object.hasOwn(builtIn, name) ? builtIn[name] : undefined;
    if (source === undefined) return undefined;
    const has = (text: string): boolean => tokenizer.addedTokens.some(({ content }) => content === text);
    const missing = name === 'chatml' ? marksOfChatMl.find((text) => !has(text)) : undefined;
    if (missing !== undefined) {
      throw new TesseraError(
        'CONFIG_INVALID',
        `the chat template chatml writes ${missing}, which is no token of the model`,
      );
    }
    const prefix = tokenizer.prefix.map(({ content }) => content).join('');
    return new ChatTemplate(source, { ...this.#constants, prefix }, name);
  }

  /** A template from elsewhere, with the model's tokens as its constants. @throws TesseraError CHECKPOINT_INVALID */
  of(source: string, where: string): ChatTemplate {
    return new ChatTemplate(source, this.#constants, where);
  }
}
