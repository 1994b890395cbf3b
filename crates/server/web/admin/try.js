// Try it: what the assistant would answer, as whom one likes, and why; two settings side by side.

import { get, post } from "../api.js";
import { h } from "../dom.js";
import { addTexts, isEnglish, nameOf, t } from "../i18n.js";
import { toNodes } from "../markdown.js";
import { bar, marked } from "./curating.js";
import { heading, pill, say, working } from "./toolbox.js";

addTexts({
  tryTitle: "试一试", tryLead: "像同事或客户一样提问，看助手会怎么答、用了哪些内容、为什么。这里的提问不会留下记录。",
  tryQuestion: "问题", tryQuestionHint: "输入一个问题，例如客户刚问的那句", tryAs: "以谁的身份问", tryInternal: "内部同事", tryCustomer: "客户", tryGo: "试问", tryCompare: "并排比较两种设置", tryA: "设置 A", tryB: "设置 B", tryMore: "换一种找法",
  tryMode: "怎么找", tryModes: { hybrid: "字词和意思一起（正式使用的方式）", lexical: "只看字词", vector: "只看意思" },
  tryWeight: "意思占多大比重", tryWeightSet: "按系统设置", tryTitleWeight: "标题里的词",
  tryTitleWeights: { "": "按系统设置", 0: "不算", 3: "加倍" },
  tryWorking: "正在试问", tryAnswered: "会回答", tryRefused: "不会回答：依据不足", tryScope: "不会回答：不是销售问题", tryTook: "{ms} 毫秒",
  trySupport: "依据充分程度 {score}（达到 {threshold} 才回答）", tryIntent: "理解为：{intent}", tryReadAs: "错别字已按“{text}”理解", trySearched: "实际查找的话：{text}", tryKinds: "只在这些类别里找：{list}",
  trySigns: "这个分数怎么来的", trySignsLead: "往右是加分，往左是减分。",
  signs: { nearest: "最近的内容有多接近", margin: "比其他内容突出多少", coverage: "问题里的意思有多少写在内容里", elsewhere: "缺的词在别的资料里有", nowhere: "缺的词资料里都没有", length: "问题较长", english: "英文问题", bare: "只有客户背景，没有具体内容", finding: "是找资料，不是问事实", fishing: "在打听内部信息" },
  signForeign: "问到的型号在资料里没有，直接判为依据不足。",
  tryBalance: { as_set: "字词和意思都有把握，按设置的比重。", few_words_found: "问题里的字词在资料里很少出现，字词的比重已降到 {trust}。", words_only: "只按字词找。", vectors_only: "没有内容含有问题里的字词，只按意思找。", by_rank: "按两边的名次合并。" },
  tryWords: "查找的词（越大越少见、越重要；≈ 是同义词）", tryPassages: "用到的内容，按先后", tryNoPassages: "没有找到内容。",
  tryShareWords: "字词 {n}", tryShareMeaning: "意思 {n}", tryScore: "得分 {n}",
  tryHits: "命中的词", tryNoHits: "没有命中字词，靠意思找到。", tryPlaces: { text: "正文", title: "标题", keywords: "关键词" },
  tryClose: "意思接近程度：整段 {whole}", tryCloseWindow: "，最接近的几句 {window}",
  tryFactors: { kind: "类别与问题相称", model: "提到了问的型号", language: "语言" }, tryFactorDown: { kind: "类别与问题不太相称", model: "没提到问的型号", language: "与提问语言不同" }, tryFactor: "{name}：×{factor}", tryFit: "与客户情况的符合程度：{n}（案例先按这个排）",
  tryReranked: "重排模型读过问题和片段：{before} → {after}", tryReplaced: "已被 {by} 取代，排到它后面：{before} → {after}", tryRepeated: "同一文档的内容已有两段在前：{before} → {after}",
  tryLeftOut: "没有列出的，和原因", tryLeftOutNone: "没有资料因为权限、有效期或筛选而被挡在外面。", tryWould: "本可排第 {n}",
  because: { audience: "内部资料，客户看不到", draft: "还是草稿", archived: "已归档", not_yet_valid: "{detail} 起才生效", expired: "{detail} 已到期", kind: "类别不在查找范围（{detail}）", industry: "行业不符", product: "产品不符", tag: "标签不符", repetition: "同一文档的重复内容" },
  tryWhy: "为什么排在这里", tryCustomerPick: "客户（可不选）", tryCustomerNone: "不指定客户",
}, {
  tryTitle: "Try it", tryLead: "Ask as a colleague or as a customer, and see what the assistant would answer, from what, and why. Nothing that is asked here is recorded.",
  tryQuestion: "Question", tryQuestionHint: "A question, the one that a customer has just asked for instance", tryAs: "Ask as", tryInternal: "a colleague", tryCustomer: "a customer", tryGo: "Try", tryCompare: "Compare two settings side by side", tryA: "Setting A", tryB: "Setting B", tryMore: "Search another way",
  tryMode: "How to search", tryModes: { hybrid: "Words and meaning (as in real use)", lexical: "Words only", vector: "Meaning only" },
  tryWeight: "What meaning counts for", tryWeightSet: "as set on the server", tryTitleWeight: "Words in titles",
  tryTitleWeights: { "": "as set on the server", 0: "do not count", 3: "count twice" },
  tryWorking: "Trying", tryAnswered: "Would answer", tryRefused: "Would not answer: too little ground", tryScope: "Would not answer: no question for sales", tryTook: "{ms} ms",
  trySupport: "Ground for an answer {score} (it takes {threshold})", tryIntent: "Understood as: {intent}", tryReadAs: "Read as “{text}”", trySearched: "Searched for: {text}", tryKinds: "Only among: {list}",
  trySigns: "Where this figure comes from", trySignsLead: "To the right it gains, to the left it loses.",
  signs: { nearest: "How near the nearest passage is", margin: "How far it stands out", coverage: "How much of the question stands in one passage", elsewhere: "Missing words that stand elsewhere", nowhere: "Missing words that stand nowhere", length: "A long question", english: "An English question", bare: "Nothing but the customer's profile", finding: "Something to send is looked for, no fact", fishing: "Asks for what is internal" },
  signForeign: "The model asked for stands nowhere in the knowledge, so there is no ground.",
  tryBalance: { as_set: "Words and meaning both count as set.", few_words_found: "The question's words hardly occur, so words keep only {trust} of their weight.", words_only: "Words only.", vectors_only: "No passage has any of the words; meaning only.", by_rank: "Joined by the ranks of both." },
  tryWords: "Words looked up (the larger, the rarer and the more they count; ≈ a synonym)", tryPassages: "Passages used, in order", tryNoPassages: "Nothing was found.",
  tryShareWords: "words {n}", tryShareMeaning: "meaning {n}", tryScore: "score {n}",
  tryHits: "Words that hit", tryNoHits: "No word hit; found by meaning.", tryPlaces: { text: "text", title: "title", keywords: "keywords" },
  tryClose: "Closeness in meaning: the whole {whole}", tryCloseWindow: ", its nearest sentences {window}",
  tryFactors: { kind: "The kind suits the question", model: "Speaks of the model asked for", language: "Language" }, tryFactorDown: { kind: "The kind suits the question less", model: "Does not speak of the model asked for", language: "In another language than the question" }, tryFactor: "{name}: ×{factor}", tryFit: "Fit to the customer: {n} (cases are ordered by it first)",
  tryReranked: "A reranker read question and passage: {before} → {after}", tryReplaced: "Replaced by {by}, stands behind it: {before} → {after}", tryRepeated: "Two passages of the same document stand before: {before} → {after}",
  tryLeftOut: "Left out, and why", tryLeftOutNone: "Nothing was held back by permission, validity or filters.", tryWould: "would be {n}",
  because: { audience: "internal, customers may not see it", draft: "still a draft", archived: "archived", not_yet_valid: "valid only from {detail}", expired: "out of date since {detail}", kind: "another kind than looked for ({detail})", industry: "another industry", product: "another product", tag: "other tags", repetition: "more of the same document" },
  tryWhy: "Why it stands here", tryCustomerPick: "Customer (optional)", tryCustomerNone: "No customer",
});

