// The chat page: what has been said, the composer, the switches, and keeping it all over a reload of the tab.
// Drawing is view.js, the source panel source.js, the wire api.js.

import { chat, hasKey, renewWith, saveKey, signIn, whoAmI } from "./api.js";
import { askedBefore, commandList } from "./commands.js";
import { watchConnection } from "./connection.js";
import { about, customerPanel } from "./customer.js";
import { h } from "./dom.js";
import { dress, embedded, listenToHost, tellHost } from "./embed.js";
import { asApiError, failureText, isAbort } from "./failure.js";
import { historyPanel, turnsOf } from "./history.js";
import { chooseLanguage, isEnglish, useLanguage, nameOf, starters, t, toggleLanguage } from "./i18n.js";
import { toPlainText } from "./markdown.js";
import { phrasesPanel } from "./phrases.js";
import { sourcePanel } from "./source.js";
import { isRunning, turnView } from "./view.js";

const STORED_AS = "flightdeck.conversation";
const DRAFT_STORED_AS = "flightdeck.draft";
const TOKEN_STORED_AS = "flightdeck.token";
// An answer is usually on its way within a tenth of this.
const SLOW = 6000;
// A page that has a token gives it at once.
const TOKEN_PATIENCE = 5000;
const CUSTOMER_FIELDS = ["industry", "company_size", "region", "stage", "needs"];
const element = (id) => document.getElementById(id);
const form = element("composer");
const message = element("message");

// One session for each audience: a preview must never go on from what was said internally.
// `customer` is what was filled in by hand, `chosen` a customer of the records, `rep` whom the widget's page has named.
const fresh = () => ({ turns: [], sessions: {}, audience: "internal", customer: {}, chosen: null, rep: null });
let conversation = restore();
let views = new Map();
let running = null;
let hostStarters = null;

const announce = (text) => { element("announce").textContent = text; };
const panel = sourcePanel(element("source"), { announce, onClose: () => markOpen(null) });
const customers = customerPanel(element("customer-panel"), { announce, onChoose: setChosen });
const earlier = historyPanel(element("history"), { onChoose: continueConversation });
const actions = {
  announce, ask, retry, openSource, keep: store, customerChanged: customers.refresh, openPhrases: (target) => phrases.open(target),
  isForCustomers: () => forCustomersOnly(), saveKey: (key, turn) => { saveKey(key); retry(turn); },
};
const phrases = phrasesPanel(element("phrases"), actions);
const connection = watchConnection((reachable) => {
  element("offline").hidden = reachable;
  announce(t(reachable ? "online" : "offline"));
  const last = conversation.turns.at(-1);
  // What could not be sent goes out now; should it have arrived after all, its id tells that it is the same.
  if (reachable && ["network", "broken"].includes(last?.error?.kind)) retry(last);
});

function restore() {
  try {
    const stored = { ...fresh(), ...JSON.parse(sessionStorage.getItem(STORED_AS) ?? "{}") };
    for (const turn of stored.turns) if (isRunning(turn)) turn.state = "stopped";
    return stored;
  } catch {
    return fresh();
  }
}

function store() {
  try {
    sessionStorage.setItem(STORED_AS, JSON.stringify(conversation));
  } catch { /* Full or forbidden: the conversation then lives as long as the page does. */ }
}

// Asking

function ask(question) {
  const text = question.trim();
  if (!text || running) return;
  const customer = Object.fromEntries(Object.entries(conversation.customer).filter(([, value]) => value));
  const { chosen } = conversation;
  const turn = {
    question: text, audience: conversation.audience, requestId: newId(),
    customer: !chosen && Object.keys(customer).length ? customer : chosen?.given ?? null, customerId: chosen?.id ?? null, customerName: chosen?.name ?? null,
  };
  tellHost("question", {});
  conversation.turns.push(turn);
  answer(turn);
}

/** An id of a message's own; `randomUUID` is missing where the page is served over plain http. */
const newId = () => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");

