import { z } from 'zod';
import { setting } from './setting.js';

/** What every service has to which callers stream their requests. */
export const requestSettings = {
  'requests.maxPauseMs': setting(z.int().min(1), {
    default: 20_000,
    description:
      'The longest pause of a client that has not sent all of its request, in milliseconds; then it loses its place. A part of 512 KiB must fit into it on the slowest line. A client that waits for what it sent does not pause.',
  }),
};
