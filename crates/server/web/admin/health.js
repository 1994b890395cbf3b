// Health: what is wrong in the knowledge and how to mend it, what runs out, and what the index is doing, live.

import { get } from "../api.js";
import { h } from "../dom.js";
import { addTexts, t } from "../i18n.js";
import { hrefOf } from "./frame.js";
import { problemItem } from "./problems.js";
import { count, empty, heading, pill } from "./toolbox.js";

addTexts({
  healthTitle: "检查", healthLead: "资料里哪里不对、怎么改，哪些快到期，以及更新到哪一步了。",
  healthIdle: "一切都是最新的：{documents} 份资料，{passages} 段。", healthReading: "正在读文件…", healthEmbedding: "正在学习新内容：{done} / {total}", healthWriting: "正在写入，马上生效…",
  healthFailed: "上次更新没有成功，还在用之前的内容：{error}", healthChecking: "正在检查，请稍等…",
  healthErrors: "要处理（{n}）", healthWarnings: "请看看（{n}）", healthGood: "没有发现问题", healthGoodText: "文件都读得到，也没有发现重复、矛盾或外泄的风险。",
  healthExpiring: "30 天内到期和已经过期的", healthNoOwner: "没有写负责人", healthNone: "没有快到期的资料。", healthOver: "已过期", healthMore: "还有 {n} 个",
}, {
  healthTitle: "Health", healthLead: "What is wrong in the knowledge and how to mend it, what runs out, and how far an update is.",
  healthIdle: "All is up to date: {documents} documents, {passages} passages.", healthReading: "Reading files …", healthEmbedding: "Learning what is new: {done} / {total}", healthWriting: "Writing; live in a moment …",
  healthFailed: "The last update failed; answers still come from what was there before: {error}", healthChecking: "Looking through the documents …",
  healthErrors: "Must be mended ({n})", healthWarnings: "Worth a look ({n})", healthGood: "Nothing wrong was found", healthGoodText: "All files can be read, and nothing is said twice, contradicted or let out.",
  healthExpiring: "Expiring within 30 days, and expired", healthNoOwner: "No owner named", healthNone: "Nothing expires soon.", healthOver: "expired", healthMore: "{n} more",
});

const BUSY = 700;
const CALM = 5000;
const FIRST_SHOWN = 50;

export async function show(main, context) {
  const state = h("div", { className: "panel health-state", role: "status" });
  const problems = h("section");
  const expiring = h("section");
  let drawn = "";
  await look();
  main.append(heading(t("healthTitle"), t("healthLead")), state, problems, expiring);

  async function look() {
    const health = await get("knowledge/health", {}, context.signal);
    drawState(health);
    // What somebody is reading must not be drawn anew under their eyes when it is the same.
    const now = JSON.stringify([health.problems, health.expiring, health.is_checking]);
    if (now !== drawn) {
      drawn = now;
      drawProblems(health);
      drawExpiring(health);
    }
    const isBusy = health.indexing.step !== "idle" || health.is_checking;
    setTimeout(again, isBusy ? BUSY : CALM);
  }

  async function again() {
    if (context.signal.aborted) return;
    try {
      await look();
    } catch (error) {
      // A page that looks by itself stays quiet; the bar above says when the server is gone.
      if (error.name !== "AbortError") setTimeout(again, CALM);
    }
  }

  function drawState({ indexing, documents, passages }) {
    const { step, done, total, error } = indexing;
    const text = { idle: "healthIdle", reading: "healthReading", embedding: "healthEmbedding", writing: "healthWriting" }[step];
    const said = t(text, { documents: count(documents), passages: count(passages), done: count(done), total: count(total) });
    if (state.dataset.said === said + (error ?? "")) return;
    state.dataset.said = said + (error ?? "");
    state.replaceChildren(h("p", {}, said), step === "embedding" ? h("progress", { max: total, value: done, "aria-label": said }) : "",
      error ? h("p", { className: "bad-text" }, t("healthFailed", { error })) : "");
  }

  function drawProblems({ problems: all, is_checking: isChecking }) {
    const bySeverity = (severity) => all.filter((problem) => problem.severity === severity);
    const group = (title, list) => list.length > 0 && [h("h2", {}, t(title, { n: list.length })), longList(list)];
    problems.replaceChildren(...[
      isChecking && h("p", { className: "working" }, t("healthChecking")),
      group("healthErrors", bySeverity("error")), group("healthWarnings", bySeverity("warning")),
      !all.length && !isChecking && empty(t("healthGood"), t("healthGoodText")),
    ].flat().filter(Boolean));
  }

  function longList(list) {
    const node = h("ul", { className: "problems" }, list.slice(0, FIRST_SHOWN).map((problem) => problemItem(problem)));
    const rest = list.slice(FIRST_SHOWN);
    if (rest.length) {
      const more = h("li", {}, h("button", { type: "button", className: "plain", onclick: () => { more.replaceWith(...rest.map((problem) => problemItem(problem))); } }, t("healthMore", { n: rest.length })));
      node.append(more);
    }
    return node;
  }

  function drawExpiring({ expiring: owners }) {
    expiring.replaceChildren(h("h2", {}, t("healthExpiring")), ...(owners.length ? owners.map(({ owner, documents }) => h("div", { className: "owner" },
      h("h3", {}, owner ?? t("healthNoOwner")),
      h("ul", { className: "expiring" }, documents.map((document) => h("li", {}, h("a", { href: hrefOf("documents", [document.path]) }, document.title), " ",
        pill(document.is_over ? `${t("healthOver")} ${document.valid_until}` : document.valid_until, document.is_over ? "bad" : "wait")))))) : [h("p", { className: "note" }, t("healthNone"))]));
  }
}
