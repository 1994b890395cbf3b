// The panel that shows where a quote stands: the document's whole text with the quote marked to the letter.
// A side panel beside the conversation on a wide screen, a sheet over it on a narrow one.

import { h } from "./dom.js";
import { t } from "./i18n.js";
import { readDocument, readDocumentThen } from "./api.js";
import { failureNote, isAbort } from "./failure.js";
import { audienceBadge, datesOf, kindTag, linkRow, placeOf } from "./view.js";

// Above this many lines only the part round the quote is built, so that a huge file cannot stall the page.
const MOST_LINES = 3000;
const narrow = matchMedia("(max-width: 900px)");

/** Wires the dialog. `open(citation, audience)` shows a passage; `onClose` is called when the panel goes. */
export function sourcePanel(dialog, { announce, onClose }) {
  const actions = { announce };
  let reading = null;
  let opener = null;

  const show = () => {
    dialog.close();
    if (narrow.matches) dialog.showModal();
    else dialog.show();
    document.body.classList.toggle("has-panel", !narrow.matches);
  };
  const close = () => {
    reading?.abort();
    reading = null;
    dialog.close();
    document.body.classList.remove("has-panel");
    onClose();
    if (opener?.isConnected) opener.focus({ preventScroll: true });
  };
  // Escape on a modal dialog and a click beside the sheet both mean "away with it".
  dialog.addEventListener("cancel", (event) => { event.preventDefault(); close(); });
  dialog.addEventListener("click", (event) => { if (event.target === dialog && narrow.matches) close(); });
  narrow.addEventListener("change", () => { if (dialog.open) show(); });

  async function open(citation, audience) {
    reading?.abort();
    const request = new AbortController();
    reading = request;
    if (!dialog.contains(document.activeElement)) opener = document.activeElement;
    const body = h("div", { className: "source-body", tabIndex: 0 }, h("p", { className: "working" }, t("loading")));
    dialog.replaceChildren(h("div", { className: "source-frame" }, head(citation.document, citation, close, actions), body));
    if (!dialog.open) show();
    dialog.querySelector("h2").focus({ preventScroll: true });
    try {
      const source = await readCited(citation, audience, request.signal);
      if (reading !== request) return;
      const header = dialog.querySelector(".head");
      const hadFocus = header.contains(document.activeElement);
      header.replaceWith(head({ ...citation.document, ...source }, citation, close, actions));
      if (hadFocus) dialog.querySelector("h2").focus({ preventScroll: true });
      showText(body, source, citation);
    } catch (error) {
      if (isAbort(error) || reading !== request) return;
      // The quote is at hand even when the document is not.
      body.replaceChildren(failureNote(error, () => open(citation, audience)), h("blockquote", { className: "quote" }, citation.quote));
    }
  }
  return { open, close, isOpen: () => dialog.open };
}

/** The document; where it no longer holds the quote of an earlier answer, as it was when that was given. */
async function readCited(citation, audience, signal) {
  const { document: { id, path }, quote, at } = citation;
  const mayLookBack = at && audience === "internal";
  let source = null;
  try {
    source = await readDocument(id, { audience, signal });
  } catch (error) {
    if (!mayLookBack || error.kind !== "notFound") throw error;
  }
  if (source && (!mayLookBack || !quote || source.text?.includes(quote))) return source;
  try {
    const then = await readDocumentThen(id, { path, at, signal });
    return then.text?.includes(quote) || !source ? { ...then, at } : source;
  } catch (error) {
    // What is there now is better than nothing.
    if (source && error.name !== "AbortError") return source;
    throw error;
  }
}

function head(source, citation, close, actions) {
  const place = placeOf(citation.location);
  const states = { draft: "statusDraft", archived: "statusArchived" };
  return h("div", { className: "head" },
    h("div", { className: "source-top" },
      h("span", { className: "chip", "aria-hidden": "true" }, String(citation.n)), kindTag(source), audienceBadge(source),
      source.status in states && h("span", { className: "badge internal" }, t(states[source.status])),
      h("button", { type: "button", className: "plain close", onclick: close }, t("close"))),
    h("h2", { id: "source-title", tabIndex: -1 }, source.title),
    h("p", { className: "place" }, h("span", { className: "path" }, source.path), place && ` · ${place}`),
    source.version && h("p", { className: "internal-banner" }, t("asItWas", { date: new Date(source.at).toLocaleString(document.documentElement.lang, { dateStyle: "medium", timeStyle: "short" }) })),
    datesOf(source) && h("p", { className: "place" }, datesOf(source)),
    linkRow(source, actions));
}

function showText(body, source, citation) {
  if (!source.text?.trim()) {
    body.replaceChildren(h("p", { className: "note" }, t("emptyText")));
    return;
  }
  const firstLine = Number.isInteger(source.text_start_line) ? source.text_start_line : null;
  const wantedLine = citation.location?.line_start ?? null;
  const lines = source.text.split("\n");
  const at = findQuote(source.text, citation.quote, lines, firstLine === null || wantedLine === null ? 0 : wantedLine - firstLine);
  const end = at + citation.quote.length;

  let offset = 0;
  let markedLine = 0;
  const nodes = lines.map((line, index) => {
    const begin = offset;
    offset += line.length + 1;
    const marked = at >= 0 && begin < end && begin + line.length > at;
    if (marked && begin <= at) markedLine = index;
    return () => lineNode(line, firstLine === null ? null : firstLine + index, marked ? [Math.max(at - begin, 0), Math.min(end - begin, line.length)] : null);
  });
  const from = nodes.length > MOST_LINES ? Math.max(0, markedLine - MOST_LINES / 2) : 0;
  const shown = nodes.slice(from, from + MOST_LINES).map((build) => build());
  body.replaceChildren(
    at < 0 ? h("div", {}, h("p", { className: "note" }, t("noQuote")), h("blockquote", { className: "quote" }, citation.quote)) : "",
    shown.length < lines.length ? h("p", { className: "note" }, t("partial")) : "",
    h("div", { className: firstLine === null ? "text" : "text numbered" }, shown));
  const mark = body.querySelector("mark");
  body.scrollTop = mark ? mark.getBoundingClientRect().top - body.getBoundingClientRect().top - body.clientHeight / 4 : 0;
}

/** Where the quote begins in the text, in UTF-16 units; of several places the one nearest to the cited line; -1 if none. */
function findQuote(text, quote, lines, wantedIndex) {
  if (!quote) return -1;
  const wantedOffset = lines.slice(0, Math.max(wantedIndex, 0)).reduce((sum, line) => sum + line.length + 1, 0);
  const before = text.lastIndexOf(quote, wantedOffset);
  const after = text.indexOf(quote, wantedOffset);
  if (before < 0 || after < 0) return Math.max(before, after);
  return wantedOffset - before < after - wantedOffset ? before : after;
}

function lineNode(line, number, marked) {
  const parts = marked ? [line.slice(0, marked[0]), h("mark", {}, line.slice(...marked)), line.slice(marked[1])] : [line];
  const heading = /^#{1,6}\s/.test(line);
  return h("div", { className: heading ? "text-line heading" : "text-line", data: number === null ? {} : { line: String(number) } }, parts);
}
