// A token that tells Flightdeck which rep is looking, as the CRM's server makes it. Node, nothing to install.
//
//   FLIGHTDECK_KEY_ID=0198… FLIGHTDECK_SIGNING_SECRET=fdsign_… node token.mjs u-7 陈立航
//
// With jsonwebtoken the same is `jwt.sign(claims, secret, { algorithm: "HS256", keyid: keyId })`.

import { createHmac, randomUUID } from "node:crypto";
import { argv, env } from "node:process";
import { fileURLToPath } from "node:url";

/** One token for one page: call it anew each time a page asks. */
export function repToken(keyId, secret, repId, repName) {
  const now = Math.floor(Date.now() / 1000);
  const header = { alg: "HS256", typ: "JWT", kid: keyId };
  const claims = {
    aud: "flightdeck",
    sub: repId, // stays the same as long as it is the same rep
    name: repName,
    iat: now,
    exp: now + 300,
    jti: randomUUID(), // never the same twice
  };
  const signed = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".");
  return `${signed}.${createHmac("sha256", secret).update(signed).digest("base64url")}`;
}

if (argv[1] === fileURLToPath(import.meta.url)) {
  console.log(repToken(env.FLIGHTDECK_KEY_ID, env.FLIGHTDECK_SIGNING_SECRET, argv[2], argv[3]));
}
