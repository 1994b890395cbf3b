//! Which video to send: what it is about, how well it did, and the minute to jump to.
//!
//! Effect is `completion + ln(1 + leads) + 2 ln(1 + deals)`: leads and deals on a logarithmic scale, because ten
//! leads from one lucky post are not ten times the evidence of one, deals counted double because they are what a
//! video is for, and views not at all, because a video seen by many and followed by none sells nothing.

use std::sync::Arc;

use flightdeck_corpus::Document;
use flightdeck_retrieval::{Index, Passage, fold_text};

use crate::draft::{Draft, without_marks};
use crate::quantities::{running_time, time_limit};
use crate::question::{Language, Understanding};
use crate::units::{Evidence, Form, units};

/// Videos shown, at most.
const VIDEOS: usize = 3;
/// Weight of the effect against relevance, where the question does not ask for the effect.
const EFFECT_WEIGHT: f32 = 0.15;

/// A video with its score and the passage that was found of it.
struct Found<'a> {
    document: &'a Arc<Document>,
    passage: &'a Passage,
    score: f32,
}

/// Whether the question is about how well videos did rather than what they show.
fn asks_for_effect(question: &Understanding) -> bool {
    let folded = fold_text(&question.text);
    let about_effect = [
        "效果最好",
        "播放量最",
        "完播率最",
        "线索最",
        "成交最",
        "最有效",
        "效果好",
        "带来",
        "转化",
        "最多",
        "最高",
        "最火",
        "排名",
        "most",
        "best",
        "highest",
    ]
    .iter()
    .any(|word| folded.contains(word));
    // With something specific asked for, relevance stays in charge.
    about_effect && question.words.len() <= 4
}

/// The figure a question about effect turns on; all of them together where it names none.
fn asked_figure(question: &Understanding) -> Option<&'static str> {
    let folded = fold_text(&question.text);
    [
        ("播放", "views"),
        ("完播", "completion_rate"),
        ("点赞", "likes"),
        ("线索", "leads"),
        ("成交", "deals"),
        ("成单", "deals"),
        ("views", "views"),
        ("completion", "completion_rate"),
        ("leads", "leads"),
        ("deals", "deals"),
    ]
    .iter()
    .find(|(word, _)| folded.contains(word))
    .map(|(_, field)| *field)
}

/// A figure of a video; a percentage as a share.
fn figure(document: &Document, field: &str) -> f32 {
    let Some(field) = document.field(field) else { return 0.0 };
    let digits: String = field.value.chars().filter(|c| c.is_ascii_digit() || *c == '.').collect();
    let number: f32 = digits.parse().unwrap_or(0.0);
    if field.value.contains('%') { number / 100.0 } else { number }
}

/// How well a video did; see the module's formula.
fn effect(document: &Document) -> f32 {
    figure(document, "completion_rate").min(1.0)
        + (1.0 + figure(document, "leads")).ln()
        + 2.0 * (1.0 + figure(document, "deals")).ln()
}

fn ranked<'a>(question: &Understanding, passages: &'a [Passage]) -> Vec<Found<'a>> {
    let best = passages.iter().map(|p| p.score).fold(f32::EPSILON, f32::max);
    let by_effect = asks_for_effect(question);
    let asked = asked_figure(question);
    let strongest = passages.iter().map(|p| effect(&p.document)).fold(f32::EPSILON, f32::max);
    let mut found: Vec<Found<'a>> = Vec::new();
    for passage in passages {
        let document = &passage.document;
        if found.iter().any(|known| known.document.id == document.id) {
            continue;
        }
        let score = match (by_effect, asked) {
            (true, Some(field)) => figure(document, field),
            (true, None) => effect(document),
            (false, _) => passage.score / best + EFFECT_WEIGHT * effect(document) / strongest,
        };
        found.push(Found { document, passage, score });
    }
    found.sort_by(|a, b| b.score.total_cmp(&a.score).then_with(|| a.document.id.cmp(&b.document.id)));
    found
}

