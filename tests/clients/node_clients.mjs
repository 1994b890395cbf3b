// The clients that come from npm: openai, the AI SDK, the MCP SDK, the MCP inspector.

import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";

const { FLIGHTDECK_BASE: BASE, FLIGHTDECK_REP: REP, FLIGHTDECK_BOT: BOT } = process.env;
const PROGRAM = process.env.FLIGHTDECK_PROGRAM;
const FOLDERS = process.env.FLIGHTDECK_FOLDERS.split(" ");
const OPENAI = "OpenAI's protocol";
const MCP = "Model Context Protocol";
const QUESTION = "LB-300S 速度多少？";
const FLOOR = "LB-300S 的底价是多少？";
const here = dirname(fileURLToPath(import.meta.url));

const version = (name) => JSON.parse(readFileSync(join(here, "node_modules", name, "package.json"), "utf8")).version;

/** A check holds where it throws nothing; what it returns is shown in the table. */
async function run(protocol, client, check, work) {
  const told = { protocol, client, check };
  try {
    console.log(JSON.stringify({ ...told, ok: true, note: (await work()) ?? "" }));
  } catch (error) {
    console.error(error);
    console.log(JSON.stringify({ ...told, ok: false, note: String(error) }));
  }
}

async function runAll(protocol, client, checks) {
  for (const [check, work] of Object.entries(checks)) await run(protocol, client, check, work);
}

function noSecret(value) {
  const text = JSON.stringify(value);
  for (const secret of ["22.5", "二十二万五"]) assert(!text.includes(secret), text);
}

async function openaiClient() {
  const { default: OpenAI } = await import("openai");
  const client = new OpenAI({ baseURL: `${BASE}/v1`, apiKey: REP, maxRetries: 0 });
  const customer = new OpenAI({ baseURL: `${BASE}/v1`, apiKey: BOT, maxRetries: 0 });
  const ask = (messages, more = {}, by = client) =>
    by.chat.completions.create({ model: "flightdeck-internal", messages, ...more });
  const question = [{ role: "user", content: QUESTION }];
  const chunksOf = async (more) => {
    const chunks = [];
    for await (const chunk of await ask(question, { stream: true, ...more })) chunks.push(chunk);
    return chunks;
  };
  await runAll(OPENAI, `openai (JavaScript) ${version("openai")}`, {
    async models() {
      const ids = [];
      for await (const model of client.models.list()) ids.push(model.id);
      assert(ids.includes("flightdeck-internal"));
      assert.equal((await client.models.retrieve("flightdeck-internal")).id, "flightdeck-internal");
    },
    async answer() {
      const { message } = (await ask(question)).choices[0];
      assert(message.content.includes("300"));
    },
    async citations() {
      const { message } = (await ask(question)).choices[0];
      const letters = [...message.content];
      assert(message.annotations.length > 0);
      for (const { url_citation: place } of message.annotations) {
        assert.match(letters.slice(place.start_index, place.end_index).join(""), /^\[\d+\]$/);
      }
      return "annotations";
    },
    async stream() {
      const whole = (await ask(question)).choices[0].message.content;
      const chunks = await chunksOf({});
      assert.equal(chunks.map((chunk) => chunk.choices[0].delta.content ?? "").join(""), whole);
    },
    async usage() {
      const last = (await chunksOf({ stream_options: { include_usage: true } })).at(-1);
      assert.deepEqual(last.choices, []);
      assert.equal(last.usage.total_tokens, 0);
    },
    async conversation() {
      const said = (await ask(question)).choices[0].message;
      const reply = await ask([...question, said, { role: "user", content: "LB-300S 保修多久？" }]);
      assert(reply.choices[0].message.content);
    },
    async embeddings() {
      const of = async (more) =>
        (await client.embeddings.create({ model: "multilingual-e5-small-query", input: ["保修多久？"], ...more })).data[0];
      const [coded, plain] = [(await of({})).embedding, (await of({ encoding_format: "float" })).embedding];
      assert.equal(coded.length, 384);
      assert(coded.every((number, index) => Math.abs(number - plain[index]) < 1e-6));
      return "base64, float";
    },
    async errors() {
      await assert.rejects(ask(question, { model: "gpt-4o" }), OpenAI.NotFoundError);
      await assert.rejects(ask(question, { n: 2 }), OpenAI.BadRequestError);
      const stranger = new OpenAI({ baseURL: `${BASE}/v1`, apiKey: "wrong", maxRetries: 0 });
      await assert.rejects(ask(question, {}, stranger), OpenAI.AuthenticationError);
      return "typed";
    },
    async audience() {
      await assert.rejects(ask(question, {}, customer), OpenAI.NotFoundError);
      noSecret(await ask([{ role: "user", content: FLOOR }], { model: "flightdeck-customer" }, customer));
    },
  });
}