function retry(turn) {
  if (!running) answer(turn);
}

async function answer(turn) {
  Object.assign(turn, { state: "running", text: "", citations: [], intent: null, reply: null, error: null, slow: false, reconnecting: false });
  const controller = new AbortController();
  running = controller;
  draw(turn);
  showState();
  announce(t("working"));
  views.get(turn).element.scrollIntoView({ block: "start" });
  const soon = drawSoon(turn);
  const slowly = setTimeout(() => { turn.slow = true; soon(); announce(t("slow")); }, SLOW);
  try {
    turn.reply = await exchange(turn, controller.signal, soon, () => clearTimeout(slowly));
    turn.state = "done";
    remember(turn, turn.reply.session_id);
    tellHost("answer", { intent: turn.reply.intent, refused: turn.reply.refused });
    announce(toPlainText(turn.reply.answer));
  } catch (error) {
    if (isAbort(error)) {
      turn.state = "stopped";
      // Asked again, it is another message: this one has its answer, as far as it came.
      turn.requestId = newId();
      announce(t("stoppedEmpty"));
    } else {
      const { kind, message: said, requestId, retryAfter } = asApiError(error);
      turn.state = "failed";
      turn.error = { kind, message: said, requestId, retryAfter };
      tellHost("error", { kind });
      if (kind === "network" || kind === "broken") connection.check();
    }
  } finally {
    clearTimeout(slowly);
  }
  if (running === controller) running = null;
  // The conversation may have been put away meanwhile.
  if (!views.has(turn)) return;
  draw(turn);
  showState();
  store();
  if (turn.error?.kind === "unauthorized") views.get(turn).element.querySelector("input")?.focus();
}

/**
 * The reply to a turn. Where the connection breaks in the middle and the server is still there, what it has answered
 * is asked for once more under the same id: it is the same message, and what was shown stays until that comes.
 */
async function exchange(turn, signal, soon, arrived) {
  const request = {
    message: turn.question, session_id: conversation.sessions[turn.audience] ?? null, customer_id: turn.customerId ?? null,
    customer: turn.customer, audience: turn.audience, request_id: turn.requestId ?? null,
  };
  let isStale = false;
  const on = {
    meta: ({ intent, session_id: session }) => { turn.intent = intent; remember(turn, session); soon(); },
    delta: ({ text }) => {
      arrived();
      if (isStale) Object.assign(turn, { text: "", citations: [] });
      isStale = false;
      turn.text += text;
      soon();
    },
    citation: (citation) => { turn.citations.push(citation); soon(); },
  };
  try {
    return await chat(request, { signal, on });
  } catch (error) {
    if (error.kind !== "broken" || !await connection.check()) throw error;
    Object.assign(turn, { reconnecting: true });
    isStale = true;
    soon();
    return chat(request, { signal, on });
  }
}

function remember(turn, session) {
  if (session && conversation.turns.includes(turn)) conversation.sessions[turn.audience] = session;
}

function stop() {
  running?.abort();
}

// Drawing

function draw(turn) {
  if (views.has(turn)) return views.get(turn).draw();
  const view = turnView(turn, conversation.turns.indexOf(turn) + 1, actions);
  views.set(turn, view);
  element("turns").append(view.element);
}

/** Many pieces may come between two frames; one drawing does for them. */
function drawSoon(turn) {
  let waiting = false;
  return () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => {
      waiting = false;
      if (isRunning(turn)) views.get(turn)?.draw();
    });
  };
}

function drawAll() {
  views = new Map();
  element("turns").replaceChildren();
  conversation.turns.forEach(draw);
  drawStarters();
  showState();
}

function drawStarters() {
  element("starters").replaceChildren(...(hostStarters?.map((question) => [question, null]) ?? starters(conversation.chosen?.stage ?? conversation.customer.stage)).map(([question, intent]) => h("li", {},
    h("button", { type: "button", onclick: () => ask(question) },
      h("span", {}, question), h("span", { className: "leader", "aria-hidden": "true" }), h("span", { className: "goal" }, intent && nameOf("intents", intent))))));
}

