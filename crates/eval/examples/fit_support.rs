//! Fits the weights of the support score to labelled questions, and says what they are worth.
//!
//! `cargo run --release -p flightdeck-eval --example fit_support` asks every question of
//! `knowledge/questions.jsonl`, reads the signs that each answer was judged by, fits a logistic function with the
//! two classes weighed alike, and prints its weights, with the shares refused at several thresholds as five-fold
//! cross-validation sees them. The weights stand in `crates/assistant/src/support.rs`.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;

use flightdeck_assistant::{Assistant, Origin, Outcome, RefusalReason, Request, Signs};
use flightdeck_corpus::Reader;
use flightdeck_eval::{QuestionCustomer, read_questions};
use flightdeck_retrieval::{Access, Store};
use jiff::Zoned;

const FOLDS: usize = 5;
const STEPS: usize = 4_000;
const RATE: f64 = 0.3;
const RIDGE: f64 = 0.01;

const NAMES: [&str; 10] = [
    "nearest",
    "margin",
    "coverage",
    "elsewhere",
    "nowhere",
    "length",
    "english",
    "bare",
    "finding",
    "fishing",
];

/// One question: its signs, and whether the knowledge answers it.
struct Example {
    signs: [f64; NAMES.len()],
    answerable: bool,
}

fn main() -> Result<(), Box<dyn Error>> {
    let embedder = flightdeck_models::load(Path::new("models/multilingual-e5-small"), 2)?;
    let data = std::env::temp_dir().join("flightdeck-fit-support");
    let store = Arc::new(Store::open(&data, Access::Write, embedder)?);
    store.update(&mut Reader::new("knowledge", flightdeck_corpus::Settings::default()), false, &|_| true)?;
    let assistant = Assistant::new(store, None);
    let day = Zoned::now().date();

    let mut examples = Vec::new();
    let (mut small_talk, mut n_unanswerable) = (0_usize, 0_usize);
    for question in read_questions(Path::new("knowledge/questions.jsonl"))? {
        let request = Request {
            message: question.question.clone(),
            session_id: None,
            customer_id: None,
            customer: match question.customer {
                Some(QuestionCustomer::Profile(profile)) => Some(profile),
                Some(QuestionCustomer::Id(_)) | None => None,
            },
            audience: question.audience.into(),
            day,
            origin: Origin::default(),
        };
        let answer = assistant.reply(&request)?.answer;
        n_unanswerable += usize::from(question.expect.refuse);
        if answer.outcome == Outcome::Abstained(RefusalReason::OutOfScope) || answer.signs.foreign_model {
            // Refused by rule, whatever the weights are.
            small_talk += usize::from(question.expect.refuse);
            continue;
        }
        examples.push(Example { signs: numbers(&answer.signs), answerable: !question.expect.refuse });
    }

    let all: Vec<usize> = (0..examples.len()).collect();
    let weights = fit(&examples, &all);
    println!("bias {:.3}", weights[0]);
    for (name, weight) in NAMES.iter().zip(&weights[1..]) {
        println!("{name} {weight:.3}");
    }
    let mut scores = vec![0.0; examples.len()];
    for fold in 0..FOLDS {
        let seen: Vec<usize> = all.iter().copied().filter(|i| i % FOLDS != fold).collect();
        let weights = fit(&examples, &seen);
        for i in all.iter().filter(|i| **i % FOLDS == fold) {
            scores[*i] = logit(&weights, &examples[*i].signs);
        }
    }
    println!("\ncross-validated, {n_unanswerable} unanswerable, {small_talk} of them refused by rule");
    println!("threshold  refused wrongly  refused rightly");
    for step in -6..=2 {
        let threshold = f64::from(step) * 0.2;
        let below = |answerable: bool| {
            let of_class = examples.iter().zip(&scores).filter(|(e, _)| e.answerable == answerable);
            of_class.filter(|(_, score)| **score < threshold).count()
        };
        let n_answerable = examples.iter().filter(|e| e.answerable).count();
        let wrongly = below(true) as f64 / n_answerable.max(1) as f64;
        let rightly = (below(false) + small_talk) as f64 / n_unanswerable.max(1) as f64;
        println!("{threshold:9.1}  {wrongly:15.3}  {rightly:15.3}");
    }
    Ok(())
}

fn numbers(signs: &Signs) -> [f64; NAMES.len()] {
    let flag = |set: bool| f64::from(u8::from(set));
    [
        signs.nearest.into(),
        signs.margin.into(),
        signs.coverage.into(),
        signs.elsewhere.into(),
        signs.nowhere.into(),
        signs.length.into(),
        flag(signs.english),
        flag(signs.bare),
        flag(signs.finding),
        flag(signs.fishing),
    ]
}

fn logit(weights: &[f64], signs: &[f64; NAMES.len()]) -> f64 {
    weights[0] + weights[1..].iter().zip(signs).map(|(weight, sign)| weight * sign).sum::<f64>()
}

/// Logistic regression by gradient descent on standardised signs; bias first.
fn fit(examples: &[Example], seen: &[usize]) -> Vec<f64> {
    let n = seen.len() as f64;
    let mean: Vec<f64> =
        (0..NAMES.len()).map(|k| seen.iter().map(|i| examples[*i].signs[k]).sum::<f64>() / n).collect();
    let deviation: Vec<f64> = (0..NAMES.len())
        .map(|k| {
            let square = seen.iter().map(|i| (examples[*i].signs[k] - mean[k]).powi(2)).sum::<f64>() / n;
            square.sqrt().max(1e-9)
        })
        .collect();
    let n_answerable = seen.iter().filter(|i| examples[**i].answerable).count() as f64;
    let heavier = n_answerable / (n - n_answerable).max(1.0);
    let mut weights = vec![0.0; NAMES.len() + 1];
    for _ in 0..STEPS {
        let mut gradient = vec![0.0; weights.len()];
        let mut total = 0.0;
        for example in seen.iter().map(|i| &examples[*i]) {
            let standard: Vec<f64> =
                (0..NAMES.len()).map(|k| (example.signs[k] - mean[k]) / deviation[k]).collect();
            let score = weights[0] + weights[1..].iter().zip(&standard).map(|(w, x)| w * x).sum::<f64>();
            let (truth, weight) = if example.answerable { (1.0, 1.0) } else { (0.0, heavier) };
            let error = weight * (1.0 / (1.0 + (-score).exp()) - truth);
            total += weight;
            gradient[0] += error;
            for (slot, x) in gradient[1..].iter_mut().zip(&standard) {
                *slot += error * x;
            }
        }
        for (k, weight) in weights.iter_mut().enumerate() {
            let ridge = if k == 0 { 0.0 } else { RIDGE * *weight };
            *weight -= RATE * (gradient[k] / total + ridge);
        }
    }
    let mut plain = vec![weights[0]];
    for k in 0..NAMES.len() {
        plain.push(weights[k + 1] / deviation[k]);
        plain[0] -= weights[k + 1] * mean[k] / deviation[k];
    }
    plain
}
