// What every driver in JavaScript does; conversation.py says how a driver talks.
import { createInterface } from 'node:readline';

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

export async function server() {
  return JSON.parse((await lines.next()).value);
}

export async function converse(names, call) {
  for (let line = await lines.next(); !line.done; line = await lines.next()) {
    const asked = JSON.parse(line.value);
    const answer = asked.list ? await names() : await call(asked.tool, asked.arguments);
    console.log(JSON.stringify(answer));
  }
}

export function answerOf(result) {
  return { failed: Boolean(result.isError), text: result.content.map((part) => part.text).join('\n') };
}
