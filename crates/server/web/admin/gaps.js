// Unanswered: questions that the knowledge could not answer, by meaning, and the way to answer them.

import { get, post } from "../api.js";
import { h } from "../dom.js";
import { addTexts, nameOf, t } from "../i18n.js";
import { act, rowForm } from "./curating.js";
import { hrefOf } from "./frame.js";
import { count, empty, heading, pill, toast, when } from "./toolbox.js";

addTexts({
  gapsTitle: "没答上来的", gapsLead: "大家问过、资料里没有依据的问题，意思相近的放在一起。写下答案并批准，助手会把这些问题重新问一遍；真的答上来了，这一组才算完成。",
  gapsOpen: "待处理", gapsClosed: "已答上来", gapsDismissed: "不用回答", gapsFilter: "显示哪些", gapsCheck: "现在重新问一遍",
  gapsChecked: "重新问过了：{closed} 个已答上来，{open} 个还没有。",
  gapsNone: "没有待处理的问题。", gapsNoneText: "有人问到资料里没有的内容时，会出现在这里。", gapsNoneClosed: "这里还没有内容。",
  gapsTimes: "问过 {n} 次", gapsLast: "最近 {when}", gapsBy: "提问的人：{list}", gapsByOne: "{name} {n} 次", gapsNobody: "本机",
  gapsWrite: "写答案", gapsDismiss: "不用回答", gapsReopen: "重新放回待处理", gapsTry: "试问", gapsAlike: "同一个意思的问法", gapsNear: "资料里最接近的内容", gapsNearNone: "资料里没有接近的内容。",
  gapsAudience: "{who}在问", gapsInternal: "同事", gapsCustomer: "客户", gapsCount: "{n} 次",
  gapsWaiting: "已写答案，等待验证", gapsClosedPill: "已答上来", gapsWhy: "已写答案，仍未答上",
  gapsRow: "已写的答案", gapsRowBy: "{who} 写于 {when}，{path}", gapsSaved: "已写入 {path}。助手读到后会把这些问题重新问一遍。",
  gapsNowClosed: "答上来了，这一组已完成。", gapsStill: "答案已生效，但问题还没答上来：{why}",
  gapReasons: {
    still_refused: "用原来的问法再问，助手仍然认为依据不足。把答案写得更完整，或把客户的说法加进关键词。",
    other_sources: "助手现在能回答，但用的是别的资料，不是这条答案。请试问一下，确认回答对不对。",
    hidden_from_customers: "提问的是客户，而这条答案只给内部看。",
    not_served: "这条答案没有生效：检查文件夹的状态、有效期设置。",
    asked_again: "之前答上来过，后来又没答上来。资料可能改过。",
  },
}, {
  gapsTitle: "Unanswered", gapsLead: "Questions that were asked and that the knowledge has no ground for, those of one meaning together. Write an answer and approve it; the assistant asks these questions again, and the group is done only when they are really answered.",
  gapsOpen: "To do", gapsClosed: "Answered by now", gapsDismissed: "Need no answer", gapsFilter: "Which to show", gapsCheck: "Ask them again now",
  gapsChecked: "Asked again: {closed} are answered now, {open} are not yet.",
  gapsNone: "There is nothing to do.", gapsNoneText: "When somebody asks for what the knowledge does not have, it shows up here.", gapsNoneClosed: "There is nothing here yet.",
  gapsTimes: "asked {n} times", gapsLast: "last {when}", gapsBy: "Asked by: {list}", gapsByOne: "{name} ({n})", gapsNobody: "this machine",
  gapsWrite: "Write an answer", gapsDismiss: "Needs no answer", gapsReopen: "Put it back", gapsTry: "Try it", gapsAlike: "Ways to ask it", gapsNear: "What the knowledge has that is nearest", gapsNearNone: "The knowledge has nothing near.",
  gapsAudience: "asked by {who}", gapsInternal: "a colleague", gapsCustomer: "a customer", gapsCount: "{n} times",
  gapsWaiting: "Answer written, being tried", gapsClosedPill: "Answered", gapsWhy: "Answer written, not answered yet",
  gapsRow: "The answer that was written", gapsRowBy: "{who}, {when}, {path}", gapsSaved: "Written to {path}. When the assistant has read it, it asks these questions again.",
  gapsNowClosed: "It is answered; this group is done.", gapsStill: "The answer is live, but the question is not answered yet: {why}",
  gapReasons: {
    still_refused: "Asked again in its own words, the assistant still finds too little ground. Make the answer more complete, or add the words that people use as keywords.",
    other_sources: "The assistant answers now, but from other documents than this row. Try it and see whether that answer is right.",
    hidden_from_customers: "A customer asks, and this answer is for the company only.",
    not_served: "This answer is not served: look at the folder's status and validity.",
    asked_again: "It was answered once and is not any more. The knowledge may have changed.",
  },
});

const STATES = [["open", "gapsOpen"], ["closed", "gapsClosed"], ["dismissed", "gapsDismissed"]];
const LOOK_EVERY = 1000;
const LOOKS = 40;