const figure = (n, digits = 2) => n.toLocaleString(isEnglish() ? "en" : "zh-CN", { minimumFractionDigits: digits, maximumFractionDigits: digits });

export async function show(main, context) {
  const question = h("textarea", { rows: 2, required: true, maxLength: 4000, value: context.query.get("q") ?? "", placeholder: t("tryQuestionHint"), onkeydown: (event) => {
    if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
      event.preventDefault();
      form.requestSubmit();
    }
  } });
  const audience = h("select", {}, [["internal", "tryInternal"], ["customer", "tryCustomer"]].map(([value, text]) =>
    h("option", { value, selected: value === context.query.get("audience") }, t(text))));
  const customer = h("select", {}, h("option", { value: "" }, t("tryCustomerNone")));
  const compare = h("input", { type: "checkbox", onchange: () => drawSettings() });
  const settings = [settingsOf("tryA", 0.5), settingsOf("tryB", 0.5)];
  const rows = h("div", { className: "try-settings" });
  const results = h("div", { className: "try-results" });
  const button = h("button", { className: "solid" }, t("tryGo"));
  const form = h("form", { className: "panel try-form", onsubmit: (event) => {
    event.preventDefault();
    context.attempt(run);
  } },
  h("label", {}, t("tryQuestion"), question),
  h("div", { className: "filters" }, h("label", { className: "inline" }, t("tryAs"), audience), h("label", { className: "inline" }, t("tryCustomerPick"), customer),
    h("label", { className: "choice" }, compare, h("span", {}, t("tryCompare"))), button), rows);
  drawSettings();
  main.append(heading(t("tryTitle"), t("tryLead")), form, results);
  get("customers", { limit: 100 }, context.signal).then(({ customers }) => {
    customer.append(...customers.map(({ id, name }) => h("option", { value: id }, name ?? id)));
  }).catch(() => { /* Without customers in the list one can still ask. */ });
  if (question.value) context.attempt(run);

  function drawSettings() {
    const shown = compare.checked ? settings : settings.slice(0, 1);
    const views = shown.map((one) => one.view(compare.checked));
    rows.replaceChildren(...(compare.checked ? views : [h("details", {}, h("summary", {}, t("tryMore")), views)]));
  }

  async function run() {
    const message = question.value.trim();
    if (!message) {
      question.focus();
      return;
    }
    context.change([], { q: message, audience: audience.value });
    const shown = compare.checked ? settings : settings.slice(0, 1);
    results.replaceChildren(working(t("tryWorking")));
    button.disabled = true;
    try {
      const replies = await Promise.all(shown.map((one) => post("try", { message, audience: audience.value, ...(customer.value && { customer_id: customer.value }), ...one.value() })));
      const views = replies.map((reply, idx) => resultView(reply, shown.length > 1 ? t(["tryA", "tryB"][idx]) : null, shown.length > 1 ? replies[1 - idx] : null));
      results.replaceChildren(h("div", { className: views.length > 1 ? "try-columns" : "" }, views));
      say(verdict(replies[0])[0]);
    } catch (error) {
      results.replaceChildren();
      throw error;
    } finally {
      button.disabled = false;
    }
  }
}

