//! `eval retrieval` and `eval answers`: question sets in, figures out.

use std::fmt::Write as _;

use flightdeck_assistant::{Assistant, Writer};
use flightdeck_eval::answers::{self, Figures};
use flightdeck_eval::retrieval::{self, Report, Task};
use flightdeck_eval::{
    Topic, ablation, bootstrap, read_expectations, read_passages, read_qrels, read_questions, read_topics,
    refusal, write_run,
};
use flightdeck_retrieval::Mode;

use crate::args::{EvalAnswersArgs, EvalRefusalArgs, EvalRetrievalArgs};
use crate::failure::Failure;
use crate::language::Language;
use crate::progress::UpdateBar;
use crate::settings::Config;
use crate::{Verdict, output, workbench};

/// Below the data folder, so that `--data` holds all that the program writes.
const CACHE: &str = "eval";

/// Runs `eval retrieval`.
///
/// # Errors
/// When a file does not fit, or the index of the set cannot be made.
pub fn retrieval(config: &Config, args: &EvalRetrievalArgs) -> Result<Verdict, Failure> {
    let (passages, topics) = (read_passages(&args.corpus)?, read_topics(&args.queries)?);
    let qrels = read_qrels(&args.qrels)?;
    let mode = Mode::from(args.mode);
    let cache = config.data.join(CACHE);
    let task = Task {
        passages: &passages,
        topics: &topics,
        qrels: &qrels,
        mode,
        cache: &cache,
        embedder: workbench::load_model(config)?,
        settings: config.retrieval,
        reranking: workbench::reranking(config)?,
        day: workbench::today(),
    };
    let bar = UpdateBar::new(config.language);
    if args.ablations {
        let rows = ablation::ablate(&task, &|progress| bar.show(progress))?;
        drop(bar);
        if args.output.json {
            output::json(&rows)?;
        } else {
            output::text(&ablation::markdown(&rows))?;
        }
        return Ok(Verdict::Well);
    }
    let report = retrieval::evaluate(&task, &|progress| bar.show(progress))?;
    drop(bar);
    if let Some(run) = &args.run {
        let tag = format!("flightdeck-{}", mode_name(mode));
        write_run(run, &report.rankings, &tag)?;
    }
    if args.output.json {
        output::json(&report)?;
    } else {
        output::text(&retrieval_table(&report))?;
    }
    Ok(Verdict::Well)
}

fn mode_name(mode: Mode) -> &'static str {
    match mode {
        Mode::Hybrid => "hybrid",
        Mode::Lexical => "lexical",
        Mode::Vector => "vector",
    }
}

fn retrieval_table(report: &Report) -> String {
    let interval = bootstrap::mean_interval(&report.ndcg_of_queries);
    let rows = [
        ("mode", mode_name(report.mode).to_owned()),
        ("nDCG@10", format!("{:.4}  (95 %: {:.4} … {:.4})", report.ndcg_at_10, interval.low, interval.high)),
        ("MRR@10", format!("{:.4}", report.mrr_at_10)),
        ("Recall@10", format!("{:.4}", report.recall_at_10)),
        ("Recall@100", format!("{:.4}", report.recall_at_100)),
        ("queries", report.queries.to_string()),
        ("passages", format!("{} ({} embedded anew)", report.passages, report.embedded)),
        ("query p50 / p99", format!("{:.1} / {:.1} ms", report.latency_ms.p50, report.latency_ms.p99)),
        ("index", format!("{:.2} s", report.index_seconds)),
    ];
    output::table(&rows.map(|(name, value)| vec![name.to_owned(), value]))
}

/// Runs `eval refusal`.
///
/// # Errors
/// When a file does not fit, or the index of the set cannot be made.
pub fn refusal(config: &Config, args: &EvalRefusalArgs) -> Result<Verdict, Failure> {
    let passages = read_passages(&args.corpus)?;
    let topics = read_topics(&args.queries)?;
    let questions: Vec<(Topic, bool)> = match (&args.expect, &args.unanswerable) {
        (Some(expect), _) => {
            let expected = read_expectations(expect)?;
            let known = |topic: Topic| expected.get(&topic.id).map(|answer| (topic, *answer));
            topics.into_iter().filter_map(known).collect()
        }
        (None, Some(unanswerable)) => {
            let unanswerable = read_topics(unanswerable)?.into_iter().map(|topic| (topic, false));
            topics.into_iter().map(|topic| (topic, true)).chain(unanswerable).collect()
        }
        (None, None) => Vec::new(),
    };
    let cache = config.data.join(CACHE);
    let task = refusal::Task {
        passages: &passages,
        questions: &questions,
        cache: &cache,
        embedder: workbench::load_model(config)?,
        settings: config.retrieval,
        day: workbench::today(),
    };
    let bar = UpdateBar::new(config.language);
    let report = refusal::evaluate(&task, &|progress| bar.show(progress), &|_| {})?;
    drop(bar);
    if args.output.json {
        output::json(&report)?;
        return Ok(Verdict::Well);
    }
    let language = config.language;
    let refused =
        |shares: refusal::Refused| vec![format!("{:.3}", shares.rightly), format!("{:.3}", shares.wrongly)];
    let row = |name: String, shares| [vec![name], refused(shares)].concat();
    let rows = [
        vec![
            format!("{} + {}, AUC {:.3}", report.answerable, report.unanswerable, report.auc),
            language.pick("refused rightly", "应拒已拒").to_owned(),
            language.pick("wrongly", "误拒").to_owned(),
        ],
        row(language.pick("as set", "现行设置").to_owned(), report.as_set),
        row(
            format!("{} {:.3}", language.pick("threshold", "阈值"), report.chosen.threshold),
            report.chosen.on_its_half,
        ),
        row(language.pick("on the other half", "另一半问题").to_owned(), report.chosen.on_the_other),
    ];
    output::text(&output::table(&rows))?;
    Ok(Verdict::Well)
}

