// What the page says, in Chinese and English. Chinese unless the browser asks for English first or the
// person switches; the choice outlives the tab, because it belongs to the person and not to a conversation.

const CHINESE = {
  pageTitle: "Flightdeck · 销售助手", role: "销售助手", skip: "跳到输入框", otherLanguage: "EN",
  switchLanguage: "Switch to English",
  audience: "回答给谁看", audienceInternal: "内部", audienceCustomer: "客户视角",
  previewNote: "客户视角预览：只用可外发的资料回答，你看到的就是客户会看到的。",
  newConversation: "新对话",
  emptyTitle: "客户在问什么？",
  emptyLead: "每句话都标出处，点开就是原文；资料里没有的，会直说没有。",
  customer: "客户背景", customerNone: "填了会优先找相近的案例",
  industry: "行业", size: "规模", region: "地区", stage: "阶段", needs: "需求", clear: "清空",
  industryHint: "如 饮料", regionHint: "如 华东", stageHint: "如 方案报价", needsHint: "如 换型太慢，想提速",
  sizeSmall: "小型", sizeMedium: "中型", sizeLarge: "大型",
  messageLabel: "你的问题", messageHint: "输入客户的问题，或你想找的资料", send: "发送", stop: "停止回答",
  keys: "Enter 发送 · Shift + Enter 换行 · Esc 停止 · ↑ 上一问 · / 命令",
  you: "问", working: "正在翻资料", workingOn: "正在翻资料：{intent}",
  internalBanner: "内部资料，勿外发", internalFrom: "涉及来源 {list}",
  sources: "出处", sourceN: "来源 {n}：{title}", openSource: "打开原文",
  badgeInternal: "内部", badgeCustomer: "可外发",
  page: "第 {n} 页", line: "第 {n} 行", lines: "第 {a}–{b} 行",
  copy: "复制回答", copyMarkdown: "复制 Markdown", copyChat: "复制为聊天消息", copied: "已复制", copiedInternal: "已复制，含内部资料，勿外发", copyFailed: "复制失败，请手动选取",
  history: "历史对话", historyHint: "在说过的话里查找", historyNone: "没有哪次对话里说过这些。", historyEmpty: "还没有对话。", more: "更早的", searching: "正在查找",
  customerSearch: "在客户库里查找：名称、行业、地区", customerUnknown: "客户库里没有找到；可以直接填写下面几项。", customerChosen: "当前客户：{name}", customerOther: "换一个",
  timeline: "跟进记录", timelineEmpty: "还没有跟进记录。", noteHint: "记一笔：电话里说了什么，约了什么时间", addNote: "记下", noted: "已记下",
  kind_sent: "已发送", kind_call: "电话", kind_meeting: "拜访", kind_email: "邮件", kind_chat: "聊天", kind_note: "备注",
  sendRecorded: "复制后会记在 {name} 的跟进记录里。", sendUnrecorded: "先在“客户背景”里选好客户，复制后就会记在他的跟进记录里。",
  recorded: "已记在 {name} 的跟进记录里。", notRecorded: "已复制，但没能记进跟进记录：{why}",
  thumbUp: "有用", thumbDown: "没用或有错", thanks: "谢谢，已记下。", corrected: "谢谢，已交给资料维护的同事核对；核对之前，回答不会改变。",
  whyBad: "哪里不好？", correction: "正确的说法", correctionHint: "写下你会怎么回答，或者对的数字是多少", giveFeedback: "提交",
  reasonWrong: "说错了", reasonOutdated: "过时了", reasonOffTopic: "没答到点上", reasonSource: "出处不对", reasonLong: "太啰嗦",
  commands: "命令", commandsShown: "{n} 个命令，用上下键选择", commandNew: "新对话", commandHistory: "历史对话", commandCustomer: "选客户", commandView: "切换内部 / 客户视角", commandTheme: "换明暗", commandLanguage: "English", commandCases: "这个客户适合发哪些案例？", commandPrice: "客户说太贵了怎么回复？",
  shareable: "全部来自可外发的资料", pause: "，", reconnecting: "连接断了，正在接上",
  theme: "明暗：{choice}", themeAuto: "跟随系统", themeLight: "亮", themeDark: "暗",
  offline: "连不上服务器。草稿都在；一恢复就接着发，不会发两遍。", online: "已恢复连接。", slow: "比平时慢，还在等服务器。",
  sendToCustomer: "发送给客户", copySend: "复制发送内容", sendNote: "只用可外发的资料写成，发送前可以修改。", sendBlocked: "不能发送：没有可外发的资料支持这个回答。",
  sendNoEnglish: "没有可外发的英文资料说到这一点；翻译请找人核对后再发。", sendWorded: "由 {model} 措辞，逐句对照过资料。", sendOverwrite: "你改过的内容会被换掉。", sendOverwriteYes: "换掉",
  tone: "语气", tone_plain: "原样", tone_shorter: "短一些", tone_warmer: "亲切些", tone_english: "English",
  phrases: "话术", phrasesHint: "在话术里查找", phrasesNone: "没有话术里有这些词。", phrasesEmpty: "还没有话术。看到好的回答，点“存为话术”就会出现在这里。",
  phraseKeep: "存为话术", phraseWords: "话术内容", phraseOfferHint: "也提交给大家用（市场部审核后共享）", phraseKept: "已存为你的话术。", phraseKeptOffered: "已存为你的话术，并已提交审核。",
  phraseOwn: "我的", phraseOffered: "待审核", phraseShared: "共享", phraseSharedBy: "共享 · {name} 审核", phraseInsert: "插入", phraseInsertOne: "插入话术", copyIt: "复制",
  phraseOffer: "提交共享", phraseWithdraw: "撤回", phraseApprove: "通过，共享给大家", phraseDecline: "退回", phraseUnshare: "取消共享", phraseEdit: "修改", phraseForget: "删除", phraseForgetSure: "确定删除？",
  phraseChanged: "已更新", phraseForgotten: "已删除", save: "保存", cancel: "取消", commandPhrases: "话术",
  copyLink: "复制链接", openLink: "打开链接", close: "关闭",
  stopped: "已停止。以上不完整，出处也没核对，别直接发给客户。", stoppedEmpty: "已停止。", retry: "重试", askAgain: "重新提问",
  refusedTitle: "知识库里没有依据", refusedNote: "不确定的话，先别答应客户。",
  tryThese: "可以接着问", tryInstead: "换个问法试试",
  loading: "正在打开原文", noQuote: "没能在原文里逐字找到这段引文，请以原文为准。", partial: "原文很长，这里只显示引文附近的部分。",
  asItWas: "这份资料后来改过，这里是 {date} 回答时的原文。",
  validUntil: "有效期至 {date}", statusDraft: "草稿", statusArchived: "已归档", emptyText: "这份资料没有可显示的文字。",
  milliseconds: "{n} ms", switched: "已切换到{audience}，前面的对话不会带过去。",
  errorTitle: "没答成",
  errorNetwork: "连不上服务器。检查网络，或确认 Flightdeck 还在运行，然后重试。",
  errorBroken: "回答到一半连接断了。已有的内容不完整，别直接发给客户，请重试。",
  errorUnauthorized: "需要访问密钥。请向管理员索取，填在下面；只保存在这个标签页里。",
  errorForbidden: "你的密钥没有权限做这件事，请联系管理员。", errorPage: "这个网页不在密钥允许的来源里，请联系管理员。",
  errorSignedOut: "登录已过期，请刷新页面。", notSignedIn: "没能确认你的身份：{why}",
  errorRate: "问得太快了，请稍等再试。", errorRateIn: "问得太快了，请 {n} 秒后再试。",
  errorServer: "服务器出了问题，不是你的操作有误。请稍后重试。",
  errorInvalid: "这个问题没法处理：{message}", errorNotFound: "这份资料已不在知识库里，可能下架、过期或改了名。",
  requestId: "请求编号 {id}",
  key: "访问密钥", saveKey: "保存并重试", badKey: "密钥不对或已失效，请重新填写。",
  extractive: "原文摘录", understoodAs: "理解为：{question}",
  fallbacks: { slow: "模型太慢，未采用", failed: "模型调用失败", interrupted: "模型中途中断", unverified: "模型所写与资料不符，未采用",
    busy: "模型正忙，未采用", too_long: "资料超出模型长度", cancelled: "已停止" },
  kinds: { product: "产品资料", case: "客户案例", faq: "常见问题", qa: "真实问答", video: "视频", objection: "异议应对",
    template: "模板", service: "服务政策", company: "公司介绍", competitor: "竞品对比" },
  intents: { find_cases: "找案例", handle_objection: "应对异议", recommend_videos: "挑视频", find_template: "找模板",
    customer_brief: "客户简报", compare_competitor: "比竞品", product_question: "查产品", service_question: "查服务", other: "综合" },
  starters: [["客户说太贵了怎么回复？", "handle_objection"], ["做饮料的客户适合发哪些案例？", "find_cases"],
    ["LB-300S 速度多少？", "product_question"], ["哪个视频效果最好？", "recommend_videos"], ["有没有报价单模板？", "find_template"]],
  stageStarters: {
    first: [["这个客户适合发哪些案例？", "find_cases"], ["第一次接触发哪个视频好？", "recommend_videos"], ["公司有哪些优势可以介绍？", "other"]],
    quote: [["有没有报价单模板？", "find_template"], ["客户说太贵了怎么回复？", "handle_objection"], ["这个客户适合发哪些案例？", "find_cases"]],
    close: [["客户说再考虑考虑，怎么回？", "handle_objection"], ["交期一般多久？", "product_question"], ["保修多久，坏了多久能到现场？", "service_question"]],
    after: [["保修多久，坏了多久能到现场？", "service_question"], ["易损件怎么订，多久到货？", "service_question"], ["有没有操作培训的视频？", "recommend_videos"]],
  },
};

