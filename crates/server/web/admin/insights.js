// What works: what is cited and sent, what became of it, what the videos bring, and what nobody uses.

import { get } from "../api.js";
import { h } from "../dom.js";
import { addTexts, isEnglish, nameOf, t } from "../i18n.js";
import { bar } from "./curating.js";
import { count, empty, heading, table } from "./toolbox.js";

addTexts({
  inTitle: "哪些资料有用", inLead: "哪些资料被引用、发给客户、后来成交，哪些没人用。这里只数一起发生的事，不代表因果。",
  inFrom: "从", inTo: "到", inLast: "最近 {n} 天", inAnswers: "回答", inRefused: "没答上来 {n}", inThumbs: "评价", inThumbsText: "有用 {up} · 有错 {down}",
  inSent: "发给客户", inReached: "{n} 位客户", inWon: "其中已成交", inWonBase: "全部客户：{won}/{all}",
  inFew: "样本还少（{n} 次回答），先别下结论。", inNothing: "这段时间还没有回答，也没有发送记录。", inNothingText: "大家开始提问、并把内容发给客户之后，这里会有数字。",
  inCited: "被引用最多的", inCitedNote: "次数 = 引用它的回答数", inDocuments: "每份资料的去向", inDocument: "资料", inCitedColumn: "引用", inForCustomers: "其中给客户", inUp: "有用", inDown: "有错", inSentColumn: "发送", inReachedColumn: "客户数", inWonColumn: "其中成交",
  inTooFew: "{won}/{n}，太少", inGone: "已不在资料里", inCases: "案例：发送与成交", inCasesNone: "还没有发过案例。",
  inVideos: "视频效果", inVideosNote: "播放、完播、线索、成交来自视频表；引用和发送来自这里。按成交和线索排列。", inVideosNone: "没有视频。", inVideo: "视频", inViews: "播放", inCompletion: "完播率", inLikes: "点赞", inLeads: "线索", inDeals: "成交",
  inUnused: "没人用的资料", inUnusedNote: "{n} 个文件（共 {all} 个）在这段时间里没有被引用，也没有被发送。", inUnusedNone: "每个文件都被用到了。", inUnusedMore: "只列出前 {n} 个。", inRows: "{n} 条", inOwner: "负责人 {who}", inShowAll: "全部 {n} 份", inBadDays: "结束日期不能早于开始日期。",
}, {
  inTitle: "What works", inLead: "What is cited, sent and followed by won deals, and what nobody uses. These are counts of what happened together, not of causes.",
  inFrom: "From", inTo: "to", inLast: "Last {n} days", inAnswers: "Answers", inRefused: "{n} refused", inThumbs: "Opinions", inThumbsText: "{up} useful · {down} wrong",
  inSent: "Sent to customers", inReached: "{n} customers", inWon: "Of those, won", inWonBase: "All customers: {won}/{all}",
  inFew: "There is little to count yet ({n} answers): do not conclude too much.", inNothing: "There were no answers and nothing was sent in these days.", inNothingText: "When people ask, and send what they find to customers, there will be figures here.",
  inCited: "Cited most", inCitedNote: "Counted are the answers that cite it", inDocuments: "What became of each document", inDocument: "Document", inCitedColumn: "Cited", inForCustomers: "for customers", inUp: "Useful", inDown: "Wrong", inSentColumn: "Sent", inReachedColumn: "Customers", inWonColumn: "of those, won",
  inTooFew: "{won}/{n}, too few", inGone: "not in the knowledge any more", inCases: "Cases: sent and won", inCasesNone: "No case was sent yet.",
  inVideos: "What the videos bring", inVideosNote: "Views, completion, leads and deals are the video table's; cited and sent are counted here. Ordered by deals and leads.", inVideosNone: "There are no videos.", inVideo: "Video", inViews: "Views", inCompletion: "Completion", inLikes: "Likes", inLeads: "Leads", inDeals: "Deals",
  inUnused: "What nobody uses", inUnusedNote: "{n} files of {all} were neither cited nor sent in these days.", inUnusedNone: "Every file was used.", inUnusedMore: "Only the first {n} are listed.", inRows: "{n} rows", inOwner: "owner {who}", inShowAll: "All {n}", inBadDays: "The last day must not be before the first.",
});

