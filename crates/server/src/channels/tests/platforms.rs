//! What each platform sends, and how its reply looks.

use axum::body::Body;
use axum::http::Request;
use flightdeck_channels::protocol::wecom::Crypt;
use flightdeck_channels::protocol::{dingtalk, feishu, slack, webhook};
use serde_json::{Value, json};

use super::{
    AES_KEY, Fake, SECRET, Server, account, in_memory, kf_account, kf_event, kf_said, now_s, said, sealed,
    webhook_account,
};
use crate::tests::{body_json, body_text};

const CUSTOMER_REPLY: &str = "整机保修 18 个月\n参考：《服务条款》\n（内容由 AI 生成，仅供参考）";

#[tokio::test]
async fn a_self_built_app_of_wecom_is_answered_by_an_active_message() {
    let fake = Fake::start().await;
    let app = account(
        &fake,
        &[
            ("id", "app"),
            ("platform", "wecom-app"),
            ("corp_id", "corp"),
            ("secret", "s"),
            ("agent_id", "7"),
            ("token", "t"),
            ("encoding_aes_key", AES_KEY),
        ],
    );
    let server = Server::start(in_memory(), vec![app]);
    let plain = "<xml><ToUserName>corp</ToUserName><FromUserName>li</FromUserName><CreateTime>0</CreateTime>\
                 <MsgType>text</MsgType><Content>保修多久？</Content><MsgId>1</MsgId><AgentID>7</AgentID></xml>";
    let plain = plain.replace("<CreateTime>0", &format!("<CreateTime>{}", now_s()));
    for nonce in ["a", "b"] {
        let response = server.send(sealed("app", "corp", &plain, nonce, false)).await;
        assert_eq!((response.status().as_u16(), body_text(response).await), (200, String::new()));
    }
    let sent = fake.wait_for("/message/send", 1).await;
    assert_eq!(sent[0].body["touser"], "li");
    assert_eq!(sent[0].body["agentid"], 7);
    assert_eq!(sent[0].body["text"]["content"], "整机保修 18 个月[1]\n[1] 《服务条款》");
    assert_eq!(server.n_asked(), 1, "the second delivery was a repetition");
}

#[tokio::test]
async fn wecom_checks_an_address() {
    let fake = Fake::start().await;
    let server = Server::start(in_memory(), vec![kf_account(&fake)]);
    let crypt = Crypt::new("t", AES_KEY, "corp").unwrap();
    let (echo, timestamp) = (crypt.seal("3141592653").unwrap(), now_s().to_string());
    let signature = crypt.signature(&timestamp, "n", &echo);
    let escaped = echo.replace('+', "%2B").replace('/', "%2F").replace('=', "%3D");
    let address = format!(
        "/webhooks/wecom/kf?msg_signature={signature}&timestamp={timestamp}&nonce=n&echostr={escaped}"
    );
    let response = server.send(Request::get(&address).body(Body::empty()).unwrap()).await;
    assert_eq!(body_text(response).await, "3141592653");
    let forged = address.replace("nonce=n", "nonce=m");
    let response = server.send(Request::get(&forged).body(Body::empty()).unwrap()).await;
    assert_eq!(response.status(), 401);
}

#[tokio::test]
async fn a_customer_of_weixin_kf_gets_words_a_label_and_a_menu() {
    let fake = Fake::start().await;
    let server = Server::start(in_memory(), vec![kf_account(&fake)]);
    for (n, text) in ["保修多久？", "再说一遍保修", "密封件呢？"].into_iter().enumerate() {
        fake.put_into_inbox(kf_said(&format!("m{n}"), &format!("wm{n}"), text));
    }
    assert_eq!(server.send(kf_event("n1")).await.status(), 200);
    assert_eq!(server.send(kf_event("n2")).await.status(), 200);
    let sent = fake.wait_for("/kf/send_msg", 6).await;
    let to_first: Vec<_> = sent.iter().filter(|sent| sent.body["touser"] == "wm0").collect();
    assert_eq!(to_first[0].body["text"]["content"], CUSTOMER_REPLY);
    assert_eq!(to_first[1].body["msgmenu"]["list"].as_array().unwrap().len(), 2);
    assert_eq!(to_first[1].body["msgmenu"]["list"][1]["click"]["id"], "human");
    let ids: std::collections::HashSet<_> = sent.iter().map(|sent| sent.body["msgid"].to_string()).collect();
    assert_eq!((sent.len(), ids.len()), (6, 6));
    assert_eq!(server.n_asked(), 3, "two pulls bring each message once");
}