/** The controls of one setting, and what they say as the fields of a request. */
function settingsOf(name, usual) {
  const mode = h("select", {}, ["hybrid", "lexical", "vector"].map((value) => h("option", { value }, nameOf("tryModes", value))));
  const isSet = h("input", { type: "checkbox", checked: true, onchange: () => { weight.disabled = isSet.checked; } });
  const weight = h("input", { type: "range", min: 0, max: 1, step: 0.05, value: usual, disabled: true, "aria-label": t("tryWeight"), oninput: () => { shown.textContent = figure(Number(weight.value)); } });
  const shown = h("output", {}, figure(usual));
  const title = h("select", {}, ["", "0", "3"].map((value) => h("option", { value }, nameOf("tryTitleWeights", value))));
  return {
    view: (named) => h("fieldset", { className: "try-setting" }, named && h("legend", {}, t(name)),
      h("label", { className: "inline" }, t("tryMode"), mode),
      h("span", { className: "inline" }, t("tryWeight"), h("label", { className: "choice" }, isSet, h("span", {}, t("tryWeightSet"))), weight, shown),
      h("label", { className: "inline" }, t("tryTitleWeight"), title)),
    value: () => ({ mode: mode.value, settings: {
      ...(!isSet.checked && { dense_weight: Number(weight.value) }), ...(title.value && { title_weight: Number(title.value) }),
    } }),
  };
}

