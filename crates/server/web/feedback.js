// What the rep thinks of an answer: a thumb, and for a bad one why and what it should have been. A correction goes to
// those who curate the knowledge; the page says so, because it changes nothing by itself.

import { giveFeedback } from "./api.js";
import { h, icon } from "./dom.js";
import { asApiError, failureText } from "./failure.js";
import { t } from "./i18n.js";

const THUMB = "M7 11v9H4v-9zM7 11l4-8c1.5 0 2.5 1 2.5 2.5V9H19a2 2 0 0 1 2 2.3l-1.2 7a2 2 0 0 1-2 1.7H7";
const REASONS = ["reasonWrong", "reasonOutdated", "reasonOffTopic", "reasonSource", "reasonLong"];

/** The two thumbs of a turn, and the room in which the form opens. `keep()` is called when the turn has changed. */
export function feedbackParts(turn, { announce, keep }) {
  const room = h("div", { className: "feedback" });
  const thumbs = { up: thumb("up"), down: thumb("down") };

  function thumb(rating) {
    return h("button", {
      type: "button", className: `plain thumb ${rating}`, "aria-label": t(rating === "up" ? "thumbUp" : "thumbDown"),
      title: t(rating === "up" ? "thumbUp" : "thumbDown"), onclick: () => choose(rating),
    }, icon(THUMB));
  }

  function show() {
    for (const [rating, button] of Object.entries(thumbs)) button.setAttribute("aria-pressed", String(turn.feedback?.rating === rating));
  }

  async function give(feedback, done) {
    const before = turn.feedback;
    turn.feedback = { ...feedback };
    show();
    try {
      await giveFeedback({ message_id: turn.reply.message_id, ...feedback });
      keep();
      announce(done);
      return true;
    } catch (error) {
      turn.feedback = before;
      show();
      say(failureText(asApiError(error)));
      return false;
    }
  }

  const say = (text) => room.replaceChildren(h("p", { className: "note", role: "status" }, text));

  async function choose(rating) {
    if (rating === "up") {
      if (await give({ rating }, t("thanks"))) say(t("thanks"));
      return;
    }
    const { reason = null, correction = null } = turn.feedback?.rating === "down" ? turn.feedback : {};
    // The thumb counts at once, whether or not the form is filled in.
    if (await give({ rating, reason, correction }, t("thanks"))) openForm(reason, correction);
  }

  function openForm(reason, correction) {
    const reasons = REASONS.map((name) => t(name));
    const own = reason && !reasons.includes(reason) ? [reason] : [];
    const form = h("form", { className: "feedback-form", onsubmit: async (event) => {
      event.preventDefault();
      const said = { rating: "down", reason: new FormData(form).get("reason"), correction: words.value.trim() || null };
      if (await give(said, t("thanks"))) say(t(said.correction ? "corrected" : "thanks"));
    } });
    const words = h("textarea", { rows: 3, maxLength: 10000, value: correction ?? "", placeholder: t("correctionHint") });
    form.append(
      h("fieldset", { className: "reasons" }, h("legend", { className: "label" }, t("whyBad")),
        [...reasons, ...own].map((text) => h("label", {}, h("input", { type: "radio", name: "reason", value: text, checked: text === reason }), h("span", {}, text)))),
      h("label", { className: "label" }, t("correction"), words),
      h("div", { className: "toolbar" },
        h("button", { className: "secondary" }, t("giveFeedback")),
        h("button", { type: "button", className: "plain", onclick: () => room.replaceChildren() }, t("close"))));
    room.replaceChildren(form);
    words.focus();
  }

  show();
  return { thumbs: [thumbs.up, thumbs.down], room };
}
