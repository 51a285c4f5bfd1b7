// The official SDK for TypeScript; its package is the first argument: @modelcontextprotocol/sdk (1.x) or /client (2.x).
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';
import { answerOf, converse, server } from './conversation.mjs';

const installed = createRequire(`${process.cwd()}/package.json`);
const load = (name) => import(pathToFileURL(installed.resolve(name)).href);
const { Client } = await load(process.argv[2]);
const { StdioClientTransport } = await load(process.argv[3]);

const client = new Client({ name: 'a host', version: '1' });
await client.connect(new StdioClientTransport(await server()));
await converse(
  async () => (await client.listTools()).tools.map((tool) => tool.name),
  async (name, args) => answerOf(await client.callTool({ name, arguments: args })),
);
await client.close();
