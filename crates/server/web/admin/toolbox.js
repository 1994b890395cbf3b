// What the pages of the console have in common: small parts, questions that need an answer, and words for failures.

import "./texts.js";
import { ApiError } from "../api.js";
import { h, icon } from "../dom.js";
import { isEnglish, knows, t } from "../i18n.js";

// As long as somebody pauses between two words.
const TYPING = 250;
const TOAST = 6000;
const element = (id) => document.getElementById(id);

/** Says something to those who cannot see the page. */
export function say(text) {
  element("announce").textContent = "";
  // A text that is the same as before is only said again when it comes anew.
  requestAnimationFrame(() => { element("announce").textContent = text; });
}

/**
 * A short notice that goes by itself; a `bad` one stays until it is put away. `action` is `[label, what to do]`.
 * It is said aloud too.
 */
export function toast(text, { bad = false, action = null } = {}) {
  const away = () => node.remove();
  const node = h("div", { className: bad ? "toast bad" : "toast" }, h("p", { role: bad ? "alert" : "status" }, text),
    action && h("button", { type: "button", className: "plain", onclick: () => { away(); action[1](); } }, action[0]),
    h("button", { type: "button", className: "plain", "aria-label": t("consoleClose"), onclick: away }, icon("M6 6l12 12M18 6L6 18")));
  element("toasts").append(node);
  if (!bad) setTimeout(away, TOAST);
}

/** What a person reads of an error: the text `fail_CODE` where a page has brought one for the reply's code. */
export function failureText(error) {
  const { kind, message, code } = error instanceof ApiError ? error : { kind: "server" };
  if (code && knows(`fail_${code}`)) return t(`fail_${code}`, { message });
  const known = { network: "failNetwork", broken: "failBroken", unauthorized: "failUnauthorized", forbidden: "failForbidden",
    notFound: "failNotFound", rate: "failRate", invalid: "failInvalid" };
  return t(known[kind] ?? "failServer", { message });
}

/** A box that says what went wrong, with the way to go on. */
export function failureBox(error, retry) {
  return h("div", { className: "failure", role: "alert" }, h("p", { className: "failure-title" }, failureText(error)),
    retry && h("button", { type: "button", className: "secondary", onclick: retry }, t("consoleRetry")),
    error.requestId && h("p", { className: "place" }, t("failRequest", { id: error.requestId })));
}

/** A dialog: `body(close)` gives what is in it, `close(answer)` ends it. Escape answers `null`. Gives the answer. */
export function dialog(title, body, { wide = false } = {}) {
  const node = element("ask");
  return new Promise((answered) => {
    let given = null;
    const close = (answer = null) => { given = answer; node.close(); };
    node.className = wide ? "ask wide" : "ask";
    node.replaceChildren(h("h2", { id: "ask-title" }, title), body(close));
    node.addEventListener("close", () => { node.replaceChildren(); answered(given); }, { once: true });
    node.showModal();
    (node.querySelector("[autofocus], input, textarea, select, button") ?? node).focus();
  });
}

/** Whether the person says yes. `yes` is the verb that will be done, so that nobody has to remember the question. */
export async function confirmed(title, text, yes, { bad = false } = {}) {
  return await dialog(title, (close) => h("div", { className: "ask-body" }, text && h("p", {}, text),
    h("p", { className: "ask-buttons" },
      h("button", { type: "button", className: "secondary", onclick: () => close(false) }, t("consoleCancel")),
      h("button", { type: "button", className: bad ? "solid bad" : "solid", onclick: () => close(true) }, yes)))) === true;
}

/** A field to search in; `found(words)` is called when somebody pauses, the last words only. */
export function searchBox(label, value, found) {
  let timer = null;
  return h("input", { type: "search", className: "console-search", value, maxLength: 200, placeholder: label, "aria-label": label, oninput: (event) => {
    clearTimeout(timer);
    timer = setTimeout(() => found(event.target.value.trim()), TYPING);
  } });
}

/** The heading of a page: its name, a sentence that says what it is for, and what can be done. */
export function heading(title, lead, ...actions) {
  return h("header", { className: "page-head" }, h("div", {}, h("h1", { tabIndex: -1 }, title), lead && h("p", { className: "lead" }, lead)),
    actions.length > 0 && h("div", { className: "page-actions" }, actions));
}

/** A small word with a meaning in its colour: `good`, `wait`, `bad`, `quiet`. */
export const pill = (text, tone = "quiet") => h("span", { className: `pill ${tone}` }, text);

/** What stands where nothing is, and what to do about it. */
export const empty = (title, text, ...actions) => h("div", { className: "nothing" }, h("p", { className: "nothing-title" }, title), text && h("p", {}, text), actions);

/** The line that moves while something is on its way. */
export const working = (text = t("consoleLoading")) => h("p", { className: "working", role: "status" }, text);

/** A table that a phone shows as cards. `columns` are `{ label, cell(row), wide, number }`; the first cell names the row. */
export function table(caption, columns, rows, { row: decorate = () => ({}) } = {}) {
  return h("table", { className: "grid" }, h("caption", { className: "visually-hidden" }, caption),
    h("thead", {}, h("tr", {}, columns.map(({ label, number }) => h("th", { scope: "col", className: number ? "number" : "" }, label)))),
    h("tbody", {}, rows.map((row) => h("tr", decorate(row), columns.map(({ label, cell, number, wide }, idx) =>
      h(idx === 0 ? "th" : "td", { ...(idx === 0 && { scope: "row" }), className: [number && "number", wide && "wide"].filter(Boolean).join(" "), data: { label } }, cell(row)))))));
}

const language = () => (isEnglish() ? "en" : "zh-CN");

/** A time as a person would say it: today's by the clock, others with the date. */
export function when(time) {
  const at = new Date(time);
  const isToday = at.toDateString() === new Date().toDateString();
  return at.toLocaleString(language(), isToday ? { timeStyle: "short" } : { dateStyle: "medium", timeStyle: "short" });
}

/** A count in the reader's language. */
export const count = (n) => n.toLocaleString(language());

/** A size as file managers say it. */
export function size(bytes) {
  const units = ["B", "KB", "MB", "GB"];
  const step = Math.min(Math.floor(Math.log2(Math.max(bytes, 1)) / 10), units.length - 1);
  return `${(bytes / 1024 ** step).toLocaleString(language(), { maximumFractionDigits: step > 1 ? 1 : 0 })} ${units[step]}`;
}
