// Files from a person's machine into the folder, each with how far it is, until the assistant has read it; and a new
// document begun from nothing.

import { h } from "../dom.js";
import { nameOf, t } from "../i18n.js";
import { readSource, untilIndexed, writeSource } from "./source.js";
import { confirmed, dialog, failureText, say } from "./toolbox.js";

const FOLDERS = ["products", "cases", "faqs", "qa-history", "videos", "objections", "templates", "service", "company", "competitors"];
const joined = (folder, name) => (folder ? `${folder}/${name}` : name);

function folderField(label, chosen) {
  const folders = chosen && !FOLDERS.includes(chosen) ? [chosen, ...FOLDERS] : FOLDERS;
  const select = h("select", { name: "folder" }, folders.map((folder) => h("option", { value: folder }, nameOf("folderNames", folder))));
  select.value = chosen || "products";
  return { select, node: h("label", {}, label, select) };
}

/** Asks where to, uploads one after the other, and calls `done(paths)` with those that came in. */
export async function uploadFiles(files, folder, context, done) {
  const field = folderField(t("uploadWhere"), folder);
  const came = [];
  const lines = files.map((file) => {
    const bar = h("progress", { max: 1, value: 0, "aria-label": file.name });
    const told = h("span", { className: "place" });
    return { file, bar, told, node: h("li", {}, h("span", {}, file.name), bar, told) };
  });
  await dialog(t("uploadTitle", { n: files.length }), (close) => {
    const go = h("button", { type: "button", className: "solid", onclick: async () => {
      if (go.dataset.done) {
        close();
        return;
      }
      go.disabled = true;
      field.select.disabled = true;
      for (const line of lines) {
        const path = joined(field.select.value, line.file.name);
        if (await one(line, path, context.signal)) came.push(path);
      }
      go.dataset.done = "yes";
      go.disabled = false;
      go.textContent = t("uploadFinish");
      go.focus();
    } }, t("uploadGo"));
    return h("div", { className: "ask-body" }, field.node, h("ul", { className: "uploads" }, lines.map(({ node }) => node)), h("p", { className: "ask-buttons" }, go));
  });
  if (came.length) await context.attempt(() => done(came));
}

/** Whether the file is in the folder now. */
async function one({ file, bar, told }, path, signal) {
  const tell = (text) => { told.textContent = text; say(`${file.name} ${text}`); };
  const send = (tag) => writeSource(path, file, { tag, signal, progress: (share) => { bar.value = share * 0.7; } });
  tell(t("uploading"));
  try {
    try {
      await send(null);
    } catch (error) {
      if (error.code !== "exists") throw error;
      if (!await asked(told, file.name)) {
        tell(t("uploadSkip"));
        return false;
      }
      await send((await readSource(path, { signal })).tag);
    }
    bar.value = 0.8;
    tell(t("uploadRead"));
    const read = await untilIndexed(path, signal);
    bar.value = 1;
    const [problem] = read?.problems?.filter(({ severity }) => severity === "error") ?? [];
    if (problem) tell(document.documentElement.lang === "en" ? problem.message : problem.message_zh);
    else tell(t(read ? "uploadDone" : "uploadSlow"));
    return true;
  } catch (error) {
    if (error.name !== "AbortError") tell(`${t("uploadFailed")}：${failureText(error)}`);
    return false;
  }
}

/** Asks in the line itself, because a dialog is open already. */
function asked(told, name) {
  return new Promise((answer) => {
    const yes = h("button", { type: "button", className: "plain", onclick: () => answer(true) }, t("uploadReplace"));
    told.replaceChildren(`${t("uploadExists", { name })}。${t("uploadExistsText")} `, yes, " ", h("button", { type: "button", className: "plain", onclick: () => answer(false) }, t("uploadSkip")));
    yes.focus();
  });
}

/** A new state of a file that has its own program. */
export function replaceFile(file, context, done) {
  const extension = file.path.slice(file.path.lastIndexOf("."));
  const chooser = h("input", { type: "file", accept: extension, onchange: () => context.attempt(async () => {
    const [given] = chooser.files;
    if (!given || !await confirmed(t("uploadExists", { name: file.path }), t("uploadExistsText"), t("uploadReplace"))) return;
    await writeSource(file.path, given, { tag: `"${file.tag}"` });
    await done();
  }) });
  chooser.click();
}

/** Begins a document; `done(path)` opens it. */
export async function newDocument(folder, context, done) {
  const field = folderField(t("newWhere"), folder);
  const title = h("input", { name: "title", required: true, maxLength: 80, placeholder: t("newNameHint"), autofocus: true });
  const wanted = await dialog(t("newTitle"), (close) => h("form", { className: "ask-body", onsubmit: (event) => {
    event.preventDefault();
    if (title.value.trim()) close({ title: title.value.trim(), folder: field.select.value });
  } }, h("label", {}, t("newName"), title), field.node, h("p", { className: "note" }, t("newAsDraft")),
  h("p", { className: "ask-buttons" }, h("button", { type: "button", className: "secondary", onclick: () => close(null) }, t("consoleCancel")), h("button", { className: "solid" }, t("newGo")))));
  if (!wanted) return;
  await context.attempt(async () => {
    const name = wanted.title.replace(/[\\/:*?"<>|\p{Cc}]/gu, " ").replace(/\s+/g, " ").replace(/^[._~\s]+|[.\s]+$/g, "").slice(0, 60).trim() || "new";
    const path = joined(wanted.folder, `${name}.md`);
    await writeSource(path, `---\ntitle: ${JSON.stringify(wanted.title)}\nstatus: draft\naudience: internal\n---\n${t("newBody", { title: wanted.title })}`);
    done(path);
  });
}
