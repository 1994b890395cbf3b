//! Tells the webhooks of documents that will soon not be served any more: `document.expiring`, for each document and last
//! day once a day. What was told lies in the queue, so a restart does not tell it again.

use std::time::Duration;

use flightdeck_corpus::{Audience, Document};
use jiff::civil::Date;
use serde_json::{Value, json};
use tokio::time::{MissedTickBehavior, interval};

use crate::state::AppState;

const EVENT: &str = "document.expiring";
/// From this many days before its last day on a document is told of.
const DAYS: i32 = 14;
/// A folder changes and a day begins; neither is urgent.
const LOOK_EVERY: Duration = Duration::from_mins(10);
/// Until the first index is there.
const LOOK_AGAIN: Duration = Duration::from_secs(2);

/// Looks now and then, for ever; returns where no webhook wants to know.
pub(crate) async fn watch(state: &AppState) {
    let Some(pipeline) = state.pipeline().filter(|pipeline| pipeline.is_told(EVENT)) else { return };
    let mut ticks = interval(LOOK_AGAIN);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut known: Option<(Date, String)> = None;
    loop {
        ticks.tick().await;
        let Ok((_, index)) = state.engine() else { continue };
        let today = jiff::Zoned::now().date();
        let standing = (today, index.summary().generation.clone());
        if known.as_ref() == Some(&standing) {
            ticks.reset_after(LOOK_EVERY);
            continue;
        }
        let served = index.served(Audience::Internal, today);
        let replaced =
            |document: &Document| index.superseded_by(&document.id, Audience::Internal, today).is_some();
        let expiring: Vec<_> = served
            .filter(|document| !replaced(document))
            .filter_map(|document| event(document, today))
            .collect();
        let mut is_told = true;
        for (subject, data) in expiring {
            if let Err(error) = pipeline.announce(EVENT, &subject, &data).await {
                tracing::error!(%error, "an expiring document was not announced; trying again");
                is_told = false;
            }
        }
        if is_told {
            known = Some(standing);
        }
    }
}

/// What is told of a document on this day, and as what it is told once; `None` where it is not about to expire.
fn event(document: &Document, today: Date) -> Option<(String, Value)> {
    let last_day = document.valid_until?;
    let days_left = today.until(last_day).ok()?.get_days();
    if !(0..=DAYS).contains(&days_left) {
        return None;
    }
    let data = json!({
        "document": {
            "id": document.id.to_string(), "kind": document.kind.name(), "title": document.title,
            "path": document.path, "audience": document.audience, "owner": document.owner,
        },
        "valid_until": last_day.to_string(),
        "days_left": days_left,
    });
    Some((format!("{} {last_day} {today}", document.id), data))
}

#[cfg(test)]
mod tests {
    use flightdeck_corpus::Kind;
    use jiff::civil::date;

    use super::*;

    #[test]
    fn a_document_is_told_of_from_two_weeks_before_its_last_day_until_that_day() {
        let mut document = Document::new("p", Kind::Product, "价格表", "products/p.md", "面价 26.8 万元");
        let on = |document: &Document, day| event(document, day);
        assert_eq!(on(&document, date(2026, 11, 26)), None, "it holds for ever");
        document.valid_until = Some(date(2026, 12, 10));
        document.owner = Some("王敏".to_owned());
        assert_eq!(on(&document, date(2026, 11, 25)), None);
        assert_eq!(on(&document, date(2026, 12, 11)), None);
        let (first, told) = on(&document, date(2026, 11, 26)).unwrap();
        assert_eq!((&told["days_left"], &told["valid_until"]), (&json!(14), &json!("2026-12-10")));
        assert_eq!(told["document"]["owner"], "王敏");
        assert!(!told.to_string().contains("26.8"), "its content stays inside");
        let (last, told) = on(&document, date(2026, 12, 10)).unwrap();
        assert_eq!(told["days_left"], 0);
        assert_ne!(first, last, "once a day");
        document.valid_until = Some(date(2026, 12, 9));
        assert_ne!(on(&document, date(2026, 11, 26)).unwrap().0, first, "another last day is another matter");
    }
}