async function aiSdk() {
  const { generateText, streamText, embedMany, APICallError } = await import("ai");
  const { createOpenAICompatible } = await import("@ai-sdk/openai-compatible");
  const provider = (apiKey) =>
    createOpenAICompatible({ name: "flightdeck", baseURL: `${BASE}/v1`, apiKey, includeUsage: true });
  const model = provider(REP)("flightdeck-internal");
  const same = { model, maxRetries: 0 };
  const name = `AI SDK ${version("ai")}, openai-compatible ${version("@ai-sdk/openai-compatible")}`;
  await runAll(OPENAI, name, {
    async answer() {
      assert((await generateText({ ...same, prompt: QUESTION })).text.includes("300"));
    },
    async citations() {
      assert((await generateText({ ...same, prompt: QUESTION })).text.includes("[1]"));
      return "marks in the text";
    },
    async stream() {
      const errors = [];
      const { textStream } = streamText({ ...same, prompt: QUESTION, onError: ({ error }) => errors.push(error) });
      let text = "";
      for await (const piece of textStream) text += piece;
      assert.deepEqual(errors, []);
      assert.equal(text, (await generateText({ ...same, prompt: QUESTION })).text);
    },
    async usage() {
      const streamed = streamText({ ...same, prompt: QUESTION });
      await streamed.consumeStream();
      assert.equal((await streamed.usage).totalTokens, 0);
    },
    async conversation() {
      const said = (await generateText({ ...same, prompt: QUESTION })).text;
      const messages = [
        { role: "user", content: QUESTION },
        { role: "assistant", content: said },
        { role: "user", content: "LB-300S 保修多久？" },
      ];
      assert((await generateText({ ...same, messages })).text);
    },
    async embeddings() {
      const model = provider(REP).textEmbeddingModel("multilingual-e5-small-passage");
      const { embeddings } = await embedMany({ model, values: ["整机保修 24 个月。", "流量 42。"], maxRetries: 0 });
      assert.deepEqual(embeddings.map((vector) => vector.length), [384, 384]);
      return "float";
    },
    async errors() {
      const wrong = generateText({ model: provider(REP)("gpt-4o"), prompt: QUESTION, maxRetries: 0 });
      await assert.rejects(wrong, (error) => APICallError.isInstance(error) && error.statusCode === 404);
      return "typed";
    },
    async audience() {
      const customer = provider(BOT)("flightdeck-customer");
      noSecret((await generateText({ model: customer, prompt: FLOOR, maxRetries: 0 })).text);
    },
  });
}

