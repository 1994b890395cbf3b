//! Writes what the assistant answers to a conversation for each of its skills, as `docs/transcripts.md`.
//!
//! `cargo run --release -p flightdeck-eval --example transcripts > docs/transcripts.md`, from the project's root. The
//! answers are composed from the sample knowledge, without a language model, so that they are the same everywhere; a
//! test would hold the wording of the knowledge fast, so there is none: read the page when it changes.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use flightdeck_assistant::{Assistant, Origin, Request};
use flightdeck_corpus::{Audience, Reader};
use flightdeck_records::{CustomerProfile, Records};
use flightdeck_retrieval::{Access, Store};
use jiff::civil::Date;

/// A conversation: its heading, who reads the answers, what is known of the customer, and what is said.
struct Talk {
    heading: &'static str,
    audience: Audience,
    industry: Option<&'static str>,
    messages: &'static [&'static str],
}

const fn inside(heading: &'static str, messages: &'static [&'static str]) -> Talk {
    Talk { heading, audience: Audience::Internal, industry: None, messages }
}

const TALKS: [Talk; 10] = [
    Talk {
        heading: "Cases for a customer (`find_cases`)",
        audience: Audience::Internal,
        industry: Some("调味品"),
        messages: &["这个客户适合发哪些案例？", "发第一个给他"],
    },
    inside("An objection (`handle_objection`)", &["客户说太贵了怎么回？"]),
    inside("Videos (`recommend_videos`)", &["哪个视频效果最好？", "还有吗"]),
    inside("A template (`find_template`)", &["有没有饮料行业的方案模板？"]),
    inside("Before a visit (`customer_brief`)", &["下周拜访华睿饮料，帮我梳理一下这个客户的情况"]),
    inside("A competitor (`compare_competitor`)", &["博润特跟我们比差在哪"]),
    inside(
        "Figures, and follow-ups (`product_question`)",
        &["LB-300S 一分钟最多能贴多少瓶？", "那精度呢？", "大一号的呢？"],
    ),
    inside("Two models side by side (`product_question`)", &["LB-150 和 LB-300S 有什么区别"]),
    Talk {
        heading: "A customer asks several things at once (`service_question`)",
        audience: Audience::Customer,
        industry: None,
        messages: &["保修多久？付款怎么付？"],
    },
    Talk {
        heading: "What is not there, and what a customer may not know",
        audience: Audience::Customer,
        industry: None,
        messages: &["LB-450 的价格", "LB-300S 最低多少钱能卖"],
    },
];

fn main() -> Result<(), Box<dyn Error>> {
    let embedder = flightdeck_models::load(Path::new("models/multilingual-e5-small"), 2)?;
    let data = std::env::temp_dir().join("flightdeck-transcripts");
    let store = Arc::new(Store::open(&data, Access::Write, embedder)?);
    store.update(&mut Reader::new("knowledge", flightdeck_corpus::Settings::default()), false, &|_| true)?;
    let assistant = Assistant::new(store, Some(Arc::new(Records::in_memory()?)));
    // A day on which all of the sample is served that is meant to be.
    let day: Date = "2026-11-26".parse()?;
    println!("# Ten conversations\n");
    println!(
        "Made from the sample knowledge by `cargo run --release -p flightdeck-eval --example transcripts`, without a"
    );
    println!("language model: every statement is a cut of a source, and the numbers in brackets name it.");
    for talk in &TALKS {
        println!("\n## {}\n", talk.heading);
        if let Some(industry) = talk.industry {
            println!("Customer: {industry}\n");
        }
        if talk.audience == Audience::Customer {
            println!("Asked by a customer.\n");
        }
        let mut session = None;
        for message in talk.messages {
            let profile = |industry: &str| CustomerProfile {
                industry: Some(industry.to_owned()),
                ..CustomerProfile::default()
            };
            let reply = assistant.reply(&Request {
                message: (*message).to_owned(),
                session_id: session.take(),
                customer_id: None,
                customer: talk.industry.map(profile),
                audience: talk.audience,
                day,
                origin: Origin::default(),
            })?;
            println!("**Question:** {message}\n");
            if let Some(understood) = &reply.answer.understood {
                println!("*Understood as:* {understood}\n");
            }
            // A line break inside a list or behind a heading has to be one on the page too.
            for line in reply.answer.text.lines() {
                let is_table = line.starts_with('|');
                println!("> {line}{}", if line.is_empty() || is_table { "" } else { "  " });
            }
            println!();
            let mut sources: Vec<(String, String)> = Vec::new();
            for citation in &reply.answer.citations {
                let document = citation.document();
                let source = format!("{} (`{}`)", document.title, document.path);
                let mark = format!("[{}]", citation.n());
                match sources.iter_mut().find(|(known, _)| *known == source) {
                    Some((_, marks)) => marks.push_str(&mark),
                    None => sources.push((source, mark)),
                }
            }
            for (source, marks) in sources {
                println!("- {marks} {source}");
            }
            println!();
            session = Some(reply.session_id);
        }
    }
    Ok(())
}
