// WeCom's own packages for Node against the server: its robot is asked with what they seal, and they open its answers.
import { createRequire } from "node:module";

const require = createRequire(`${process.env.FLIGHTDECK_SDKS}/package.json`);
const { decrypt, encrypt, getSignature } = require("@wecom/crypto");
const { version } = require("@wecom/crypto/package.json");
const base = process.env.FLIGHTDECK_BASE;
const key = process.env.FLIGHTDECK_AES_KEY;

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
  const text = { content: "K7 整机保修多久？" };
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

let told = { ok: true, note: "" };
try {
  await streams();
} catch (error) {
  told = { ok: false, note: String(error) };
}
console.log(JSON.stringify({ sdk: `@wecom/crypto ${version}`, check: "asks the robot and opens its stream", ...told }));
