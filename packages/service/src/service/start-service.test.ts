import { once } from 'node:events';
import { connect } from 'node:net';
import { TesseraError } from '@tessera/protocol';
import { expect, test } from 'vitest';
import { commonSettings } from '../settings/common-settings.js';
import { steadyPort } from '../steady-port.js';
import { memoryLog } from '../testing/memory-log.js';
import { probeService } from '../testing/probe-service.js';
import { ask, startProbe } from '../testing/start-probe.js';
import { startService } from './start-service.js';

test('/metrics has what was called, /healthz and /readyz say how it stands', async () => {
  await using probe = await startProbe();
  await probe.client.describe({});
  await expect(probe.client.generate(ask('fail QUEUE_FULL'))[Symbol.asyncIterator]().next()).rejects.toThrow();
  const metrics = await fetch(`http://${probe.service.metricsAddress}/metrics`);
  expect(metrics.headers.get('content-type')).toContain('text/plain; version=0.0.4');
  const text = await metrics.text();
  expect(text).toContain('tessera_grpc_requests_total{service="tessera.v1.LlmService",method="Describe",code="OK"} 1');
  expect(text).toContain('method="Generate",code="RESOURCE_EXHAUSTED"} 1');
  expect(text).toContain('tessera_grpc_request_seconds_count{service="tessera.v1.LlmService",method="Describe"} 1');
  expect(text).toContain('tessera_ready 1');
  const statusOf = async (path: string) => (await fetch(`http://${probe.service.metricsAddress}${path}`)).status;
  expect(await Promise.all(['/healthz', '/readyz', '/nothing'].map(statusOf))).toEqual([200, 200, 404]);
});

test('/metrics has the settings in force that are numbers', async () => {
  await using probe = await startProbe({ 'drain.graceMs': 4321 });
  const text = await probe.service.metrics.registry.metrics();
  expect(text).toContain('tessera_setting{name="drain.graceMs"} 4321\n');
  expect(text).toMatch(/^tessera_setting\{name="grpc\.maxMessageBytes"\} \d+$/m);
});

test('two services in one process count apart', async () => {
  await using one = await startProbe();
  await using two = await startProbe();
  await one.client.describe({});
  expect(await two.service.metrics.registry.metrics()).not.toContain('Describe');
});

test('a drain longer than its grace cuts what is left and says what that was', async () => {
  const probe = await startProbe({ 'drain.graceMs': 100 });
  const stream = probe.client.generate(ask('wait'))[Symbol.asyncIterator]();
  await stream.next();
  const stopped = probe.service.stop();
  await expect(stopped).rejects.toMatchObject({ code: 'DEADLINE_EXCEEDED', message: /LlmService\/Generate \(1\)/ });
  await expect(stream.next()).rejects.toBeInstanceOf(TesseraError);
  expect(probe.service.stop()).toBe(stopped);
  probe.client.close();
});

test('a start that fails leaves no port open and passes the error on', async () => {
  const failing = {
    name: 'llm',
    settings: commonSettings,
    start: async () => {
      throw new TesseraError('CHECKPOINT_INVALID', 'no model there');
    },
  };
  const metricsPort = await steadyPort();
  const started = startService(failing, { 'model.dir': 'none', 'metrics.port': metricsPort }, { log: memoryLog().log });
  await expect(started).rejects.toMatchObject({ code: 'CHECKPOINT_INVALID' });
  const socket = connect(metricsPort, '127.0.0.1');
  const [error] = await once(socket, 'error');
  expect(error).toMatchObject({ code: 'ECONNREFUSED' });
});

test('a port that is taken is a sentence that names it, the setting and what to do', async () => {
  await using probe = await startProbe();
  for (const [setting, address] of [
    ['grpc.port', probe.service.grpcAddress],
    ['metrics.port', probe.service.metricsAddress],
  ] as const) {
    const port = Number(address.split(':')[1]);
    const starting = startService(probeService(), { 'model.dir': 'none', [setting]: port }, { log: memoryLog().log });
    await expect(starting).rejects.toMatchObject({
      code: 'CONFIG_INVALID',
      message: `port ${port} of 127.0.0.1 is taken: another program listens there; end that program, or set ${setting} to another port (0 takes any free one)`,
    });
  }
});

test.each(['grpc', 'metrics'])('a %s.host that is not of this machine is told as such', async (group) => {
  const given = { 'model.dir': 'none', [`${group}.host`]: '192.0.2.1' };
  await expect(startService(probeService(), given, { log: memoryLog().log })).rejects.toMatchObject({
    code: 'CONFIG_INVALID',
    message: `192.0.2.1 is no address of this machine; set ${group}.host to one, or to 0.0.0.0 for all of them`,
  });
});