/** Brings switches, buttons and notes in line with the state. */
function showState() {
  const empty = conversation.turns.length === 0;
  element("empty").hidden = !empty;
  element("new").hidden = empty;
  element("send").hidden = Boolean(running);
  element("stop").hidden = !running;
  element("preview").hidden = conversation.audience !== "customer";
  for (const radio of document.querySelectorAll("[name=audience]")) radio.checked = radio.value === conversation.audience;
  document.body.classList.toggle("previewing", conversation.audience === "customer");
  const language = element("language");
  language.textContent = t("otherLanguage");
  language.lang = isEnglish() ? "zh-CN" : "en";
  language.setAttribute("aria-label", `${t("otherLanguage")} · ${t("switchLanguage")}`);
  const { themeChoice = "auto" } = document.documentElement.dataset;
  const theme = t("theme", { choice: t({ auto: "themeAuto", light: "themeLight", dark: "themeDark" }[themeChoice]) });
  element("theme").setAttribute("aria-label", theme);
  element("theme").title = theme;
  showCustomer();
}

function showCustomer() {
  const { chosen } = conversation;
  element("customer-fields").hidden = Boolean(chosen);
  if (chosen) {
    element("customer-summary").textContent = [chosen.name ?? chosen.id, about(chosen)].filter(Boolean).join(" · ");
    element("customer").classList.add("set");
    return;
  }
  const sizes = { 小型: "sizeSmall", 中型: "sizeMedium", 大型: "sizeLarge" };
  const said = CUSTOMER_FIELDS.map((name) => conversation.customer[name]).filter(Boolean).map((value) => (value in sizes ? t(sizes[value]) : value));
  element("customer-summary").textContent = said.length ? said.join(" · ") : t("customerNone");
  element("customer").classList.toggle("set", said.length > 0);
  for (const name of CUSTOMER_FIELDS) {
    const field = form.elements[name];
    if (document.activeElement !== field) field.value = conversation.customer[name] ?? "";
  }
}

function openSource(turn, citation) {
  markOpen(views.get(turn).element, citation.n);
  panel.open(citation, turn.audience);
}

/** Marks the chips and the card whose source is open. */
function markOpen(within, n) {
  for (const node of document.querySelectorAll("[data-n].open")) node.classList.remove("open");
  for (const node of within?.querySelectorAll(`[data-n="${n}"]`) ?? []) node.classList.add("open");
}

// Wiring

function fitMessage() {
  message.style.height = "";
  // An empty box is one line high, whatever its hint would need.
  if (message.value) message.style.height = `${message.scrollHeight}px`;
}

// The panel of the customer lies inside; the form for a key that it may show is one of its own.
form.addEventListener("submit", (event) => {
  if (event.target !== form) return;
  event.preventDefault();
  if (running || !message.value.trim()) return;
  const text = message.value;
  message.value = "";
  filled();
  element("customer").open = false;
  ask(text);
});

/** To be called when the box has got another text, by whatever way. */
function filled() {
  fitMessage();
  try { sessionStorage.setItem(DRAFT_STORED_AS, message.value); } catch { /* The draft then lives as long as the page. */ }
}

