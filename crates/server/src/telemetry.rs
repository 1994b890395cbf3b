//! What a monitoring system may count: requests, answers, the index, the load.
//!
//! The recorder belongs to one state and is not the process's global one, so that two servers in one process (as in
//! tests) do not count into each other. Nothing in a label comes from a request but the route's pattern.

use std::time::Duration;

use axum::http::{Method, StatusCode};
use flightdeck_assistant::{Fallback, Generation};
use flightdeck_retrieval::{Summary, UpdateReport};
use metrics::{
    counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram, with_local_recorder,
};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};

use crate::wire::ChatReply;

/// From a cached page to an answer that is about to time out, in seconds.
const BUCKETS: [f64; 14] =
    [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

pub(crate) struct Telemetry {
    recorder: PrometheusRecorder,
    handle: PrometheusHandle,
}

/// What work was timed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Operation {
    Search,
    Chat,
}

impl Telemetry {
    pub fn new() -> Self {
        let builder = PrometheusBuilder::new().set_buckets(&BUCKETS).expect("there are buckets");
        let recorder = builder.build_recorder();
        let handle = recorder.handle();
        let telemetry = Self { recorder, handle };
        telemetry.record(|| {
            describe_counter!("flightdeck_http_requests_total", "Requests by route, method and status.");
            describe_histogram!(
                "flightdeck_http_request_duration_seconds",
                "Time to the first byte of the reply, by route and status."
            );
            describe_counter!(
                "flightdeck_answers_total",
                "Answers by intent, and whether they were refused."
            );
            describe_counter!(
                "flightdeck_generations_total",
                "Answers that a language model was asked to word, by what came of it."
            );
            describe_counter!(
                "flightdeck_generated_sentences_total",
                "Sentences of language models, by whether they stand in their sources."
            );
            describe_counter!(
                "flightdeck_generation_tokens_total",
                "Tokens of prompts and answers, as the model's server counts them."
            );
            describe_gauge!(
                "flightdeck_generation_cost",
                "Spent on language models since the start, by the prices in the settings."
            );
            describe_histogram!(
                "flightdeck_generation_first_text_seconds",
                "Time from asking a language model to its first text."
            );
            describe_histogram!(
                "flightdeck_engine_duration_seconds",
                "Time inside the engine, by operation."
            );
            describe_gauge!("flightdeck_engine_jobs", "Searches and answers that run or wait now.");
            describe_gauge!("flightdeck_ready", "1 when an index is loaded.");
            describe_gauge!("flightdeck_index_documents", "Documents in the current generation.");
            describe_gauge!("flightdeck_index_chunks", "Chunks in the current generation.");
            describe_gauge!("flightdeck_index_generation", "Number of the current generation.");
            describe_counter!(
                "flightdeck_index_updates_total",
                "Updates of the index that changed something."
            );
            describe_counter!(
                "flightdeck_embedded_chunks_total",
                "Chunks embedded by updates since the start."
            );
            describe_counter!(
                "flightdeck_embedding_update_seconds_total",
                "Seconds of the updates that embedded chunks, reading and writing included."
            );
            describe_gauge!("flightdeck_build_info", "Always 1; the version is a label.");
            gauge!("flightdeck_build_info", "version" => env!("CARGO_PKG_VERSION")).set(1.0);
        });
        telemetry
    }

    fn record(&self, work: impl FnOnce()) {
        with_local_recorder(&self.recorder, work);
    }

    pub fn request(&self, method: &Method, route: &str, status: StatusCode, took: Duration) {
        // A method that is made up must not become a label of its own.
        let method = match method.as_str() {
            known @ ("GET" | "HEAD" | "POST" | "PUT" | "PATCH" | "DELETE" | "OPTIONS") => known.to_owned(),
            _ => "other".to_owned(),
        };
        let (route, status) = (route.to_owned(), status.as_u16().to_string());
        self.record(|| {
            histogram!("flightdeck_http_request_duration_seconds", "route" => route.clone(), "status" => status.clone())
                .record(took);
            counter!("flightdeck_http_requests_total", "method" => method, "route" => route, "status" => status)
                .increment(1);
        });
    }

    pub fn engine(&self, operation: Operation, took: Duration) {
        let operation = match operation {
            Operation::Search => "search",
            Operation::Chat => "chat",
        };
        self.record(|| {
            histogram!("flightdeck_engine_duration_seconds", "operation" => operation).record(took);
        });
    }