const verdict = (reply) => (reply.refused ? [t(reply.refusal_reason === "out_of_scope" ? "tryScope" : "tryRefused"), "bad"] : [t("tryAnswered"), "good"]);

function resultView(reply, name, other) {
  const [said, tone] = verdict(reply);
  const cite = (n) => h("sup", { className: "cite-mark", title: reply.citations.find((citation) => citation.n === n)?.document.title ?? "" }, `[${n}]`);
  const { explain } = reply;
  const ranks = new Map(other?.passages.map((passage, idx) => [passage.hit.chunk_id, idx + 1]) ?? []);
  return h("section", { className: "try-result", "aria-label": name ?? t("tryTitle") },
    name && h("h2", {}, name),
    h("div", { className: "panel" },
      h("p", { className: "try-verdict" }, pill(said, tone), h("span", { className: "place" }, [t("tryIntent", { intent: nameOf("intents", reply.intent) }), t("tryTook", { ms: Math.round(reply.took_ms) })].join(" · "))),
      h("div", { className: "try-answer" }, toNodes(reply.answer, cite)),
      supportView(reply.support)),
    explain && h("div", { className: "panel" },
      explain.read_as && h("p", {}, t("tryReadAs", { text: explain.read_as })),
      reply.searched_for && h("p", { className: "place" }, t("trySearched", { text: reply.searched_for })),
      reply.kinds.length > 0 && h("p", { className: "place" }, t("tryKinds", { list: reply.kinds.map((kind) => nameOf("kinds", kind)).join("、") })),
      h("h3", {}, t("tryWords")), wordsView(explain.words),
      h("p", { className: "place" }, nameOf("tryBalance", explain.balance.why).replace("{trust}", `${Math.round(explain.balance.trust * 100)}%`))),
    explain && h("div", {}, h("h3", { className: "try-section" }, t("tryPassages")),
      reply.passages.length ? h("ol", { className: "try-passages" }, reply.passages.map((passage, idx) => passageView(passage, idx + 1, reply, other ? ranks.get(passage.hit.chunk_id) ?? null : undefined)))
        : h("p", { className: "place" }, t("tryNoPassages"))),
    explain && h("div", { className: "panel" }, h("h3", {}, t("tryLeftOut")),
      explain.left_out.length ? h("ul", { className: "plain-list" }, explain.left_out.map((left) => h("li", {}, h("strong", {}, left.document.title), " ",
        left.because.map(({ name: because, detail }) => pill(nameOf("because", because).replace("{detail}", because === "kind" ? nameOf("kinds", detail) : detail ?? ""), "wait")),
        h("span", { className: "place" }, ` ${t("tryWould", { n: left.would_rank })} · ${left.document.path}`)))) : h("p", { className: "place" }, t("tryLeftOutNone"))));
}

function supportView(support) {
  const most = Math.max(1, ...support.signs.map((sign) => Math.abs(sign.adds)));
  const signs = support.signs.filter((sign) => sign.adds !== 0);
  return h("div", { className: "support" },
    bar(support.score, 1, t("trySupport", { score: figure(support.score), threshold: figure(support.threshold) }), support.score < support.threshold ? "low" : ""),
    h("details", {}, h("summary", {}, t("trySigns")), support.foreign_model && h("p", {}, t("signForeign")), h("p", { className: "place" }, t("trySignsLead")),
      h("ul", { className: "signs" }, signs.map((sign) => h("li", {}, h("span", {}, nameOf("signs", sign.name)),
        bar(Math.abs(sign.adds), most, `${sign.adds > 0 ? "+" : "−"}${figure(Math.abs(sign.adds), 1)}`, sign.adds < 0 ? "minus" : ""))))));
}