message.addEventListener("input", filled);
/** Whether the page shows nothing but what a customer may see: then it offers nothing that only a rep has. */
const forCustomersOnly = () => document.querySelector(".segmented").hidden;
const commands = commandList(message, element("commands"), { announce, changed: filled, commands: () => [
  { name: "new", text: t("commandNew"), run: startAnew },
  { name: "history", text: t("commandHistory"), run: () => earlier.open() },
  { name: "customer", text: t("commandCustomer"), run: openCustomer },
  { name: "phrases", text: t("commandPhrases"), run: () => phrases.open() },
  { name: "cases", text: t("commandCases"), run: () => ask(t("commandCases")) },
  { name: "price", text: t("commandPrice"), run: () => ask(t("commandPrice")) },
  { name: "view", text: t("commandView"), run: () => setAudience(conversation.audience === "customer" ? "internal" : "customer") },
  { name: "theme", text: t("commandTheme"), run: nextTheme },
  { name: "language", text: t("commandLanguage"), run: switchLanguage },
].filter(({ name }) => !forCustomersOnly() || ["new", "theme", "language"].includes(name)) });
const recall = askedBefore(message, { changed: filled, questions: () => conversation.turns.map((turn) => turn.question) });
message.addEventListener("keydown", (event) => {
  if (event.isComposing || event.keyCode === 229) return;
  if (!commands.take(event)) recall.take(event);
});
form.addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.target.tagName === "BUTTON" || event.target.tagName === "SUMMARY") return;
  // Enter that ends an input method's composition chooses a word and must not send; 229 is Safari's way to say so.
  const composing = event.isComposing || event.keyCode === 229;
  if (event.target.form !== form) return;
  if (event.target !== message) {
    if (event.target.tagName === "INPUT" && !composing) { event.preventDefault(); message.focus(); }
    return;
  }
  if (composing) return;
  event.preventDefault();
  form.requestSubmit();
});
element("customer").addEventListener("input", (event) => {
  if (!CUSTOMER_FIELDS.includes(event.target.name)) return;
  conversation.customer[event.target.name] = event.target.value.trim();
  showCustomer();
  store();
});
element("customer-clear").addEventListener("click", () => {
  conversation.customer = {};
  showCustomer();
  store();
});
element("stop").addEventListener("click", () => { stop(); message.focus(); });
document.addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.isComposing) return;
  if (earlier.isOpen() || phrases.isOpen()) return;
  if (running && !element("source").contains(document.activeElement)) stop();
  else if (panel.isOpen()) { event.preventDefault(); panel.close(); }
  else if (embedded) tellHost("close", {});
});
for (const radio of document.querySelectorAll("[name=audience]")) radio.addEventListener("change", () => setAudience(radio.value));
element("new").addEventListener("click", startAnew);
element("open-history").addEventListener("click", () => earlier.open());
element("open-phrases").addEventListener("click", () => phrases.open());
element("close").addEventListener("click", () => tellHost("close", {}));
element("theme").addEventListener("click", nextTheme);
element("language").addEventListener("click", switchLanguage);
addEventListener("pagehide", store);

function setAudience(audience) {
  conversation.audience = audience;
  showState();
  store();
  if (conversation.turns.length) announce(t("switched", { audience: t(audience === "customer" ? "audienceCustomer" : "audienceInternal") }));
}

function putAside() {
  stop();
  running = null;
  if (panel.isOpen()) panel.close();
}

function startAnew() {
  putAside();
  const { audience, customer, chosen, rep } = conversation;
  conversation = { ...fresh(), audience, customer, chosen, rep };
  store();
  drawAll();
  message.focus();
}

/** Goes on with a conversation of the records, where it ended. */
function continueConversation(stored) {
  putAside();
  const { id, audience, customer_id: customerId } = stored;
  const { rep } = conversation;
  conversation = { ...fresh(), turns: turnsOf(stored), sessions: { [audience]: id }, audience, chosen: customerId ? { id: customerId } : null, rep };
  store();
  drawAll();
  customers.show(customerId);
  views.get(conversation.turns.at(-1))?.element.scrollIntoView({ block: "start" });
  message.focus({ preventScroll: true });
}

function nextTheme() {
  const next = { auto: "light", light: "dark", dark: "auto" }[document.documentElement.dataset.themeChoice] ?? "auto";
  dispatchEvent(new CustomEvent("flightdeck-theme", { detail: next }));
  showState();
  announce(element("theme").title);
}

function switchLanguage() {
  if (panel.isOpen()) panel.close();
  toggleLanguage();
  drawAll();
  customers.show(conversation.chosen?.id ?? null);
}

function openCustomer() {
  element("customer").open = true;
  element("customer").querySelector("input, .customer-card button")?.focus();
}

