//! What a person wants, from the words they use.
//!
//! A table of cues, each with a weight: reps ask in a few fixed ways, and a table can be read, argued with and
//! tested. Where no cue speaks, the kinds of the passages that were found decide (see [`by_evidence`]).

use flightdeck_corpus::{Document, Kind};
use flightdeck_retrieval::fold_text;

use crate::answer::Intent;

/// What a competitor's name in the question says for a comparison, and a customer's for a brief.
const COMPETITOR_NAMED: f32 = 2.3;
const CUSTOMER_NAMED: f32 = 1.2;

/// A phrase that speaks for an intent when it stands in the folded question.
struct Cue {
    intent: Intent,
    weight: f32,
    phrases: &'static [&'static str],
}

const CUES: &[Cue] = &[
    Cue {
        intent: Intent::FindCases,
        weight: 3.0,
        phrases: &[
            "案例",
            "成功经验",
            "标杆",
            "样板客户",
            "同行都",
            "同行业的客户",
            "类似的客户",
            "类似客户",
            "做过类似",
            "给谁做过",
            "做过吗",
            "有用你们",
            "有没有先",
            "哪个客户",
            "哪些客户",
            "看案例",
            "reference",
            "做过哪些客户",
            "谁用过",
            "哪些厂用",
            "哪家用",
            "有没有客户",
            "服务过哪些",
            "合作过",
            "case study",
            "case studies",
            "success stor",
            "reference customer",
            "references",
            "similar customer",
            "who else uses",
            "customer story",
            "同行用",
            "同行有",
            "做过哪",
            "用得好的",
            "参考客户",
            "做过类似",
            "老客户",
            "样板",
        ],
    },
    Cue {
        intent: Intent::RecommendVideos,
        weight: 3.5,
        phrases: &[
            "视频",
            "录像",
            "短片",
            "抖音",
            "视频号",
            "b站",
            "播放量",
            "完播",
            "video",
            "clip",
            "影片",
            "视屏",
            "短片",
            "录像",
            "教程",
            "片子",
            "footage",
        ],
    },
    Cue {
        intent: Intent::FindTemplate,
        weight: 3.0,
        phrases: &[
            "模板",
            "范本",
            "样本文件",
            "方案书",
            "报价单",
            "邮件怎么写",
            "写封邮件",
            "写一封",
            "议程",
            "清单表",
            "验收表",
            "纪要",
            "话术模板",
            "套用",
            "template",
            "draft email",
            "proposal format",
            "quotation form",
            "checklist",
            "格式文件",
            "怎么写",
            "写个",
            "起草",
            "agenda",
            "minutes",
            "样本",
            "表格",
            "email to",
            "检查表",
            "模版",
            "第一句",
            "能抄",
            "打勾",
            "直接改改",
            "改改就",
        ],
    },
    Cue {
        intent: Intent::HandleObjection,
        weight: 2.6,
        phrases: &[
            "怎么回",
            "怎么说",
            "怎么答",
            "如何回",
            "如何应对",
            "怎么应对",
            "怎么劝",
            "怎么接",
            "怎么破",
            "咋回",
            "咋说",
            "说服",
            "打消",
            "太贵",
            "嫌贵",
            "价格高",
            "贵了",
            "再考虑",
            "考虑考虑",
            "没预算",
            "有供应商",
            "不信任",
            "压价",
            "砍价",
            "how do i respond",
            "how to respond",
            "what should i say",
            "too expensive",
            "objection",
            "push back",
            "pushes back",
            "think it over",
            "already have a supplier",
            "no budget",
            "客户嫌",
            "客户担心",
            "客户怕",
            "客户觉得",
            "客户不想",
            "客户非要",
            "顾虑",
            "how should i answer",
            "how do i answer",
            "怎么聊",
            "怎么讲",
            "怎么谈",
            "怎么辩",
            "怎么撬",
            "怎么解释",
            "咋办",
            "咋整",
            "再砍",
            "要砍",
            "嫌咱",
            "嫌我们",
            "人家嫌",
            "对方嫌",
            "没影",
            "怎么留",
            "how should i respond",
            "how do i handle",
            "what do i say",
            "too high",
            "not switch",
            "ask his boss",
            "凭啥",
            "凭什么买",
            "不放心",
            "被绑死",
            "不想动",
            "不想换",
            "话术",
        ],
    },
    Cue {
        intent: Intent::HandleObjection,
        weight: 0.8,
        phrases: &[
            "客户说",
            "客户问",
            "对方说",
            "老板说",
            "采购说",
            "customer says",
            "client says",
            "客户讲",
            "他说",
        ],
    },
    Cue {
        intent: Intent::CompareCompetitor,
        weight: 2.4,
        phrases: &[
            "竞品",
            "竞争对手",
            "对手",
            "友商",
            "别家",
            "别人家",
            "战卡",
            "比我们",
            "跟我们比",
            "和我们比",
            "我们比",
            "competitor",
            "battle card",
            "battlecard",
            " vs ",
            "versus",
            "against us",
            "compared with",
            "丢单",
            "赢单",
            "compares us",
            "key differences",
        ],
    },
    Cue {
        intent: Intent::CustomerBrief,
        weight: 3.0,
        phrases: &[
            "是做什么的",
            "是干什么的",
            "什么来头",
            "客户背景",
            "客户情况",
            "什么情况",
            "客户简介",
            "拜访前",
            "见面前",
            "准备什么",
            "要准备",
            "之前问过",
            "聊过什么",
            "发过什么",
            "customer brief",
            "background of",
            "who is this customer",
            "what do we know about",
            "什么公司",
            "干啥的",
            "跟进到",
            "了解多少",
            "简报",
            "梳理",
            "客户的情况",
            "情况说一下",
            "情况整理",
            "谈判记录",
            "跟到哪",
            "进展怎",
            "进展如何",
            "要接手",
            "去之前",
            "拜访",
            "之前跟我们",
            "都跟我们谈",
            "谁在跟",
            "最在意",
            "brief on",
            "give me a brief",
        ],
    },
    Cue {
        intent: Intent::ServiceQuestion,
        weight: 1.6,
        phrases: &[
            "保修",
            "质保",
            "售后",
            "维修",
            "上门",
            "安装",
            "调试",
            "培训",
            "交期",
            "交货",
            "发货",
            "多久能到",
            "到货",
            "备件",
            "配件",
            "易损件",
            "保养",
            "维护",
            "响应",
            "热线",
            "以旧换新",
            "旧机",
            "试用",
            "试机",
            "样机",
            "租赁",
            "融资",
            "分期",
            "延保",
            "付款",
            "预付",
            "退货",
            "退换",
            "验收",
            "投诉",
            "坏了",
            "故障",
            "远程诊断",
            "网点",
            "warranty",
            "delivery",
            "lead time",
            "install",
            "training",
            "spare part",
            "maintenance",
            "after-sales",
            "trade-in",
            "lease",
            "leasing",
            "payment",
            "trial",
            "repair",
            "commission",
            "hotline",
            "service",
            "工程师",
            "现场",
            "质保期",
            "换新",
            "保固",
            "加急",
            "发票",
            "税点",
            "开票",
            "承兑",
            "押金",
            "寄样",
            "打样",
            "拆装",
            "搬迁",
            "月供",
            "按月付",
            "首付",
            "以旧",
            "能抵",
            "叉车",
            "卸货",
            "现货",
            "吊装",
            "合同",
            "定金",
            "尾款",
            "账期",
            "服务站",
            "趴窝",
            "fob",
            "cif",
            "invoice",
            "deposit",
            "refund",
            "谁教",
            "新人",
            "下单",
            "怎么收",
        ],
    },
    Cue {
        intent: Intent::ProductQuestion,
        weight: 1.4,
        phrases: &[
            "参数",
            "速度",
            "精度",
            "产能",
            "多快",
            "功率",
            "电压",
            "尺寸",
            "重量",
            "占地",
            "多重",
            "型号",
            "规格",
            "材质",
            "价格",
            "多少钱",
            "报价",
            "面价",
            "底价",
            "噪音",
            "噪声",
            "气压",
            "耗气",
            "换型",
            "接口",
            "协议",
            "兼容",
            "适合",
            "选型",
            "哪款",
            "哪个型号",
            "区别",
            "能不能贴",
            "能贴",
            "能装",
            "能灌",
            "支持",
            "配置",
            "选配",
            "标配",
            "speed",
            "accuracy",
            "capacity",
            "power",
            "voltage",
            "price",
            "spec",
            "model",
            "dimension",
            "weight",
            "compatible",
            "footprint",
            "noise",
            "贴标机",
            "灌装机",
            "包装机",
            "封箱",
            "开箱",
            "旋盖",
            "码垛",
            "热收缩",
            "linkcloud",
            "quickchange",
            "视觉检测",
            "瓶",
            "袋",
            "膜",
            "标签",
            "machine",
            "label",
            "端口",
            "modbus",
            "opc",
            "plc",
            "cip",
            "防护",
            "ip54",
            "ip65",
            "误剔",
            "检出",
            "机械手",
            "承重",
            "色标",
            "切刀",
            "抓手",
            "空开",
            "电机",
            "产量",
            "能转",
            "多少箱",
            "per hour",
            "per minute",
            "explosion",
            "hmi",
            "折旧",
            "寿命",
            "起皱",
            "鼓包",
            "噪",
            "分贝",
            "数据",
            "配方",
            "mes",
            "程序",
            "密码",
        ],
    },
    Cue {
        intent: Intent::Other,
        weight: 1.5,
        phrases: &[
            "公司",
            "成立",
            "员工",
            "专利",
            "证书",
            "资质",
            "展会",
            "总部",
            "地址",
            "销售额",
            "iso",
            "founded",
            "headquarter",
            "employees",
            "patent",
            "certificate",
            "exhibition",
            "提成",
            "佣金",
            "奖金",
            "报销",
            "厂房",
        ],
    },
];

