// A panel that slides over the page from its side: a title, a search box, and what it finds.

import { h } from "./dom.js";
import { t } from "./i18n.js";

/** Wires the dialog. `show(title, box)` opens it with a search box of `searchbox.js` and looks at once. */
export function drawer(dialog, titleId) {
  let box = null;
  const close = () => {
    box?.stop();
    dialog.close();
  };
  dialog.addEventListener("click", (event) => { if (event.target === dialog) close(); });

  function show(title, next) {
    box = next;
    dialog.replaceChildren(h("div", { className: "drawer-frame" },
      h("div", { className: "head" }, h("h2", { id: titleId }, title), h("button", { type: "button", className: "plain close", onclick: close }, t("close"))),
      h("div", { className: "drawer-search" }, box.words), h("div", { className: "drawer-body" }, box.told, box.list, box.more)));
    if (!dialog.open) dialog.showModal();
    box.words.focus();
    box.again();
  }
  return { show, close, isOpen: () => dialog.open };
}
