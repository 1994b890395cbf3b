//! Words that ask nothing of the knowledge: a greeting, thanks, a farewell, a word of assent, who one is talking to.
//!
//! Whatever lies near such words in the knowledge is no answer to them. They are answered in kind, state nothing that
//! needs a source, and are no question that somebody should fill in.

use flightdeck_corpus::Audience;
use flightdeck_retrieval::fold_text;

use crate::question::Language;

/// What a message is that asks nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Courtesy {
    Assent,
    Greeting,
    Farewell,
    Thanks,
    WhoAreYou,
}

/// Whole phrases, folded, without what is said behind them (`啊`, `哦`).
const PHRASES: &[(Courtesy, &[&str])] = &[
    (
        Courtesy::Greeting,
        &[
            "你好",
            "您好",
            "你们好",
            "大家好",
            "哈喽",
            "哈啰",
            "嗨",
            "嘿",
            "喂",
            "在",
            "在不",
            "在不在",
            "在么",
            "在吗",
            "有人",
            "有人在",
            "有人吗",
            "有人在吗",
            "早",
            "早上好",
            "上午好",
            "中午好",
            "下午好",
            "晚上好",
            "打扰了",
            "打扰一下",
            "请问",
            "请问一下",
            "hi",
            "hello",
            "hey",
            "hi there",
            "hello there",
            "good morning",
            "good afternoon",
            "good evening",
            "anyone there",
            "are you there",
            "is anyone there",
        ],
    ),
    (
        Courtesy::Thanks,
        &[
            "谢谢",
            "谢谢你",
            "谢谢您",
            "谢啦",
            "谢了",
            "多谢",
            "感谢",
            "非常感谢",
            "辛苦",
            "辛苦了",
            "麻烦了",
            "麻烦你了",
            "麻烦您了",
            "thanks",
            "thank you",
            "thanks a lot",
            "thank you very much",
            "thx",
            "cheers",
        ],
    ),
    (
        Courtesy::Farewell,
        &[
            "再见",
            "拜拜",
            "拜",
            "回头聊",
            "先这样",
            "下次聊",
            "晚安",
            "bye",
            "goodbye",
            "see you",
            "good night",
        ],
    ),
    (
        Courtesy::Assent,
        &[
            "好",
            "好的",
            "好滴",
            "好嘞",
            "行",
            "可以",
            "嗯",
            "嗯嗯",
            "哦",
            "噢",
            "收到",
            "明白",
            "明白了",
            "知道了",
            "了解",
            "了解了",
            "没事",
            "没事了",
            "没有了",
            "不用了",
            "ok",
            "okay",
            "got it",
            "i see",
            "understood",
            "sure",
        ],
    ),
    (
        Courtesy::WhoAreYou,
        &[
            "你是谁",
            "您是谁",
            "你叫什么",
            "你叫什么名字",
            "你是什么",
            "你是机器人",
            "你是机器人吗",
            "是机器人吗",
            "你是ai",
            "你是ai吗",
            "你是真人",
            "你是真人吗",
            "是真人吗",
            "你是人工吗",
            "你是人工还是机器人",
            "你能做什么",
            "你会什么",
            "你会做什么",
            "你能帮我什么",
            "who are you",
            "what are you",
            "are you a bot",
            "are you a robot",
            "are you human",
            "are you an ai",
            "what can you do",
        ],
    ),
];
/// Said behind a phrase and before its end.
const PARTICLES: &[char] = &['啊', '呀', '呢', '吧', '哦', '哈', '啦', '哟', '的', '嘛', '么', '吗'];
/// No courtesy is longer, in characters.
const MOST_CHARS: usize = 40;

