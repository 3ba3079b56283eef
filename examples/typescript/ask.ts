// Asks about a picture; the words come as they are written.
//   node examples/typescript/dist/ask.js PICTURE QUESTION     PICTURE is a file or an http(s) URL
import { connect, TesseraError } from '@tessera/client';

const [picture = 'models/demo/samples/apple.png', question = 'What is this?'] = process.argv.slice(2);
const image = /^https?:/.test(picture) ? { url: picture } : { file: picture };

const client = connect(process.env.TESSERA_ADDRESS ?? '127.0.0.1:7070');
try {
  const stream = client.chat({ messages: [{ role: 'user', content: [{ image }, question] }] });
  for await (const event of stream) {
    if (event.type === 'text') process.stdout.write(event.text);
  }
  const { usage, finishReason } = await stream.answer();
  console.log(`\n(${usage.inputTokens} tokens in, ${usage.outputTokens} out, ended by: ${finishReason})`);
} catch (error) {
  if (!(error instanceof TesseraError)) throw error;
  console.error(`${error.code}: ${error.message}`);
  process.exitCode = 1;
} finally {
  client.close();
}
