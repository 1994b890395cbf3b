// The frame of the console: navigation, the page of the address, the key, the language, the theme, the connection.
//
// A page gets a `context`:
//   signal      ends with the page; to be passed to every request
//   path        what stands behind the page's name in the address, decoded: `#documents/a%2Fb/c` gives ["a/b", "c"]
//   query       a `URLSearchParams` of what stands behind `?` in the address
//   go(name, path = [], query = {})       goes to a page
//   change(path = [], query = {})         the same page with another address, without a step in the browser's history
//   attempt(work)  does `await work()`; a failure is shown, asks for a key where one is missing, and gives `undefined`
//   guard(isDirty) `isDirty()` is asked before the person leaves; gives nothing. Ends with the page.

import "./texts.js";
import { forgetKey, hasKey, saveKey } from "../api.js";
import { watchConnection } from "../connection.js";
import { h, icon } from "../dom.js";
import { chooseLanguage, isEnglish, t, toggleLanguage } from "../i18n.js";
import { PAGES } from "./pages.js";
import { confirmed, dialog, failureBox, failureText, say, toast, working } from "./toolbox.js";

const element = (id) => document.getElementById(id);
let current = null;

/** The page's name, path and query of the address. */
function address() {
  const [, path, query] = /^#?([^?]*)\??(.*)$/.exec(location.hash);
  const [name, ...rest] = path.split("/");
  const decoded = rest.filter(Boolean).map((part) => {
    try { return decodeURIComponent(part); } catch { return part; }
  });
  return { name: name || PAGES[0].name, path: decoded, query: new URLSearchParams(query) };
}

/** The address of a page, for links. */
export function hrefOf(name, path = [], query = {}) {
  const given = Object.entries(query).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const place = [name, ...path.map(encodeURIComponent)].join("/");
  return `#${place}${given.length ? `?${new URLSearchParams(given)}` : ""}`;
}

function contextOf({ path, query }, page) {
  return {
    signal: page.ending.signal, path, query,
    go: (name, rest, parameters) => { location.hash = hrefOf(name, rest, parameters); },
    change: (rest, parameters) => {
      // Who has gone on to another page meanwhile stays there: the event that says so may still be on its way.
      if (location.hash !== page.address) return;
      history.replaceState(null, "", hrefOf(page.name, rest, parameters));
      page.address = location.hash;
    },
    attempt: (work) => attempt(work, page),
    guard: (isDirty) => { page.isDirty = isDirty; },
  };
}

async function attempt(work, page) {
  try {
    return await work();
  } catch (error) {
    if (error.name === "AbortError" || page.ending.signal.aborted) return undefined;
    if (error.kind === "unauthorized") {
      if (await askKey()) return attempt(work, page);
      return undefined;
    }
    if (error.kind === "network" || error.kind === "broken") connection.check();
    if (!error.kind) console.error(error);
    toast(failureText(error), { bad: true });
    return undefined;
  }
}

async function navigate({ anew = false } = {}) {
  const wanted = address();
  if (current?.isDirty?.() && !anew) {
    // The address has changed already; it goes back while the person thinks.
    const there = location.hash;
    if (there === current.address) return;
    history.replaceState(null, "", current.address || "#");
    if (!await confirmed(t("leaveTitle"), t("leaveText"), t("leaveYes"), { bad: true })) return;
    current.isDirty = null;
    location.hash = there;
    return;
  }
  const entry = PAGES.find(({ name }) => name === wanted.name);
  if (!anew && current?.name === wanted.name && current.moved) {
    current.address = location.hash;
    current.isDirty = null;
    await attempt(() => current.moved(contextOf(wanted, current)), current);
    return;
  }
  current?.ending.abort();
  const page = { name: wanted.name, ending: new AbortController(), moved: null, isDirty: null, address: location.hash };
  current = page;
  const main = element("main");
  drawNavigation();
  if (!entry) {
    main.replaceChildren(h("p", { className: "note" }, t("consoleNothing")));
    return;
  }
  document.title = `${titleOf(entry)} · Flightdeck`;
  main.replaceChildren(working());
  main.setAttribute("aria-busy", "true");
  try {
    const module = await entry.load();
    if (page !== current) return;
    main.replaceChildren();
    const moved = await module.show(main, contextOf(wanted, page));
    if (page !== current) return;
    page.moved = typeof moved === "function" ? moved : null;
    const title = main.querySelector("h1");
    if (!anew && !main.contains(document.activeElement)) (title ?? main).focus({ preventScroll: true });
    if (!anew) scrollTo(0, 0);
  } catch (error) {
    if (error.name === "AbortError" || page !== current) return;
    if (error.kind === "unauthorized" && await askKey()) {
      navigate({ anew: true });
      return;
    }
    if (error.kind === "network" || error.kind === "broken") connection.check();
    if (!error.kind) console.error(error);
    main.replaceChildren(h("h1", { tabIndex: -1, className: "visually-hidden" }, titleOf(entry)), failureBox(error, () => navigate({ anew: true })));
  } finally {
    if (page === current) main.removeAttribute("aria-busy");
  }
}

