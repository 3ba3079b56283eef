// Stands in for grpcurl, which no package of Debian's has: takes the arguments of the example (-plaintext -d @ ADDRESS
// SERVICE/METHOD), learns the contract from the server's reflection, and turns JSON from stdin into a call and its messages
// into JSON.
import { text } from 'node:stream/consumers';
import { createFileRegistry, fromBinary, fromJson, toBinary, toJson } from '@bufbuild/protobuf';
import { FileDescriptorProtoSchema, FileDescriptorSetSchema } from '@bufbuild/protobuf/wkt';
import { Client, credentials } from '@grpc/grpc-js';
import { createChannel, createClient } from 'nice-grpc';
import { ServerReflectionService } from 'nice-grpc-server-reflection';
import reflection from 'nice-grpc-server-reflection/lib/proto/grpc/reflection/v1/reflection_pb.js';

const [, , plaintext, d, at, address, path] = process.argv;
if ([plaintext, d, at].join(' ') !== '-plaintext -d @') throw new Error(`unknown arguments: ${process.argv.slice(2)}`);
const [serviceName, methodName] = path.split('/');

/** All files that are needed for a symbol. */
async function filesOf(symbol) {
  const channel = createChannel(address);
  const client = createClient(ServerReflectionService, channel);
  const ask = async (request) => {
    const answers = client.serverReflectionInfo(
      (async function* once() {
        yield request;
      })(),
    );
    for await (const answer of answers) {
      const descriptors = answer.getFileDescriptorResponse()?.getFileDescriptorProtoList_asU8();
      if (descriptors === undefined) throw new Error(answer.getErrorResponse()?.getErrorMessage());
      return descriptors.map((bytes) => fromBinary(FileDescriptorProtoSchema, bytes));
    }
    throw new Error('no answer');
  };
  try {
    const files = new Map();
    // What is imported comes before whoever imports it.
    const add = async (question) => {
      for (const file of await ask(question)) {
        for (const name of file.dependency) {
          if (!files.has(name)) await add(new reflection.ServerReflectionRequest().setFileByFilename(name));
        }
        files.set(file.name, file);
      }
    };
    await add(new reflection.ServerReflectionRequest().setFileContainingSymbol(symbol));
    return [...files.values()];
  } finally {
    channel.close();
  }
}

const registry = createFileRegistry({
  $typeName: FileDescriptorSetSchema.typeName,
  file: await filesOf(serviceName),
});
const method = registry.getService(serviceName).methods.find(({ name }) => name === methodName);
const request = fromJson(method.input, JSON.parse(await text(process.stdin)), { registry });

const client = new Client(address, credentials.createInsecure());
const call = client.makeServerStreamRequest(
  `/${path}`,
  (message) => Buffer.from(toBinary(method.input, message)),
  (bytes) => fromBinary(method.output, bytes),
  request,
);
try {
  for await (const message of call) console.log(JSON.stringify(toJson(method.output, message, { registry }), null, 2));
} catch (error) {
  console.error(`ERROR:\n  Code: ${error.code}\n  Message: ${error.details}`);
  process.exitCode = 1;
} finally {
  client.close();
}