impl Courtesy {
    /// What the message is, where all of it is courtesy; of several the one that calls most for a reply of its own.
    pub fn of(message: &str) -> Option<Self> {
        if message.chars().count() > MOST_CHARS {
            return None;
        }
        let folded = fold_text(message);
        // An English phrase has blanks within; whatever else is neither letter nor digit parts two phrases.
        let phrases = folded.split(|c: char| !c.is_alphanumeric() && c != ' ').map(str::trim);
        let mut found = None;
        for phrase in phrases.filter(|phrase| !phrase.is_empty()) {
            found = found.max(Some(of_run(phrase)?));
        }
        found
    }

    /// The reply.
    pub fn reply(self, audience: Audience, language: Language) -> &'static str {
        let (zh, en) = match (self, audience) {
            (Self::Greeting, Audience::Internal) => (
                "在的。问我产品、案例、报价、售后，或者直接贴客户的原话。",
                "Here. Ask me about products, cases, prices or service, or paste what the customer said.",
            ),
            (Self::Greeting, Audience::Customer) => (
                "您好，我在。产品、报价、交期、售后，直接问就行。",
                "Hello, I am here. Ask me about products, prices, delivery or service.",
            ),
            (Self::Thanks, _) => {
                ("不客气，有需要随时问我。", "You are welcome. Ask me whenever you need to.")
            }
            (Self::Farewell, _) => ("再见，有需要随时找我。", "Goodbye. I am here whenever you need me."),
            (Self::Assent, _) => ("好的，有需要随时问我。", "All right. Ask me whenever you need to."),
            (Self::WhoAreYou, Audience::Internal) => (
                "我是 AI 销售助手，不是真人。回答都摘自公司的资料，每句带出处；没有依据的我会直说。",
                "I am the sales assistant, an AI and no person. My answers come from the company's material, each with its source; where there is none I say so.",
            ),
            (Self::WhoAreYou, Audience::Customer) => (
                "我是 AI 助手，不是真人。回答都出自公司的公开资料；拿不准的，我请同事来答。",
                "I am an AI assistant, not a person. My answers come from the company's published material; where I am not sure, a colleague will answer.",
            ),
        };
        language.pick(zh, en)
    }
}

/// As [`Courtesy::of`], of text without punctuation: one phrase, or several said in one breath (`你好 在吗`).
fn of_run(run: &str) -> Option<Courtesy> {
    if let Some(courtesy) = of_phrase(run) {
        return Some(courtesy);
    }
    let mut found = None;
    for phrase in run.split(' ').filter(|phrase| !phrase.is_empty()) {
        found = found.max(Some(of_phrase(phrase)?));
    }
    found
}

fn of_phrase(phrase: &str) -> Option<Courtesy> {
    let known = |phrase: &str| {
        PHRASES.iter().find(|(_, phrases)| phrases.contains(&phrase)).map(|(courtesy, _)| *courtesy)
    };
    known(phrase).or_else(|| known(phrase.trim_end_matches(PARTICLES)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn courtesies_are_known_whole_however_they_are_put() {
        for (said, courtesy) in [
            ("你好", Courtesy::Greeting),
            ("您好，在吗？", Courtesy::Greeting),
            ("你好 在吗", Courtesy::Greeting),
            ("在不在呀~", Courtesy::Greeting),
            ("Hello!", Courtesy::Greeting),
            ("good morning", Courtesy::Greeting),
            ("好的，谢谢啦！", Courtesy::Thanks),
            ("Thank you very much.", Courtesy::Thanks),
            ("嗯嗯", Courtesy::Assent),
            ("OK 👌", Courtesy::Assent),
            ("拜拜～", Courtesy::Farewell),
            ("你好，你是机器人吗？", Courtesy::WhoAreYou),
        ] {
            assert_eq!(Courtesy::of(said), Some(courtesy), "{said}");
        }
    }

    #[test]
    fn a_question_is_none_whatever_it_begins_with() {
        for said in [
            "你好，下单到拿到机器要多久？",
            "谢谢，那保修多久",
            "在吗 LB-300S 多少钱",
            "好用吗",
            "行业案例",
            "？",
            "",
            "早期的型号",
        ] {
            assert_eq!(Courtesy::of(said), None, "{said}");
        }
    }
}
