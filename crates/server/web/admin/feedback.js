// Feedback: what people thought of answers, and the way from a good correction to the knowledge.

import { get, post } from "../api.js";
import { h } from "../dom.js";
import { addTexts, t } from "../i18n.js";
import { act, rowForm } from "./curating.js";
import { hrefOf } from "./frame.js";
import { empty, heading, pill, toast, when } from "./toolbox.js";

addTexts({
  fbTitle: "反馈", fbLead: "同事和客户对回答的评价。更正只是提议，批准之后才会成为资料；好的回答也可以批准成一条问答。",
  fbFilter: "显示哪些", fbOpen: "待处理", fbApproved: "已写入资料", fbDismissed: "不采纳", fbRating: "评价", fbAny: "全部评价", fbDown: "没用或有错", fbUp: "有用", fbCorrected: "带更正的",
  fbNone: "没有待处理的反馈。", fbNoneText: "有人给回答点“没用”或写了更正，会出现在这里。", fbNoneElse: "这里没有内容。",
  fbAsked: "问题", fbAnswered: "当时的回答", fbCorrection: "提出的更正", fbWhy: "原因：{why}", fbBy: "{who} · {when}", fbNobody: "本机", fbCustomer: "回答给客户", fbInternal: "回答给内部",
  fbApprove: "批准成问答", fbDismiss: "不采纳", fbReopen: "放回待处理", fbTry: "试问", fbSaved: "已写入 {path}，几秒后生效。", fbMore: "更早的", fbSettled: "由 {who} 处理", fbNoQuestion: "（没有问题原文）",
}, {
  fbTitle: "Feedback", fbLead: "What colleagues and customers thought of answers. A correction is an offer and becomes knowledge only when it is approved; a good answer can be approved as a row, too.",
  fbFilter: "Which to show", fbOpen: "To do", fbApproved: "In the knowledge", fbDismissed: "Not taken", fbRating: "Opinion", fbAny: "All opinions", fbDown: "Useless or wrong", fbUp: "Useful", fbCorrected: "With a correction",
  fbNone: "There is nothing to do.", fbNoneText: "When somebody calls an answer useless or corrects it, it shows up here.", fbNoneElse: "There is nothing here.",
  fbAsked: "Question", fbAnswered: "The answer at the time", fbCorrection: "The correction offered", fbWhy: "Why: {why}", fbBy: "{who} · {when}", fbNobody: "this machine", fbCustomer: "answer for a customer", fbInternal: "answer for the company",
  fbApprove: "Approve as a row", fbDismiss: "Not taken", fbReopen: "Put it back", fbTry: "Try it", fbSaved: "Written to {path}; live in a few seconds.", fbMore: "Earlier", fbSettled: "settled by {who}", fbNoQuestion: "(no question)",
});

const STATES = [["open", "fbOpen"], ["approved", "fbApproved"], ["dismissed", "fbDismissed"]];
const RATINGS = [["", "fbAny"], ["down", "fbDown"], ["up", "fbUp"], ["corrected", "fbCorrected"]];

export async function show(main, context) {
  const room = h("div");
  const wanted = { state: context.query.get("state") ?? "open", kind: context.query.get("kind") ?? "" };
  const select = (name, label, options) => h("select", { "aria-label": t(label), onchange: (event) => {
    wanted[name] = event.target.value;
    context.change([], wanted);
    context.attempt(draw);
  } }, options.map(([value, text]) => h("option", { value, selected: value === wanted[name] }, t(text))));
  await draw();
  main.append(heading(t("fbTitle"), t("fbLead")),
    h("div", { className: "filters" }, select("state", "fbFilter", STATES), select("kind", "fbRating", RATINGS)), room);

  async function draw() {
    room.replaceChildren();
    await more(null);
    if (!room.children.length) room.append(wanted.state === "open" ? empty(t("fbNone"), t("fbNoneText")) : empty(t("fbNoneElse")));
  }

  async function more(after) {
    const query = { state: wanted.state, limit: 20, after, ...(wanted.kind === "corrected" ? { corrected: true } : { rating: wanted.kind }) };
    const { feedback, next } = await get("feedback", query, context.signal);
    room.append(...feedback.map((judged) => view(judged)));
    if (next) {
      const button = h("button", { type: "button", className: "secondary", onclick: () => context.attempt(async () => {
        button.remove();
        await more(next);
      }) }, t("fbMore"));
      room.append(button);
    }
  }

  function view(judged) {
    const { feedback: opinion } = judged;
    const place = h("div");
    const settle = (undo) => context.attempt(async () => {
      await act(`feedback/${encodeURIComponent(opinion.id)}/dismiss`, { undo });
      await draw();
    });
    const plain = judged.answer.replace(/\s*\[\d+\]/g, "");
    const approve = () => {
      place.replaceChildren(rowForm({
        question: judged.question, answer: opinion.correction ?? plain, path: "qa-history/console.csv", cancel: () => place.replaceChildren(),
        save: (row) => context.attempt(async () => {
          const { row: { path } } = await post(`feedback/${encodeURIComponent(opinion.id)}/approve`, row);
          toast(t("fbSaved", { path }));
          await draw();
        }),
      }));
      place.querySelector("textarea").focus();
    };
    return h("article", { className: "panel judged" },
      h("header", { className: "gap-head" }, h("div", {}, h("h2", {}, judged.question || t("fbNoQuestion")),
        h("p", { className: "place" }, [t("fbBy", { who: opinion.actor ?? t("fbNobody"), when: when(opinion.updated_at) }),
          t(judged.audience === "customer" ? "fbCustomer" : "fbInternal"), judged.settled_by && t("fbSettled", { who: judged.settled_by })].filter(Boolean).join(" · "))),
      pill(t(opinion.rating === "up" ? "fbUp" : "fbDown"), opinion.rating === "up" ? "good" : "bad")),
      opinion.reason && h("p", {}, t("fbWhy", { why: opinion.reason })),
      h("div", { className: "side-by-side" },
        h("section", {}, h("h3", {}, t("fbAnswered")), h("p", { className: "kept-answer" }, plain)),
        opinion.correction && h("section", { className: "offered" }, h("h3", {}, t("fbCorrection")), h("p", { className: "kept-answer" }, opinion.correction))),
      judged.document_id && h("p", { className: "place" }, judged.document_id),
      h("p", { className: "gap-actions" },
        judged.state === "open" && h("button", { type: "button", className: "solid", onclick: approve }, t("fbApprove")),
        judged.question && h("a", { className: "secondary", href: hrefOf("try", [], { q: judged.question, audience: judged.audience }) }, t("fbTry")),
        judged.state === "open" ? h("button", { type: "button", className: "secondary", onclick: () => settle(false) }, t("fbDismiss"))
          : h("button", { type: "button", className: "secondary", onclick: () => settle(true) }, t("fbReopen"))),
      place);
  }
}
