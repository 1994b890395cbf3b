// WeCom's own packages for Node: what one seals is asked of the server's robot, which it opens the answers of; the other
// is a robot's program on the fake line of the tests.
import { createRequire } from "node:module";

const require = createRequire(`${process.env.FLIGHTDECK_SDKS}/package.json`);
const { decrypt, encrypt, getSignature } = require("@wecom/crypto");
const { version } = require("@wecom/crypto/package.json");
const { WSClient } = require("@wecom/aibot-node-sdk");
const base = process.env.FLIGHTDECK_BASE;
const key = process.env.FLIGHTDECK_AES_KEY;
const line = process.env.FLIGHTDECK_LINE;
const question = "K7 整机保修多久？";

async function ask(plain, nonce) {
  const timestamp = String(Math.floor(Date.now() / 1000));
  const sealed = encrypt(key, JSON.stringify(plain), "");
  const query = new URLSearchParams({ msg_signature: getSignature("t", timestamp, nonce, sealed), timestamp, nonce });
  const reply = await fetch(`${base}/webhooks/wecom/bot?${query}`, {
    method: "POST",
    body: JSON.stringify({ encrypt: sealed }),
  });
  if (reply.status !== 200) throw new Error(`status ${reply.status}`);
  const { encrypt: answer, msgsignature, timestamp: at, nonce: said } = await reply.json();
  if (said !== nonce || getSignature("t", String(at), said, answer) !== msgsignature) throw new Error("not signed");
  return JSON.parse(decrypt(key, answer).message);
}

async function streams() {
  const text = { content: question };
  let reply = await ask(
    { msgid: "sdk-1", aibotid: "b", chattype: "single", from: { userid: "sdk" }, msgtype: "text", text },
    "sdk1",
  );
  for (let n = 0; !reply.stream.finish; n += 1) {
    if (n > 600) throw new Error("the stream does not end");
    await new Promise((resolve) => setTimeout(resolve, 50));
    reply = await ask({ msgid: `sdk-s${n}`, msgtype: "stream", stream: { id: reply.stream.id } }, `sdk-n${n}`);
  }
  if (!reply.stream.content.includes("24")) throw new Error(reply.stream.content);
}

function robot(secret) {
  const logger = { debug() {}, info() {}, warn() {}, error() {} };
  return new WSClient({ botId: "B", secret, wsUrl: line, heartbeatInterval: 200, logger });
}

function within(promise, what) {
  const late = new Promise((_, reject) => setTimeout(() => reject(new Error(`${what}: nothing came`)), 60_000));
  return Promise.race([promise, late]);
}

async function answers() {
  const client = robot("s");
  const heard = new Promise((resolve) => client.on("message.text", resolve));
  client.connect();
  const frame = await within(heard, "a message");
  if (frame.body.text.content !== question) throw new Error(JSON.stringify(frame));
  await client.replyStream(frame, "sdk-stream", "正在查询……", false);
  await client.replyStream(frame, "sdk-stream", "二十四个月", true);
  await client.sendMessage("sdk", { msgtype: "markdown", markdown: { content: "主动说的" } });
  const unknown = { headers: { req_id: "unknown" } };
  const refused = await client.replyStream(unknown, "other", "x", true).then(
    () => false,
    () => true,
  );
  if (!refused) throw new Error("an answer to no message was taken");
  // Some pings.
  await new Promise((resolve) => setTimeout(resolve, 1000));
  client.disconnect();
}

async function isTurnedAway() {
  const client = robot("another");
  let authenticated = false;
  client.on("authenticated", () => (authenticated = true));
  const failed = new Promise((resolve) => client.on("error", resolve));
  client.connect();
  await within(failed, "an error");
  client.disconnect();
  if (authenticated) throw new Error("a wrong secret was taken");
}

async function check(sdk, what, work) {
  let told = { ok: true, note: "" };
  try {
    await work();
  } catch (error) {
    told = { ok: false, note: String(error) };
  }
  console.log(JSON.stringify({ sdk, check: what, ...told }));
}

await check(`@wecom/crypto ${version}`, "asks the robot and opens its stream", streams);
const robots = "@wecom/aibot-node-sdk 1.0.7";
await check(robots, "hears a message over the fake's line, streams an answer and writes to the chat", answers);
await check(robots, "is told of a wrong secret", isTurnedAway);
process.exit(0);
