//! An answer as a stream of events.
//!
//! What is sent is decided by [`events`], a plain function from a step to names and values; the stream around it
//! only waits, keeps the connection alive, and turns a failure into the last event.

use std::convert::Infallible;
use std::time::Duration;

use axum::http::HeaderValue;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use flightdeck_assistant::Intent;
use futures::Stream;
use futures::stream::{self, StreamExt};
use serde::Serialize;

use crate::answering::{Answering, Step};
use crate::error::ApiError;
use crate::wire::{StreamDelta, StreamMeta};

/// Proxies commonly give a silent connection a minute.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Shortest piece that ends at a comma, in characters.
const MIN_CLAUSE_CHARS: usize = 12;

/// The answer that `begun` will begin, as `text/event-stream`.
pub(crate) fn stream(begun: impl Future<Output = Result<Answering, ApiError>> + Send + 'static) -> Response {
    framed(stream::once(begun).flat_map(|begun| match begun {
        Ok(answering) => {
            let meta = meta(answering.session_id(), answering.message_id(), answering.intent());
            let steps = answering.steps().flat_map(|step| stream::iter(events(step)));
            stream::once(async { meta }).chain(steps).left_stream()
        }
        Err(error) => stream::once(async move { failure(&error) }).right_stream(),
    }))
}

