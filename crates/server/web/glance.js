// A card that shows at a glance what stands behind something: while the pointer is on it or on the card, or it has the
// focus. Escape puts it away without leaving the place (WCAG 1.4.13). A finger has no glance; it opens the thing itself.

import { h } from "./dom.js";

const LINGER = 150;
let shown = null;

function hide() {
  clearTimeout(shown?.timer);
  shown?.card.remove();
  shown = null;
}

/** Shows `content()` near `button`. What it says must also be told in words: the card is for eyes only. */
export function glance(button, content) {
  const show = () => {
    if (shown?.button === button) return clearTimeout(shown.timer);
    hide();
    const card = h("div", { className: "glance", "aria-hidden": "true" }, content());
    card.addEventListener("pointerenter", () => clearTimeout(shown?.timer));
    card.addEventListener("pointerleave", leave);
    const block = button.closest(".answer-column");
    if (!block) return;
    block.append(card);
    place(card, button, block);
    shown = { button, card, timer: null };
  };
  button.addEventListener("pointerenter", ({ pointerType }) => { if (pointerType !== "touch") show(); });
  button.addEventListener("pointerleave", leave);
  button.addEventListener("focus", () => { if (button.matches(":focus-visible")) show(); });
  button.addEventListener("blur", hide);
  button.addEventListener("click", hide);
}

function leave() {
  if (!shown) return;
  clearTimeout(shown.timer);
  shown.timer = setTimeout(hide, LINGER);
}

/** Below the button, or above where there is no room; inside the block from side to side. */
function place(card, button, block) {
  const [at, room] = [button.getBoundingClientRect(), block.getBoundingClientRect()];
  const left = Math.min(Math.max(at.left - room.left - 24, 0), Math.max(room.width - card.offsetWidth, 0));
  const fitsBelow = at.bottom + card.offsetHeight + 16 < innerHeight - 110;
  card.style.left = `${left}px`;
  card.style.top = `${fitsBelow ? at.bottom - room.top + 6 : at.top - room.top - card.offsetHeight - 6}px`;
}

document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || !shown) return;
  hide();
  event.preventDefault();
  event.stopImmediatePropagation();
}, true);
document.addEventListener("scroll", hide, { passive: true });
