//! `ask`: one question, answered as the chat answers it.

use std::fmt::Write as _;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Instant;

use flightdeck_assistant::{Answer, Assistant, Fallback, Listener, Origin, Request, Silence};
use flightdeck_records::Records;

use super::customers::RECORDS_FILE;
use crate::args::AskArgs;
use crate::failure::Failure;
use crate::language::Language;
use crate::output::{Colour, colour};
use crate::settings::Config;
use crate::{Verdict, output, workbench};

/// Runs `ask`.
///
/// # Errors
/// When the question is empty, the customer is unknown, or there is no index and none can be made.
pub fn run(config: &Config, args: AskArgs) -> Result<Verdict, Failure> {
    if args.question.trim().is_empty() {
        return Err(Failure::new(
            "the question is empty; say what you want to know",
            "问题为空；请输入您的问题",
        ));
    }
    let writer = workbench::writer(config)?;
    let (store, _) = workbench::open_for_asking(config)?;
    let records = open_records(config, args.customer.is_some())?;
    let assistant = Assistant::new(store, records).with_writer(writer);
    let request = Request {
        message: args.question,
        session_id: None,
        customer_id: args.customer,
        customer: None,
        audience: args.audience.into(),
        day: workbench::today(),
        origin: Origin::default(),
    };
    let started = Instant::now();
    let prepared = assistant.prepare(&request)?;
    let listener: &mut dyn Listener = if args.output.json { &mut Silence } else { &mut Printed };
    let reply = assistant.complete(prepared, listener)?;
    let took = started.elapsed();
    if let Some(reason) = reply.answer.generation.as_ref().and_then(|generation| generation.fallback) {
        output::note(&why_composed(reason, config.language));
    }
    if args.output.json {
        output::json(&flightdeck_server::chat_reply(reply, took))?;
    } else {
        output::text(&page(&reply.answer, config.language))?;
    }
    Ok(Verdict::Well)
}

/// The text appears on standard output as it comes.
struct Printed;

impl Listener for Printed {
    fn text(&mut self, piece: &str) -> ControlFlow<()> {
        // What cannot be printed is told of when the sources are.
        match output::piece(piece) {
            Ok(()) => ControlFlow::Continue(()),
            Err(_) => ControlFlow::Break(()),
        }
    }
}

fn why_composed(reason: Fallback, language: Language) -> String {
    let (en, zh) = match reason {
        Fallback::Slow => ("it was too slow", "响应太慢"),
        Fallback::Failed => ("it failed", "调用失败"),
        Fallback::Interrupted => ("it broke off", "中途中断"),
        Fallback::Unverified => ("what it said does not stand in the sources", "内容与资料不符"),
        Fallback::Busy => ("it is busy", "正忙"),
        Fallback::TooLong => ("the sources do not fit it", "资料超出模型长度"),
        Fallback::Cancelled => ("it was stopped", "已停止"),
    };
    let lead = language.pick(
        "quoted from the sources, not worded by the language model",
        "未采用语言模型，回答摘自资料原文",
    );
    format!("{lead}: {}", language.pick(en, zh))
}

/// The records, for the customer and for gaps; on a read-only data folder a question can still be answered, but
/// nothing is remembered of it, and a line says so.
fn open_records(config: &Config, are_needed: bool) -> Result<Option<Arc<Records>>, Failure> {
    match Records::open(config.data.join(RECORDS_FILE)) {
        Ok(records) => Ok(Some(Arc::new(records))),
        Err(error) if are_needed => Err(error.into()),
        Err(error) => {
            let lead = config.language.pick("this question is not recorded", "这个问题不会被记录");
            output::note(&format!("{lead}: {error}"));
            Ok(None)
        }
    }
}

/// What stands below an answer's text.
fn page(answer: &Answer, language: Language) -> String {
    let mut text = String::from("\n");
    if !answer.citations.is_empty() {
        let _ = write!(text, "\n{}\n", colour(Colour::Bold, language.pick("Sources", "出处")));
    }
    for citation in &answer.citations {
        let document = citation.document();
        let line = citation.location().line_start.map(|line| format!(":{line}")).unwrap_or_default();
        let quote = citation.quote().split_whitespace().collect::<Vec<_>>().join(" ");
        let _ = write!(
            text,
            "[{}] {}  {}\n    {quote}\n",
            citation.n(),
            document.title,
            colour(Colour::Dim, &format!("{}{line}", document.path)),
        );
    }
    if !answer.suggestions.is_empty() {
        let _ = write!(text, "\n{}\n", colour(Colour::Bold, language.pick("Next", "接下来")));
        text.extend(answer.suggestions.iter().map(|suggestion| format!("- {suggestion}\n")));
    }
    text
}