/// Runs `eval answers`: status 1 when anything leaks.
///
/// # Errors
/// When the questions do not fit the format or there is no index.
pub fn answers(config: &Config, args: &EvalAnswersArgs) -> Result<Verdict, Failure> {
    let questions = read_questions(&args.questions)?;
    let questions = match args.sample {
        Some(n) => answers::sample(questions, n.get()),
        None => questions,
    };
    let writer = if args.worded { Some(writer_asked_for(config)?) } else { None };
    let (store, _) = workbench::open_for_asking(config)?;
    let assistant = Assistant::new(store, None).with_writer(writer);
    let bar = UpdateBar::new(config.language);
    bar.count(questions.len(), "Asking", "提问");
    let report = answers::evaluate(&assistant, &questions, workbench::today(), &|done| bar.done(done));
    drop(bar);
    if args.output.json {
        output::json(&report)?;
    } else {
        output::text(&answers_table(&report, config.language))?;
    }
    Ok(if report.overall.leaks > 0 { Verdict::FoundWrong } else { Verdict::Well })
}

fn writer_asked_for(config: &Config) -> Result<Writer, Failure> {
    workbench::writer(config)?.ok_or_else(|| {
        Failure::new(
            "`--worded` needs a language model; set `generator.file`, or `generator.address` and `generator.model`",
            "--worded 需要语言模型；请设置 generator.file，或 generator.address 和 generator.model",
        )
    })
}

fn answers_table(report: &answers::Report, language: Language) -> String {
    let header = [
        language.pick("group", "分组"),
        language.pick("questions", "问题"),
        language.pick("first", "首条正确"),
        language.pick("in three", "前三正确"),
        language.pick("refusal", "应拒已拒"),
        language.pick("false refusal", "误拒"),
        language.pick("leaks", "泄露"),
        language.pick("contains", "要点"),
        language.pick("intent", "意图"),
        language.pick("loose figures", "无据数字"),
        language.pick("p50 / p99 ms", "p50 / p99 毫秒"),
    ];
    let mut rows = vec![header.map(str::to_owned).to_vec()];
    rows.push(figures_row(language.pick("all", "全部"), &report.overall));
    rows.extend(report.by_intent.iter().map(|(name, figures)| figures_row(name, figures)));
    rows.extend(report.by_type.iter().map(|(name, figures)| figures_row(&format!("type {name}"), figures)));
    let mut text = output::table(&rows);
    if let Some(wording) = &report.wording {
        let composed = wording.composed.iter().map(|(reason, n)| format!("{n} {reason}"));
        let composed = composed.collect::<Vec<_>>().join(", ");
        let _ = writeln!(
            text,
            "\n{}: {} / {} ({}); {} {} / {}",
            language.pick("worded by the model", "由模型成文"),
            wording.worded,
            wording.asked,
            if composed.is_empty() { "–" } else { &composed },
            language.pick("sentences kept / removed", "保留 / 删去的句子"),
            wording.kept,
            wording.removed,
        );
    }
    for failure in &report.failures {
        let _ = write!(text, "\n{}  {}\n    {}\n", failure.id, failure.question, failure.why.join("; "));
        if !failure.cited.is_empty() {
            let _ = writeln!(text, "    {} {}", language.pick("cited", "引用了"), failure.cited.join(", "));
        }
    }
    text
}

fn figures_row(name: &str, figures: &Figures) -> Vec<String> {
    let share = |value: Option<f64>| value.map_or_else(|| "–".to_owned(), |value| format!("{value:.3}"));
    vec![
        name.to_owned(),
        format!("{} ({}+{})", figures.questions, figures.answerable, figures.unanswerable),
        share(figures.source_first),
        share(figures.source_in_three),
        share(figures.refusal),
        share(figures.false_refusal),
        figures.leaks.to_string(),
        share(figures.contains),
        share(figures.intent),
        figures.unsupported_figures.to_string(),
        format!("{:.0} / {:.0}", figures.latency_ms.p50, figures.latency_ms.p99),
    ]
}