const ENGLISH = {
  pageTitle: "Flightdeck · Sales assistant", role: "Sales assistant", skip: "Skip to the message box", otherLanguage: "中",
  switchLanguage: "切换到中文",
  audience: "Who the answer is for", audienceInternal: "Internal", audienceCustomer: "Customer",
  previewNote: "Customer view: answers use only what may leave the company, exactly as a customer would see them.",
  newConversation: "New conversation",
  emptyTitle: "What is the customer asking?",
  emptyLead: "Every statement names its source, one click from the original. What the knowledge does not hold, it says so.",
  customer: "Customer", customerNone: "helps to find similar cases",
  industry: "Industry", size: "Size", region: "Region", stage: "Stage", needs: "Needs", clear: "Clear",
  industryHint: "e.g. beverages", regionHint: "e.g. East China", stageHint: "e.g. quotation", needsHint: "e.g. changeover takes too long",
  sizeSmall: "Small", sizeMedium: "Medium", sizeLarge: "Large",
  messageLabel: "Your question", messageHint: "What does the customer ask?", send: "Send", stop: "Stop the answer",
  keys: "Enter to send · Shift + Enter for a new line · Esc to stop · ↑ last question · / commands",
  you: "Q", working: "Looking through the knowledge", workingOn: "Looking through the knowledge: {intent}",
  internalBanner: "Internal material, do not forward", internalFrom: "sources {list}",
  sources: "Sources", sourceN: "Source {n}: {title}", openSource: "Open the source",
  badgeInternal: "Internal", badgeCustomer: "Shareable",
  page: "page {n}", line: "line {n}", lines: "lines {a}–{b}",
  copy: "Copy answer", copyMarkdown: "Copy Markdown", copyChat: "Copy as chat message", copied: "Copied", copiedInternal: "Copied. Holds internal material, do not forward", copyFailed: "Could not copy, please select by hand",
  history: "Earlier conversations", historyHint: "Find in what was said", historyNone: "No conversation holds these words.", historyEmpty: "No conversations yet.", more: "Earlier", searching: "Searching",
  customerSearch: "Find a customer: name, industry, region", customerUnknown: "Nobody found in the records; you can fill in the fields below.", customerChosen: "Customer: {name}", customerOther: "Another one",
  timeline: "Timeline", timelineEmpty: "Nothing on the timeline yet.", noteHint: "Note: what was said on the phone, when you meet", addNote: "Add", noted: "Noted",
  kind_sent: "Sent", kind_call: "Call", kind_meeting: "Meeting", kind_email: "Email", kind_chat: "Chat", kind_note: "Note",
  sendRecorded: "Once copied it stands on the timeline of {name}.", sendUnrecorded: "Choose the customer first (above the message box), and what you copy is put on their timeline.",
  recorded: "Put on the timeline of {name}.", notRecorded: "Copied, but not put on the timeline: {why}",
  thumbUp: "Helpful", thumbDown: "Not helpful, or wrong", thanks: "Thank you, noted.", corrected: "Thank you. Those who keep the knowledge will look at it; until then answers stay as they are.",
  whyBad: "What is wrong?", correction: "What it should say", correctionHint: "How you would answer, or the right figure", giveFeedback: "Submit",
  reasonWrong: "Wrong", reasonOutdated: "Outdated", reasonOffTopic: "Misses the point", reasonSource: "Wrong source", reasonLong: "Too long",
  commands: "Commands", commandsShown: "{n} commands, choose with the arrow keys", commandNew: "New conversation", commandHistory: "Earlier conversations", commandCustomer: "Choose a customer", commandView: "Internal / customer view", commandTheme: "Light or dark", commandLanguage: "中文", commandCases: "Which cases suit this customer?", commandPrice: "The customer says it is too expensive. How do I reply?",
  shareable: "All from shareable material", pause: ", ", reconnecting: "The connection broke; picking it up again",
  theme: "Theme: {choice}", themeAuto: "as the system", themeLight: "light", themeDark: "dark",
  offline: "The server cannot be reached. Drafts are kept; what was asked goes out once it is back, and only once.", online: "Connected again.", slow: "Slower than usual; still waiting for the server.",
  sendToCustomer: "Send to customer", copySend: "Copy the message", sendNote: "Written from shareable material only; change it before you send.", sendBlocked: "Cannot be sent: no shareable material supports this answer.",
  sendNoEnglish: "No shareable English material says this; have a translation checked before you send it.", sendWorded: "Worded by {model}, each sentence held against its source.", sendOverwrite: "What you have changed will be replaced.", sendOverwriteYes: "Replace it",
  tone: "Tone", tone_plain: "As it is", tone_shorter: "Shorter", tone_warmer: "Warmer", tone_english: "English",
  phrases: "Wordings", phrasesHint: "Find in the wordings", phrasesNone: "No wording holds these words.", phrasesEmpty: "No wordings yet. Keep a good answer as one and it is here.",
  phraseKeep: "Keep wording", phraseWords: "The wording", phraseOfferHint: "Offer it to everybody (shared once marketing approves)", phraseKept: "Kept as your wording.", phraseKeptOffered: "Kept as your wording, and offered for approval.",
  phraseOwn: "Mine", phraseOffered: "Waiting for approval", phraseShared: "Shared", phraseSharedBy: "Shared · approved by {name}", phraseInsert: "Insert", phraseInsertOne: "Insert a wording", copyIt: "Copy",
  phraseOffer: "Offer to all", phraseWithdraw: "Take back", phraseApprove: "Approve and share", phraseDecline: "Hand back", phraseUnshare: "Stop sharing", phraseEdit: "Edit", phraseForget: "Delete", phraseForgetSure: "Really delete?",
  phraseChanged: "Updated", phraseForgotten: "Deleted", save: "Save", cancel: "Cancel", commandPhrases: "Wordings",
  copyLink: "Copy link", openLink: "Open link", close: "Close",
  stopped: "Stopped. This is incomplete and its sources are not checked: do not send it on.", stoppedEmpty: "Stopped.", retry: "Retry", askAgain: "Ask again",
  refusedTitle: "Nothing in the knowledge supports an answer", refusedNote: "Better not to promise the customer anything yet.",
  tryThese: "Ask next", tryInstead: "Try asking",
  loading: "Opening the source", noQuote: "The quote was not found to the letter in this text; trust the text.", partial: "This text is long; only the part around the quote is shown.",
  asItWas: "This document has changed since; this is its text of {date}, when the answer was given.",
  validUntil: "Valid until {date}", statusDraft: "Draft", statusArchived: "Archived", emptyText: "This document has no text to show.",
  milliseconds: "{n} ms", switched: "Switched to {audience}; what was said before is not carried over.",
  errorTitle: "No answer",
  errorNetwork: "The server cannot be reached. Check the network, or whether Flightdeck is still running, then retry.",
  errorBroken: "The connection broke in the middle of the answer. Do not send on what is there; please retry.",
  errorUnauthorized: "An access key is needed. Ask your administrator for one; it is kept in this tab only.",
  errorForbidden: "Your key does not allow this. Please ask your administrator.", errorPage: "This page is not among those that may use the key. Please ask your administrator.",
  errorSignedOut: "You are signed out. Please reload the page.", notSignedIn: "Who you are could not be confirmed: {why}",
  errorRate: "Too many questions at once. Please wait a moment.", errorRateIn: "Too many questions at once. Please try again in {n} s.",
  errorServer: "Something went wrong on the server, not on your side. Please retry later.",
  errorInvalid: "This question cannot be handled: {message}", errorNotFound: "This document is no longer in the knowledge; it may have been withdrawn, expired or renamed.",
  requestId: "Request {id}",
  key: "Access key", saveKey: "Save and retry", badKey: "The key is wrong or no longer valid. Please enter it again.",
  extractive: "extractive", understoodAs: "understood as: {question}",
  fallbacks: { slow: "the model was too slow", failed: "the model failed", interrupted: "the model broke off",
    unverified: "the model's words do not stand in the sources", busy: "the model is busy",
    too_long: "the sources do not fit the model", cancelled: "stopped" },
  kinds: { product: "Product", case: "Case", faq: "FAQ", qa: "Real Q&A", video: "Video", objection: "Objection",
    template: "Template", service: "Service", company: "Company", competitor: "Competitor" },
  intents: { find_cases: "Cases", handle_objection: "Objection", recommend_videos: "Videos", find_template: "Template",
    customer_brief: "Customer brief", compare_competitor: "Competitor", product_question: "Product", service_question: "Service", other: "General" },
  starters: [["The customer says it is too expensive. How do I reply?", "handle_objection"],
    ["Which cases suit a beverage customer?", "find_cases"], ["How fast is the LB-300S?", "product_question"],
    ["Which video performs best?", "recommend_videos"], ["Is there a quotation template?", "find_template"]],
  stageStarters: {
    first: [["Which cases suit this customer?", "find_cases"], ["Which video is good for a first contact?", "recommend_videos"], ["What can I say about the company?", "other"]],
    quote: [["Is there a quotation template?", "find_template"], ["The customer says it is too expensive. How do I reply?", "handle_objection"], ["Which cases suit this customer?", "find_cases"]],
    close: [["The customer wants to think about it. How do I reply?", "handle_objection"], ["What is the lead time?", "product_question"], ["How long is the warranty and how fast is on-site service?", "service_question"]],
    after: [["How long is the warranty and how fast is on-site service?", "service_question"], ["How are wear parts ordered?", "service_question"], ["Is there a training video?", "recommend_videos"]],
  },
};

