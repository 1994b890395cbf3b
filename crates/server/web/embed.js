// The page inside the widget's frame: what the host page may tell it, and what it tells the host page. The server
// names in a policy which pages may be the host; here every message must come from it, and every value is checked.

import { calledFrom } from "./api.js";

const FIELDS = ["name", "industry", "company_size", "region", "needs", "scenario", "stage"];
const LONGEST = 2000;

export const embedded = window.parent !== window;
let host = null;
let order = Promise.resolve();

// A signed token is longer than any other text.
const isToken = (value) => typeof value === "string" && /^[\w.-]{1,4096}$/.test(value);
const isText = (value) => typeof value === "string" && value.length > 0 && value.length <= LONGEST;

/** Calls `on.config`, `on.ask`, `on.customer`, `on.token` and `on.focus` with what the host page says, once it may. */
export function listenToHost(on) {
  if (!embedded) return;
  addEventListener("message", ({ source, origin, data }) => {
    if (source !== window.parent || data?.flightdeck !== 1) return;
    if (host === null) {
      host = origin;
      calledFrom(origin);
    }
    if (origin !== host) return;
    // One after the other: a question waits until it is known who asks it.
    const then = (work) => { order = order.then(work); };
    if (data.type === "config" && data.config) then(() => on.config(cleanConfig(data.config)));
    else if (data.type === "ask" && isText(data.question)) then(() => { on.ask(data.question); });
    else if (data.type === "customer") then(() => on.customer(cleanCustomer(data.customer)));
    // What is waited for cannot wait itself.
    else if (data.type === "token") on.token(isToken(data.token) ? data.token : null);
    else if (data.type === "focus") on.focus();
  });
  // Before the host has spoken its origin is not known, so this says nothing but that the page is here.
  window.parent.postMessage({ flightdeck: 1, type: "ready" }, "*");
}

/** Tells the host page; never with the words of an answer, which belong to the rep. */
export function tellHost(type, detail) {
  if (embedded && host) window.parent.postMessage({ flightdeck: 1, type, detail }, host);
}

function cleanConfig(config) {
  const text = (name) => (isText(config[name]) ? config[name] : null);
  return {
    key: text("key"), token: isToken(config.token) ? config.token : null, renews: config.renews === true, language: text("language"), title: text("title"), colour: text("colour"),
    audience: config.audience === "customer" ? "customer" : null,
    customer: cleanCustomer(config.customer),
    starters: Array.isArray(config.starters) ? config.starters.filter(isText).slice(0, 6) : null,
  };
}

/** `{ id, profile }` of a customer that is named by an id or described by a profile; `null` for none. */
function cleanCustomer(customer) {
  if (isText(customer)) return { id: customer, profile: {} };
  if (!customer || typeof customer !== "object") return null;
  const profile = Object.fromEntries(FIELDS.filter((name) => isText(customer[name])).map((name) => [name, customer[name]]));
  return { id: isText(customer.id) ? customer.id : null, profile };
}

/** Dresses the page's bar in the host's colour, with black or white on it, whichever reads better. */
export function dress({ title, colour }) {
  const bar = document.querySelector(".bar");
  if (title) bar.querySelector(".brand-name").textContent = title;
  if (!colour || !CSS.supports("color", colour)) return;
  bar.style.setProperty("--host", colour);
  const canvas = new OffscreenCanvas(1, 1).getContext("2d");
  canvas.fillStyle = colour;
  canvas.fillRect(0, 0, 1, 1);
  const [red, green, blue] = [...canvas.getImageData(0, 0, 1, 1).data].map((value) => {
    const part = value / 255;
    return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
  });
  bar.style.setProperty("--on-host", 0.2126 * red + 0.7152 * green + 0.0722 * blue > 0.179 ? "#000" : "#fff");
  bar.classList.add("dressed");
}
