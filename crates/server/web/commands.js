// What a person can do from the keyboard inside the message box: `/` lists commands, ↑ and ↓ go through what was
// asked before. Only while the box is otherwise empty, so that nothing typed is ever taken away.

import { h } from "./dom.js";
import { t } from "./i18n.js";

/**
 * Wires the list `box` to the message box. `commands()` gives the commands as `{ name, text, run }`; a text may be
 * written after `/` by its name or by its label in the language of the page. `changed()` is called after the box was
 * filled from here; `announce(text)` tells a screen reader.
 */
export function commandList(message, box, { commands, changed, announce }) {
  let shown = [];
  let marked = 0;

  function matching() {
    const typed = /^[/／]([^\n]{0,30})$/.exec(message.value);
    if (!typed) return [];
    const wanted = typed[1].trim().toLowerCase();
    return commands().filter(({ name, text }) => name.startsWith(wanted) || text.toLowerCase().includes(wanted));
  }

  function show() {
    shown = matching();
    marked = Math.min(marked, Math.max(shown.length - 1, 0));
    // A text box cannot say that it has opened a list, so the page does.
    if (box.hidden && shown.length) announce(t("commandsShown", { n: shown.length }));
    box.hidden = shown.length === 0;
    box.replaceChildren(...shown.map((command, at) => h("li", {
      id: `command-${at}`, role: "option", "aria-selected": String(at === marked), className: at === marked ? "marked" : "",
      // Before the box loses the focus.
      onpointerdown: (event) => { event.preventDefault(); run(command); },
    }, h("code", {}, `/${command.name}`), h("span", {}, command.text))));
    if (box.hidden) message.removeAttribute("aria-activedescendant");
    else message.setAttribute("aria-activedescendant", `command-${marked}`);
  }

  function fill(text) {
    message.value = text;
    message.setSelectionRange(text.length, text.length);
    changed();
  }

  function run(command) {
    fill("");
    hide();
    command.run();
  }

  function hide() {
    marked = 0;
    shown = [];
    box.hidden = true;
    message.removeAttribute("aria-activedescendant");
  }

  message.setAttribute("aria-controls", box.id);
  message.addEventListener("input", () => { marked = 0; show(); });
  message.addEventListener("blur", hide);

  /** Whether the key was meant for the list and has been dealt with. */
  function take(event) {
    if (box.hidden) return false;
    const { key } = event;
    if (key === "ArrowDown" || key === "ArrowUp") {
      marked = (marked + (key === "ArrowDown" ? 1 : shown.length - 1)) % shown.length;
      show();
    } else if (key === "Enter" || key === "Tab") run(shown[marked]);
    else if (key === "Escape") hide();
    else return false;
    event.preventDefault();
    event.stopPropagation();
    return true;
  }
  return { take };
}

/** Goes through the `questions()` asked before; the last one first. `take(event)` is as above. */
export function askedBefore(message, { questions, changed }) {
  let at = null;
  let filled = "";
  return {
    take(event) {
      const { key } = event;
      if (key !== "ArrowUp" && key !== "ArrowDown") return false;
      // A text of the person's own keeps its arrows.
      if (message.value !== filled || event.shiftKey) { at = null; filled = ""; }
      if (message.value !== filled) return false;
      const asked = questions();
      const next = (at ?? asked.length) + (key === "ArrowUp" ? -1 : 1);
      if (next < 0 || (at === null && key === "ArrowDown")) return false;
      at = next >= asked.length ? null : next;
      filled = at === null ? "" : asked[at];
      message.value = filled;
      message.setSelectionRange(filled.length, filled.length);
      changed();
      event.preventDefault();
      return true;
    },
  };
}