type NamedEvent = (&'static str, String);

fn framed(events: impl Stream<Item = NamedEvent> + Send + 'static) -> Response {
    response(events.map(|(name, data)| Event::default().event(name).data(data)))
}

/// A stream of events that proxies neither end nor collect.
pub(crate) fn response(events: impl Stream<Item = Event> + Send + 'static) -> Response {
    let keep_alive = KeepAlive::new().interval(KEEP_ALIVE);
    let mut response = Sse::new(events.map(Ok::<_, Infallible>)).keep_alive(keep_alive).into_response();
    // nginx would otherwise collect the stream and send it at its end.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

fn meta(session_id: &str, message_id: &str, intent: Intent) -> NamedEvent {
    ("meta", json(&StreamMeta { session_id, message_id, intent }))
}

fn failure(error: &ApiError) -> NamedEvent {
    ("error", json(&error.body()))
}

/// `delta` for each piece of the answer; at the end `citation` for each citation and `done`, or `error`.
fn events(step: Step) -> Vec<NamedEvent> {
    match step {
        Step::Text(text) => {
            pieces(&text).into_iter().map(|text| ("delta", json(&StreamDelta { text }))).collect()
        }
        Step::Ended(ended) => match *ended {
            Ok(reply) => {
                let citations = reply.citations.iter().map(|citation| ("citation", json(citation)));
                citations.chain([("done", json(&reply))]).collect()
            }
            Err(error) => vec![failure(&error)],
        },
    }
}

fn json(data: &impl Serialize) -> String {
    serde_json::to_string(data).expect("wire types have text keys and no failing serialisers")
}

/// The answer in pieces as one would say them; joined they are the answer to the letter.
///
/// A piece ends after the end of a sentence or line, or after a comma when it is long enough to be worth showing.
/// Closing quotes, citation marks and spaces stay with what they follow, so a reader never sees half a mark.
pub(crate) fn pieces(answer: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut start = 0;
    let mut n_chars = 0;
    let mut letters = answer.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        n_chars += 1;
        let next = letters.peek().map(|&(_, next)| next);
        let ends = match letter {
            '。' | '！' | '？' | '；' | '…' | '\n' => true,
            // A full stop inside a figure, an abbreviation or an address ends nothing.
            '.' | '!' | '?' => next.is_none_or(char::is_whitespace),
            '，' | '、' | '：' => n_chars >= MIN_CLAUSE_CHARS,
            ',' | ';' | ':' => n_chars >= MIN_CLAUSE_CHARS && next.is_none_or(char::is_whitespace),
            _ => false,
        };
        if !ends {
            continue;
        }
        let end = end_of_trail(answer, at + letter.len_utf8());
        while letters.next_if(|&(at, _)| at < end).is_some() {}
        pieces.push(&answer[start..end]);
        (start, n_chars) = (end, 0);
    }
    if start < answer.len() {
        pieces.push(&answer[start..]);
    }
    pieces
}

/// Where the closing marks, citation marks and white space end that begin at `from`.
fn end_of_trail(answer: &str, from: usize) -> usize {
    let mut end = from;
    while let Some(letter) = answer[end..].chars().next() {
        let closes = letter.is_whitespace() || "”’』」）》】)\"'。！？；…!?".contains(letter);
        if closes {
            end += letter.len_utf8();
        } else if let Some(length) = mark_length(&answer[end..]) {
            end += length;
        } else {
            break;
        }
    }
    end
}

/// The length of a `[12]` at the beginning of `text`.
fn mark_length(text: &str) -> Option<usize> {
    let inside = text.strip_prefix('[')?;
    let n_digits = inside.bytes().take_while(u8::is_ascii_digit).count();
    (n_digits > 0 && inside[n_digits..].starts_with(']')).then_some(n_digits + 2)
}

#[cfg(test)]
mod tests {
    use flightdeck_corpus::{Audience, Kind};
    use serde_json::Value;

    use super::*;
    use crate::tests::body_text;
    use crate::wire::{ChatReply, Citation, DocumentRef, Location};

    fn reply() -> ChatReply {
        ChatReply {
            session_id: "s".to_owned(),
            message_id: "m".to_owned(),
            intent: Intent::HandleObjection,
            answer: "先认可顾虑。[1]再算总账：九个半月回本。[1]\n".to_owned(),
            citations: vec![Citation {
                n: 1,
                document: DocumentRef {
                    id: "objections/price".to_owned(),
                    kind: Kind::Objection,
                    title: "太贵了".to_owned(),
                    path: "objections/price.md".to_owned(),
                    audience: Audience::Internal,
                    link: None,
                    date: None,
                    valid_until: None,
                },
                quote: "九个半月回本。".to_owned(),
                location: Location {
                    heading: vec!["算账".to_owned()],
                    page: None,
                    line_start: Some(3),
                    line_end: Some(3),
                    start_ms: None,
                    end_ms: None,
                },
            }],
            refused: false,
            refusal_reason: None,
            suggestions: Vec::new(),
            generator: "extractive".to_owned(),
            generation: None,
            understood: None,
            took_ms: 1.5,
        }
    }

    #[tokio::test]
    async fn a_reply_is_framed_as_the_contracts_events() {
        let steps = [Step::Text(reply().answer), Step::Ended(Box::new(Ok(reply())))];
        let begun = meta("s", "m", Intent::HandleObjection);
        let response = framed(stream::iter([begun].into_iter().chain(steps.into_iter().flat_map(events))));
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        assert_eq!(response.headers()["x-accel-buffering"], "no");
        let text = body_text(response).await;
        let frames: Vec<_> = text.trim_end().split("\n\n").collect();
        let names: Vec<_> =
            frames.iter().map(|frame| frame.lines().next().unwrap().trim_start_matches("event: ")).collect();
        assert_eq!(names, ["meta", "delta", "delta", "citation", "done"]);
        assert_eq!(
            frames[0],
            "event: meta\ndata: {\"session_id\":\"s\",\"message_id\":\"m\",\"intent\":\"handle_objection\"}"
        );
        assert_eq!(frames[1], "event: delta\ndata: {\"text\":\"先认可顾虑。[1]\"}");

        let done: Value = serde_json::from_str(frames[4].split_once("data: ").unwrap().1).unwrap();
        let citation: Value = serde_json::from_str(frames[3].split_once("data: ").unwrap().1).unwrap();
        assert_eq!(done, serde_json::to_value(reply()).unwrap());
        assert_eq!(citation, done["citations"][0]);
    }

    #[tokio::test]
    async fn a_failure_is_the_last_event_in_the_contracts_form() {
        let text = body_text(stream(async { Err(ApiError::not_ready()) })).await;
        let data = text.trim_end().strip_prefix("event: error\ndata: ").unwrap();
        let value: Value = serde_json::from_str(data).unwrap();
        assert_eq!(value["error"]["code"], "not_ready");
        assert_eq!(value["error"]["field"], Value::Null);
    }

    #[test]
    fn pieces_are_sentences_with_their_marks() {
        assert_eq!(
            pieces(
                "精度 ±0.5 mm。[1][2] 换型 12 分钟，加装快换套件后 4 分钟“很快”。”[3]\n- LB-300S, see v1.2. Next"
            ),
            [
                "精度 ±0.5 mm。[1][2] ",
                "换型 12 分钟，加装快换套件后 4 分钟“很快”。”[3]\n",
                "- LB-300S, see v1.2. ",
                "Next"
            ]
        );
        assert_eq!(pieces(""), [""; 0]);
        assert_eq!(pieces("[1"), ["[1"]);
    }

    #[test]
    fn pieces_joined_are_the_answer_and_no_mark_is_cut() {
        // Every order of the parts that decide where to cut.
        let parts = ["。", "[12]", "好", "\n", "，", "”", ".", " ", "[x]", "0.5"];
        let n = parts.len();
        for number in 0..n.pow(4) {
            let answer: String = (0..4).map(|place| parts[number / n.pow(place) % n]).collect();
            let pieces = pieces(&answer);
            assert_eq!(pieces.concat(), answer);
            let n_marks: usize = pieces.iter().map(|piece| piece.matches("[12]").count()).sum();
            assert_eq!(n_marks, answer.matches("[12]").count(), "{answer:?}");
            assert!(pieces.iter().all(|piece| !piece.is_empty()));
        }
    }
}
