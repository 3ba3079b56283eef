import { Environment, parse, Template, tokenize } from '@huggingface/jinja';
import { TesseraError } from '@tessera/protocol';
import { isWhiteSpace } from '../added-tokens.js';
import { invalid } from '../invalid.js';
import type { Tokenizer } from '../tokenizer.js';
import { withinTime } from './bounded.js';
import { BoundedInterpreter } from './bounded-interpreter.js';

/** A message as chat templates expect it. */
export interface TemplateMessage {
  readonly role: 'system' | 'user' | 'assistant' | 'developer' | 'tool';
  readonly content: string | readonly ({ readonly type: 'text'; readonly text: string } | { readonly type: 'image' })[];
}

/** Characters of a template; published ones have up to 30,000. */
export const longestSource = 1024 * 1024;
/** A conversation of a thousand turns takes a tenth of it. */
const mostMs = 2000;
/** Characters of what a template says of a conversation that it does not take. */
const longestReason = 4096;
/** Of a form in which a template asks for the time. */
const longestForm = 1024;
/** Numbers of one `range`. */
const mostNumbers = 100_000;

/** What a template says by raise_exception. */
class Refusal extends Error {}

const nothing = new Template('');
const time = new Template('{{ strftime_now(format) }}');

/** A template that writes a conversation as a prompt. */
export class ChatTemplate {
  readonly #program: ReturnType<typeof parse>;

  /**
   * @param constants of the template besides its own: texts of tokens
   * @param where it is from, in errors
   * @throws TesseraError CHECKPOINT_INVALID where it does not parse, or is too long
   */
  constructor(
    readonly source: string,
    private readonly constants: Readonly<Record<string, unknown>>,
    where: string,
  ) {
    if (source.length > longestSource) {
      throw invalid(where, `the chat template has more than ${longestSource} characters`);
    }
    try {
      const program = withinTime(mostMs, () => parse(tokenize(source, { lstrip_blocks: true, trim_blocks: true })));
      if (program === undefined) throw new Error(`it takes more than ${mostMs} ms`);
      this.#program = program.value;
    } catch (cause) {
      throw invalid(where, `the chat template does not parse: ${(cause as Error).message}`, cause);
    }
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
    const refused = (what: string, cause?: unknown): TesseraError =>
      new TesseraError('REQUEST_INVALID', `the chat template ${what}`, { cause, field: 'conversation.messages' });
    let rendered: { readonly value: string } | undefined;
    try {
      rendered = this.#render(messages, { ...variables, add_generation_prompt: true });
    } catch (cause) {
      const why = (cause instanceof Error ? cause.message : String(cause)).slice(0, longestReason);
      if (cause instanceof Refusal) throw refused(`refuses the conversation: ${why}`, cause);
      throw refused(`cannot be rendered with the conversation: ${why}`, cause);
    }
    if (rendered === undefined) throw refused(`takes more than ${mostMs} ms over the conversation`);
    return rendered.value;
  }

  /** The added token that the template writes behind what the assistant said: an answer ends with it. */
  endOfTurn(tokenizer: Tokenizer): number | undefined {
    const answer = 'an answer 7f3a';
    const conversation: TemplateMessage[] = [
      { role: 'user', content: 'a question' },
      { role: 'assistant', content: answer },
    ];
    let rendered: string | undefined;
    try {
      rendered = this.#render(conversation, { add_generation_prompt: false })?.value;
    } catch {
      // It cannot be found out so.
    }
    if (rendered === undefined || !rendered.includes(answer)) return undefined;
    const tail = rendered.slice(rendered.lastIndexOf(answer) + answer.length).trimStart();
    const marks = tokenizer.addedTokens.filter((token) => !isWhiteSpace(token) && tail.startsWith(token.content));
    return marks.sort((a, b) => b.content.length - a.content.length)[0]?.id;
  }

  #render(
    messages: readonly TemplateMessage[],
    variables: Readonly<Record<string, unknown>>,
  ): { readonly value: string } | undefined {
    return withinTime(mostMs, () => {
      const environment = new Environment();
      // transformers gives these two to every template.
      const all = { tools: null, documents: null, ...variables, ...this.constants, messages };
      for (const [name, value] of [...Object.entries(globals), ...Object.entries(all)]) environment.set(name, value);
      return String(new BoundedInterpreter(environment).run(this.#program).value);
    });
  }
}

/** What every template has. */
const globals: Readonly<Record<string, unknown>> = {
  true: true,
  false: false,
  none: null,
  True: true,
  False: false,
  None: null,
  raise_exception: (sentence: unknown) => {
    throw new Refusal(typeof sentence === 'string' ? sentence : 'it does not say why');
  },
  range: (first: number, end?: number, step = 1) => {
    const [from, to] = end === undefined ? [0, first] : [first, end];
    // A list would be written as text, however long, to be read as a number.
    if ([from, to, step].some((one) => typeof one !== 'number')) throw new Error('range has a limit that is no number');
    if (step === 0) throw new Error('range has a step of 0');
    const count = Math.max(0, Math.ceil((to - from) / step));
    if (!(count <= mostNumbers)) throw new Error(`range has more than ${mostNumbers} numbers`);
    return Array.from({ length: count }, (_, at) => from + at * step);
  },
  strftime_now: (format: unknown) => {
    if (typeof format !== 'string' || format.length > longestForm)
      throw new Error('strftime_now has no form that it takes');
    return time.render({ format });
  },
};
