//! What a message means after the turns before it: `那精度呢？` behind a question about LB-300S asks for its accuracy.
//!
//! By rule, because the ways to lean on what was said are few and a rule can be read: a place in the list that was
//! shown, more of the same, the next size of a machine, another model in the same question, another aspect of the
//! same model, another subject for the same kind of search. A message that stands on its own is left as it is; what a
//! message came to mean is kept with the answer and shown, so that a wrong guess is seen.

use flightdeck_corpus::DocumentId;
use flightdeck_retrieval::{fold_text, is_han};

use crate::answer::Intent;
use crate::courtesy::Courtesy;
use crate::engine::Asking;
use crate::intent;
use crate::products::neighbour;
use crate::question::{Language, content_words, models};

/// A turn that was taken: what was asked, and what was shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Turn {
    /// The question as it was understood.
    pub question: String,
    /// What was wanted.
    pub intent: Option<Intent>,
    /// The documents shown, in order, each once.
    pub shown: Vec<DocumentId>,
}

impl Turn {
    /// Adds a document to those shown, unless it was.
    pub fn show(&mut self, document: DocumentId) {
        if !self.shown.contains(&document) {
            self.shown.push(document);
        }
    }
}

/// A message with all that it means.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Meaning {
    /// The question in full.
    pub text: String,
    /// What is wanted, where the turns before say it.
    pub wanted: Option<Intent>,
    /// Only this document is asked for.
    pub only: Option<DocumentId>,
    /// Documents that were shown already and are not wanted again.
    pub without: Vec<DocumentId>,
    /// What the message may mean by itself, should the rest be a wrong guess.
    pub alone: Option<String>,
}

impl Meaning {
    /// A message that means what it says.
    pub fn of(text: &str) -> Self {
        Self { text: text.to_owned(), ..Self::default() }
    }
}

/// Longest message that is read as another aspect of what was spoken of, in characters.
const ASPECT_CHARS: usize = 12;
/// Longest message that only asks for more.
const MORE_CHARS: usize = 16;

const ORDINALS: &[(&[&str], usize)] = &[
    (&["第一", "第1", "头一", "the first", "first one", "1st"], 0),
    (&["第二", "第2", "the second", "second one", "2nd"], 1),
    (&["第三", "第3", "the third", "third one", "3rd"], 2),
    (&["第四", "第4", "the fourth", "4th"], 3),
    (&["第五", "第5", "the fifth", "5th"], 4),
    (&["最后一", "the last one"], LAST),
];
/// The last of a list, however long it is.
const LAST: usize = usize::MAX;
/// What is counted in a list that was shown: behind a Chinese ordinal, and behind an English one unless it ends there.
const COUNTED: &[char] = &['个', '条', '份', '篇', '款', '家', '种', '段', '支', '张'];
const COUNTED_ENGLISH: &[&str] =
    &["", "one", "case", "video", "template", "link", "document", "to", "please"];
const MORE: &[&str] = &[
    "还有吗",
    "还有没有",
    "还有别的",
    "还有其他",
    "还有哪些",
    "再来几",
    "再来一",
    "再来点",
    "再给几",
    "再给一",
    "再给我",
    "再找几",
    "再找一",
    "换一个",
    "换一批",
    "换几个",
    "其他的呢",
    "别的呢",
    "有更多",
    "更多的吗",
    "看更多",
    "any more",
    "anything else",
    "others?",
    "another one",
    "show more",
    "more of",
];
/// The next size, by words that mean nothing else, and by words that may as well be about what the machine takes.
const BIGGER: &[&str] = &["大一号", "大一级", "大一档", "快一档", "高一档", "next size up"];
const MAYBE_BIGGER: &[&str] = &["大一点", "更大", "再大", "bigger", "larger"];
const SMALLER: &[&str] = &["小一号", "小一级", "小一档", "低一档", "next size down"];
const MAYBE_SMALLER: &[&str] = &["小一点", "更小", "再小", "smaller"];
const ANAPHORA: &[&str] = &[
    "它",
    "这台",
    "那台",
    "这款",
    "那款",
    "这个机器",
    "那个机器",
    "这个型号",
    "该机",
    "该型号",
    "上面",
    "刚才",
    "刚刚说",
    " it ",
    " it?",
    " its ",
    "that one",
    "this one",
    "that machine",
    "this machine",
];
const LEADS: &[&str] = &["那么", "那", "how about", "what about", "and the", "and what about", "and"];

