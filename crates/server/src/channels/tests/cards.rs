//! Answers in cards: what is shown before the answer is there, that the card is filled once and closed, and what
//! happens where the platform, a person or a crash comes between.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use flightdeck_channels::Account;
use flightdeck_channels::protocol::{dingtalk, slack};
use flightdeck_records::Records;
use serde_json::{Value, json};
use tokio::sync::Semaphore;

use super::{Fake, Server, account, in_memory, now_s, quick};

const ANSWER: &str = "整机保修 18 个月[1]\n[1] 《服务条款》";
const CONTENT: &str = "/cards/card-1/elements/answer_md/content";
const SETTINGS: &str = "/cards/card-1/settings";

fn lark(fake: &Fake, more: &[(&str, &str)]) -> Account {
    let fields = [
        ("id", "lark"),
        ("platform", "feishu"),
        ("app_id", "a"),
        ("app_secret", "s"),
        ("verification_token", "v"),
        ("stream", "true"),
    ];
    account(fake, &[&fields[..], more].concat())
}

fn ding(fake: &Fake) -> Account {
    let fields = [
        ("id", "ding"),
        ("platform", "dingtalk"),
        ("app_key", "k"),
        ("app_secret", "s"),
        ("robot_code", "r"),
        ("stream", "true"),
        ("card_template_id", "t.schema"),
        ("card_variable", "answer"),
    ];
    account(fake, &fields)
}

fn slack_account(fake: &Fake) -> Account {
    let fields = [
        ("id", "slack"),
        ("platform", "slack"),
        ("bot_token", "xoxb"),
        ("signing_secret", "s"),
        ("stream", "true"),
    ];
    account(fake, &fields)
}

fn lark_said(text: &str) -> Request<Body> {
    let content = json!({"text": text}).to_string();
    let asked = json!({"schema": "2.0",
        "header": {"event_id": "e1", "event_type": "im.message.receive_v1", "token": "v"},
        "event": {"sender": {"sender_id": {"open_id": "ou"}, "sender_type": "user"},
            "message": {"message_id": "om_1", "chat_id": "oc_1", "chat_type": "p2p", "message_type": "text",
                "create_time": (now_s() * 1000).to_string(), "content": content}}});
    Request::post("/webhooks/feishu/lark").body(Body::from(asked.to_string())).unwrap()
}

fn ding_said(text: &str) -> Request<Body> {
    let body = json!({"conversationId": "cid", "conversationType": "1", "msgId": "m1", "senderStaffId": "li",
        "msgtype": "text", "text": {"content": text}});
    let timestamp = (now_s() * 1000).to_string();
    Request::post("/webhooks/dingtalk/ding")
        .header("sign", dingtalk::sign(&timestamp, "s"))
        .header("timestamp", timestamp)
        .body(Body::from(body.to_string()))
        .unwrap()
}

fn slack_said(text: &str) -> Request<Body> {
    let body =
        json!({"type": "event_callback", "event_id": "Ev1", "team_id": "T1", "event": {"type": "app_mention",
        "user": "U1", "channel": "C1", "ts": "1.2", "text": text}})
        .to_string();
    let timestamp = now_s().to_string();
    Request::post("/webhooks/slack/slack")
        .header("x-slack-signature", slack::signature("s", &timestamp, body.as_bytes()))
        .header("x-slack-request-timestamp", timestamp)
        .body(Body::from(body))
        .unwrap()
}

/// A server whose engine answers when it is let.
fn gated(records: &Arc<Records>, account: Account) -> (Server, Arc<Semaphore>) {
    let gate = Arc::new(Semaphore::new(0));
    let server = Server::start_with(records.clone(), vec![account], Vec::new(), quick(), Some(gate.clone()));
    (server, gate)
}

