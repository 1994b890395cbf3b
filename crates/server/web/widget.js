// The launcher that a host page loads: a button, and a frame with the chat page once it is opened. The page's styles
// stop at the shadow root, the conversation stays inside the frame on the server's own origin, and the two sides
// exchange nothing but messages, each checked for where it came from. What a page may say of it stands in
// docs/widget.md.
(() => {
  const script = document.currentScript;
  if (!script || window.Flightdeck) return;
  const home = new URL(".", script.src);
  const given = script.dataset;
  const english = (given.language ?? document.documentElement.lang ?? "").toLowerCase().startsWith("en");
  const texts = english ? { open: "Open the sales assistant", close: "Close the sales assistant", title: "Sales assistant" }
    : { open: "打开销售助手", close: "关闭销售助手", title: "销售助手" };
  const title = given.title || texts.title;
  const colour = CSS.supports("color", given.color ?? "") ? given.color : "#0a6470";
  const side = given.position === "left" ? "left" : "right";
  // Black or white on it, whichever reads better.
  const onColour = (() => {
    const canvas = document.createElement("canvas").getContext("2d");
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [red, green, blue] = canvas.getImageData(0, 0, 1, 1).data;
    return red * 0.299 + green * 0.587 + blue * 0.114 > 150 ? "#000" : "#fff";
  })();
  const listeners = new Map();
  let customer = given.customer || null;
  let frame = null;
  let ready = false;
  let waiting = [];

  const STYLE = `
    :host { all: initial }
    * { box-sizing: border-box }
    [hidden] { display: none !important }
    button { position: fixed; bottom: calc(20px + env(safe-area-inset-bottom)); ${side}: 20px; z-index: 2147483000; width: 56px;
      height: 56px; border: 0; border-radius: 28px; padding: 0; display: grid; place-items: center; cursor: pointer;
      background: var(--colour); color: var(--on-colour); box-shadow: 0 2px 12px rgb(0 0 0 / .28) }
    button:focus-visible { outline: 3px solid #fff; box-shadow: 0 0 0 6px #14201f }
    svg { width: 30px; height: 30px; fill: none; stroke: currentColor; stroke-width: 1.6; stroke-linecap: round; stroke-linejoin: round }
    iframe { position: fixed; bottom: calc(88px + env(safe-area-inset-bottom)); ${side}: 20px; z-index: 2147483001; width: min(420px, calc(100vw - 40px));
      height: min(680px, calc(100dvh - 112px)); border: 1px solid rgb(0 0 0 / .2); border-radius: 10px; background: Canvas;
      box-shadow: 0 8px 40px rgb(0 0 0 / .28) }
    @media (max-width: 560px) {
      iframe { inset: auto 0 0; width: 100%; height: calc(100dvh - 24px - env(safe-area-inset-top)); border-width: 1px 0 0; border-radius: 14px 14px 0 0 }
      button[aria-expanded=true] { display: none }
    }
    @media (prefers-color-scheme: dark) { iframe { border-color: rgb(255 255 255 / .2) } }`;

  // What the page's own styles say must not hide or move it; a rule of theirs with !important loses to these.
  const host = document.createElement("div");
  for (const [name, value] of [["all", "initial"], ["display", "block"], ["position", "static"]]) host.style.setProperty(name, value, "important");
  const root = host.attachShadow({ mode: "closed" });
  const sheet = new CSSStyleSheet();
  sheet.replaceSync(STYLE);
  root.adoptedStyleSheets = [sheet];
  const button = document.createElement("button");
  button.type = "button";
  button.style.setProperty("--colour", colour);
  button.style.setProperty("--on-colour", onColour);
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 24 24");
  svg.setAttribute("aria-hidden", "true");
  const path = document.createElementNS("http://www.w3.org/2000/svg", "path");
  path.setAttribute("d", "M2 12a10 10 0 1 0 20 0 10 10 0 0 0-20 0M2.5 14h5l4.5-4 4.5 4h5");
  svg.append(path);
  button.append(svg);
  root.append(button);

  const isOpen = () => Boolean(frame && !frame.hidden);
  const show = () => {
    button.setAttribute("aria-expanded", String(isOpen()));
    button.setAttribute("aria-label", isOpen() ? texts.close : `${texts.open}: ${title}`);
  };
  const emit = (name, detail) => {
    for (const listener of listeners.get(name) ?? []) {
      try { listener(detail); } catch (error) { setTimeout(() => { throw error; }); }
    }
  };
  const post = (message) => {
    if (ready) frame.contentWindow.postMessage({ flightdeck: 1, ...message }, home.origin);
    else waiting.push(message);
  };

  function makeFrame() {
    frame = document.createElement("iframe");
    frame.title = title;
    frame.allow = "clipboard-write";
    // The server lets this page show the frame, if it may, and no other.
    const source = new URL("widget", home);
    source.searchParams.set("origin", location.origin);
    frame.src = source.href;
    root.append(frame);
  }

  // A token names the rep who is looking; the page's own server signs it, anew each time it is asked.
  async function sendToken() {
    let token = null;
    try {
      const response = await fetch(new URL(given.tokenUrl, document.baseURI), { credentials: "same-origin", cache: "no-store" });
      if (response.ok) token = (await response.text()).trim();
    } catch { /* The frame says that nobody is signed in. */ }
    post({ type: "token", token });
  }

  function open() {
    if (!frame) makeFrame();
    if (isOpen() && ready) return;
    frame.hidden = false;
    show();
    frame.focus();
    post({ type: "focus" });
    emit("open");
  }

  function close() {
    if (!isOpen()) return;
    frame.hidden = true;
    show();
    button.focus();
    emit("close");
  }

  addEventListener("message", ({ source, origin, data }) => {
    if (!frame || source !== frame.contentWindow || origin !== home.origin || data?.flightdeck !== 1) return;
    if (data.type === "ready") {
      ready = true;
      let starters;
      try { starters = JSON.parse(given.starters ?? "null"); } catch { starters = null; }
      post({ type: "config", config: { key: given.key, token: given.token, renews: Boolean(given.tokenUrl), audience: given.audience, language: given.language ?? (english ? "en" : undefined), title, colour, customer, starters } });
      for (const message of waiting) post(message);
      waiting = [];
      emit("ready");
    } else if (data.type === "close") close();
    else if (data.type === "token") {
      if (given.tokenUrl) sendToken();
      emit("token");
    } else if (["question", "answer", "error"].includes(data.type)) emit(data.type, data.detail);
  });
  button.addEventListener("click", () => (isOpen() ? close() : open()));

  window.Flightdeck = Object.freeze({
    open,
    close,
    ask(question) { open(); post({ type: "ask", question: String(question) }); },
    toggle() { if (isOpen()) close(); else open(); },
    setToken(token) { post({ type: "token", token: String(token) }); },
    setCustomer(next) { customer = next ?? null; if (ready) post({ type: "customer", customer }); },
    on(name, listener) {
      if (!listeners.has(name)) listeners.set(name, new Set());
      listeners.get(name).add(listener);
      return () => listeners.get(name).delete(listener);
    },
  });
  show();
  const place = () => document.body.append(host);
  if (document.body) place(); else addEventListener("DOMContentLoaded", place);
})();