/// What the message means behind the turns, oldest first.
pub(crate) fn meaning(message: &str, turns: &[Turn], asking: &Asking<'_>) -> Meaning {
    let Asking { index, audience, day, names, .. } = *asking;
    let own = Meaning::of(message);
    if Courtesy::of(message).is_some() {
        return own;
    }
    let Some(last) = turns.iter().rev().find(|turn| !turn.question.is_empty()) else { return own };
    let folded = fold_text(message);
    let asked = format!(" {} ", folded.trim());
    let named = models(&folded);
    if named.is_empty()
        && let Some(place) = ordinal(&asked)
        && let Some(turn) = turns.iter().rev().find(|turn| !turn.shown.is_empty())
    {
        let shown = if place == LAST { turn.shown.last() } else { turn.shown.get(place) };
        // What was shown then may be withdrawn by now.
        if let Some(document) = shown.and_then(|id| index.document(&id.to_string(), audience, day)) {
            return Meaning {
                text: document.title.clone(),
                wanted: turn.intent,
                only: Some(document.id.clone()),
                ..Meaning::default()
            };
        }
    }
    let length = message.chars().filter(|c| c.is_alphanumeric()).count();
    let has = |words: &[&str]| words.iter().any(|word| asked.contains(word));
    if length <= MORE_CHARS && has(MORE) && named.is_empty() {
        return Meaning {
            text: last.question.clone(),
            wanted: last.intent,
            without: turns.iter().flat_map(|turn| turn.shown.iter().cloned()).collect(),
            ..Meaning::default()
        };
    }
    let before = models(&fold_text(&last.question));
    let core = core(message);
    let core_words = content_words(&core, index);
    let aspect = without_sizes(&core);
    let says_only_a_size = || content_words(&aspect, index).is_empty();
    let wants = |surely: &[&str], maybe: &[&str]| has(surely) || has(maybe) && says_only_a_size();
    let wants_bigger = wants(BIGGER, MAYBE_BIGGER);
    if let [model] = before.as_slice()
        && named.is_empty()
        && (wants_bigger || wants(SMALLER, MAYBE_SMALLER))
        && let Some(next) = neighbour(model, wants_bigger, index, audience, day)
    {
        let aspect =
            if says_only_a_size() { without_models(&last.question, &before) } else { aspect.clone() };
        return Meaning { text: joined(&[&next, &aspect]), wanted: last.intent, ..Meaning::default() };
    }
    let is_elliptic =
        behind_lead(&folded).is_some() || folded.trim_end_matches(['?', '？', ' ', '。']).ends_with('呢');
    let says_no_more = core_words.iter().all(|word| named.contains(word));
    if !named.is_empty() {
        // Another model in the same question.
        if says_no_more && (is_elliptic || length <= ASPECT_CHARS) && !before.is_empty() {
            let aspect = without_models(&last.question, &before);
            return Meaning { text: joined(&[&core, &aspect]), wanted: last.intent, ..Meaning::default() };
        }
        return own;
    }
    if core_words.is_empty() && !is_elliptic {
        return own;
    }
    let leans = is_elliptic || has(ANAPHORA);
    // Who speaks of a rival, or asks for a case or a video, has taken up something else.
    let wants_other = !matches!(
        intent::by_words(message, names),
        None | Some((Intent::ProductQuestion | Intent::ServiceQuestion | Intent::Other, _))
    );
    let is_aspect = !wants_other
        && core.chars().filter(|c| c.is_alphanumeric()).count() <= ASPECT_CHARS
        && matches!(
            last.intent,
            Some(Intent::ProductQuestion | Intent::ServiceQuestion | Intent::CompareCompetitor)
        );
    if !before.is_empty() && (leans || is_aspect) {
        let subject = shown_models(&last.question, &before).join(" ");
        let text = joined(&[&subject, &core]);
        return Meaning { text, alone: Some(core), ..Meaning::default() };
    }
    if !leans {
        return own;
    }
    let chinese = if message.chars().any(is_han) { Language::Chinese } else { Language::English };
    if let Some(noun) = last.intent.and_then(|intent| searched_for(intent, chinese)) {
        // Another subject for the same kind of search.
        let text = if folded.contains(noun) { core } else { joined(&[&core, noun]) };
        return Meaning { text, wanted: last.intent, ..Meaning::default() };
    }
    Meaning {
        text: joined(&[&last.question, &core]),
        wanted: last.intent,
        alone: Some(core),
        ..Meaning::default()
    }
}

/// Several questions in one message, each as it stands there; one where there are no two. Words before a question that
/// ask nothing are its own: they say what it is about.
pub(crate) fn parts(message: &str) -> Vec<String> {
    let mut parts: Vec<String> = Vec::new();
    let mut start = 0;
    for (at, mark) in message.char_indices().filter(|(_, c)| matches!(c, '？' | '?')) {
        let end = at + mark.len_utf8();
        let part = message[start..end].trim();
        start = end;
        let asks_something = part.chars().filter(|c| c.is_alphanumeric()).count() >= 2;
        if asks_something && Courtesy::of(part).is_none() {
            parts.push(part.trim_start_matches(['，', ',', '。', '；', ';', '、']).trim().to_owned());
        }
    }
    let rest = message[start..].trim();
    let asks = parts.len() >= 2 && parts.len() <= MOST_PARTS;
    if !asks {
        return vec![message.to_owned()];
    }
    if rest.chars().any(char::is_alphanumeric)
        && let Some(last) = parts.last_mut()
    {
        last.push_str(rest);
    }
    parts
}