const titleOf = (entry) => (isEnglish() ? entry.en : entry.zh);

function drawNavigation() {
  element("nav").replaceChildren(...PAGES.map((entry) => h("li", {},
    h("a", { href: hrefOf(entry.name), "aria-current": current?.name === entry.name ? "page" : null }, icon(entry.icon), h("span", {}, titleOf(entry))))));
  // On a phone the pages are a strip; the one that is open should be in sight.
  element("nav").querySelector("[aria-current]")?.scrollIntoView({ block: "nearest", inline: "center" });
}

/** Asks for a key; whether one was given. Several failures at once ask once. */
let asking = null;
function askKey() {
  asking ??= askForKey().finally(() => { asking = null; });
  return asking;
}

async function askForKey() {
  const input = h("input", { type: "password", autocomplete: "off", required: true, "aria-label": t("consoleKey"), placeholder: t("consoleKey"), autofocus: true });
  const key = await dialog(t("keyTitle"), (close) => h("form", { className: "ask-body", onsubmit: (event) => {
    event.preventDefault();
    if (input.value.trim()) close(input.value.trim());
  } }, hasKey() && h("p", { className: "bad-text", role: "alert" }, t("keyBad")), h("p", {}, t("keyWhy")), input,
  h("p", { className: "ask-buttons" },
    h("button", { type: "button", className: "secondary", onclick: () => close(null) }, t("consoleCancel")),
    h("button", { className: "solid" }, t("keyUse")))));
  if (!key) return false;
  saveKey(key);
  return true;
}

async function changeKey() {
  const input = h("input", { type: "password", autocomplete: "off", "aria-label": t("consoleKey"), placeholder: t("consoleKey") });
  const answer = await dialog(t("consoleKey"), (close) => h("form", { className: "ask-body", onsubmit: (event) => {
    event.preventDefault();
    if (input.value.trim()) close(input.value.trim());
  } }, h("p", {}, t("keyWhy")), input, h("p", { className: "ask-buttons" },
    hasKey() && h("button", { type: "button", className: "secondary", onclick: () => close(false) }, t("keyForget")),
    h("button", { className: "solid" }, t("keyUse")))));
  if (answer === null) return;
  if (answer === false) {
    forgetKey();
    toast(t("keyForgotten"));
  } else {
    saveKey(answer);
  }
  navigate({ anew: true });
}

function showState() {
  document.title = t("consoleTitle");
  const language = element("language");
  language.textContent = t("otherLanguage");
  language.lang = isEnglish() ? "zh-CN" : "en";
  language.setAttribute("aria-label", `${t("otherLanguage")} · ${t("switchLanguage")}`);
  const { themeChoice = "auto" } = document.documentElement.dataset;
  const theme = t("theme", { choice: t({ auto: "themeAuto", light: "themeLight", dark: "themeDark" }[themeChoice]) });
  element("theme").setAttribute("aria-label", theme);
  element("theme").title = theme;
}

const connection = watchConnection((reachable) => {
  element("offline").hidden = reachable;
  say(t(reachable ? "consoleAgain" : "consoleOffline"));
});

element("skip").addEventListener("click", () => (element("main").querySelector("h1") ?? element("main")).focus());
element("key").addEventListener("click", changeKey);
element("theme").addEventListener("click", () => {
  const next = { auto: "light", light: "dark", dark: "auto" }[document.documentElement.dataset.themeChoice] ?? "auto";
  dispatchEvent(new CustomEvent("flightdeck-theme", { detail: next }));
  showState();
  say(element("theme").title);
});
element("language").addEventListener("click", async () => {
  if (current?.isDirty?.() && !await confirmed(t("leaveTitle"), t("leaveText"), t("leaveYes"), { bad: true })) return;
  toggleLanguage();
  showState();
  navigate({ anew: true });
});
addEventListener("hashchange", () => navigate());
addEventListener("beforeunload", (event) => { if (current?.isDirty?.()) event.preventDefault(); });
chooseLanguage();
showState();
navigate();
