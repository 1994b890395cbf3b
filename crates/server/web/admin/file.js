// One file: what the assistant sees in it, what is said about it, its text to edit, its history, and what can be done
// with it.

import { h } from "../dom.js";
import { nameOf, t } from "../i18n.js";
import { placeOf } from "../view.js";
import { about as aboutForm } from "./about.js";
import { TONES } from "./documents.js";
import { editor } from "./editor.js";
import { hrefOf } from "./frame.js";
import { deleteSource, download, readFile, readSource, restore, setStatus, untilIndexed } from "./source.js";
import { confirmed, empty, pill, toast, working } from "./toolbox.js";
import { history } from "./versions.js";
import { problemItem } from "./problems.js";

const VIEWS = ["passages", "about", "edit", "versions"];
const nameIn = (path) => path.slice(path.lastIndexOf("/") + 1);

/** Shows the file at `path` in `room`; `changed()` is called when the list may be another. */
export async function fileView(room, path, context, changed) {
  if (!room.dataset.path || room.dataset.path !== path) room.replaceChildren(working());
  room.dataset.path = path;
  const back = h("a", { className: "plain docs-back", href: hrefOf("documents") }, `‹ ${t("docsBack")}`);
  let file;
  try {
    file = await readFile(path, context.signal);
  } catch (error) {
    if (error.kind !== "notFound") throw error;
    const past = h("div");
    room.replaceChildren(back, h("h2", { tabIndex: -1 }, nameIn(path)), past);
    const versions = await history(past, path, context, { after: reload, isGone: true });
    if (versions.length) past.before(empty(t("fileDeletedNow"), t("fileDeletedText")));
    else past.replaceChildren(empty(t("fileGone"), t("fileGoneText")));
    return;
  }
  const wanted = context.query.get("view");
  const view = VIEWS.includes(wanted) ? wanted : "passages";
  const state = h("p", { className: "file-state", role: "status" });
  const body = h("div", { className: "file-body" });
  room.replaceChildren(back,
    head(),
    file.problems.length ? h("ul", { className: "problems" }, file.problems.map((problem) => problemItem(problem, { withPath: false }))) : "",
    state,
    h("nav", { className: "views", "aria-label": file.title }, VIEWS.map((name) =>
      h("a", { href: hrefOf("documents", [path], { ...Object.fromEntries(context.query), view: name === "passages" ? "" : name }), "aria-current": name === view ? "page" : null }, nameOf("fileViews", name)))),
    body);
  if (view === "about") await aboutForm(body, file, context, afterChange);
  else if (view === "edit") await editor(body, file, context, afterChange, reload);
  else if (view === "versions") await history(body, path, context, { after: afterRestore, isGone: false });
  else passages(body, file);
  if (!file.is_indexed) settle(t("fileNotIndexed"));

  function head() {
    return h("header", { className: "file-head" },
      h("h2", { tabIndex: -1 }, file.title),
      h("p", { className: "place" }, h("span", { className: "path" }, file.path)),
      h("p", { className: "file-marks" }, pill(nameOf("fileStates", file.state), TONES[file.state]), h("span", { className: "tag" }, nameOf("kinds", file.kind)),
        h("span", { className: file.audience === "customer" ? "badge" : "badge internal" }, t(file.audience === "customer" ? "badgeCustomer" : "badgeInternal")),
        file.owner && h("span", { className: "place" }, t("fileOwner", { name: file.owner })),
        file.valid_until && h("span", { className: "place" }, t("fileUntil", { date: file.valid_until }))),
      h("div", { className: "page-actions" }, actions()));
  }

  function actions() {
    const status = (name, label, done, className = "secondary") => h("button", { type: "button", className, onclick: (event) => context.attempt(async () => {
      event.target.disabled = true;
      try {
        await setStatus(path, name);
        toast(t(done));
        await afterChange();
      } finally { event.target.disabled = false; }
    }) }, t(label));
    const isOut = file.state === "draft" || file.state === "archived";
    return [
      isOut && status("published", "filePublish", "filePublished", "solid"),
      !isOut && file.documents > 0 && status("draft", "fileDraft", "fileDrafted"),
      file.state !== "archived" && file.documents > 0 && status("archived", "fileArchive", "fileArchived"),
      h("button", { type: "button", className: "secondary", onclick: () => context.attempt(async () => download((await readSource(path)).bytes, nameIn(path))) }, t("fileDownload")),
      file.tag && h("button", { type: "button", className: "secondary danger", onclick: remove }, t("fileDelete")),
    ];
  }

  async function remove() {
    if (!await confirmed(t("fileDeleteTitle", { name: nameIn(path) }), t("fileDeleteText"), t("fileDelete"), { bad: true })) return;
    await context.attempt(async () => {
      await deleteSource(path, `"${file.tag}"`);
      toast(t("fileDeleted"), { action: [t("fileUndo"), () => context.attempt(undo)] });
      context.go("documents");
      await untilIndexed(path);
      await changed();
    });
  }

  async function undo() {
    const { readVersions } = await import("./source.js");
    const [last] = await readVersions(path);
    await restore(path, last.id);
    await untilIndexed(path);
    await changed();
    context.go("documents", [path]);
  }

  /** Waits until the index has the change, and says so. */
  async function settle(text) {
    state.textContent = text;
    await context.attempt(async () => {
      const fresh = await untilIndexed(path, context.signal);
      if (room.dataset.path !== path || !body.isConnected) return;
      await changed();
      // What somebody writes in or reads by now must not be taken from under their eyes; the head says the news.
      if (body.querySelector("textarea, form, .difference:not(:empty)")) {
        if (fresh?.path) {
          file = { ...fresh, tag: file.tag };
          room.querySelector(".file-head").replaceWith(head());
        }
      } else {
        await reload();
      }
      const now = room.querySelector(".file-state");
      if (now) now.textContent = t("fileLive");
    });
  }

  async function afterChange() {
    await reload();
  }

  async function afterRestore() {
    toast(t("versionRestored"));
    await reload();
  }

  async function reload() {
    context.guard(null);
    await fileView(room, path, context, changed);
  }
}

function passages(body, file) {
  const total = file.contents.reduce((sum, { passages: its }) => sum + its.length, 0);
  if (!total) {
    body.replaceChildren(empty(t("fileNoPassages"), ""));
    return;
  }
  const isTable = file.contents.length > 1;
  body.replaceChildren(h("p", { className: "note" }, t("filePassages", { n: total })),
    ...file.contents.map((document) => h("article", { className: "content" },
      isTable && h("h3", {}, document.title, " ", document.state !== file.state && pill(nameOf("fileStates", document.state), TONES[document.state])),
      about(document).map((line) => h("p", { className: "place" }, line)),
      h("ol", { className: "passages" }, document.passages.map((passage) => h("li", {},
        h("p", { className: "place" }, placeOf(passage.location)),
        h("p", { className: "passage" }, passage.text)))))),
    file.documents > file.contents.length ? h("p", { className: "note" }, t("fileMoreDocuments", { n: file.contents.length })) : "");
}

function about({ industry, product, tags, keywords, valid_from: from }) {
  const list = [...product, ...industry, ...tags];
  return [list.length && t("fileAbout", { list: list.join("、") }), keywords.length && t("fileKeywords", { list: keywords.join("、") }), from && t("fileFrom", { date: from })].filter(Boolean);
}
