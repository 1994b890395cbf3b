// Documents: what lies in the knowledge folder, how each file fares, and all that can be done with one.
// The list stays while one file after another is opened beside it; on a phone it is the list or a file.

import { get } from "../api.js";
import { h, icon } from "../dom.js";
import { nameOf, t } from "../i18n.js";
import { fileView } from "./file.js";
import { hrefOf } from "./frame.js";
import "./documents.texts.js";
import { count, empty, pill, searchBox } from "./toolbox.js";
import { uploadFiles, newDocument } from "./upload.js";

/** How a state looks. */
export const TONES = { served: "good", draft: "wait", scheduled: "wait", expiring: "wait", expired: "bad", error: "bad" };

export async function show(main, context) {
  let files = [];
  let { query } = context;
  const list = h("div", { className: "docs-list" });
  const told = h("p", { className: "note", role: "status" });
  const room = h("section", { className: "docs-file", "aria-label": t("docsFile") });
  const states = h("select", { "aria-label": t("docsColumnState"), onchange: () => filter() },
    h("option", { value: "" }, t("docsAllStates")),
    ["served", "expiring", "expired", "draft", "scheduled", "archived", "error"].map((state) => h("option", { value: state }, nameOf("fileStates", state))));
  states.value = query.get("state") ?? "";
  const words = searchBox(t("docsSearch"), query.get("q") ?? "", () => filter());
  const chooser = h("input", { type: "file", multiple: true, hidden: true, onchange: () => { take(chooser.files); chooser.value = ""; } });
  const page = h("div", { className: "docs" },
    h("div", { className: "docs-side" },
      h("div", { className: "docs-top" }, h("h1", { tabIndex: -1 }, t("docsTitle")),
        h("button", { type: "button", className: "secondary", onclick: () => newDocument(folderNow(), context, (path) => context.go("documents", [path], { view: "edit" })) }, t("docsNew")),
        h("button", { type: "button", className: "solid", onclick: () => chooser.click() }, icon("M12 16V4M7 9l5-5 5 5M5 20h14"), t("docsUpload")), chooser),
      h("div", { className: "docs-find" }, words, states), told, list),
    room);

  const folderNow = () => (context.path[0]?.includes("/") ? context.path[0].slice(0, context.path[0].lastIndexOf("/")) : "");
  const take = (given) => { if (given.length) uploadFiles([...given], folderNow(), context, async (paths) => { await read(); if (paths.length === 1) context.go("documents", paths); }); };

  // Files can be let go anywhere on the page.
  const isFiles = (event) => event.dataTransfer?.types.includes("Files");
  main.addEventListener("dragover", (event) => { if (isFiles(event)) { event.preventDefault(); page.classList.add("dropping"); } }, { signal: context.signal });
  main.addEventListener("dragleave", (event) => { if (!main.contains(event.relatedTarget)) page.classList.remove("dropping"); }, { signal: context.signal });
  main.addEventListener("drop", (event) => {
    if (!isFiles(event)) return;
    event.preventDefault();
    page.classList.remove("dropping");
    take(event.dataTransfer.files);
  }, { signal: context.signal });

  async function read() {
    ({ files } = await get("knowledge/files", { q: words.value.trim(), state: states.value }, context.signal));
    draw();
  }

  function filter() {
    query = new URLSearchParams({ ...(words.value.trim() && { q: words.value.trim() }), ...(states.value && { state: states.value }) });
    context.change(context.path, Object.fromEntries(query));
    context.attempt(read);
  }

  function draw() {
    const isNarrowed = words.value.trim() || states.value;
    told.textContent = files.length ? t("docsCount", { n: count(files.length) }) : "";
    if (!files.length) {
      list.replaceChildren(empty(t(isNarrowed ? "docsNotFound" : "docsNone"), t(isNarrowed ? "docsNotFoundText" : "docsNoneText")));
      return;
    }
    const folders = Map.groupBy(files, ({ path }) => path.slice(0, Math.max(path.lastIndexOf("/"), 0)));
    list.replaceChildren(...[...folders].map(([folder, its]) => h("details", { open: true },
      h("summary", {}, h("span", {}, nameOf("folderNames", folder) || t("docsTop")), h("span", { className: "place" }, String(its.length))),
      h("ul", {}, its.map(item)))));
  }

  function item(file) {
    const name = file.path.slice(file.path.lastIndexOf("/") + 1);
    return h("li", {}, h("a", { href: hrefOf("documents", [file.path], Object.fromEntries(query)), "aria-current": context.path[0] === file.path ? "true" : null },
      h("span", { className: "docs-name" }, file.title),
      h("span", { className: "docs-meta" }, file.title !== name && h("span", { className: "path" }, name), file.documents > 1 && t("docsRows", { n: file.documents }),
        file.state !== "served" && pill(nameOf("fileStates", file.state), TONES[file.state]))));
  }

  async function open(next) {
    context = next;
    const [path] = next.path;
    page.classList.toggle("has-file", Boolean(path));
    for (const link of list.querySelectorAll("a")) {
      if (link.getAttribute("href").split("?")[0] === hrefOf("documents", [path ?? ""])) link.setAttribute("aria-current", "true");
      else link.removeAttribute("aria-current");
    }
    if (path) await fileView(room, path, next, read);
    else room.replaceChildren(h("div", { className: "docs-hint" }, h("p", {}, t("docsHint")), h("p", { className: "note" }, t("docsDrop"))));
  }

  await read();
  main.append(page);
  await open(context);
  return open;
}