/** Fewer customers than this say nothing about a share. */
const ENOUGH = 5;
const FEW_ANSWERS = 30;
const DAYS = [30, 90, 365];

const day = (date) => `${date.getFullYear()}-${String(date.getMonth() + 1).padStart(2, "0")}-${String(date.getDate()).padStart(2, "0")}`;
const percent = (share) => `${(100 * share).toLocaleString(isEnglish() ? "en" : "zh-CN", { maximumFractionDigits: 0 })}%`;
const wonOf = (won, n) => (n === 0 ? "–" : n < ENOUGH ? t("inTooFew", { won, n }) : `${won}/${n}（${percent(won / n)}）`);

export async function show(main, context) {
  const room = h("div");
  const from = h("input", { type: "date", value: context.query.get("from") ?? "", "aria-label": t("inFrom"), onchange: () => again() });
  const to = h("input", { type: "date", value: context.query.get("to") ?? "", "aria-label": t("inTo"), onchange: () => again() });
  const last = (n) => h("button", { type: "button", className: "secondary", onclick: () => {
    to.value = day(new Date());
    from.value = day(new Date(Date.now() - (n - 1) * 86_400_000));
    again();
  } }, t("inLast", { n }));
  await draw();
  main.append(heading(t("inTitle"), t("inLead")),
    h("div", { className: "filters" }, h("label", { className: "inline" }, t("inFrom"), from), h("label", { className: "inline" }, t("inTo"), to), DAYS.map(last)), room);

  function again() {
    context.change([], { from: from.value, to: to.value });
    context.attempt(draw);
  }

  async function draw() {
    const reply = await get("insights", { from: from.value, to: to.value }, context.signal);
    from.value = reply.from;
    to.value = reply.to;
    room.replaceChildren(...[totalsView(reply), usedView(reply), casesView(reply), videosView(reply), unusedView(reply)].filter(Boolean));
  }
}

function totalsView({ totals }) {
  if (totals.answers === 0 && totals.sent === 0) return empty(t("inNothing"), t("inNothingText"));
  const tile = (label, value, more) => h("div", { className: "tile" }, h("dt", {}, label), h("dd", {}, h("strong", {}, value), h("span", { className: "place" }, more)));
  return h("section", {}, h("dl", { className: "tiles" },
    tile(t("inAnswers"), count(totals.answers), t("inRefused", { n: count(totals.refused) })),
    tile(t("inThumbs"), count(totals.up + totals.down), t("inThumbsText", totals)),
    tile(t("inSent"), count(totals.sent), t("inReached", { n: count(totals.reached) })),
    tile(t("inWon"), totals.reached ? `${totals.reached_won}/${totals.reached}` : "–", t("inWonBase", { won: totals.customers_won, all: totals.customers }))),
  totals.answers < FEW_ANSWERS && h("p", { className: "caution-note" }, t("inFew", { n: totals.answers })));
}

const titleOf = (entry) => entry.document?.title ?? entry.id;