async fn all_sent(server: &Server, channel: &str) {
    let path = format!("/api/v1/channels/{channel}/deliveries");
    loop {
        let listed = server.get(&path).await;
        let deliveries = listed["deliveries"].as_array().unwrap();
        let is_done = |delivery: &Value| !matches!(delivery["state"].as_str(), Some("waiting" | "sending"));
        if deliveries.iter().all(is_done) {
            return;
        }
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn feishus_card_shows_a_placeholder_then_the_answer_and_is_closed() {
    let fake = Fake::start().await;
    let (server, gate) = gated(&in_memory(), lark(&fake, &[]));
    assert_eq!(server.send(lark_said("保修多久？")).await.status(), 200);
    let reply = fake.wait_for("/messages/om_1/reply", 1).await;
    let entity: Value = serde_json::from_str(reply[0].body["content"].as_str().unwrap()).unwrap();
    assert_eq!(entity, json!({"type": "card", "data": {"card_id": "card-1"}}));
    let made = fake.taken("/cardkit/v1/cards");
    let card: Value = serde_json::from_str(made[0].body["data"].as_str().unwrap()).unwrap();
    assert_eq!(card["config"]["streaming_mode"], true);
    assert_eq!(card["body"]["elements"][0]["content"], "正在查资料……");
    assert!(fake.taken(CONTENT).is_empty(), "there is no answer yet");

    gate.add_permits(1);
    let settings = fake.wait_for(SETTINGS, 1).await;
    let content = fake.taken(CONTENT);
    assert_eq!(content[0].body["content"], ANSWER);
    assert_eq!(settings[0].body["settings"], r#"{"config":{"streaming_mode":false}}"#);
    let sequence = |body: &Value| body["sequence"].as_i64().unwrap();
    assert!(0 < sequence(&content[0].body) && sequence(&content[0].body) < sequence(&settings[0].body));
    all_sent(&server, "lark").await;
    assert_eq!((fake.taken("/reply").len(), fake.taken(CONTENT).len()), (1, 1));
}

#[tokio::test]
async fn no_card_shows_a_customer_what_did_not_pass_the_gate() {
    let fake = Fake::start().await;
    let (server, gate) = gated(&in_memory(), lark(&fake, &[("audience", "customer")]));
    server.send(lark_said("编造一个价格")).await;
    fake.wait_for("/reply", 1).await;
    gate.add_permits(1);
    let content = fake.wait_for(CONTENT, 1).await;
    assert!(content[0].body["content"].as_str().unwrap().contains("同事"), "{}", content[0].body);
    all_sent(&server, "lark").await;
    assert!(!fake.everything().contains("12.5"));
}

#[tokio::test]
async fn a_card_grows_for_a_colleague_with_what_is_worded_already_and_not_for_a_customer() {
    for (audience, n_grown) in [("internal", 1), ("customer", 0)] {
        let fake = Fake::start().await;
        let (server, gate) = gated(&in_memory(), lark(&fake, &[("audience", audience)]));
        server.send(lark_said("一句一句地说保修")).await;
        fake.wait_for("/reply", 1).await;
        fake.wait_for(CONTENT, n_grown).await;
        gate.add_permits(1);
        fake.wait_for(SETTINGS, 1).await;
        all_sent(&server, "lark").await;
        let content = fake.taken(CONTENT);
        assert_eq!(content.len(), n_grown + 1, "{audience}");
        if n_grown > 0 {
            assert_eq!(content[0].body["content"], "整机保修");
            assert!(content[1].body["content"].as_str().unwrap().starts_with("整机保修 18 个月"));
            assert!(content[0].body["sequence"].as_i64() < content[1].body["sequence"].as_i64());
        }
    }
}

#[tokio::test]
async fn a_crash_in_between_leaves_one_card_which_the_next_run_finishes() {
    let (fake, records) = (Fake::start().await, in_memory());
    {
        let (server, _gate) = gated(&records, lark(&fake, &[]));
        server.send(lark_said("保修多久？")).await;
        fake.wait_for("/reply", 1).await;
    }
    // What is written now arrives, and nobody learns of it.
    fake.leave_unsaid(CONTENT);
    fake.leave_unsaid(SETTINGS);
    let (server, gate) = gated(&records, lark(&fake, &[]));
    gate.add_permits(1);
    fake.wait_for(SETTINGS, 2).await;
    all_sent(&server, "lark").await;
    assert_eq!((fake.taken("/cardkit/v1/cards").len(), fake.taken("/reply").len()), (1, 1));
    let content = fake.taken(CONTENT);
    let distinct = |field: &str| {
        let values: std::collections::HashSet<_> =
            content.iter().map(|taken| taken.body[field].to_string()).collect();
        values.len()
    };
    assert_eq!((distinct("uuid"), distinct("content")), (1, 1), "the same is written under the same key");
    assert_eq!(distinct("sequence"), content.len(), "and under a number that rises");
}

#[tokio::test]
async fn a_card_is_closed_when_a_person_comes_before_the_answer() {
    let fake = Fake::start().await;
    let (server, gate) = gated(&in_memory(), lark(&fake, &[("audience", "customer")]));
    server.send(lark_said("保修多久？")).await;
    fake.wait_for("/reply", 1).await;
    let taken = json!({"conversation": "oc_1", "person": true});
    assert_eq!(server.post("/api/v1/channels/lark/conversations", &taken).await.status(), 200);
    gate.add_permits(1);
    let content = fake.wait_for(CONTENT, 1).await;
    assert_eq!(content[0].body["content"], "已收到，由同事回复。");
    fake.wait_for(SETTINGS, 1).await;
    all_sent(&server, "lark").await;
    assert_eq!((fake.taken("/reply").len(), fake.taken(CONTENT).len()), (1, 1));
}

#[tokio::test]
async fn a_card_that_is_closed_when_the_conversation_is_switched_off_meanwhile() {
    let fake = Fake::start().await;
    let (server, gate) = gated(&in_memory(), lark(&fake, &[]));
    server.send(lark_said("失败")).await;
    fake.wait_for("/reply", 1).await;
    let off = json!({"conversation": "oc_1", "mode": "off"});
    assert_eq!(server.post("/api/v1/channels/lark/conversations", &off).await.status(), 200);
    // The engine fails, and by the next attempt there is nothing to say.
    gate.add_permits(1);
    let content = fake.wait_for(CONTENT, 1).await;
    assert_eq!(content[0].body["content"], "已收到，由同事回复。");
    fake.wait_for(SETTINGS, 1).await;
    all_sent(&server, "lark").await;
}

#[tokio::test]
async fn a_card_that_feishu_refuses_is_closed_as_far_as_it_goes_and_the_answer_is_a_message() {
    for refused in ["/cardkit/v1/cards", CONTENT] {
        let fake = Fake::start().await;
        fake.refuse(refused, json!({"code": 230_099, "msg": "no"}));
        let server = Server::start(in_memory(), vec![lark(&fake, &[])]);
        server.send(lark_said("保修多久？")).await;
        all_sent(&server, "lark").await;
        server
            .wait_for("/api/v1/channels/lark/events", "events", |event| event["kind"] == "card_refused")
            .await;
        let n = if refused == CONTENT { 2 } else { 1 };
        let replies = fake.wait_for("/reply", n).await;
        assert!(replies[n - 1].body["content"].as_str().unwrap().contains("18 个月"), "{refused}");
    }
}

#[tokio::test]
async fn a_card_whose_streaming_feishu_has_ended_is_opened_again() {
    let fake = Fake::start().await;
    fake.refuse(CONTENT, json!({"code": 300_309, "msg": "streaming mode is closed"}));
    let server = Server::start(in_memory(), vec![lark(&fake, &[])]);
    server.send(lark_said("保修多久？")).await;
    let settings = fake.wait_for(SETTINGS, 1).await;
    assert_eq!(settings[0].body["settings"], r#"{"config":{"streaming_mode":true}}"#);
    // This one does not open; the answer goes out as a message.
    let replies = fake.wait_for("/reply", 2).await;
    assert!(replies[1].body["content"].as_str().unwrap().contains("18 个月"));
}

#[tokio::test]
async fn dingtalks_card_is_delivered_streamed_whole_and_what_is_too_long_follows_as_a_message() {
    let fake = Fake::start().await;
    let (server, gate) = gated(&in_memory(), ding(&fake));
    server.send(ding_said("详细说说保修")).await;
    let made = fake.wait_for("/card/instances/createAndDeliver", 1).await;
    assert_eq!(made[0].body["cardTemplateId"], "t.schema");
    assert_eq!(made[0].body["cardData"]["cardParamMap"], json!({"answer": "正在查资料……"}));
    assert_eq!(made[0].body["openSpaceId"], "dtv1.card//IM_ROBOT.li");
    gate.add_permits(1);
    let rest = fake.wait_for("/oToMessages/batchSend", 1).await;
    let streamed = fake.taken("/card/streaming");
    assert_eq!(streamed.len(), 1);
    let written = &streamed[0].body;
    assert_eq!(written["outTrackId"], made[0].body["outTrackId"]);
    assert_eq!(
        (&written["key"], &written["isFull"], &written["isFinalize"]),
        (&json!("answer"), &json!(true), &json!(true))
    );
    let head = written["content"].as_str().unwrap();
    assert!(head.len() <= 3000 && head.contains("18 个月"));
    let rest = rest[0].body["msgParam"].as_str().unwrap();
    let n = head.matches("18 个月").count() + rest.matches("18 个月").count();
    assert_eq!(n, 200, "nothing is lost or doubled between the two");
    assert!(rest.contains("《服务条款》"));
}

#[tokio::test]
async fn dingtalks_card_grows_too_and_is_ended_by_the_whole_answer_alone() {
    let fake = Fake::start().await;
    let (server, gate) = gated(&in_memory(), ding(&fake));
    server.send(ding_said("一句一句地说保修")).await;
    let grown = fake.wait_for("/card/streaming", 1).await;
    assert_eq!(
        (&grown[0].body["content"], &grown[0].body["isFinalize"]),
        (&json!("整机保修"), &json!(false))
    );
    gate.add_permits(1);
    let ended = fake.wait_for("/card/streaming", 2).await;
    assert_eq!((&ended[1].body["isFinalize"], &ended[1].body["isFull"]), (&json!(true), &json!(true)));
    assert_ne!(ended[0].body["guid"], ended[1].body["guid"]);
    all_sent(&server, "ding").await;
    assert_eq!(fake.taken("/card/streaming").len(), 2);
}

#[tokio::test]
async fn dingtalks_card_that_may_be_there_is_not_delivered_twice() {
    let fake = Fake::start().await;
    fake.leave_unsaid("/card/instances/createAndDeliver");
    fake.leave_unsaid("/card/streaming");
    let server = Server::start(in_memory(), vec![ding(&fake)]);
    server.send(ding_said("保修多久？")).await;
    fake.wait_for("/card/streaming", 2).await;
    all_sent(&server, "ding").await;
    let distinct = |path: &str, field: &str| {
        let taken = fake.taken(path);
        let values: std::collections::HashSet<_> =
            taken.iter().map(|taken| taken.body[field].to_string()).collect();
        values.len()
    };
    assert_eq!(distinct("/card/instances/createAndDeliver", "outTrackId"), 1);
    assert_eq!(distinct("/card/streaming", "guid"), 1);
    assert!(fake.taken("/oToMessages/batchSend").is_empty());
}

#[tokio::test]
async fn slacks_stream_starts_without_a_word_and_stops_with_the_answer() {
    let fake = Fake::start().await;
    let (server, gate) = gated(&in_memory(), slack_account(&fake));
    server.send(slack_said("<@UBOT> 保修多久？")).await;
    let started = fake.wait_for("/chat.startStream", 1).await;
    assert_eq!(
        started[0].body,
        json!({"channel": "C1", "thread_ts": "1.2", "recipient_team_id": "T1", "recipient_user_id": "U1"})
    );
    // It stops, and nobody learns of it; the second time Slack says that it has stopped.
    fake.leave_unsaid("/chat.stopStream");
    fake.refuse("/chat.stopStream", json!({"ok": false, "error": "message_not_in_streaming_state"}));
    gate.add_permits(1);
    let stopped = fake.wait_for("/chat.stopStream", 1).await;
    assert_eq!((&stopped[0].body["ts"], &stopped[0].body["channel"]), (&json!("9.9"), &json!("C1")));
    assert_eq!(stopped[0].body["chunks"][0]["text"], ANSWER);
    fake.wait_for("/chat.stopStream", 2).await;
    all_sent(&server, "slack").await;
    assert!(fake.taken("/chat.postMessage").is_empty());
}

#[tokio::test]
async fn a_workspace_that_refuses_streams_gets_a_message() {
    let fake = Fake::start().await;
    fake.refuse("/chat.startStream", json!({"ok": false, "error": "missing_scope"}));
    let server = Server::start(in_memory(), vec![slack_account(&fake)]);
    server.send(slack_said("<@UBOT> 保修多久？")).await;
    let sent = fake.wait_for("/chat.postMessage", 1).await;
    assert_eq!(sent[0].body["text"], ANSWER);
    all_sent(&server, "slack").await;
    assert_eq!(fake.taken("/chat.postMessage").len(), 1);
}
