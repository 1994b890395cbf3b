// Talking to the server: the chat stream, the source documents, the records, the key, and one kind of error for all
// that can go wrong. Knows the wire and nothing of the page.

const KEY_STORED_AS = "flightdeck.key";

/**
 * `status` and `code` are those of the reply, where there was one. What went wrong: `network`, `broken`, `unauthorized`,
 * `signedOut`, `forbidden`, `page` (this page may not use the key), `rate`, `notFound`, `invalid` or `server`.
 */
export class ApiError extends Error {
  constructor(kind, { message = "", requestId = null, retryAfter = null, status = null, code = null } = {}) {
    super(message);
    Object.assign(this, { kind, requestId, retryAfter, status, code });
  }
}

// In a frame the browser may forbid storage; the key then lives as long as the page.
let keptKey = null;
// The origin of the page around this one, in the widget.
let hostPage = null;
// Gets another key for a rep whose sign-in has ended, or `null`.
let renewKey = null;

export function hasKey() {
  return Boolean(readKey());
}

function readKey() {
  try { return sessionStorage.getItem(KEY_STORED_AS) ?? keptKey; } catch { return keptKey; }
}

export function saveKey(key) {
  keptKey = key;
  me = null;
  try { sessionStorage.setItem(KEY_STORED_AS, key); } catch { /* Kept above. */ }
}

/** Says whose page is around this one; the server asks whether it may use the key. */
export function calledFrom(origin) {
  hostPage = origin;
}

/** From now on `renew()` is asked for a new token when the server does not know the key any more. */
export function renewWith(renew) {
  renewKey = renew;
}

/** Takes a signed token in exchange for a key of this page's own; gives whom it names. */
export async function signIn(token) {
  const { key, rep } = await post("sign-in", { token });
  saveKey(key);
  return rep;
}

// Who is calling: asked once for each key.
let me = null;
export function whoAmI() {
  me ??= get("me", {}).catch((error) => { me = null; throw error; });
  return me;
}

export function forgetKey() {
  keptKey = null;
  me = null;
  try { sessionStorage.removeItem(KEY_STORED_AS); } catch { /* Then there was none. */ }
}

/**
 * Asks a question and calls `on.meta`, `on.delta` and `on.citation` as the answer comes; gives the whole reply.
 * Throws an `ApiError`, or the signal's own `AbortError` when the person stops it.
 */
export async function chat(request, { signal, on }) {
  const response = await send("chat", {
    method: "POST",
    headers: { "content-type": "application/json", accept: "text/event-stream" },
    body: JSON.stringify({ ...request, stream: true }),
    signal,
  });
  if (!response.headers.get("content-type")?.startsWith("text/event-stream")) return readJson(response);
  try {
    for await (const { event, data } of serverEvents(response.body)) {
      const value = JSON.parse(data);
      if (event === "done") return value;
      if (event === "error") {
        const { message } = value.error ?? value;
        throw new ApiError("server", { message, requestId: response.headers.get("x-request-id") });
      }
      on[event]?.(value);
    }
  } catch (error) {
    if (error instanceof ApiError || error.name === "AbortError") throw error;
  }
  throw new ApiError("broken");
}

/** A source document with its extracted text, as `audience` may see it. */
export async function readDocument(id, { audience, signal }) {
  const response = await send(`documents/${encodeURIComponent(id)}?audience=${encodeURIComponent(audience)}`, { signal });
  return readJson(response);
}

/** The document as it was at a time, for the company's own people; `path` finds one that is gone. */
export const readDocumentThen = (id, { path, at, signal }) => get(`documents/${encodeURIComponent(id)}`, { audience: "internal", path, at }, signal);

/** What of the answer to a question may be sent to the customer. */
export const sendPreview = (request) => post("send-preview", request);

// The records. Lists give `next`, which is the `after` of the page behind.

export const findConversations = (query, signal) => get("conversations", query, signal);
export const readConversation = (id, signal) => get(`conversations/${encodeURIComponent(id)}`, {}, signal);
export const findCustomers = (query, signal) => get("customers", query, signal);
export const readCustomer = (id, signal) => get(`customers/${encodeURIComponent(id)}`, {}, signal);
export const readTimeline = (id, query, signal) => get(`customers/${encodeURIComponent(id)}/interactions`, query, signal);
export const addInteraction = (id, interaction) => post(`customers/${encodeURIComponent(id)}/interactions`, interaction);
export const giveFeedback = (feedback) => post("feedback", feedback);
export const findPhrases = (query, signal) => get("phrases", query, signal);
export const keepPhrase = (phrase) => post("phrases", phrase);
export const changePhrase = (id, changes) => post(`phrases/${encodeURIComponent(id)}`, changes, "PATCH");
export const forgetPhrase = (id) => send(`phrases/${encodeURIComponent(id)}`, { method: "DELETE" });

