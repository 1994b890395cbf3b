// The conversations before this one: found by what was said in them, opened where they ended.

import { ApiError, findConversations, readConversation, saveKey } from "./api.js";
import { h } from "./dom.js";
import { t } from "./i18n.js";
import { failureText, keyForm } from "./view.js";

// As long as somebody pauses between two words.
const TYPING = 250;

/** Wires the dialog. `open()` shows it; `onChoose(conversation)` gets the one that was chosen, with its messages. */
export function historyPanel(dialog, { onChoose }) {
  let asking = null;
  let timer = null;

  const close = () => { asking?.abort(); dialog.close(); };
  dialog.addEventListener("click", (event) => { if (event.target === dialog) close(); });

  function open() {
    const words = h("input", { type: "search", maxLength: 200, placeholder: t("historyHint"), "aria-label": t("historyHint"), oninput: () => {
      clearTimeout(timer);
      timer = setTimeout(() => find(words.value), TYPING);
    } });
    const list = h("ol", { className: "history-list" });
    const told = h("div", { role: "status" });
    const more = h("div");
    dialog.replaceChildren(h("div", { className: "drawer-frame" },
      h("header", {}, h("h2", { id: "history-title" }, t("history")), h("button", { type: "button", className: "plain close", onclick: close }, t("close"))),
      h("div", { className: "drawer-search" }, words), h("div", { className: "drawer-body" }, told, list, more)));
    if (!dialog.open) dialog.showModal();
    words.focus();

    async function find(text, after = null) {
      asking?.abort();
      const request = new AbortController();
      asking = request;
      if (!after) told.replaceChildren(h("p", { className: "note" }, t("searching")));
      try {
        const { conversations, next } = await findConversations({ q: text.trim(), after }, request.signal);
        if (asking !== request) return;
        const items = conversations.map(item);
        if (after) list.append(...items);
        else list.replaceChildren(...items);
        told.replaceChildren(list.children.length ? "" : h("p", { className: "note" }, t(text.trim() ? "historyNone" : "historyEmpty")));
        more.replaceChildren(next ? h("button", { type: "button", className: "plain", onclick: () => find(text, next) }, t("more")) : "");
      } catch (error) {
        if (error.name === "AbortError" || asking !== request) return;
        const known = error instanceof ApiError ? error : new ApiError("server");
        told.replaceChildren(h("p", { className: "note" }, failureText(known)),
          known.kind === "unauthorized" ? keyForm((key) => { saveKey(key); find(text); }) : "");
      }
    }

    function item(conversation) {
      const { id, title, found, customer_name: customer, audience, updated_at: at } = conversation;
      return h("li", {}, h("button", { type: "button", onclick: () => choose(id) },
        h("span", { className: "history-title" }, title),
        found && found !== title && h("span", { className: "history-found" }, found),
        h("span", { className: "place" }, [customer, audience === "customer" && t("audienceCustomer"), day(at)].filter(Boolean).join(" · "))));
    }

    async function choose(id) {
      try {
        const conversation = await readConversation(id);
        close();
        onChoose(conversation);
      } catch (error) {
        told.replaceChildren(h("p", { className: "note", role: "alert" }, failureText(error instanceof ApiError ? error : new ApiError("server"))));
      }
    }
    find("");
  }
  return { open, isOpen: () => dialog.open };
}

/** A time as a person would say it: today's by the clock, others by the date. */
export function day(time) {
  const at = new Date(time);
  const isToday = at.toDateString() === new Date().toDateString();
  return at.toLocaleString(document.documentElement.lang, isToday ? { timeStyle: "short" } : { dateStyle: "medium" });
}

/** The turns of a conversation as the server keeps it. */
export function turnsOf({ id, audience, customer_id: customerId, messages }) {
  const turns = [];
  for (const { id: messageId, role, text, answer, feedback, created_at: at } of messages) {
    if (role === "user") turns.push({ question: text, audience, customer: null, customerId, customerName: null, state: "stopped", text: "", citations: [], intent: null, reply: null, error: null });
    else if (turns.length) {
      Object.assign(turns.at(-1), { state: "done", feedback, intent: answer.intent, reply: { session_id: id, message_id: messageId, answer: text, ...answer, citations: answer.citations.map((citation) => ({ ...citation, at })) } });
    }
  }
  return turns;
}
