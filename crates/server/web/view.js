// One turn of the conversation as nodes: the question, the answer with its chips and sources, a refusal, an
// error. A turn is drawn anew from its state at every change, so what is on the page cannot drift from it.

import { h, externalLink, safeAddress, copyText } from "./dom.js";
import { t, nameOf } from "./i18n.js";
import { toChatMessage, toNodes, toPlainText } from "./markdown.js";
import { failureText, keyForm } from "./failure.js";
import { feedbackParts } from "./feedback.js";
import { glance } from "./glance.js";
import { showKeeping } from "./phrases.js";
import { showPreview } from "./send.js";

/**
 * The view of a turn. `actions` are `openSource(turn, citation)`, `ask(question)`, `retry(turn)`,
 * `saveKey(key, turn)`, `keep()` when a turn has changed, `customerChanged(id)` when a timeline has,
 * `openPhrases(target)`, `isForCustomers()` where a customer is looking, and `announce(text)`.
 */
export function turnView(turn, number, actions) {
  const element = h("article", { className: "turn" });
  const draw = () => element.replaceChildren(
    h("div", { className: "readout" }, String(number).padStart(2, "0"), turn.audience === "customer" && h("span", {}, t("audienceCustomer"))),
    h("h2", { className: "question" }, turn.question),
    h("div", { className: "readout readout-answer" }, readouts(turn).map((text) => h("span", {}, text))),
    h("div", { className: "answer-column", "aria-busy": String(isRunning(turn)) }, answerParts(turn, actions)),
  );
  draw();
  return { element, draw };
}

/** Whether the answer is still to come or on its way. */
export const isRunning = (turn) => turn.state === "running";

function readouts(turn) {
  const { reply } = turn;
  const intent = reply?.intent ?? turn.intent;
  return [
    reply?.understood && t("understoodAs", { question: reply.understood }),
    intent && nameOf("intents", intent),
    reply && Number.isFinite(reply.took_ms) && t("milliseconds", { n: reply.took_ms < 10 ? reply.took_ms.toFixed(1) : Math.round(reply.took_ms) }),
    reply?.generator && (reply.generator === "extractive" ? t("extractive") : reply.generator),
    reply?.generation?.fallback && nameOf("fallbacks", reply.generation.fallback),
  ].filter(Boolean);
}

function answerParts(turn, actions) {
  const { reply } = turn;
  const text = reply?.answer ?? turn.text;
  const citations = reply?.citations ?? turn.citations;
  if (turn.state === "failed") return [text && answerText(turn, text, citations, actions), failureBox(turn, actions)];
  if (reply?.refused) return [refusalBox(turn, actions), citations.length > 0 && sourceList(turn, citations, actions)];
  return [
    standing(turn, citations, actions),
    text && answerText(turn, text, citations, actions),
    turn.state === "stopped" && stoppedNote(turn, actions),
    reply && text && toolbar(turn, citations, actions),
    // Below a text that still grows they would be pushed down under the reader's eyes.
    !isRunning(turn) && citations.length > 0 && sourceList(turn, citations, actions),
    reply?.suggestions?.length > 0 && suggestionList(t("tryThese"), reply.suggestions, actions),
  ];
}

/**
 * How an answer stands, in one line above it that is there from the beginning, so that nothing moves when it changes:
 * at work, of internal sources, or fit to be sent. Internal sources must not be missed by somebody who is about to paste
 * the answer to a customer, so they are told of as soon as one is there.
 */
function standing(turn, citations, actions) {
  const internal = citations.filter(isInternal);
  if (internal.length) {
    const list = internal.map((citation) => `[${citation.n}]`).join(" ");
    return h("p", { className: "standing internal-banner" }, h("strong", {}, t("internalBanner")), " ", h("span", {}, t("internalFrom", { list })));
  }
  if (isRunning(turn)) {
    const label = turn.reconnecting ? t("reconnecting") : turn.intent ? t("workingOn", { intent: nameOf("intents", turn.intent) }) : t("working");
    return h("p", { className: "standing working" }, label, turn.slow && ` · ${t("slow")}`);
  }
  if (actions.isForCustomers?.()) return null;
  return h("p", { className: "standing" }, citations.length > 0 && t("shareable"));
}

// Fail-closed, as the knowledge is: what is not marked for customers is internal.
const isInternal = (citation) => citation.document.audience !== "customer";

