// A finding with the way to mend it.

import { h } from "../dom.js";
import { addTexts, isEnglish, t } from "../i18n.js";
import { hrefOf } from "./frame.js";
import { pill } from "./toolbox.js";

addTexts({ problemError: "要处理", problemWarning: "请看看", problemMend: "怎么办：", problemLine: "第 {n} 行" },
  { problemError: "Must be mended", problemWarning: "Worth a look", problemMend: "To mend it:", problemLine: "line {n}" });

export function problemItem(problem, { withPath = true } = {}) {
  const isError = problem.severity === "error";
  const [message, advice] = isEnglish() ? [problem.message, problem.advice] : [problem.message_zh, problem.advice_zh];
  const line = problem.line === null ? null : t("problemLine", { n: problem.line });
  return h("li", { className: "problem", data: { code: problem.code } },
    h("p", { className: "problem-head" }, pill(t(isError ? "problemError" : "problemWarning"), isError ? "bad" : "wait"), h("span", {}, message)),
    h("p", { className: "problem-advice" }, h("span", { className: "place" }, t("problemMend")), " ", advice),
    (withPath || line) && h("p", { className: "place" }, withPath && h("a", { className: "path", href: hrefOf("documents", [problem.path]) }, problem.path), withPath && line && " · ", line));
}
