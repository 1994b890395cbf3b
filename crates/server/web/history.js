// The conversations before this one: found by what was said in them, opened where they ended.

import { findConversations, readConversation } from "./api.js";
import { h } from "./dom.js";
import { drawer } from "./drawer.js";
import { failureNote } from "./failure.js";
import { t } from "./i18n.js";
import { searchBox } from "./searchbox.js";

/** Wires the dialog. `open()` shows it; `onChoose(conversation)` gets the one that was chosen, with its messages. */
export function historyPanel(dialog, { onChoose }) {
  const panel = drawer(dialog, "history-title");

  function open() {
    const box = searchBox({
      label: t("historyHint"), listName: "history-list", waits: true, none: (text) => t(text ? "historyNone" : "historyEmpty"),
      find: async (text, { signal, after }) => {
        const { conversations, next } = await findConversations({ q: text, after }, signal);
        return { items: conversations.map(item), next };
      },
    });

    function item({ id, title, found, customer_name: customer, audience, updated_at: at }) {
      return h("li", {}, h("button", { type: "button", onclick: () => choose(id) },
        h("span", { className: "history-title" }, title),
        found && found !== title && h("span", { className: "history-found" }, found),
        h("span", { className: "place" }, [customer, audience === "customer" && t("audienceCustomer"), day(at)].filter(Boolean).join(" · "))));
    }

    async function choose(id) {
      try {
        const conversation = await readConversation(id);
        panel.close();
        onChoose(conversation);
      } catch (error) {
        box.told.replaceChildren(failureNote(error));
      }
    }
    panel.show(t("history"), box);
  }
  return { open, isOpen: panel.isOpen };
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
