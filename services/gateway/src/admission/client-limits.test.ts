import { expect, test } from 'vitest';
import { MediaBudget } from '../intake/media-intake.js';
import { ClientLimits } from './client-limits.js';
import { clientName } from './client-name.js';

function limits(): { clients: ClientLimits; shared: MediaBudget } {
  const shared = new MediaBudget(1000);
  return { clients: new ClientLimits({ requests: 2, bytes: 100 }, shared), shared };
}

test('one client gets no more places than its share, and another one its own', () => {
  const { clients } = limits();
  const places = [clients.enter('a'), clients.enter('a')];
  expect(() => clients.enter('a')).toThrow(
    expect.objectContaining({
      code: 'QUEUE_FULL',
      message: 'this client has 2 requests in flight; 2 is the limit of one client',
    }),
  );
  using _other = clients.enter('b');
  places[0]?.[Symbol.dispose]();
  using _again = clients.enter('a');
});

test('a request takes as many places as it has choices, or none', () => {
  const { clients } = limits();
  expect(() => clients.enter('a', 3)).toThrow(
    'this client has 0 requests in flight, and asks for 3 choices; 2 is the limit',
  );
  const both = clients.enter('a', 2);
  expect(() => clients.enter('a')).toThrow('this client has 2 requests in flight');
  both[Symbol.dispose]();
  using _one = clients.enter('a');
  expect(() => clients.enter('a', 2)).toThrow('this client has 1 requests in flight');
  expect(clients.size).toBe(1);
});

test('who has nothing in flight is not remembered', () => {
  const { clients } = limits();
  for (let n = 0; n < 1000; n++) {
    using _ = clients.enter(`client-${n}`);
    expect(clients.size).toBe(1);
  }
  expect(clients.size).toBe(0);
});

test('one client holds no more bytes than its share, over all its requests', () => {
  const { clients, shared } = limits();
  using one = clients.enter('a');
  using two = clients.enter('a');
  one.budget.take(60);
  expect(() => two.budget.take(41)).toThrow("this client's requests hold 60 bytes");
  expect(shared.usedBytes).toBe(60);
  two.budget.take(40);
  one.budget.give(60);
  two.budget.take(60);
  expect(shared.usedBytes).toBe(100);
});

test('what all clients share holds for each', () => {
  const shared = new MediaBudget(50);
  const clients = new ClientLimits({ requests: 2, bytes: 100 }, shared);
  using place = clients.enter('a');
  expect(() => place.budget.take(60)).toThrow('its limit is 50');
  place.budget.take(50);
});

test('a client is its address, or what the proxy says', () => {
  const metadata = new Map([['x-tenant', 'blue']]);
  const none = new Map<string, string>();
  expect(clientName({ peer: '10.0.0.1:4000', metadata: none }, undefined)).toBe(
    clientName({ peer: '10.0.0.1:5000', metadata: none }, undefined),
  );
  expect(clientName({ peer: '10.0.0.1:4000', metadata }, undefined)).toBe('peer:10.0.0.1');
  expect(clientName({ peer: '10.0.0.1:4000', metadata }, 'x-tenant')).toBe('said:blue');
  expect(clientName({ peer: '10.0.0.1:4000', metadata: none }, 'x-tenant')).toBe('peer:10.0.0.1');
  expect(clientName({ peer: '::1:4000', metadata: none }, undefined)).toBe('peer:::1');
});