#[tokio::test]
async fn a_customer_who_asks_for_a_person_gets_one_and_the_bot_is_silent_until_the_person_leaves() {
    let fake = Fake::start().await;
    fake.put_on_duty("wang");
    let server = Server::start(in_memory(), vec![kf_account(&fake)]);
    let mut click = kf_said("m1", "wm", "转人工");
    click["text"]["menu_id"] = json!("human");
    fake.put_into_inbox(click);
    server.send(kf_event("n1")).await;
    let moved = fake.wait_for("/service_state/trans", 1).await;
    assert_eq!(moved[0].body["service_state"], 3);
    assert_eq!(moved[0].body["servicer_userid"], "wang");
    let notice = fake.taken("/kf/send_msg");
    assert!(notice[0].body["text"]["content"].as_str().unwrap().contains("同事"));

    fake.put_into_inbox(kf_said("m2", "wm", "保修多久？"));
    server.send(kf_event("n2")).await;
    let draft = server.wait_for("/api/v1/channels/kf/drafts", "drafts", |d| d["reason"] == "person").await;
    assert!(draft["reply"].as_str().unwrap().contains("18 个月"));
    assert_eq!(fake.taken("/kf/send_msg").len(), 1, "the bot is silent");

    let ended = json!({"msgid": "e1", "open_kfid": "wk1", "external_userid": "wm", "send_time": now_s(), "origin": 4,
        "msgtype": "event", "event": {"event_type": "session_status_change", "change_type": 3,
        "external_userid": "wm", "open_kfid": "wk1"}});
    fake.put_into_inbox(ended);
    fake.put_into_inbox(kf_said("m3", "wm", "保修多久？"));
    fake.set_service_state(0);
    server.send(kf_event("n3")).await;
    let sent = fake.wait_for("/kf/send_msg", 2).await;
    assert_eq!(sent[1].body["text"]["content"], CUSTOMER_REPLY);
}

#[tokio::test]
async fn an_answer_is_dropped_when_a_person_picks_up_before_it_is_sent() {
    for by_state in [true, false] {
        let fake = Fake::start().await;
        let server = Server::start(in_memory(), vec![kf_account(&fake)]);
        if by_state {
            fake.set_service_state(3);
        } else {
            fake.refuse_sending(95018);
        }
        fake.put_into_inbox(kf_said("m1", "wm", "保修多久？"));
        server.send(kf_event("n1")).await;
        let dropped = "/api/v1/channels/kf/deliveries?state=dropped";
        server.wait_for(dropped, "deliveries", |_| true).await;
        let standing = server.get("/api/v1/channels/kf/conversations").await;
        let person =
            standing["conversations"].as_array().unwrap().iter().find(|c| c["conversation"] == "wk1/wm");
        assert!(person.unwrap()["person_since"].is_string(), "{standing}");
        assert!(fake.taken("/kf/send_msg").len() <= 1, "it is tried once at most");
    }
}

#[tokio::test]
async fn a_smart_robot_streams_its_answer_when_wecom_comes_back() {
    let fake = Fake::start().await;
    let robot = [("id", "bot"), ("platform", "wecom-robot"), ("token", "t"), ("encoding_aes_key", AES_KEY)];
    let server = Server::start(in_memory(), vec![account(&fake, &robot)]);
    let crypt = Crypt::new("t", AES_KEY, "").unwrap();
    let open = |reply: &Value| -> Value {
        let timestamp = reply["timestamp"].to_string();
        let signed = flightdeck_channels::protocol::wecom::Signed {
            signature: reply["msgsignature"].as_str().unwrap(),
            timestamp: &timestamp,
            nonce: reply["nonce"].as_str().unwrap(),
            encrypt: reply["encrypt"].as_str().unwrap(),
        };
        serde_json::from_str(&crypt.open(signed).unwrap()).unwrap()
    };
    let asked = json!({"msgid": "m1", "aibotid": "b", "chattype": "single", "from": {"userid": "li"},
        "response_url": format!("{}/cgi-bin/aibot/response?response_code=c", fake.address),
        "msgtype": "text", "text": {"content": "保修多久？"}});
    let first = server.send(sealed("bot", "", &asked.to_string(), "n1", true)).await;
    let first = open(&body_json(first).await);
    assert_eq!(first["msgtype"], "stream");
    let again = json!({"msgid": "m2", "msgtype": "stream", "stream": {"id": first["stream"]["id"]}});
    let mut last = first;
    for n in 0.. {
        if last["stream"]["finish"] == true {
            break;
        }
        assert!(!last["stream"]["content"].as_str().unwrap().is_empty(), "an empty text clears the bubble");
        let response = server.send(sealed("bot", "", &again.to_string(), &format!("r{n}"), true)).await;
        last = open(&body_json(response).await);
        tokio::task::yield_now().await;
    }
    assert_eq!(last["stream"]["content"], "整机保修 18 个月[1]\n[1] 《服务条款》");
    assert!(fake.taken("/response").is_empty(), "what was streamed is not sent again");
}

