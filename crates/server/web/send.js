// Sending something to the customer: the words that may leave the company, in the tone that fits, to be changed, copied,
// kept as 话术, and recorded on the customer's timeline; or why there are none. The rep sends it where they talk to the
// customer, so what is recorded is that they took the words to send them.

import { addInteraction, sendPreview } from "./api.js";
import { copyText, h } from "./dom.js";
import { asApiError, failureNote, failureText } from "./failure.js";
import { t } from "./i18n.js";
import { toPlainText } from "./markdown.js";
import { showKeeping } from "./phrases.js";
import { flash } from "./view.js";

const TONES = ["plain", "shorter", "warmer", "english"];

/** Fills `room` with the preview of a turn's answer. */
export function showPreview(turn, room, actions) {
  const words = h("textarea", { className: "send-text", rows: 8, "aria-label": t("sendToCustomer") });
  const told = h("div", { role: "status" });
  const outcome = h("p", { className: "note", role: "status" });
  const keeping = h("div", { className: "feedback" });
  const copy = h("button", { type: "button", className: "secondary", onclick: async () => {
    if (!await copyText(words.value)) return flash(copy, t("copyFailed"), actions);
    flash(copy, t("copied"), actions);
    await record(turn, words.value, preview, outcome, actions);
  } }, t("copySend"));
  const tones = h("fieldset", { className: "reasons tones" }, h("legend", { className: "visually-hidden" }, t("tone")),
    TONES.map((tone) => h("label", {}, h("input", { type: "radio", name: `tone-${turn.requestId ?? turn.reply?.message_id}`, value: tone, checked: tone === "plain", onchange: () => show(tone) }), h("span", {}, t(`tone_${tone}`)))));
  const insert = h("button", { type: "button", className: "plain", onclick: () => actions.openPhrases(words) }, t("phraseInsertOne"));
  const keep = h("button", { type: "button", className: "plain", onclick: () => showKeeping(turn, words.value, preview?.citations ?? [], keeping, actions) }, t("phraseKeep"));
  const doing = h("div", { className: "toolbar" }, copy, insert, keep);
  let preview = null;
  let shown = "";
  let wanted = null;

  async function show(tone) {
    wanted = tone;
    told.replaceChildren(h("p", { className: "note" }, t("working")));
    let next;
    try {
      next = await sendPreview({ message: turn.reply?.understood ?? turn.question, customer_id: turn.customerId ?? null, customer: turn.customer, tone });
    } catch (error) {
      if (wanted === tone) told.replaceChildren(failureNote(error, () => show(tone)));
      return;
    }
    if (wanted !== tone) return;
    if (next.blocked) {
      const without = next.reason === "no_english_source";
      told.replaceChildren(h("p", { className: "note blocked" }, t(without ? "sendNoEnglish" : "sendBlocked")));
      // What is there in another tone stays there.
      if (!without) for (const part of [tones, words, doing]) part.hidden = true;
      return;
    }
    // What the rep has changed is not written over without being asked for again.
    if (words.value !== shown && !await sure(next)) return;
    preview = next;
    shown = toPlainText(next.text);
    words.value = shown;
    words.hidden = doing.hidden = false;
    // A browser puts the caret behind the text, which would show its end first.
    words.setSelectionRange(0, 0);
    words.scrollTop = 0;
    const by = next.generator !== "extractive" ? ` ${t("sendWorded", { model: next.generator })}` : "";
    told.replaceChildren(h("p", { className: "note" }, t("sendNote"), by, " ", t(turn.customerId ? "sendRecorded" : "sendUnrecorded", { name: turn.customerName ?? turn.customerId })));
    if (tone === "plain") words.focus();
  }

  function sure() {
    return new Promise((answer) => {
      told.replaceChildren(h("p", { className: "note" }, t("sendOverwrite"), " ",
        h("button", { type: "button", className: "plain", onclick: () => answer(true) }, t("sendOverwriteYes")), " ",
        h("button", { type: "button", className: "plain", onclick: () => { told.replaceChildren(); answer(false); } }, t("cancel"))));
    });
  }

  words.hidden = doing.hidden = true;
  room.replaceChildren(tones, told, words, doing, outcome, keeping);
  show("plain");
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
    outcome.replaceChildren(t("notRecorded", { why: failureText(asApiError(error)) }), " ", again);
  }
}