/// Names that decide what a question is about, read off an index once.
pub(crate) struct Names {
    /// Competitors, folded.
    competitors: Vec<String>,
    /// Customers in cases and in the Q&A history, folded.
    customers: Vec<String>,
}

impl Names {
    /// Reads the names off the documents: a competitor's from the titles of battle cards, a customer's from the
    /// titles of cases and the customer column of the Q&A history.
    pub fn of<'d>(documents: impl Iterator<Item = &'d Document>) -> Self {
        let (mut competitors, mut customers) = (Vec::new(), Vec::new());
        for document in documents {
            let title = fold_text(&document.title);
            match document.kind {
                Kind::Competitor => competitors.extend(lead_name(&title)),
                Kind::Case => customers.extend(lead_name(&title)),
                Kind::Qa => customers.extend(
                    document
                        .field("customer")
                        .map(|field| fold_text(field.value.trim()))
                        .filter(|name| is_name(name)),
                ),
                _ => {}
            }
        }
        for names in [&mut competitors, &mut customers] {
            names.sort();
            names.dedup();
        }
        Self { competitors, customers }
    }

    /// Whether folded text names a competitor.
    pub fn competitor_in(&self, question: &str) -> bool {
        self.competitors.iter().any(|name| question.contains(name.as_str()))
    }

    /// Whether folded text names a customer.
    pub fn customer_in(&self, question: &str) -> bool {
        self.customers.iter().any(|name| question.contains(name.as_str()))
    }
}