fn dingtalk_said(id: &str, session_webhook: &str) -> Request<Body> {
    let body = json!({"conversationId": "cid", "conversationType": "1", "msgId": id, "senderNick": "李",
        "sessionWebhook": session_webhook, "sessionWebhookExpiredTime": (now_s() + 3600) * 1000,
        "robotCode": "r", "msgtype": "text", "text": {"content": " 保修多久？"}, "senderId": "x", "senderStaffId": "li"});
    let timestamp = (now_s() * 1000).to_string();
    Request::post("/webhooks/dingtalk/ding")
        .header("timestamp", &timestamp)
        .header("sign", dingtalk::sign(&timestamp, "app-secret"))
        .body(Body::from(body.to_string()))
        .unwrap()
}

#[tokio::test]
async fn dingtalk_is_answered_where_the_message_says_only_when_that_is_dingtalks_own_address() {
    let fake = Fake::start().await;
    let ding = [
        ("id", "ding"),
        ("platform", "dingtalk"),
        ("app_key", "k"),
        ("app_secret", "app-secret"),
        ("robot_code", "r"),
    ];
    let server = Server::start(in_memory(), vec![account(&fake, &ding)]);
    let own = format!("{}/robot/sendBySession?session=x", fake.address);
    assert_eq!(server.send(dingtalk_said("m1", &own)).await.status(), 200);
    let sent = fake.wait_for("/robot/sendBySession", 1).await;
    assert!(sent[0].body["markdown"]["text"].as_str().unwrap().contains("18 个月[1]"));
    assert_eq!(fake.n_tokens(), 0);

    // The signature does not cover the body, so anybody who has seen one could write this address.
    let other = Fake::start().await;
    for (n, address) in
        [format!("{}/steal", other.address), "http://169.254.169.254/".to_owned()].into_iter().enumerate()
    {
        let id = format!("forged{n}");
        server.send(dingtalk_said(&id, &address)).await;
        let sent = fake.wait_for("/oToMessages/batchSend", n + 1).await;
        assert_eq!(sent[n].body["userIds"], json!(["li"]));
        assert_eq!(sent[n].body["msgKey"], "sampleMarkdown");
    }
    assert!(other.taken("").is_empty());
    assert_eq!(fake.n_tokens(), 1, "a token is kept");
}