function answerText(turn, text, citations, actions) {
  const byNumber = new Map(citations.map((citation) => [citation.n, citation]));
  const chip = (n) => {
    const citation = byNumber.get(n);
    // While the answer streams a mark may come before its citation; once it is whole, a mark without one is plain text.
    if (!citation) return isRunning(turn) ? h("span", { className: "chip" }, String(n)) : document.createTextNode(`[${n}]`);
    const button = h("button", {
      type: "button", className: isInternal(citation) ? "chip internal" : "chip", data: { n: String(n) },
      "aria-label": [t("sourceN", { n, title: citation.document.title }), ...factsOf(citation)].join(t("pause")), onclick: () => actions.openSource(turn, citation),
    }, String(n));
    glance(button, () => passageAtAGlance(citation));
    return button;
  };
  return h("div", { className: isRunning(turn) ? "answer streaming" : "answer" }, toNodes(text, chip));
}

/** What a chip shows before it is pressed. */
function passageAtAGlance(citation) {
  const { document: source, quote } = citation;
  return [
    h("p", { className: "card-title" }, h("strong", {}, source.title), kindTag(source), audienceBadge(source)),
    h("p", { className: "place" }, [placeOf(citation.location), datesOf(source)].filter(Boolean).join(" · ")),
    h("blockquote", { className: "quote" }, readable(quote)),
  ];
}

/** A quote without the signs of its file: a table's row by its cells, no emphasis. To the letter it stands in its document. */
function readable(quote) {
  const line = (text) => (/^\s*\|.*\|\s*$/.test(text) ? text.split("|").map((cell) => cell.trim()).filter(Boolean).join(" · ") : text);
  return quote.split("\n").filter((text) => !/^[\s|:-]+$/.test(text)).map(line).join("\n").replace(/\*\*(.+?)\*\*/g, "$1");
}

/** The same in words, for who does not see it. */
function factsOf(citation) {
  return [placeOf(citation.location), datesOf(citation.document), t(isInternal(citation) ? "badgeInternal" : "badgeCustomer")].filter(Boolean);
}

/** From when a source is, and until when it holds. */
export function datesOf({ date, valid_until: until }) {
  return [date, until && t("validUntil", { date: until })].filter(Boolean).join(" · ");
}

function toolbar(turn, citations, actions) {
  const said = turn.reply.answer;
  const done = t(citations.some(isInternal) ? "copiedInternal" : "copied");
  const copying = (label, text) => {
    const button = h("button", { type: "button", className: "plain", onclick: async () => {
      flash(button, await copyText(text()) ? done : t("copyFailed"), actions);
    } }, t(label));
    return button;
  };
  const room = h("div", { className: "send" });
  const send = h("button", { type: "button", className: "plain", onclick: () => showPreview(turn, room, actions) }, t("sendToCustomer"));
  const keep = h("button", { type: "button", className: "plain", onclick: () => showKeeping(turn, toChatMessage(said), citations, room, actions) }, t("phraseKeep"));
  const forReps = !actions.isForCustomers?.();
  const { thumbs, room: feedback } = turn.reply.message_id ? feedbackParts(turn, actions) : { thumbs: [], room: null };
  return [
    h("div", { className: "toolbar" }, forReps && send, copying("copy", () => toPlainText(said)), copying("copyChat", () => toChatMessage(said)),
      copying("copyMarkdown", () => withSources(said, citations)), forReps && keep, h("span", { className: "thumbs" }, thumbs)),
    room, feedback,
  ];
}

/** The Markdown with what its marks stand for. */
function withSources(markdown, citations) {
  if (!citations.length) return markdown;
  const sources = citations.map(({ n, document: source, location }) => {
    const place = placeOf(location);
    return `[${n}]: ${source.title}${place ? ` (${place})` : ""}${source.link ? ` ${source.link}` : ""}`;
  });
  return `${markdown.trim()}\n\n${sources.join("\n")}\n`;
}

/** Shows `text` on a button for a moment, and says it. */
export function flash(button, text, actions) {
  button.dataset.label ??= button.textContent;
  button.textContent = text;
  actions.announce(text);
  clearTimeout(Number(button.dataset.timer));
  button.dataset.timer = String(setTimeout(() => { button.textContent = button.dataset.label; }, 2500));
}

