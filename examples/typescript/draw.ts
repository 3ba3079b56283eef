// Has a picture drawn, and saves it.
//   node examples/typescript/dist/draw.js REQUEST FILE
import { writeFile } from 'node:fs/promises';
import { connect } from '@tessera/client';

const [request = 'Draw a red apple on a blue background.', file = 'drawing.png'] = process.argv.slice(2);

const client = connect(process.env.TESSERA_ADDRESS ?? '127.0.0.1:7070');
try {
  const answer = await client
    .chat({ messages: [{ role: 'user', content: request }], draw: { seed: 7 } }, { timeoutMs: 300_000 })
    .answer();
  console.log(answer.text);
  const [picture] = answer.pictures;
  if (picture === undefined) throw new Error('the model answered without drawing');
  await writeFile(file, picture.bytes);
  console.log(`${file}: ${picture.mimeType}, ${picture.bytes.length} bytes, seed ${answer.seed}`);
} finally {
  client.close();
}
