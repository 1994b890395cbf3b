// Sending something to the customer: the words that may leave the company, to be changed, copied, and recorded on the
// customer's timeline; or why there are none. The rep sends it where they talk to the customer, so what is recorded is
// that they took the words to send them.

import { addInteraction, sendPreview } from "./api.js";
import { copyText, h } from "./dom.js";
import { t } from "./i18n.js";
import { toPlainText } from "./markdown.js";
import { failureText, flash } from "./view.js";

/** Fills `room` with the preview of a turn's answer. */
export async function showPreview(turn, room, actions) {
  room.replaceChildren(h("p", { className: "note" }, t("working")));
  let preview;
  try {
    preview = await sendPreview({ message: turn.question, customer_id: turn.customerId ?? null, customer: turn.customer });
  } catch (error) {
    room.replaceChildren(h("p", { className: "note", role: "alert" }, failureText(error)));
    return;
  }
  if (preview.blocked) {
    room.replaceChildren(h("p", { className: "note", role: "alert" }, t("sendBlocked")));
    return;
  }
  const words = h("textarea", { className: "send-text", rows: 8, "aria-label": t("sendToCustomer"), value: toPlainText(preview.text) });
  const outcome = h("p", { className: "note", role: "status" });
  const copy = h("button", { type: "button", className: "secondary", onclick: async () => {
    if (!await copyText(words.value)) return flash(copy, t("copyFailed"), actions);
    flash(copy, t("copied"), actions);
    await record(turn, words.value, preview, outcome, actions);
  } }, t("copySend"));
  room.replaceChildren(
    h("p", { className: "note" }, t("sendNote"), " ", t(turn.customerId ? "sendRecorded" : "sendUnrecorded", { name: turn.customerName ?? turn.customerId })),
    words, copy, outcome);
  // A browser puts the caret behind the text, which would show its end first.
  words.setSelectionRange(0, 0);
  words.focus();
}

async function record(turn, text, preview, outcome, actions) {
  if (!turn.customerId || !text.trim()) return;
  const documents = [...new Set(preview.citations.map((citation) => citation.document.id))];
  try {
    await addInteraction(turn.customerId, { kind: "sent", text, documents, message_id: turn.reply?.message_id || null });
    outcome.replaceChildren(t("recorded", { name: turn.customerName ?? turn.customerId }));
    actions.customerChanged(turn.customerId);
  } catch (error) {
    const again = h("button", { type: "button", className: "plain", onclick: () => record(turn, text, preview, outcome, actions) }, t("retry"));
    outcome.replaceChildren(t("notRecorded", { why: failureText(error) }), " ", again);
  }
}