    pub fn answer(&self, reply: &ChatReply) {
        let refused = if reply.refused { "true" } else { "false" };
        self.record(|| {
            counter!("flightdeck_answers_total", "intent" => reply.intent.name(), "refused" => refused)
                .increment(1);
        });
    }

    pub fn generation(&self, generation: &Generation) {
        let outcome = generation.fallback.map_or("worded", Fallback::name);
        let usage = generation.usage;
        self.record(|| {
            counter!("flightdeck_generations_total", "outcome" => outcome).increment(1);
            counter!("flightdeck_generated_sentences_total", "kept" => "true")
                .increment(generation.kept as u64);
            counter!("flightdeck_generated_sentences_total", "kept" => "false")
                .increment(generation.removed as u64);
            for (kind, tokens) in [("prompt", usage.prompt_tokens), ("completion", usage.completion_tokens)] {
                counter!("flightdeck_generation_tokens_total", "kind" => kind).increment(tokens.unwrap_or(0));
            }
            // Counters hold whole numbers only.
            gauge!("flightdeck_generation_cost").increment(usage.cost.unwrap_or(0.0));
            if let Some(took) = usage.first_text {
                histogram!("flightdeck_generation_first_text_seconds").record(took);
            }
        });
    }

    pub fn index_updated(&self, report: &UpdateReport) {
        if !report.changed {
            return;
        }
        self.record(|| {
            counter!("flightdeck_index_updates_total").increment(1);
            counter!("flightdeck_embedded_chunks_total").increment(report.embedded as u64);
            if report.embedded > 0 {
                // A counter holds whole numbers; a part of a second is not worth a gauge that can go down.
                counter!("flightdeck_embedding_update_seconds_total").increment(report.seconds.ceil() as u64);
            }
        });
    }

    /// Everything counted so far in Prometheus' text form, with the index and the load as they are now.
    pub fn render(&self, index: Option<&Summary>, (n_running, n_waiting): (usize, usize)) -> String {
        self.record(|| {
            gauge!("flightdeck_engine_jobs", "state" => "running").set(n_running as f64);
            gauge!("flightdeck_engine_jobs", "state" => "waiting").set(n_waiting as f64);
            gauge!("flightdeck_ready").set(if index.is_some() { 1.0 } else { 0.0 });
            if let Some(index) = index {
                gauge!("flightdeck_index_documents").set(index.documents as f64);
                gauge!("flightdeck_index_chunks").set(index.chunks as f64);
                let digits = index.generation.trim_start_matches(|letter: char| !letter.is_ascii_digit());
                gauge!("flightdeck_index_generation").set(digits.parse().unwrap_or(0.0));
            }
        });
        self.handle.render()
    }

    /// Folds what was recorded since the last call; without it and without a reader, samples would pile up.
    pub fn fold(&self) {
        self.handle.run_upkeep();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_and_the_index_are_counted_under_their_names() {
        let telemetry = Telemetry::new();
        telemetry.request(&Method::POST, "/api/v1/chat", StatusCode::OK, Duration::from_millis(20));
        telemetry.request(
            &Method::from_bytes(b"BREW").unwrap(),
            "unmatched",
            StatusCode::NOT_FOUND,
            Duration::ZERO,
        );
        telemetry.index_updated(&UpdateReport {
            generation: "gen-000007".to_owned(),
            changed: true,
            documents: 5,
            chunks: 9,
            embedded: 4,
            seconds: 0.2,
            problems: Vec::new(),
        });
        let text = telemetry.render(None, (1, 2));
        for line in [
            r#"flightdeck_http_requests_total{method="POST",route="/api/v1/chat",status="200"} 1"#,
            r#"flightdeck_http_requests_total{method="other",route="unmatched",status="404"} 1"#,
            r#"flightdeck_http_request_duration_seconds_bucket{route="/api/v1/chat",status="200",le="0.025"} 1"#,
            r#"flightdeck_engine_jobs{state="waiting"} 2"#,
            "flightdeck_embedded_chunks_total 4",
            "flightdeck_ready 0",
        ] {
            assert!(text.lines().any(|found| found == line), "{line} is not in\n{text}");
        }
    }
}