/// The name that a title starts with: what stands before the first mark, bracket or space, without the words that
/// every firm has in its name, when it is short enough to be one.
fn lead_name(title: &str) -> Option<String> {
    let lead = title.split(['：', ':', '（', '(', ' ', '|', '-', '—', '，', ',', '·']).next()?.trim();
    let mut name = lead;
    for word in ["机械", "自动化", "智能", "公司", "集团", "有限公司", "食品", "客户"] {
        name = name.strip_suffix(word).filter(|rest| rest.chars().count() >= 2).unwrap_or(name);
    }
    is_name(name).then(|| name.to_owned())
}

fn is_name(name: &str) -> bool {
    const COMMON: [&str; 8] = ["竞品", "对比", "如何", "怎样", "怎么", "赢单", "丢单", "总览"];
    let length = name.chars().count();
    (2..=10).contains(&length) && !COMMON.iter().any(|word| name.contains(word)) && !name.starts_with('某')
}

/// Scores by intent; several cues of one entry count a little more than one.
pub(crate) fn by_words(question: &str, names: &Names) -> Option<(Intent, f32)> {
    let question = format!(" {} ", fold_text(question));
    let mut scores: Vec<(Intent, f32)> = Vec::new();
    for cue in CUES {
        let n_hits = cue.phrases.iter().filter(|phrase| question.contains(*phrase)).count();
        if n_hits > 0 {
            let score = cue.weight * (1.0 + 0.25 * (n_hits.min(4) - 1) as f32);
            match scores.iter_mut().find(|(intent, _)| *intent == cue.intent) {
                Some((_, total)) => *total += score,
                None => scores.push((cue.intent, score)),
            }
        }
    }
    let mut add = |intent: Intent, gain: f32| match scores.iter_mut().find(|(known, _)| *known == intent) {
        Some((_, total)) => *total += gain,
        None => scores.push((intent, gain)),
    };
    if names.competitor_in(&question) {
        add(Intent::CompareCompetitor, COMPETITOR_NAMED);
    }
    if names.customer_in(&question) {
        add(Intent::CustomerBrief, CUSTOMER_NAMED);
    }
    // First wins among equals: the table's order is the order of how specific an intent is.
    scores.into_iter().reduce(|best, next| if next.1 > best.1 { next } else { best })
}

