import { deferred } from '@tessera/testing/async/deferred';
import { createChannel, createClient } from 'nice-grpc';
import reflection from 'nice-grpc-server-reflection/lib/proto/grpc/reflection/v1/reflection_pb.js';
import { expect, test } from 'vitest';
import { startProbe } from '../testing/start-probe.js';
import { reflectionServices } from './reflection-services.js';

const { ServerReflectionRequest } = reflection;
type Question = InstanceType<typeof ServerReflectionRequest>;

async function* once(question: Question): AsyncGenerator<Question> {
  yield question;
}

const [today] = reflectionServices;

async function answer(address: string, question: Question, service: (typeof reflectionServices)[number] = today) {
  const channel = createChannel(address);
  try {
    for await (const response of createClient(service, channel).serverReflectionInfo(once(question))) {
      return response;
    }
  } finally {
    channel.close();
  }
  throw new Error('no answer');
}

test.each(reflectionServices)('lists the services that are served, health among them: version %#', async (version) => {
  await using probe = await startProbe();
  const question = new ServerReflectionRequest().setListServices('*');
  const response = await answer(probe.service.grpcAddress, question, version);
  const names = response.getListServicesResponse()?.getServiceList();
  expect(names?.map((each) => each.getName())).toEqual(['tessera.v1.LlmService', 'grpc.health.v1.Health']);
});

test.each([
  ['tessera.v1.LlmService', 'tessera/v1/llm.proto', 'Generate'],
  ['tessera.v1.GenerateRequest', 'tessera/v1/llm.proto', 'forced_token_ids'],
  ['tessera.v1.ChatMessage', 'tessera/v1/conversation.proto', 'ChatMessage'],
  ['grpc.health.v1.Health', 'grpc/health/v1/health.proto', 'HealthCheckResponse'],
])('describes %s by its file', async (symbol, file, content) => {
  await using probe = await startProbe();
  const response = await answer(
    probe.service.grpcAddress,
    new ServerReflectionRequest().setFileContainingSymbol(symbol),
  );
  const [descriptor] = response.getFileDescriptorResponse()?.getFileDescriptorProtoList_asU8() ?? [];
  expect(Buffer.from(descriptor ?? []).includes(file)).toBe(true);
  expect(Buffer.from(descriptor ?? []).includes(content)).toBe(true);
});

test('says that a symbol is unknown', async () => {
  await using probe = await startProbe();
  const question = new ServerReflectionRequest().setFileContainingSymbol('tessera.v1.Nothing');
  const response = await answer(probe.service.grpcAddress, question);
  expect(response.getErrorResponse()?.getErrorMessage()).toContain('tessera.v1.Nothing');
});

test('an open reflection stream does not hold the shutdown up', async () => {
  const probe = await startProbe();
  const channel = createChannel(probe.service.grpcAddress);
  const { promise: open, resolve: endRequests } = deferred();
  async function* endless() {
    yield new ServerReflectionRequest().setListServices('*');
    await open;
  }
  let answers = 0;
  for await (const _ of createClient(today, channel).serverReflectionInfo(endless())) {
    answers++;
    void probe.service.stop();
  }
  expect(answers).toBe(1);
  await probe.service.stop();
  endRequests();
  channel.close();
  probe.client.close();
});