export async function show(main, context) {
  const room = h("div", { className: "gap-list" });
  let state = context.query.get("state") ?? "open";
  const filter = h("select", { "aria-label": t("gapsFilter"), onchange: () => {
    state = filter.value;
    context.change([], { state });
    context.attempt(draw);
  } }, STATES.map(([value, label]) => h("option", { value, selected: value === state }, t(label))));
  const check = h("button", { type: "button", className: "secondary", onclick: () => context.attempt(async () => {
    check.disabled = true;
    try {
      toast(t("gapsChecked", await post("gaps/check", {})));
      await draw();
    } finally {
      check.disabled = false;
    }
  }) }, t("gapsCheck"));
  await draw();
  main.append(heading(t("gapsTitle"), t("gapsLead"), check), h("div", { className: "filters" }, filter), room);

  async function draw() {
    const { groups } = await get("gaps/groups", { state }, context.signal);
    room.replaceChildren(...(groups.length ? groups.map((group) => groupView(group, { state, context, draw }))
      : [state === "open" ? empty(t("gapsNone"), t("gapsNoneText")) : empty(t("gapsNoneClosed"))]));
  }
}

function groupView(group, { state, context, draw }) {
  const ids = group.questions.map((question) => question.id);
  const place = h("div");
  const row = group.questions.map((question) => question.row).find(Boolean);
  const why = group.questions.map((question) => question.why).find(Boolean);
  const settle = (undo) => context.attempt(async () => {
    await act("gaps/dismiss", { gaps: ids, undo });
    await draw();
  });
  const write = () => place.replaceChildren(rowForm({
    question: group.question, answer: row?.answer ?? "", path: "faqs/console.csv", cancel: () => place.replaceChildren(),
    save: (given) => context.attempt(async () => {
      const { row: { path } } = await post("gaps/answer", { gaps: ids, ...given });
      toast(t("gapsSaved", { path }));
      await draw();
      await settled(ids, context, draw);
    }),
  }));
  const askers = group.askers.map(({ name, count: n }) => t("gapsByOne", { name: name ?? t("gapsNobody"), n }));
  return h("article", { className: "panel gap" },
    h("header", { className: "gap-head" },
      h("div", {}, h("h2", {}, group.question),
        h("p", { className: "place" }, [t("gapsTimes", { n: count(group.count) }), t("gapsLast", { when: when(group.last_at) }), askers.length && t("gapsBy", { list: askers.join("、") })].filter(Boolean).join(" · "))),
      group.state === "waiting" ? pill(t("gapsWaiting"), "wait") : group.state === "closed" ? pill(t("gapsClosedPill"), "good") : row && why ? pill(t("gapsWhy"), "bad") : null),
    why && h("p", { className: "gap-why" }, nameOf("gapReasons", why)),
    row && h("div", { className: "gap-row" }, h("h3", {}, t("gapsRow")), h("p", { className: "kept-answer" }, row.answer),
      h("p", { className: "place" }, t("gapsRowBy", { who: row.author ?? t("gapsNobody"), when: when(row.written_at), path: row.path }))),
    h("p", { className: "gap-actions" },
      state === "open" && h("button", { type: "button", className: "solid", onclick: () => { write(); place.querySelector("textarea")?.focus(); } }, t("gapsWrite")),
      h("a", { className: "secondary", href: hrefOf("try", [], { q: group.question, audience: group.questions[0].audience }) }, t("gapsTry")),
      state === "open" ? h("button", { type: "button", className: "secondary", onclick: () => settle(false) }, t("gapsDismiss"))
        : h("button", { type: "button", className: "secondary", onclick: () => settle(true) }, t("gapsReopen"))),
    place,
    h("details", { open: group.questions.length > 1 }, h("summary", {}, `${t("gapsAlike")} (${group.questions.length})`),
      h("ul", { className: "plain-list" }, group.questions.map((question) => h("li", {}, question.question, " ",
        h("span", { className: "place" }, [t("gapsAudience", { who: t(question.audience === "customer" ? "gapsCustomer" : "gapsInternal") }),
          t("gapsCount", { n: count(question.count) }), nameOf("intents", question.intent)].join(" · ")))))),
    h("details", {}, h("summary", {}, t("gapsNear")),
      group.nearest.length ? h("ul", { className: "plain-list" }, group.nearest.map((near) => h("li", {}, h("strong", {}, near.document.title), " ",
        h("span", { className: "place" }, near.document.path), h("p", { className: "near-text" }, near.text)))) : h("p", { className: "place" }, t("gapsNearNone"))));
}

/** Waits until the questions have been asked again, and says what came of it. */
async function settled(ids, context, draw) {
  for (let look = 0; look < LOOKS && !context.signal.aborted; look += 1) {
    await new Promise((go) => setTimeout(go, LOOK_EVERY));
    const { groups } = await get("gaps/groups", { state: "open" }, context.signal);
    const left = groups.flatMap((group) => group.questions).filter((question) => ids.includes(question.id));
    if (left.some((question) => question.state === "waiting")) continue;
    const why = left.map((question) => question.why).find(Boolean);
    if (left.length) toast(t("gapsStill", { why: nameOf("gapReasons", why) }), { bad: true });
    else toast(t("gapsNowClosed"));
    await draw();
    return;
  }
}