#[tokio::test]
async fn feishu_is_answered_by_a_card_in_reply_to_the_message() {
    let fake = Fake::start().await;
    let lark = [
        ("id", "lark"),
        ("platform", "feishu"),
        ("app_id", "a"),
        ("app_secret", "s"),
        ("verification_token", "v"),
        ("encrypt_key", "key"),
    ];
    let server = Server::start(in_memory(), vec![account(&fake, &lark)]);
    let event = |plain: &Value| {
        let encrypted = feishu::encrypt_with("key", &plain.to_string(), &[7; 16]);
        let body = json!({"encrypt": encrypted}).to_string();
        let timestamp = now_s().to_string();
        Request::post("/webhooks/feishu/lark")
            .header("x-lark-request-timestamp", &timestamp)
            .header("x-lark-request-nonce", "n")
            .header("x-lark-signature", feishu::signature(&timestamp, "n", "key", body.as_bytes()))
            .body(Body::from(body))
            .unwrap()
    };
    let challenge = json!({"challenge": "c", "token": "v", "type": "url_verification"});
    assert_eq!(body_json(server.send(event(&challenge)).await).await, json!({"challenge": "c"}));
    let asked = json!({"schema": "2.0",
        "header": {"event_id": "e1", "event_type": "im.message.receive_v1", "token": "v", "create_time": "1"},
        "event": {"sender": {"sender_id": {"open_id": "ou_li"}, "sender_type": "user"},
            "message": {"message_id": "om_1", "chat_id": "oc_1", "chat_type": "p2p", "message_type": "text",
                "create_time": (now_s() * 1000).to_string(), "content": "{\"text\":\"保修多久？\"}"}}});
    for _ in 0..2 {
        assert_eq!(server.send(event(&asked)).await.status(), 200);
    }
    let sent = fake.wait_for("/messages/om_1/reply", 1).await;
    assert_eq!(sent[0].body["msg_type"], "interactive");
    assert!(sent[0].body["content"].as_str().unwrap().contains("18 个月"));
    assert_eq!(sent[0].headers["authorization"], "Bearer token-1");
    assert_eq!(server.n_asked(), 1);
}

#[tokio::test]
async fn slack_is_answered_in_the_thread() {
    let fake = Fake::start().await;
    let slack_account =
        [("id", "slack"), ("platform", "slack"), ("bot_token", "xoxb"), ("signing_secret", "shh")];
    let server = Server::start(in_memory(), vec![account(&fake, &slack_account)]);
    let body =
        json!({"type": "event_callback", "event_id": "Ev1", "event": {"type": "app_mention", "user": "U1",
        "channel": "C1", "ts": "1.2", "text": "<@UBOT> 保修多久？"}})
        .to_string();
    let timestamp = now_s().to_string();
    let request = Request::post("/webhooks/slack/slack")
        .header("x-slack-request-timestamp", &timestamp)
        .header("x-slack-signature", slack::signature("shh", &timestamp, body.as_bytes()))
        .body(Body::from(body))
        .unwrap();
    assert_eq!(server.send(request).await.status(), 200);
    let sent = fake.wait_for("/chat.postMessage", 1).await;
    assert_eq!(
        (sent[0].body["channel"].as_str(), sent[0].body["thread_ts"].as_str()),
        (Some("C1"), Some("1.2"))
    );
    assert_eq!(sent[0].headers["authorization"], "Bearer xoxb");
}

#[tokio::test]
async fn the_generic_webhook_is_answered_by_signed_events() {
    let fake = Fake::start().await;
    let server = Server::start(in_memory(), vec![webhook_account(&fake)]);
    assert_eq!(server.send(said("c1", "1", "保修多久？")).await.status(), 200);
    let sent = fake.wait_for("/callback", 1).await;
    let secrets = webhook::Secrets::new(&[SECRET.to_owned()]).unwrap();
    let header = |name: &str| sent[0].headers[name].to_str().unwrap();
    let headers = webhook::Headers {
        id: header("webhook-id"),
        timestamp: header("webhook-timestamp"),
        signatures: header("webhook-signature"),
    };
    secrets.verify(headers, &sent[0].bytes, now_s()).unwrap();
    assert_eq!(sent[0].body["type"], "reply.created");
    assert_eq!(sent[0].body["data"]["conversation_id"], "c1");
    assert_eq!(sent[0].body["data"]["in_reply_to"], "1");
    assert_eq!(sent[0].body["data"]["text"], CUSTOMER_REPLY);
}

#[tokio::test]
async fn a_channel_is_tested_without_writing_to_anybody() {
    let fake = Fake::start().await;
    let server = Server::start(in_memory(), vec![webhook_account(&fake), kf_account(&fake)]);
    for id in ["kf", "site"] {
        let reply = server.post(&format!("/api/v1/channels/{id}/test"), &json!({})).await;
        assert_eq!(body_json(reply).await["ok"], true, "{id}");
    }
    assert_eq!(fake.taken("/callback")[0].body["type"], "ping");
    assert!(fake.taken("/send_msg").is_empty());
    let listed = server.get("/api/v1/channels").await;
    assert_eq!(listed["channels"][0]["address"], "/webhooks/wecom/kf");
    assert!(!listed.to_string().contains(SECRET) && !listed.to_string().contains(AES_KEY));
}
