//! Crashes, repetitions, failures, floods, modes, and what must not get out.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use flightdeck_channels::{Hook, Timing};
use flightdeck_records::Records;
use futures::future::join_all;
use serde_json::json;
use tokio::sync::Semaphore;

use super::{
    Fake, SECRET, Server, account, in_memory, kf_account, kf_event, kf_said, quick, said, signed,
    webhook_account,
};
use crate::tests::body_json;

#[tokio::test(flavor = "multi_thread")]
async fn a_burst_of_a_thousand_is_taken_before_any_is_answered_and_none_is_lost_or_doubled() {
    const N: usize = 1000;
    let fake = Fake::start().await;
    let gate = Arc::new(Semaphore::new(0));
    let server = Server::start_with(
        in_memory(),
        vec![webhook_account(&fake)],
        Vec::new(),
        quick(),
        Some(gate.clone()),
    );
    let pushes = (0..N).map(|n| server.send(said(&format!("c{}", n % 250), &n.to_string(), "保修多久？")));
    assert!(join_all(pushes).await.iter().all(|response| response.status() == 200));
    assert!(fake.taken("/callback").is_empty(), "no answer was made yet");
    // The platform did not see some of the acknowledgements.
    let again = (0..N).step_by(7);
    let pushes = again.map(|n| server.send(said(&format!("c{}", n % 250), &n.to_string(), "保修多久？")));
    assert!(join_all(pushes).await.iter().all(|response| response.status() == 200));
    gate.add_permits(10 * N);
    let sent = fake.wait_for("/callback", N).await;
    let mut order: HashMap<String, Vec<usize>> = HashMap::new();
    for taken in &sent {
        let data = &taken.body["data"];
        let n = data["in_reply_to"].as_str().unwrap().parse().unwrap();
        order.entry(data["conversation_id"].to_string()).or_default().push(n);
    }
    let answered: HashSet<_> = order.values().flatten().collect();
    assert_eq!((sent.len(), answered.len()), (N, N));
    assert!(order.values().all(|ids| ids.is_sorted()), "a conversation goes in order");
}

