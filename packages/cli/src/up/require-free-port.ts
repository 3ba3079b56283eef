import { portTrouble } from '@tessera/service';
import { HintedError } from '../hinted-error.js';

/**
 * Makes sure that a port can be listened on, before anything is started for it.
 * @param port 0 is always good
 * @param whose what would listen there: `the gateway`
 * @param flag the flag that names another port
 * @throws TesseraError CONFIG_INVALID that names the port and says what to do
 */
export async function requireFreePort(port: number, whose: string, flag: string): Promise<void> {
  const trouble = port === 0 ? undefined : await portTrouble(port);
  if (trouble === undefined) return;
  const why = trouble === 'EADDRINUSE' ? 'another program listens there' : `the system refuses it (${trouble})`;
  throw new HintedError(
    'CONFIG_INVALID',
    `${whose} cannot have port ${port} of 127.0.0.1: ${why}`,
    `End what listens there, or choose another port with ${flag}; 0 takes any free one.`,
  );
}