/// Whether a message asks for what a sales assistant has nothing to do with, and says nothing of its trade.
pub(crate) fn is_small_talk(question: &str) -> bool {
    const WORDS: &[&str] = &[
        "天气",
        "写诗",
        "首诗",
        "的诗",
        "笑话",
        "股价",
        "股票",
        "彩票",
        "星座",
        "放假",
        "五险一金",
        "公积金",
        "社保",
        "菜谱",
        "几点下班",
        "电影",
        "唱歌",
        "weather",
        "poem",
        "joke",
        "stock price",
        "lottery",
        "horoscope",
        "holiday",
    ];
    let folded = fold_text(question);
    WORDS.iter().any(|word| folded.contains(word))
}

/// The intent that the kinds of the passages speak for, best first. FAQ and Q&A rows are about anything, so what
/// stands beside them decides.
pub(crate) fn by_evidence(kinds: impl IntoIterator<Item = Kind>) -> Intent {
    let mut votes: Vec<(Intent, f32)> = Vec::new();
    for (rank, kind) in kinds.into_iter().take(12).enumerate() {
        let intent = match kind {
            Kind::Product => Intent::ProductQuestion,
            Kind::Service => Intent::ServiceQuestion,
            Kind::Objection => Intent::HandleObjection,
            Kind::Competitor => Intent::CompareCompetitor,
            Kind::Company => Intent::Other,
            // A case, a video or a template that is near does not mean that one was asked for.
            Kind::Faq | Kind::Qa | Kind::Case | Kind::Video | Kind::Template => continue,
        };
        let vote = 1.0 / (rank + 2) as f32;
        match votes.iter_mut().find(|(known, _)| *known == intent) {
            Some((_, total)) => *total += vote,
            None => votes.push((intent, vote)),
        }
    }
    votes
        .into_iter()
        .reduce(|best, next| if next.1 > best.1 { next } else { best })
        .map_or(Intent::Other, |(intent, _)| intent)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_questions_reps_ask_are_understood() {
        for (question, intent) in [
            ("客户说太贵了怎么回？", Intent::HandleObjection),
            ("这家食品厂适合发哪些案例？", Intent::FindCases),
            ("有没有类似的方案模板？", Intent::FindTemplate),
            ("哪个视频效果最好", Intent::RecommendVideos),
            ("LB-300S 速度多少", Intent::ProductQuestion),
            ("保修多久？", Intent::ServiceQuestion),
            ("博润特跟我们比差在哪", Intent::CompareCompetitor),
            ("这个客户是做什么的", Intent::CustomerBrief),
            ("How do I respond when the client says it is too expensive?", Intent::HandleObjection),
        ] {
            let names = Names { competitors: vec!["博润特".to_owned()], customers: Vec::new() };
            assert_eq!(by_words(question, &names).map(|(intent, _)| intent), Some(intent), "{question}");
        }
    }
}
