// The Inspector's command line: a process for every question, configured by a file as hosts have it.
import { execFile } from 'node:child_process';
import { mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { answerOf, converse, server } from './conversation.mjs';

const run = promisify(execFile);
const file = join(mkdtempSync(join(tmpdir(), 'inspector-')), 'mcp.json');
writeFileSync(file, JSON.stringify({ mcpServers: { 'clawver-orders': await server() } }));

async function ask(...words) {
  const inspector = join(process.cwd(), 'node_modules', '.bin', 'mcp-inspector');
  const fixed = ['--cli', '--config', file, '--server', 'clawver-orders', '--method'];
  try {
    return { result: JSON.parse((await run(inspector, [...fixed, ...words])).stdout) };
  } catch (error) {
    return { complaint: `${error.stdout ?? ''}${error.stderr ?? error}` };
  }
}

await converse(
  async () => (await ask('tools/list')).result.tools.map((tool) => tool.name),
  async (name, args) => {
    const pairs = Object.entries(args).map(([key, value]) =>
      ['--tool-arg', `${key}=${typeof value === 'string' ? value : JSON.stringify(value)}`]);
    const { result, complaint } = await ask('tools/call', '--tool-name', name, ...pairs.flat());
    return result ? answerOf(result) : { failed: true, text: complaint };
  },
);
