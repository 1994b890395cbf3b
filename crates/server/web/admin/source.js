// The wire of a knowledge file: its bytes with the tag that says which state they are, and what changes it.

import { get, post, readJson, send, upload } from "../api.js";

const at = (kind, path) => `knowledge/${kind}/${path.split("/").map(encodeURIComponent).join("/")}`;

/** The file with its documents and passages. */
export const readFile = (path, signal) => get(at("files", path), {}, signal);

/** The bytes and the tag of a file, or of one of its versions. */
export async function readSource(path, { version = null, signal } = {}) {
  const response = await send(at("source", path) + (version === null ? "" : `?version=${version}`), { signal });
  return { bytes: await response.arrayBuffer(), tag: response.headers.get("etag") };
}

/** Writes a file: `tag` is the state that it replaces, `null` for a new one. */
export const writeSource = (path, body, { tag = null, progress, signal } = {}) =>
  upload(at("source", path), body, { headers: tag === null ? { "if-none-match": "*" } : { "if-match": tag }, progress, signal });

export const deleteSource = async (path, tag) => readJson(await send(at("source", path), { method: "DELETE", headers: { "if-match": tag } }));
export const readAbout = (path, signal) => get(at("about", path), {}, signal);
export const writeAbout = (path, changed) => post(at("about", path), changed);
export const setStatus = (path, status) => post(at("status", path), { status });
export const readVersions = async (path, signal) => (await get(at("versions", path), {}, signal)).versions;
export const readDifference = async (path, from, to, signal) => (await get(at("difference", path), { from, to }, signal)).pieces;
export const restore = (path, version) => post(at("restore", path), { version });

const LOOK_EVERY = 400;
const PATIENCE = 120;

/** Waits until the index has the file as it is now; gives it, or `null` when that takes more than a minute. */
export async function untilIndexed(path, signal) {
  for (let n = 0; n < PATIENCE; n += 1) {
    await new Promise((go) => { setTimeout(go, LOOK_EVERY); });
    signal?.throwIfAborted();
    const file = await readFile(path, signal).catch((error) => { if (error.kind === "notFound") return { is_indexed: true }; throw error; });
    if (file.is_indexed) return file;
  }
  return null;
}

/** Saves bytes on the person's machine. */
export function download(bytes, name) {
  const address = URL.createObjectURL(new Blob([bytes]));
  const link = document.createElement("a");
  Object.assign(link, { href: address, download: name });
  link.click();
  setTimeout(() => URL.revokeObjectURL(address), 1000);
}
