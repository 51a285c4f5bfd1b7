// A chat host of the official parts: the SDK's client, and the AppBridge of MCP Apps. It runs in a browser, bundled by
// esbuild; the test carries the lines between it and the server's process.
import { Client } from '@modelcontextprotocol/client';
import {
  AppBridge, PostMessageTransport, RESOURCE_MIME_TYPE, getToolUiResourceUri, isToolVisibilityAppOnly,
} from '@modelcontextprotocol/ext-apps/app-bridge';

const CARDS = { extensions: { 'io.modelcontextprotocol/ui': { mimeTypes: [RESOURCE_MIME_TYPE] } } };
const ABLE = { openLinks: {}, serverTools: {} };
const host = (globalThis.host = { sizes: [], links: [] });
let client, tools, bridge;

class Lines {
  async start() { host.hear = (line) => this.onmessage?.(JSON.parse(line)); }
  async send(message) { await globalThis.sayToServer(JSON.stringify(message)); }
  async close() { this.onclose?.(); }
}

host.connect = async (era, showsCards) => {
  const mode = era === 'modern' ? { pin: '2026-07-28' } : 'legacy';
  client = new Client({ name: 'a chat', version: '1' }, {
    capabilities: showsCards ? CARDS : {}, versionNegotiation: { mode },
  });
  await client.connect(new Lines());
  tools = (await client.listTools()).tools;
  return { version: client.getNegotiatedProtocolVersion(), tools: tools.map((tool) => tool.name) };
};

host.modelsTools = () => tools.filter((tool) => !isToolVisibilityAppOnly(tool)).map((tool) => tool.name);

host.call = (name, given) => client.callTool({ name, arguments: given });

// The card of a tool's answer, within a sandbox of another origin, as hosts on the web have to show it.
host.mount = async (tool, result, { theme, isCut }) => {
  await host.unmount();
  const address = getToolUiResourceUri(tools.find((each) => each.name === tool));
  const [card] = (await client.readResource({ uri: address })).contents;
  if (card.mimeType !== RESOURCE_MIME_TYPE) throw new Error(card.mimeType);
  const frame = document.createElement('iframe');
  frame.style.colorScheme = document.documentElement.style.colorScheme = theme;
  bridge = new AppBridge(isCut ? null : client, { name: 'a chat', version: '1' }, ABLE, { hostContext: { theme } });
  bridge.onsizechange = ({ height }) => { host.sizes.push(height); frame.style.height = `${height}px`; };
  bridge.onopenlink = async ({ url }) => { host.links.push(url); return {}; };
  bridge.onsandboxready = () => bridge.sendSandboxResourceReady({ html: card.text, sandbox: 'allow-scripts' });
  bridge.oninitialized = async () => {
    await bridge.sendToolInput({ arguments: {} });
    await bridge.sendToolResult(result);
  };
  document.body.replaceChildren(frame);
  await bridge.connect(new PostMessageTransport(frame.contentWindow, frame.contentWindow));
  frame.src = 'https://sandbox.example/';
};

host.unmount = async () => {
  if (!bridge) return;
  await bridge.teardownResource({});
  await bridge.close();
  bridge = undefined;
};

host.theme = (theme) => bridge.setHostContext({ theme });