async function mcpSdk() {
  const { Client } = await import("@modelcontextprotocol/sdk/client/index.js");
  const { StreamableHTTPClientTransport } = await import("@modelcontextprotocol/sdk/client/streamableHttp.js");
  const { StdioClientTransport } = await import("@modelcontextprotocol/sdk/client/stdio.js");
  const connect = async (transport) => {
    const client = new Client({ name: "clients", version: "1" });
    await client.connect(transport);
    return client;
  };
  const http = (key) =>
    new StreamableHTTPClientTransport(new URL(`${BASE}/mcp`), {
      requestInit: { headers: { Authorization: `Bearer ${key}` } },
    });
  const transport = http(REP);
  const client = await connect(transport);
  const call = async (name, args) => {
    const result = await client.callTool({ name, arguments: args });
    assert(!result.isError, JSON.stringify(result));
    return result.structuredContent;
  };
  await runAll(MCP, `MCP SDK (TypeScript) ${version("@modelcontextprotocol/sdk")}`, {
    async version() {
      return transport.protocolVersion;
    },
    async tools() {
      assert.equal((await client.listTools()).tools.length, 7);
    },
    async calls() {
      const answer = await call("answer_question", { question: QUESTION });
      const { uri } = answer.citations[0].document;
      assert((await call("search_knowledge", { query: QUESTION })).hits.length > 0);
      assert((await call("match_cases", { industry: "食品饮料" })).citations.length > 0);
      await call("handle_objection", { objection: "太贵了" });
      await call("recommend_videos", { need: "换型演示" });
      assert((await call("get_document", { uri, max_chars: 50_000 })).text.includes(answer.citations[0].quote));
      await call("submit_feedback", { message_id: answer.message_id, rating: "up" });
      return "all 7";
    },
    async complaint() {
      const result = await client.callTool({ name: "search_knowledge", arguments: { query: "" } });
      assert(result.isError && result.content[0].text.includes("query"));
    },
    async resources() {
      let page = await client.listResources();
      let count = page.resources.length;
      while (page.nextCursor) {
        page = await client.listResources({ cursor: page.nextCursor });
        count += page.resources.length;
      }
      assert(count > 100);
      assert((await client.readResource({ uri: page.resources[0].uri })).contents[0].text);
    },
    async errors() {
      await assert.rejects(client.callTool({ name: "drop_tables", arguments: {} }), { code: -32602 });
      return "typed";
    },
    async audience() {
      const customer = await connect(http(BOT));
      noSecret(await customer.callTool({ name: "answer_question", arguments: { question: FLOOR } }));
      await customer.close();
    },
    async pipe() {
      const env = { ...process.env, FLIGHTDECK_KEY: BOT };
      const piped = await connect(new StdioClientTransport({ command: PROGRAM, args: ["mcp", ...FOLDERS], env }));
      const result = await piped.callTool({ name: "answer_question", arguments: { question: QUESTION } });
      assert(result.structuredContent.answer.includes("300"));
      await piped.close();
    },
  });
  await client.close();
}

async function inspector() {
  const call = async (target, ...more) => {
    const command = join(here, "node_modules/.bin/mcp-inspector");
    const done = await promisify(execFile)(command, ["--cli", ...target, ...more], { maxBuffer: 1 << 26 });
    return JSON.parse(done.stdout);
  };
  const http = (key) => [`${BASE}/mcp`, "--transport", "http", "--header", `Authorization: Bearer ${key}`];
  const tool = (target, name, args) =>
    call(target, "--method", "tools/call", "--tool-name", name, ...args.flatMap((arg) => ["--tool-arg", arg]));
  await runAll(MCP, `MCP inspector ${version("@modelcontextprotocol/inspector")}`, {
    async tools() {
      assert.equal((await call(http(REP), "--method", "tools/list")).tools.length, 7);
    },
    async calls() {
      const result = await tool(http(REP), "answer_question", [`question=${QUESTION}`]);
      assert(result.structuredContent.answer.includes("300"));
      return "one";
    },
    async resources() {
      assert((await call(http(REP), "--method", "resources/list")).resources.length >= 100);
    },
    async audience() {
      noSecret(await tool(http(BOT), "answer_question", [`question=${FLOOR}`]));
    },
  });
}

await openaiClient();
await aiSdk();
await mcpSdk();
await inspector();
