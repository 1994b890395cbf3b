// 话术: wordings that the rep keeps, and those that were approved for everybody. One is put into the message that is
// being written to the customer, or copied where none is.

import { changePhrase, findPhrases, forgetPhrase, keepPhrase, whoAmI } from "./api.js";
import { copyText, h } from "./dom.js";
import { drawer } from "./drawer.js";
import { failureNote } from "./failure.js";
import { t } from "./i18n.js";
import { searchBox } from "./searchbox.js";
import { audienceBadge, flash } from "./view.js";

/** Wires the dialog. `open(target)` shows it; a wording that is used goes into the text box `target`, if there is one. */
export function phrasesPanel(dialog, actions) {
  const panel = drawer(dialog, "phrases-title");

  async function open(target = null) {
    // Who curates is asked when it matters; whoever cannot be asked gets what a rep has.
    let curates = false;
    const box = searchBox({
      label: t("phrasesHint"), listName: "phrase-list", waits: true, none: (text) => t(text ? "phrasesNone" : "phrasesEmpty"),
      find: async (text, { signal, after }) => {
        const [{ phrases, next }, me] = await Promise.all([findPhrases({ q: text, after }, signal), whoAmI().catch(() => null)]);
        curates = Boolean(me?.curates);
        return { items: phrases.map(item), next };
      },
    });

    function item(phrase) {
      const entry = h("li", { className: "phrase", data: { state: phrase.state } });
      entry.append(...parts(phrase, entry));
      return entry;
    }

    function parts(phrase, entry) {
      const { text, question, state, mine, author, approved_by: approvedBy, audience } = phrase;
      const told = h("div");
      const change = async (changes) => {
        try {
          entry.replaceChildren(...parts(await changePhrase(phrase.id, changes), entry));
          actions.announce(t("phraseChanged"));
        } catch (error) {
          told.replaceChildren(failureNote(error, () => change(changes)));
        }
      };
      const button = (name, onclick) => h("button", { type: "button", className: "plain", onclick }, t(name));
      const use = button(target ? "phraseInsert" : "copyIt", async () => {
        if (target?.isConnected) {
          panel.close();
          insert(target, text);
        } else flash(use, t(await copyText(text) ? (audience === "customer" ? "copied" : "copiedInternal") : "copyFailed"), actions);
      });
      use.className = "secondary";
      const forget = button("phraseForget", async () => {
        // The first press asks, the second one does it.
        if (!forget.dataset.sure) {
          forget.dataset.sure = "yes";
          forget.textContent = t("phraseForgetSure");
          return;
        }
        try {
          await forgetPhrase(phrase.id);
          entry.remove();
          actions.announce(t("phraseForgotten"));
        } catch (error) {
          told.replaceChildren(failureNote(error));
        }
      });
      const edit = button("phraseEdit", () => {
        const words = h("textarea", { rows: 5, maxLength: 10000, value: text, "aria-label": t("phraseWords") });
        const cancel = button("cancel", () => entry.replaceChildren(...parts(phrase, entry)));
        const save = button("save", () => words.value.trim() && change({ text: words.value.trim() }));
        save.className = "secondary";
        entry.replaceChildren(words, told, h("div", { className: "toolbar" }, save, cancel));
        words.focus();
      });
      const state_ = { own: t("phraseOwn"), offered: t("phraseOffered"), shared: approvedBy ? t("phraseSharedBy", { name: approvedBy }) : t("phraseShared") }[state];
      return [
        question && h("p", { className: "place" }, question),
        h("p", { className: "phrase-text" }, text),
        h("p", { className: "phrase-about" }, h("span", { className: "tag" }, mine ? state_ : `${author ?? ""} · ${state_}`), audienceBadge({ audience })),
        told,
        h("div", { className: "toolbar" }, use,
          mine && state === "own" && button("phraseOffer", () => change({ state: "offered" })),
          mine && state === "offered" && button("phraseWithdraw", () => change({ state: "own" })),
          curates && state !== "shared" && (state === "offered" || mine) && button("phraseApprove", () => change({ state: "shared" })),
          curates && !mine && state === "offered" && button("phraseDecline", () => change({ state: "own" })),
          curates && state === "shared" && button("phraseUnshare", () => change({ state: "own" })),
          mine && edit, (mine || curates) && forget),
      ].filter(Boolean);
    }
    panel.show(t("phrases"), box);
  }
  return { open, isOpen: panel.isOpen };
}

/** Puts `text` where the caret is, on lines of its own. */
function insert(target, text) {
  const { selectionStart: start, selectionEnd: end, value } = target;
  const before = value.slice(0, start);
  const after = value.slice(end);
  const lead = before && !before.endsWith("\n") ? "\n" : "";
  const tail = after && !after.startsWith("\n") ? "\n" : "";
  target.setRangeText(`${lead}${text}${tail}`, start, end, "end");
  target.dispatchEvent(new Event("input", { bubbles: true }));
  target.focus();
}

/** Fills `room` with a form that keeps `text`, which answers the turn's question from `citations`. */
export function showKeeping(turn, text, citations, room, actions) {
  const words = h("textarea", { rows: 5, maxLength: 10000, value: text, "aria-label": t("phraseWords") });
  const offer = h("input", { type: "checkbox" });
  const told = h("div", { role: "status" });
  const documents = [...new Set(citations.map((citation) => citation.document.id))];
  const form = h("form", { className: "feedback-form", onsubmit: async (event) => {
    event.preventDefault();
    if (!words.value.trim()) return;
    try {
      const kept = await keepPhrase({ text: words.value.trim(), question: turn.question, documents });
      if (offer.checked) await changePhrase(kept.id, { state: "offered" });
      const done = t(offer.checked ? "phraseKeptOffered" : "phraseKept");
      room.replaceChildren(h("p", { className: "note", role: "status" }, done, " ",
        h("button", { type: "button", className: "plain", onclick: () => actions.openPhrases() }, t("phrases"))));
      actions.announce(done);
    } catch (error) {
      told.replaceChildren(failureNote(error));
    }
  } },
  h("label", { className: "label" }, t("phraseWords"), words),
  h("label", { className: "check" }, offer, h("span", {}, t("phraseOfferHint"))), told,
  h("div", { className: "toolbar" }, h("button", { className: "secondary" }, t("save")),
    h("button", { type: "button", className: "plain", onclick: () => room.replaceChildren() }, t("cancel"))));
  room.replaceChildren(form);
  words.setSelectionRange(0, 0);
  words.focus();
}
