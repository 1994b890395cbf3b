// Documents: what lies in the knowledge folder and how each file fares.

import { get } from "../api.js";
import { h } from "../dom.js";
import { addTexts, nameOf, t } from "../i18n.js";
import { count, empty, heading, pill, searchBox, table } from "./toolbox.js";

addTexts({
  docsTitle: "资料", docsLead: "知识文件夹里的每个文件，以及助手现在怎么用它。", docsSearch: "查找：标题、正文、负责人",
  docsNone: "还没有资料。", docsNotFound: "没有找到。换个词试试。",
  docsColumnTitle: "标题", docsColumnKind: "类别", docsColumnState: "状态", docsColumnAudience: "谁能看", docsColumnPassages: "段落",
  fileStates: { served: "使用中", archived: "已归档", scheduled: "未到生效日", draft: "草稿", expiring: "快到期", expired: "已过期", error: "读不了" },
}, {
  docsTitle: "Documents", docsLead: "Every file of the knowledge folder, and what the assistant makes of it now.", docsSearch: "Find: title, text, owner",
  docsNone: "There are no documents yet.", docsNotFound: "Nothing found. Try other words.",
  docsColumnTitle: "Title", docsColumnKind: "Kind", docsColumnState: "State", docsColumnAudience: "Who may see it", docsColumnPassages: "Passages",
  fileStates: { served: "In use", archived: "Archived", scheduled: "Not yet valid", draft: "Draft", expiring: "Expires soon", expired: "Expired", error: "Unreadable" },
});

const TONES = { served: "good", draft: "wait", scheduled: "wait", expiring: "wait", expired: "bad", error: "bad" };

export async function show(main, context) {
  const room = h("div");
  const words = context.query.get("q") ?? "";
  await draw(words);
  main.append(heading(t("docsTitle"), t("docsLead")),
    h("div", { className: "filters" }, searchBox(t("docsSearch"), words, (text) => {
      context.change([], { q: text });
      context.attempt(() => draw(text));
    })), room);

  async function draw(q) {
    const { files } = await get("knowledge/files", { q }, context.signal);
    room.replaceChildren(files.length ? table(t("docsTitle"), [
      { label: t("docsColumnTitle"), cell: (file) => [file.title, h("div", { className: "place path" }, file.path)] },
      { label: t("docsColumnKind"), cell: (file) => nameOf("kinds", file.kind) },
      { label: t("docsColumnState"), cell: (file) => pill(nameOf("fileStates", file.state), TONES[file.state]) },
      { label: t("docsColumnAudience"), cell: (file) => t(file.audience === "customer" ? "badgeCustomer" : "badgeInternal") },
      { label: t("docsColumnPassages"), number: true, cell: (file) => count(file.passages) },
    ], files) : empty(t(q ? "docsNotFound" : "docsNone")));
  }
}
