import { get } from 'node:http';
import { TesseraError } from '@tessera/protocol';
import { commonSettings } from '../settings/common-settings.js';
import { loadSettings } from '../settings/load-settings.js';

/** All that must be known of a service to ask it. */
const settingsToAsk = {
  'metrics.host': commonSettings['metrics.host'],
  'metrics.port': commonSettings['metrics.port'],
};

/** Longer than a service takes to look at what its readiness hangs on; probes that are less patient end it themselves. */
const patienceMs = 5000;

/** An answer is one line; of anything longer this is enough to tell what answered. */
const maxAnswerCharacters = 1000;

/** A listener on all addresses is asked on the loopback. */
const hostToAsk: Readonly<Record<string, string>> = { '0.0.0.0': '127.0.0.1', '::': '::1' };

/**
 * What `main.js health` does: asks the service that runs beside it, under the same settings, whether it takes work
 * (`/readyz`), or with `--live` whether it lives (`/healthz`). The exit status is 0, or 1 with the reason on stderr. For
 * probes that run a command, and images without a shell; it loads nothing of the service, since it is asked often.
 *
 * Returns where argv asks for something else; call it first.
 */
export async function healthCommand(
  service: string,
  { argv = process.argv.slice(2), env = process.env }: { argv?: readonly string[]; env?: NodeJS.ProcessEnv } = {},
): Promise<void> {
  const [command, ...flags] = argv;
  if (command !== 'health') return;
  try {
    process.stdout.write(`${await askHealth(service, flags, env)}\n`);
    process.exit(0);
  } catch (reason) {
    process.stderr.write(`${service}: ${TesseraError.from(reason).message}\n`);
    process.exit(1);
  }
}

async function askHealth(service: string, flags: readonly string[], env: NodeJS.ProcessEnv): Promise<string> {
  const path = flags.includes('--live') ? '/healthz' : '/readyz';
  const others = flags.filter((flag) => flag !== '--live');
  const settings = loadSettings(service, settingsToAsk, others, env, { otherKeys: 'ignore' });
  const port = settings['metrics.port'];
  if (port === 0) {
    throw new TesseraError(
      'CONFIG_INVALID',
      'metrics.port is 0, so the service listens on a port that only it knows; give both the same metrics.port',
    );
  }
  const host = settings['metrics.host'];
  const { status, text } = await answerOf(hostToAsk[host] ?? host, port, path);
  if (status !== 200) throw new TesseraError('STAGE_UNAVAILABLE', text);
  return text;
}

function answerOf(host: string, port: number, path: string): Promise<{ status: number | undefined; text: string }> {
  const where = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  return new Promise((resolve, reject) => {
    const fail = (why: string): void =>
      reject(
        new TesseraError('STAGE_UNAVAILABLE', `nothing can be learnt of the service at http://${where}${path}: ${why}`),
      );
    const request = get({ host, port, path, agent: false, signal: AbortSignal.timeout(patienceMs) }, (response) => {
      let text = '';
      response.setEncoding('utf8');
      response.on('data', (more: string) => {
        text = (text + more).slice(0, maxAnswerCharacters);
      });
      response.on('end', () => resolve({ status: response.statusCode, text: text.trim() }));
      response.on('error', (error) => fail(error.message));
    });
    request.on('error', (error) => fail(error.name === 'AbortError' ? `no answer in ${patienceMs} ms` : error.message));
  });
}
