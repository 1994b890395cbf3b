// A box that looks for what is typed into it, once the person pauses, with what was found below it. Only the last
// request counts, whatever order the answers come in.

import { h } from "./dom.js";
import { t } from "./i18n.js";
import { failureNote, isAbort } from "./failure.js";

// As long as somebody pauses between two words.
const TYPING = 250;

/**
 * `find(words, { signal, after })` gives `{ items, next }` as nodes and where to go on, or `null` where nothing is to be
 * looked for; `none(words)` says that there is nothing. `again()` looks once more for the same words.
 */
export function searchBox({ label, listName, find, none, waits = false }) {
  let asking = null;
  let timer = null;
  const words = h("input", { type: "search", maxLength: 200, placeholder: label, "aria-label": label, oninput: () => {
    clearTimeout(timer);
    timer = setTimeout(look, TYPING);
  } });
  const told = h("div", { role: "status" });
  const list = h("ul", { className: listName });
  const more = h("div");

  async function look(after = null) {
    stop();
    const request = new AbortController();
    asking = request;
    const text = words.value.trim();
    if (waits && !after && !list.children.length) told.replaceChildren(h("p", { className: "note" }, t("searching")));
    try {
      const found = await find(text, { signal: request.signal, after });
      if (asking !== request) return;
      const { items, next = null } = found ?? { items: [] };
      if (after) list.append(...items);
      else list.replaceChildren(...items);
      told.replaceChildren(list.children.length || !found ? "" : h("p", { className: "note" }, none(text)));
      more.replaceChildren(next ? h("button", { type: "button", className: "plain", onclick: () => look(next) }, t("more")) : "");
    } catch (error) {
      if (!isAbort(error) && asking === request) told.replaceChildren(failureNote(error, look));
    }
  }
  function stop() {
    clearTimeout(timer);
    asking?.abort();
    asking = null;
  }
  return { words, told, list, more, again: () => look(), stop };
}