function usedView({ documents }) {
  if (!documents.length) return null;
  const top = [...documents].sort((a, b) => b.cited - a.cited).filter((entry) => entry.cited > 0).slice(0, 10);
  const most = top[0]?.cited ?? 0;
  const columns = [
    { label: t("inDocument"), cell: (entry) => [titleOf(entry), h("div", { className: "place path" }, entry.document ? `${nameOf("kinds", entry.document.kind)} · ${entry.document.path}` : t("inGone"))] },
    { label: t("inCitedColumn"), number: true, cell: (entry) => count(entry.cited) },
    { label: t("inForCustomers"), number: true, cell: (entry) => count(entry.cited_for_customers) },
    { label: t("inUp"), number: true, cell: (entry) => count(entry.up) },
    { label: t("inDown"), number: true, cell: (entry) => count(entry.down) },
    { label: t("inSentColumn"), number: true, cell: (entry) => count(entry.sent) },
    { label: t("inReachedColumn"), number: true, cell: (entry) => count(entry.reached) },
    { label: t("inWonColumn"), number: true, cell: (entry) => wonOf(entry.reached_won, entry.reached) },
  ];
  return h("section", { className: "insight" },
    top.length > 0 && [h("h2", {}, t("inCited")), h("p", { className: "place" }, t("inCitedNote")), chart(top.map((entry) => [titleOf(entry), entry.cited, count(entry.cited)]), most)],
    h("details", {}, h("summary", {}, `${t("inDocuments")} · ${t("inShowAll", { n: documents.length })}`), table(t("inDocuments"), columns, documents)));
}

/** Bars with their names: a list, so that a screen reader reads name and figure together. */
function chart(rows, most) {
  return h("ul", { className: "chart" }, rows.map(([name, value, text]) => h("li", {}, h("span", { className: "chart-name" }, name), bar(value, most, text))));
}

function casesView({ documents }) {
  const cases = documents.filter((entry) => entry.document?.kind === "case" && entry.sent > 0).sort((a, b) => b.reached - a.reached).slice(0, 10);
  return h("section", { className: "insight" }, h("h2", {}, t("inCases")),
    cases.length ? chart(cases.map((entry) => [titleOf(entry), entry.reached, `${t("inReached", { n: entry.reached })} · ${t("inWonColumn")} ${wonOf(entry.reached_won, entry.reached)}`]), cases[0].reached)
      : h("p", { className: "place" }, t("inCasesNone")));
}

function videosView({ videos }) {
  const number = (value) => (value === null ? "–" : count(value));
  const columns = [
    { label: t("inVideo"), cell: (video) => [video.document.title, h("div", { className: "place" }, [video.platform, video.published_at].filter(Boolean).join(" · "))] },
    { label: t("inViews"), number: true, cell: (video) => number(video.views) },
    { label: t("inCompletion"), number: true, cell: (video) => (video.completion_rate === null ? "–" : percent(video.completion_rate)) },
    { label: t("inLeads"), number: true, cell: (video) => number(video.leads) },
    { label: t("inDeals"), number: true, cell: (video) => number(video.deals) },
    { label: t("inCitedColumn"), number: true, cell: (video) => count(video.cited) },
    { label: t("inSentColumn"), number: true, cell: (video) => count(video.sent) },
    { label: t("inWonColumn"), number: true, cell: (video) => wonOf(video.reached_won, video.reached) },
  ];
  return h("section", { className: "insight" }, h("h2", {}, t("inVideos")), videos.length ? [h("p", { className: "place" }, t("inVideosNote")), table(t("inVideos"), columns, videos)] : h("p", { className: "place" }, t("inVideosNone")));
}

function unusedView({ unused, unused_total: total, files_total: all }) {
  const kinds = Map.groupBy ? Map.groupBy(unused, (file) => file.kind) : unused.reduce((groups, file) => groups.set(file.kind, [...(groups.get(file.kind) ?? []), file]), new Map());
  return h("section", { className: "insight" }, h("h2", {}, t("inUnused")),
    total ? [h("p", { className: "place" }, t("inUnusedNote", { n: count(total), all: count(all) })),
      [...kinds].map(([kind, files]) => h("details", {}, h("summary", {}, `${nameOf("kinds", kind)} · ${files.length}`),
        h("ul", { className: "plain-list" }, files.map((file) => h("li", {}, file.title, " ", h("span", { className: "place" },
          [file.path, file.documents > 1 && t("inRows", { n: file.documents }), file.owner && t("inOwner", { who: file.owner })].filter(Boolean).join(" · "))))))),
      total > unused.length && h("p", { className: "place" }, t("inUnusedMore", { n: unused.length }))] : h("p", { className: "place" }, t("inUnusedNone")));
}