/// Writes up to three videos, best first.
pub(crate) fn compose(question: &Understanding, passages: &[Passage], index: &Index, draft: &mut Draft) {
    let zh = question.language == Language::Chinese;
    let mut found = ranked(question, passages);
    if let Some(limit) = time_limit(&question.text) {
        keep_short(&mut found, limit, question.language, draft);
    }
    if !asks_for_effect(question) {
        let best = found.first().map_or(0.0, |video| video.score);
        found.retain(|video| video.score >= 0.6 * best);
    }
    for (nth, video) in found.into_iter().take(VIDEOS).enumerate() {
        let document = video.document;
        let Some(first) = index.chunks(&document.id).first() else { continue };
        draft.line().frame(if nth == 0 { "" } else { "\n" });
        draft.frame(&format!("**{}. {}**", nth + 1, without_marks(&document.title)));
        if let Some(field) = document.field("description")
            && let Some(span) = &field.span
        {
            draft.line().frame("- ").state_as(field.value.trim(), document, first, span.clone());
        }
        if let Some(field) = document.field("duration")
            && let Some(span) = &field.span
        {
            draft.line().frame(if zh { "- 时长：" } else { "- Length: " });
            draft.state_as(field.value.trim(), document, first, span.clone());
        }
        effect_line(document, first, zh, draft);
        if let Some(evidence) = moment(question, video.passage, index) {
            let at = clock(evidence.chunk.location.start_ms.unwrap_or(0));
            draft.line().frame(&if zh { format!("- 跳到 {at}：") } else { format!("- Jump to {at}: ") });
            draft.state(&evidence);
        }
        if let Some(link) = &document.link {
            draft.line().frame(&if zh {
                format!("- 可发送：{link}")
            } else {
                format!("- To send: {link}")
            });
        }
    }
}

/// Leaves the videos that are no longer than `limit` seconds; where there is none, the shortest, after saying so.
fn keep_short(found: &mut Vec<Found<'_>>, limit: f64, language: Language, draft: &mut Draft) {
    let seconds = |video: &Found<'_>| {
        video.document.field("duration").and_then(|field| running_time(&field.value)).unwrap_or(f64::INFINITY)
    };
    let shortest = found.iter().map(seconds).fold(f64::INFINITY, f64::min);
    if shortest.is_finite() && shortest > limit {
        draft.line().frame(
            language
                .pick("相关的视频都比这长，最短的是：", "All videos about this are longer; the shortest:"),
        );
        draft.line();
    }
    found.retain(|video| seconds(video) <= limit.max(shortest));
}

/// The effect figures in one line, cited from the first to the last of them.
fn effect_line(document: &Arc<Document>, chunk: &flightdeck_corpus::Chunk, zh: bool, draft: &mut Draft) {
    let labels = [
        ("views", "播放量", "views"),
        ("completion_rate", "完播率", "completion"),
        ("likes", "点赞", "likes"),
        ("leads", "线索", "leads"),
        ("deals", "成交", "deals"),
    ];
    let mut span: Option<std::ops::Range<usize>> = None;
    let mut words: Vec<String> = Vec::new();
    for (field, chinese, english) in labels {
        let Some(field) = document.field(field) else { continue };
        let Some(at) = &field.span else { continue };
        words.push(format!("{} {}", if zh { chinese } else { english }, field.value));
        span = Some(match span {
            Some(known) => known.start.min(at.start)..known.end.max(at.end),
            None => at.clone(),
        });
    }
    if let Some(span) = span {
        draft.line().frame(if zh { "- 效果：" } else { "- Effect: " });
        draft.state_as(&words.join(if zh { "，" } else { ", " }), document, chunk, span);
    }
}

/// The sentence of the transcript that answers the question, if the passage found is of the transcript.
fn moment(question: &Understanding, passage: &Passage, index: &Index) -> Option<Evidence> {
    passage.chunk.location.start_ms?;
    let document = &passage.document;
    units(document, &passage.chunk)
        .into_iter()
        .filter(|unit| unit.form != Form::Heading)
        .map(|unit| (question.coverage(&index.terms(&unit.words)), unit))
        .filter(|(coverage, _)| *coverage > 0.0)
        .reduce(|best, next| if next.0 > best.0 { next } else { best })
        .map(|(_, unit)| Evidence { document: document.clone(), chunk: passage.chunk.clone(), unit })
}

fn clock(ms: u64) -> String {
    let seconds = ms / 1000;
    if seconds >= 3600 {
        format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
    } else {
        format!("{:02}:{:02}", seconds / 60, seconds % 60)
    }
}
