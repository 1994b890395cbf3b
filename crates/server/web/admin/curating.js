// What the pages of curation have in common: the form that makes a row of an answer, marked words, bars.

import { send } from "../api.js";
import { h } from "../dom.js";
import { addTexts, t } from "../i18n.js";
import { toast } from "./toolbox.js";

addTexts({
  rowQuestion: "问题", rowAnswer: "批准的答案", rowAnswerHint: "按你希望同事和客户看到的样子写；数字、期限、条件写全。",
  rowKeywords: "客户可能用的别的说法（可不填，用顿号分开）", rowAudience: "谁能看到这条答案",
  rowInternal: "只给内部", rowCustomer: "客户也能看", rowChoose: "请选择谁能看到", rowSave: "批准并写入资料",
  rowNote: "会写进 {path}，几秒后助手就会用它。之后也可以用表格软件打开修改。",
  fail_table_unfit: "没有写入：{message}",
}, {
  rowQuestion: "Question", rowAnswer: "Approved answer", rowAnswerHint: "Write it as colleagues and customers should read it, with figures, terms and conditions complete.",
  rowKeywords: "Other words that customers use for it (optional, separated by commas)", rowAudience: "Who may see this answer",
  rowInternal: "The company only", rowCustomer: "Customers too", rowChoose: "Please choose who may see it", rowSave: "Approve and write it down",
  rowNote: "It goes into {path}; in a few seconds the assistant uses it. You can change it later in a spreadsheet.",
  fail_table_unfit: "Not written: {message}",
});

/** Sends a change of which nothing comes back. */
export const act = (path, body) => send(path, { method: "POST", headers: { "content-type": "application/json" }, body: JSON.stringify(body) });

let forms = 0;

/** The form of a row; `save(row)` is given what stands in it. Who may see it is never chosen beforehand. */
export function rowForm({ question, answer = "", path, save, cancel }) {
  const name = `audience-${forms += 1}`;
  const asked = h("textarea", { rows: 2, required: true, maxLength: 4000, value: question });
  const written = h("textarea", { rows: 5, required: true, maxLength: 10000, value: answer, placeholder: t("rowAnswerHint") });
  const keywords = h("input", { type: "text", maxLength: 400 });
  const choice = (value, text) => h("label", { className: "choice" }, h("input", { type: "radio", name, value, required: true }), h("span", {}, text));
  const button = h("button", { className: "solid" }, t("rowSave"));
  const form = h("form", { className: "row-form", onsubmit: async (event) => {
    event.preventDefault();
    const audience = form.querySelector(`[name=${name}]:checked`)?.value;
    if (!audience) {
      toast(t("rowChoose"), { bad: true });
      return;
    }
    button.disabled = true;
    await save({
      question: asked.value.trim(), answer: written.value.trim(), audience,
      keywords: keywords.value.split(/[、,，;；\n]/).map((word) => word.trim()).filter(Boolean).slice(0, 50),
    });
    button.disabled = false;
  } },
  h("label", {}, t("rowQuestion"), asked), h("label", {}, t("rowAnswer"), written), h("label", {}, t("rowKeywords"), keywords),
  h("fieldset", {}, h("legend", {}, t("rowAudience")), choice("internal", t("rowInternal")), choice("customer", t("rowCustomer"))),
  h("p", { className: "place" }, t("rowNote", { path })),
  h("p", { className: "ask-buttons" }, h("button", { type: "button", className: "secondary", onclick: cancel }, t("consoleCancel")), button));
  return form;
}

/** A passage with its marked words, from the server's escaped text: taken apart here, never inserted as markup. */
export function marked(escaped) {
  const plain = (text) => text.replace(/&(lt|gt|quot|#39|amp);/g, (_, name) => ({ lt: "<", gt: ">", quot: "\"", "#39": "'", amp: "&" })[name]);
  return escaped.split("<mark>").flatMap((part, idx) => {
    if (idx === 0) return [plain(part)];
    const [word, rest = ""] = part.split("</mark>");
    return [h("mark", {}, plain(word)), plain(rest)];
  });
}

/** A bar of `value` out of `most`, with its figure beside it; the figure says it to those who cannot see the bar. */
export function bar(value, most, text, className = "") {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg");
  svg.setAttribute("viewBox", "0 0 100 8");
  svg.setAttribute("preserveAspectRatio", "none");
  svg.setAttribute("aria-hidden", "true");
  const rect = document.createElementNS("http://www.w3.org/2000/svg", "rect");
  rect.setAttribute("width", String(most > 0 ? Math.max(0, Math.min(100, 100 * value / most)) : 0));
  rect.setAttribute("height", "8");
  svg.append(rect);
  return h("span", { className: `bar-row ${className}` }, svg, h("span", { className: "bar-figure" }, text));
}