const STORED_AS = "flightdeck.language";
let texts = CHINESE;

/** Adds the texts of a page that brings its own; both have the same names. */
export function addTexts(chinese, english) {
  Object.assign(CHINESE, chinese);
  Object.assign(ENGLISH, english);
}

/** The text called `name`, `{placeholders}` filled from `values`. */
export function t(name, values = {}) {
  return texts[name].replace(/\{(\w+)\}/g, (_, key) => String(values[key] ?? ""));
}

/** Whether there is a text called `name`. */
export const knows = (name) => name in texts;

/** The name of a value of the API (a kind, an intent); an unknown value names itself. */
export const nameOf = (group, value) => texts[group][value] ?? value ?? "";

// A stage is the company's own word; these parts of words are what such words have in common.
const STAGES = [
  ["after", /成交|签约|交付|售后|复购|won|deliver|after|service/i],
  ["close", /谈判|合同|决策|议价|比价|negotiat|contract|decision/i],
  ["quote", /报价|方案|投标|试机|quot|proposal|offer|trial/i],
  ["first", /初|接触|线索|需求|调研|first|lead|contact|need/i],
];

/** The questions to start with, each with the intent it belongs to; fit for a customer's stage where it is known. */
export function starters(stage = null) {
  const [known] = STAGES.find(([, words]) => stage && words.test(stage)) ?? [null];
  return known ? texts.stageStarters[known] : texts.starters;
}