/** Words by what they weigh; pairs of characters only back up the words and are not shown. */
function wordsView(words) {
  const shown = words.filter((word) => word.sort !== "pair");
  const most = Math.max(0.1, ...shown.map((word) => word.weight));
  const step = (weight) => 1 + Math.round(3 * weight / most);
  return h("p", { className: "words" }, shown.map((word) => h("span", { className: `word size-${step(word.weight)}`, title: figure(word.weight) }, `${word.synonym ? "≈" : ""}${word.text}`)));
}

function passageView(passage, rank, reply, otherRank) {
  const { hit, reasons } = passage;
  const cited = reply.citations.filter((citation) => citation.document.id === hit.document.id).map((citation) => `[${citation.n}]`);
  const most = Math.max(0.001, ...reply.passages.map(({ reasons: those }) => those.lexical_share + those.dense_share));
  const moved = otherRank === undefined || otherRank === rank ? null : otherRank === null ? "–" : `${otherRank > rank ? "↑" : "↓"}${Math.abs(otherRank - rank)}`;
  return h("li", { className: "panel" },
    h("div", { className: "gap-head" }, h("div", {}, h("strong", {}, hit.document.title), " ", h("span", { className: "place" }, [nameOf("kinds", hit.document.kind), hit.location.heading.at(-1), hit.document.path].filter(Boolean).join(" · "))),
      h("span", {}, moved && h("span", { className: "place" }, moved, " "), cited.length > 0 && pill(cited.join(" "), "good"), " ", pill(t(hit.document.audience === "customer" ? "badgeCustomer" : "badgeInternal")))),
    h("p", { className: "near-text" }, marked(hit.highlight)),
    h("div", { className: "shares" },
      bar(reasons.lexical_share, most, t("tryShareWords", { n: figure(reasons.lexical_share) }), "words-share"),
      bar(reasons.dense_share, most, t("tryShareMeaning", { n: figure(reasons.dense_share) }), "meaning-share")),
    h("details", {}, h("summary", {}, `${t("tryWhy")} · ${t("tryScore", { n: figure(passage.score) })}`), whyView(passage)));
}

function whyView({ reasons, factors, case_fit: fit }) {
  // Pairs of characters add to the words that they are part of; few are worth a chip of their own.
  const hits = [...reasons.words].sort((a, b) => b.adds - a.adds).slice(0, 12);
  const lines = [
    reasons.closeness_whole !== null && t("tryClose", { whole: figure(reasons.closeness_whole, 3) }) + (reasons.closeness_window === null ? "" : t("tryCloseWindow", { window: figure(reasons.closeness_window, 3) })),
    ...reasons.changes.map(({ because, by, before, after }) => t({ rerank: "tryReranked", replaced: "tryReplaced" }[because] ?? "tryRepeated", { by, before: figure(before), after: figure(after) })),
    ...factors.filter(({ factor }) => Math.abs(factor - 1) > 0.001).map(({ name, factor }) => t("tryFactor", { name: nameOf(factor > 1 ? "tryFactors" : "tryFactorDown", name), factor: figure(factor) })),
    fit !== null && t("tryFit", { n: figure(fit) }),
  ].filter(Boolean);
  return h("div", { className: "why" }, h("h4", {}, t("tryHits")),
    hits.length ? h("ul", { className: "hits" }, hits.map((hit) => h("li", {}, h("strong", {}, hit.text), " ", h("span", { className: "place" }, `${nameOf("tryPlaces", hit.place)} +${figure(hit.adds)}`)))) : h("p", { className: "place" }, t("tryNoHits")),
    h("ul", { className: "plain-list" }, lines.map((line) => h("li", {}, line))));
}