/**
 * Sends bytes and tells `progress(share)` how far it is; `fetch` cannot. Gives the reply's JSON.
 * Throws as the others do.
 */
export function upload(path, body, { headers = {}, progress = () => {}, signal } = {}) {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("PUT", new URL(`api/v1/${path}`, document.baseURI));
    request.setRequestHeader("content-type", "application/octet-stream");
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    const key = readKey();
    if (key) request.setRequestHeader("authorization", `Bearer ${key}`);
    request.upload.addEventListener("progress", ({ loaded, total }) => progress(total ? loaded / total : 0));
    request.addEventListener("error", () => reject(new ApiError("network")));
    request.addEventListener("abort", () => reject(new DOMException("stopped", "AbortError")));
    request.addEventListener("load", async () => {
      const reply = new Response(request.response, { status: request.status, headers: { "x-request-id": request.getResponseHeader("x-request-id") ?? "" } });
      if (reply.ok) readJson(reply).then(resolve, reject);
      else reject(await failure(reply));
    });
    signal?.addEventListener("abort", () => request.abort(), { once: true });
    request.send(body);
  });
}

async function get(path, query, signal) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const parameters = given.length ? `?${new URLSearchParams(given)}` : "";
  return readJson(await send(path + parameters, { signal }));
}

async function post(path, body, method = "POST") {
  return readJson(await send(path, { method, headers: { "content-type": "application/json" }, body: JSON.stringify(body) }));
}

async function send(path, options, isAgain = false) {
  const headers = new Headers(options.headers);
  const key = readKey();
  if (key && path !== "sign-in") headers.set("authorization", `Bearer ${key}`);
  if (hostPage) headers.set("x-flightdeck-host", hostPage);
  let response;
  try {
    // Relative to the page, so that the server may live under a prefix.
    response = await fetch(new URL(`api/v1/${path}`, document.baseURI), { ...options, headers, cache: "no-store" });
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("network");
  }
  if (response.ok) return response;
  if (response.status === 401 && path !== "sign-in" && renewKey && !isAgain) {
    if (await renewKey()) return send(path, options, true);
    throw new ApiError("signedOut");
  }
  throw await failure(response);
}

async function readJson(response) {
  try {
    return await response.json();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    throw new ApiError("broken");
  }
}

async function failure(response) {
  const body = await response.json().catch(() => null);
  const kinds = { 401: "unauthorized", 403: "forbidden", 404: "notFound", 429: "rate" };
  const retryAfter = Number(response.headers.get("retry-after")) || null;
  const isOfPage = body?.error?.code === "forbidden_origin";
  return new ApiError(isOfPage ? "page" : kinds[response.status] ?? (response.status >= 500 ? "server" : "invalid"), {
    message: body?.error?.message ?? `HTTP ${response.status}`,
    requestId: response.headers.get("x-request-id"),
    retryAfter,
    status: response.status,
    code: body?.error?.code ?? null,
  });
}

/** The events of a `text/event-stream` body; comments are skipped, an unfinished last event is dropped. */
async function* serverEvents(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let pending = "";
  let event = "message";
  let data = [];
  try {
    for (;;) {
      const { value, done } = await reader.read();
      if (done) return;
      pending += value;
      const lines = pending.split(/\r\n|\n|\r(?!$)/);
      pending = lines.pop();
      for (const line of lines) {
        if (line === "") {
          if (data.length) yield { event, data: data.join("\n") };
          event = "message";
          data = [];
        } else {
          const [, field, content] = /^([^:]*):? ?(.*)$/.exec(line);
          if (field === "event") event = content;
          else if (field === "data") data.push(content);
        }
      }
    }
  } finally {
    // Whoever stops listening early must not leave the connection open.
    reader.cancel().catch(() => {});
  }
}

// For the pages of the console, each of which knows its own addresses: a reply as JSON, and one as it came.
export { get, post, readJson, send };