export const isEnglish = () => texts === ENGLISH;

/** Picks the language: the person's choice, else the browser's. */
export function chooseLanguage() {
  let stored = null;
  try { stored = localStorage.getItem(STORED_AS); } catch { /* Storage may be forbidden; the browser's language serves. */ }
  apply(stored ?? (/^en\b/i.test(navigator.language) ? "en" : "zh"));
}

/** Uses the language that the host page of a widget names, for this page only. */
export const useLanguage = (language) => apply(/^en\b/i.test(language) ? "en" : "zh");

/** Switches to the other language and remembers it. */
export function toggleLanguage() {
  const language = isEnglish() ? "zh" : "en";
  try { localStorage.setItem(STORED_AS, language); } catch { /* It then holds for this page only. */ }
  apply(language);
}

function apply(language) {
  texts = language === "en" ? ENGLISH : CHINESE;
  document.documentElement.lang = isEnglish() ? "en" : "zh-CN";
  document.title = t("pageTitle");
  for (const node of document.querySelectorAll("[data-i18n]")) node.textContent = t(node.dataset.i18n);
  for (const node of document.querySelectorAll("[data-i18n-placeholder]")) node.placeholder = t(node.dataset.i18nPlaceholder);
  for (const node of document.querySelectorAll("[data-i18n-label]")) {
    node.setAttribute("aria-label", t(node.dataset.i18nLabel));
    node.title = t(node.dataset.i18nLabel);
  }
}