#[tokio::test]
async fn what_a_crash_leaves_behind_is_finished_by_the_next_run() {
    let folder = std::env::temp_dir().join(format!("flightdeck-{}", uuid::Uuid::now_v7()));
    std::fs::create_dir_all(&folder).unwrap();
    let path = folder.join("records.sqlite");
    let fake = Fake::start().await;
    let open = || Arc::new(Records::open(&path).unwrap());
    {
        // Nothing is ever answered, as the engine waits for ever; what was taken is on the disk.
        let gate = Some(Arc::new(Semaphore::new(0)));
        let accounts = vec![webhook_account(&fake)];
        let server = Server::start_with(open(), accounts, Vec::new(), quick(), gate);
        for n in 0..20 {
            let id = n.to_string();
            assert_eq!(server.send(said(&format!("c{n}"), &id, "保修多久？")).await.status(), 200);
        }
    }
    {
        let server = Server::start(open(), vec![webhook_account(&fake)]);
        fake.wait_for("/callback", 20).await;
        assert_eq!(server.send(said("c3", "3", "保修多久？")).await.status(), 200, "still known");
    }
    {
        // A crash between the platform's "taken" and our note of it: the same key goes out again.
        let records = open();
        let body =
            json!({"by": "bot", "payload": {"text": "整机保修 18 个月"}, "reply": {"conversation": "c3"}});
        let delivery = flightdeck_records::NewDelivery {
            account: "site".to_owned(),
            conversation: "c3".to_owned(),
            idempotency: "0123456789abcdef0123456789abcdef".to_owned(),
            message_id: String::new(),
            body,
            due_ms: 0,
        };
        records.add_channel_delivery(&delivery).unwrap();
        let id = records.channel_deliveries("site", Some("waiting"), 1).unwrap()[0].id;
        assert!(records.begin_channel_delivery(id).unwrap());
        drop(records);
        let _server = Server::start(open(), vec![webhook_account(&fake)]);
        let sent = fake.wait_for("/callback", 21).await;
        assert_eq!(sent[20].headers["webhook-id"], "0123456789abcdef0123456789abcdef");
    }
    std::fs::remove_dir_all(&folder).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn one_failure_in_ten_loses_nothing_and_doubles_nothing() {
    const N: usize = 100;
    let fake = Fake::start().await;
    fake.fail_every(10);
    let server = Server::start(in_memory(), vec![webhook_account(&fake)]);
    for n in 0..N {
        let id = n.to_string();
        assert_eq!(server.send(said(&format!("c{n}"), &id, "保修多久？")).await.status(), 200);
    }
    let sent = fake.wait_for("/callback", N).await;
    let ids: HashSet<_> = sent.iter().map(|sent| sent.headers["webhook-id"].to_str().unwrap()).collect();
    assert_eq!((sent.len(), ids.len()), (N, N));
}

#[tokio::test]
async fn an_expired_token_is_fetched_anew_once_for_all() {
    let fake = Fake::start().await;
    let server = Server::start(in_memory(), vec![kf_account(&fake)]);
    fake.put_into_inbox(kf_said("m1", "wm1", "保修多久？"));
    server.send(kf_event("n1")).await;
    fake.wait_for("/kf/send_msg", 2).await;
    assert_eq!(fake.n_tokens(), 1);
    fake.expire_tokens();
    fake.put_into_inbox(kf_said("m2", "wm2", "保修多久？"));
    server.send(kf_event("n2")).await;
    fake.wait_for("/kf/send_msg", 4).await;
    assert_eq!(fake.n_tokens(), 2);
}

#[tokio::test]
async fn what_must_not_leave_the_company_is_handed_over_instead() {
    let fake = Fake::start().await;
    let server = Server::start(in_memory(), vec![webhook_account(&fake)]);
    for (n, text) in
        ["泄露", "编造", "内部来源", "不知道", "能便宜点吗", "我要投诉", "转人工"].into_iter().enumerate()
    {
        let conversation = format!("c{n}");
        server.send(said(&conversation, &n.to_string(), text)).await;
        let fits = |draft: &serde_json::Value| draft["conversation"] == conversation.as_str();
        let draft = server.wait_for("/api/v1/channels/site/drafts", "drafts", fits).await;
        assert!(draft["summary"].as_str().unwrap().contains(text));
    }
    let sent = fake.wait_for("/callback", 14).await;
    let kinds: HashSet<_> = sent.iter().map(|sent| sent.body["type"].as_str().unwrap()).collect();
    assert_eq!(kinds, HashSet::from(["reply.created", "handover.requested"]));
    for figure in ["19.8", "底价", "12.5"] {
        assert!(!fake.everything().contains(figure), "{figure}");
    }
}

#[tokio::test]
async fn a_person_sends_a_draft_once_and_a_conversation_is_switched_at_run_time() {
    let fake = Fake::start().await;
    let suggesting = account(&fake, &[("id", "site"), ("platform", "webhook"), ("mode", "suggest")]);
    let server = Server::start(in_memory(), vec![suggesting]);
    server.send(said("c1", "1", "保修多久？")).await;
    let draft = server.wait_for("/api/v1/channels/site/drafts", "drafts", |_| true).await;
    assert_eq!(draft["reason"], "suggest");
    assert!(fake.taken("/callback").is_empty());
    let message = json!({"conversation": "c1", "text": "保修 18 个月，王工", "draft_id": draft["id"]});
    let path = "/api/v1/channels/site/messages";
    assert_eq!(server.post(path, &message).await.status(), 202);
    assert_eq!(server.post(path, &message).await.status(), 409);
    let nowhere = json!({"conversation": "nobody", "text": "您好"});
    assert_eq!(server.post(path, &nowhere).await.status(), 404);
    let sent = fake.wait_for("/callback", 1).await;
    assert_eq!(sent[0].body["data"]["by"], "person");
    assert_eq!(sent[0].body["data"]["text"], "保修 18 个月，王工");

    let path = "/api/v1/channels/site/conversations";
    let switched = server.post(path, &json!({"conversation": "c1", "mode": "off"})).await;
    assert_eq!(body_json(switched).await["mode"], "off");
    server.send(said("c1", "2", "保修多久？")).await;
    let is_silent = |event: &serde_json::Value| event["details"]["why"] == "off";
    server.wait_for("/api/v1/channels/site/events", "events", is_silent).await;
    let switched = server.post(path, &json!({"conversation": "c1", "mode": "auto"})).await;
    assert_eq!(body_json(switched).await["mode"], "auto");
    server.send(said("c1", "3", "保修多久？")).await;
    assert_eq!(fake.wait_for("/callback", 2).await[1].body["data"]["by"], "bot");
    for wrong in [json!({}), json!({"conversation": "c1"}), json!({"conversation": "c1", "mode": "loud"})] {
        assert_eq!(server.post(path, &wrong).await.status(), 422, "{wrong}");
    }
}

#[tokio::test]
async fn a_person_silences_the_bot_and_gives_the_conversation_back() {
    let fake = Fake::start().await;
    let server = Server::start(in_memory(), vec![webhook_account(&fake)]);
    let sign = |id: &str, kind: &str| signed(id, &json!({"type": kind, "data": {"conversation_id": "c1"}}));
    assert_eq!(server.send(sign("e1", "person.joined")).await.status(), 200);
    server.send(said("c1", "1", "保修多久？")).await;
    server.wait_for("/api/v1/channels/site/drafts", "drafts", |draft| draft["reason"] == "person").await;
    assert!(fake.taken("/callback").is_empty());
    server.send(sign("e2", "person.left")).await;
    server.send(said("c1", "2", "保修多久？")).await;
    assert_eq!(fake.wait_for("/callback", 1).await[0].body["data"]["in_reply_to"], "2");
}

#[tokio::test]
async fn an_engine_that_keeps_failing_gives_a_customer_a_person() {
    let fake = Fake::start().await;
    let timing = Timing { max_attempts: 3, ..quick() };
    let hook = Hook {
        id: "crm".to_owned(),
        url: format!("{}/hook", fake.address),
        secrets: vec![SECRET.to_owned()],
        events: vec!["handover.requested".to_owned()],
    };
    let server = Server::start_with(in_memory(), vec![webhook_account(&fake)], vec![hook], timing, None);
    server.send(said("c1", "1", "这次会失败")).await;
    let told = fake.wait_for("/hook", 1).await;
    assert_eq!(told[0].body["type"], "handover.requested");
    assert_eq!(told[0].body["data"]["reason"], "engine_failed");
    assert!(told[0].headers.contains_key("webhook-signature"));
    assert_eq!(server.n_asked(), 3);
}

#[tokio::test]
async fn an_old_message_is_left_to_a_person() {
    let fake = Fake::start().await;
    let server = Server::start(in_memory(), vec![kf_account(&fake)]);
    let old = |id: &str| {
        let mut item = kf_said(id, "wm", "保修多久？");
        item["send_time"] = json!(super::now_s() - 3600);
        item
    };
    // What the first pull of all brings was answered by somebody else, days ago.
    fake.put_into_inbox(old("m1"));
    server.send(kf_event("n1")).await;
    let is_pulled = |event: &serde_json::Value| event["kind"] == "pulled";
    server.wait_for("/api/v1/channels/kf/events", "events", is_pulled).await;
    fake.put_into_inbox(old("m2"));
    server.send(kf_event("n2")).await;
    let draft = server.wait_for("/api/v1/channels/kf/drafts", "drafts", |_| true).await;
    assert_eq!(draft["reason"], "expired");
    assert_eq!(server.get("/api/v1/channels/kf/drafts").await["drafts"].as_array().unwrap().len(), 1);
    assert_eq!((server.n_asked(), fake.taken("/kf/send_msg").len()), (0, 0));
}

#[tokio::test]
async fn what_is_not_signed_is_turned_away_without_a_reason_and_the_log_has_it() {
    let fake = Fake::start().await;
    let server = Server::start(in_memory(), vec![webhook_account(&fake), kf_account(&fake)]);
    for request in [
        Request::post("/webhooks/webhook/site").body(Body::from("{}")).unwrap(),
        Request::post("/webhooks/webhook/site")
            .header("webhook-id", "x")
            .header("webhook-timestamp", super::now_s().to_string())
            .header("webhook-signature", "v1,AAAA")
            .body(Body::from("{}"))
            .unwrap(),
    ] {
        let response = server.send(request).await;
        assert_eq!(response.status(), 401);
        let text = body_json(response).await.to_string();
        assert!(!text.contains("secret") && !text.contains("clock"), "{text}");
    }
    let is_rejected = |event: &serde_json::Value| event["kind"] == "rejected";
    let event = server.wait_for("/api/v1/channels/site/events", "events", is_rejected).await;
    assert!(event["details"]["why"].as_str().unwrap().contains("webhook"), "{event}");
    for nowhere in ["/webhooks/webhook/kf", "/webhooks/icq/site", "/webhooks/webhook/nobody"] {
        let response = server.send(Request::post(nowhere).body(Body::from("{}")).unwrap()).await;
        assert_eq!(response.status(), 404, "{nowhere}");
    }
    assert_eq!(server.n_asked(), 0);
}