/// More questions than this are one long text, not a list.
const MOST_PARTS: usize = 5;

fn ordinal(asked: &str) -> Option<usize> {
    ORDINALS.iter().find_map(|(words, place)| {
        words.iter().find_map(|word| {
            let at = asked.find(word)?;
            let rest = &asked[at + word.len()..];
            // `第一次` and `the first year` are no places in a list.
            let counts = if word.is_ascii() {
                let next = rest.split(|c: char| !c.is_alphanumeric()).find(|word| !word.is_empty());
                COUNTED_ENGLISH.contains(&next.unwrap_or_default())
            } else {
                rest.starts_with(COUNTED)
            };
            counts.then_some(*place)
        })
    })
}

/// What follows a word that takes up what was said: `那`, `what about`.
fn behind_lead(text: &str) -> Option<&str> {
    let text = text.trim_start();
    if ["那边", "那天", "那家", "那批", "那次", "那台", "那款", "那个"]
        .iter()
        .any(|word| text.starts_with(word))
    {
        return None;
    }
    LEADS.iter().find_map(|lead| {
        let (head, rest) = text.split_at_checked(lead.len())?;
        let ends = !lead.is_ascii() || rest.starts_with([' ', ',']);
        (head.eq_ignore_ascii_case(lead) && ends).then(|| rest.trim_start_matches([',', '，', ' ']))
    })
}

/// The message without the words that only lean on what was said.
fn core(message: &str) -> String {
    let message = message.trim().trim_end_matches(['?', '？', '。', '!', '！', ' ']);
    let mut core = behind_lead(message).unwrap_or(message).to_owned();
    for word in ["的呢", "呢"] {
        if let Some(rest) = core.strip_suffix(word) {
            core = rest.to_owned();
            break;
        }
    }
    for word in ANAPHORA.iter().filter(|word| !word.is_ascii()) {
        core = core.replace(word, "");
    }
    let is_pronoun = |word: &&str| ["it", "its", "that", "this", "one", "is", "the"].contains(word);
    if core.is_ascii() {
        core = core.split(' ').filter(|word| !is_pronoun(word)).collect::<Vec<_>>().join(" ");
    }
    core.trim().trim_start_matches('的').to_owned()
}

fn without_sizes(text: &str) -> String {
    let mut text = text.to_owned();
    for word in [BIGGER, MAYBE_BIGGER, SMALLER, MAYBE_SMALLER].into_iter().flatten() {
        text = text.replace(word, "");
    }
    text.trim().trim_matches('的').to_owned()
}

/// The runs of letters, digits and hyphens of a text, with where they stand.
fn runs(text: &str) -> Vec<(usize, &str)> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-';
    let mut runs = Vec::new();
    let mut start = None;
    for (at, c) in text.char_indices().chain([(text.len(), ' ')]) {
        match (is_part(c), start) {
            (true, None) => start = Some(at),
            (false, Some(from)) => {
                runs.push((from, &text[from..at]));
                start = None;
            }
            _ => {}
        }
    }
    runs
}

fn is_one_of(run: &str, models: &[String]) -> bool {
    let plain = run.replace('-', "").to_ascii_lowercase();
    models.contains(&plain)
}

/// The models as the text spells them.
fn shown_models(text: &str, models: &[String]) -> Vec<String> {
    let mut shown: Vec<String> = Vec::new();
    for (_, run) in runs(text).into_iter().filter(|(_, run)| is_one_of(run, models)) {
        if !shown.iter().any(|known| known == run) {
            shown.push(run.to_owned());
        }
    }
    shown
}

fn without_models(text: &str, models: &[String]) -> String {
    let mut rest = String::new();
    let mut from = 0;
    for (at, run) in runs(text).into_iter().filter(|(_, run)| is_one_of(run, models)) {
        rest.push_str(&text[from..at]);
        from = at + run.len();
    }
    rest.push_str(&text[from..]);
    rest.trim().to_owned()
}

/// What an intent looks for, as people name it.
fn searched_for(intent: Intent, language: Language) -> Option<&'static str> {
    let (chinese, english) = match intent {
        Intent::FindCases => ("案例", "cases"),
        Intent::RecommendVideos => ("视频", "video"),
        Intent::FindTemplate => ("模板", "template"),
        _ => return None,
    };
    Some(language.pick(chinese, english))
}

fn joined(parts: &[&str]) -> String {
    let parts: Vec<&str> = parts.iter().map(|part| part.trim()).filter(|part| !part.is_empty()).collect();
    parts.join(" ")
}