/** A customer of the records was chosen, or none. What the host page of a widget says of them besides stays. */
function setChosen(customer) {
  const given = customer && customer.id === conversation.chosen?.id ? conversation.chosen.given : null;
  conversation.chosen = customer && { ...customer, given };
  showCustomer();
  drawStarters();
  store();
}

function setCustomer(customer) {
  const profile = { ...customer?.profile };
  const given = Object.keys(profile).length ? profile : null;
  conversation.chosen = customer?.id ? { ...profile, id: customer.id, given } : null;
  conversation.customer = customer?.id ? {} : profile;
  showCustomer();
  drawStarters();
  customers.show(conversation.chosen?.id ?? null);
  store();
}

// Whoever is before the page is a customer: nothing is offered that only a rep has.
function showToCustomers() {
  conversation.audience = "customer";
  document.querySelector(".segmented").hidden = true;
  for (const id of ["open-history", "open-phrases", "customer"]) element(id).hidden = true;
}

// The rep whom the widget's page names

let handOver = null;
let renewing = null;

/** Asks the page for another token; whether it has led to a key. */
function renew() {
  renewing ??= new Promise((resolve) => {
    handOver = resolve;
    setTimeout(() => resolve(null), TOKEN_PATIENCE);
    tellHost("token", {});
  }).then((token) => {
    handOver = null;
    return token ? enter(token) : false;
  }).finally(() => { renewing = null; });
  return renewing;
}

async function enter(token) {
  const notice = element("notice");
  try {
    const rep = await signIn(token);
    notice.hidden = true;
    try { sessionStorage.setItem(TOKEN_STORED_AS, token); } catch { /* A page from a cache then needs another one. */ }
    if (conversation.rep !== rep.id) beRep(rep.id);
    return true;
  } catch (error) {
    notice.textContent = t("notSignedIn", { why: failureText(asApiError(error)) });
    notice.hidden = false;
    return false;
  }
}

function isLastToken(token) {
  try { return sessionStorage.getItem(TOKEN_STORED_AS) === token; } catch { return false; }
}

/** What another rep has said and begun to write in this tab is not this one's to see. */
function beRep(id) {
  const before = conversation.rep;
  conversation.rep = id;
  if (before === null && conversation.turns.every(isRunning)) return store();
  putAside();
  message.value = "";
  filled();
  conversation = { ...fresh(), audience: conversation.audience, rep: id };
  store();
  drawAll();
  customers.show(null);
}

chooseLanguage();
document.documentElement.classList.toggle("embedded", embedded);
element("close").hidden = !embedded;
try { message.value = sessionStorage.getItem(DRAFT_STORED_AS) ?? ""; } catch { /* Without storage there is no draft. */ }
fitMessage();
drawAll();
customers.show(conversation.chosen?.id ?? null);
listenToHost({
  config: async (config) => {
    if (config.key) saveKey(config.key);
    if (config.audience) showToCustomers();
    if (config.language) useLanguage(config.language);
    hostStarters = config.starters?.length ? config.starters : null;
    dress(config);
    drawAll();
    if (config.token || config.renews) renewWith(renew);
    // The same page again, from a cache: its token was taken then, and what it was taken for may still hold.
    if (config.token && !(hasKey() && isLastToken(config.token))) await enter(config.token);
    else if (config.renews) await renew();
    // Who reads the page reads the key, so such a key is mostly a bot's, which sees nothing internal.
    if (config.key && (await whoAmI().catch(() => null))?.customer_only) showToCustomers();
    if (config.customer) setCustomer(config.customer);
    drawAll();
  },
  ask,
  customer: setCustomer,
  token: (token) => { if (handOver) handOver(token); else if (token) enter(token); },
  focus: () => message.focus({ preventScroll: true }),
});
if (conversation.turns.length) views.get(conversation.turns.at(-1)).element.scrollIntoView({ block: "start" });
if (matchMedia("(hover: hover)").matches) message.focus({ preventScroll: true });