function sourceList(turn, citations, actions) {
  return h("div", { className: "sources", role: "group", "aria-label": t("sources") },
    h("h3", { className: "label" }, t("sources")),
    h("ol", {}, citations.map((citation) => sourceCard(turn, citation, actions))));
}

function sourceCard(turn, citation, actions) {
  const { document: source, quote } = citation;
  const place = [placeOf(citation.location), datesOf(source)].filter(Boolean).join(" · ");
  return h("li", { className: "card", data: { n: String(citation.n) } },
    h("span", { className: isInternal(citation) ? "chip internal" : "chip", "aria-hidden": "true" }, String(citation.n)),
    h("div", { className: "card-body" },
      h("p", { className: "card-title" },
        h("button", { type: "button", className: "card-open", title: t("openSource"), "aria-label": t("sourceN", { n: citation.n, title: source.title }),
          onclick: () => actions.openSource(turn, citation) }, source.title),
        kindTag(source), audienceBadge(source)),
      place && h("p", { className: "place" }, place),
      h("blockquote", { className: "quote" }, readable(quote)),
      linkRow(source, actions)));
}

export const kindTag = (source) => h("span", { className: "tag" }, nameOf("kinds", source.kind));

export function audienceBadge(source) {
  const internal = source.audience !== "customer";
  return h("span", { className: internal ? "badge internal" : "badge" }, t(internal ? "badgeInternal" : "badgeCustomer"));
}

/** What can be sent on: open it, or copy its address. */
export function linkRow(source, actions) {
  if (!source.link || !safeAddress(source.link)) return null;
  const copy = h("button", { type: "button", className: "plain", onclick: async () => {
    flash(copy, t(await copyText(source.link) ? "copied" : "copyFailed"), actions);
  } }, t("copyLink"));
  return h("p", { className: "links" }, externalLink(source.link, t("openLink")), copy);
}

/** Where a quote stands, as a person would look it up: headings, then page, lines or time. */
export function placeOf(location) {
  const { heading = [], page = null, line_start: first = null, line_end: last = null, start_ms: start = null, end_ms: end = null } = location ?? {};
  const parts = [];
  if (heading.length) parts.push(heading.join(" › "));
  if (page !== null) parts.push(t("page", { n: page }));
  if (start !== null) parts.push(end === null ? clock(start) : `${clock(start)}–${clock(end)}`);
  else if (first !== null) parts.push(last === null || last === first ? t("line", { n: first }) : t("lines", { a: first, b: last }));
  return parts.join(" · ");
}

function clock(milliseconds) {
  const seconds = Math.floor(milliseconds / 1000);
  const two = (value) => String(value).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  return `${hours ? `${hours}:` : ""}${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
}

function suggestionList(label, suggestions, actions) {
  return h("section", { className: "suggestions" }, h("h3", { className: "label" }, label),
    h("ul", {}, suggestions.map((question) =>
      h("li", {}, h("button", { type: "button", className: "suggestion", onclick: () => actions.ask(question) }, question)))));
}

function refusalBox(turn, actions) {
  const { reply } = turn;
  const outOfScope = reply.refusal_reason === "out_of_scope";
  return h("div", { className: "refusal" },
    // A greeting, or what is no question for sales, is answered by its own words.
    !outOfScope && h("p", { className: "refusal-title" }, t("refusedTitle")),
    reply.answer && answerText(turn, reply.answer, reply.citations, actions),
    !outOfScope && h("p", { className: "note" }, t("refusedNote")),
    reply.suggestions?.length > 0 && suggestionList(t("tryInstead"), reply.suggestions, actions));
}

function stoppedNote(turn, actions) {
  return h("p", { className: "note" }, t(turn.text ? "stopped" : "stoppedEmpty"), " ",
    h("button", { type: "button", className: "plain", onclick: () => actions.retry(turn) }, t("askAgain")));
}

function failureBox(turn, actions) {
  const { error } = turn;
  return h("div", { className: "failure", role: "alert" },
    h("p", { className: "failure-title" }, t("errorTitle")),
    h("p", {}, failureText(error)),
    error.kind === "unauthorized"
      ? keyForm((key) => actions.saveKey(key, turn))
      : h("button", { type: "button", className: "secondary", onclick: () => actions.retry(turn) }, t("retry")),
    error.requestId && h("p", { className: "place" }, t("requestId", { id: error.requestId })));
}
