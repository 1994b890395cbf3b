//! Every shared sample by its own entry: verified, decrypted, encrypted, or rejected for the reason it names.
//!
//! The samples lie beside the repository, not in it; where they are not, the tests say so in one line and pass. A
//! few of our own, in `data/`, are always there.

use std::path::{Path, PathBuf};

use flightdeck_channels::protocol::wecom::{self, Crypt, Signed};
use flightdeck_channels::protocol::{Rejected, check_clock, dingtalk, feishu, slack, webhook};
use serde_json::{Value, json};

fn shared(name: &str) -> Option<Value> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../..").join("shared/vectors");
    if !root.is_dir() {
        println!("skipped: there is no ../shared/vectors beside the repository");
        return None;
    }
    Some(read(&root.join(name)))
}

fn own(name: &str) -> Value {
    read(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name))
}

fn read(path: &PathBuf) -> Value {
    let text = std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).unwrap()
}

/// The entries of a file that is a list.
fn entries(file: Option<Value>) -> Vec<Value> {
    file.map(|file| file.as_array().unwrap().clone()).unwrap_or_default()
}

#[track_caller]
fn text<'a>(entry: &'a Value, name: &str) -> &'a str {
    entry[name].as_str().unwrap_or_else(|| panic!("{name} is missing from {entry}"))
}

fn optional<'a>(entry: &'a Value, name: &str) -> &'a str {
    entry[name].as_str().unwrap_or_default()
}

fn crypt(entry: &Value) -> Crypt {
    Crypt::new(text(entry, "token"), text(entry, "encoding_aes_key"), text(entry, "receive_id")).unwrap()
}

fn signed(entry: &Value) -> Signed<'_> {
    Signed {
        signature: text(entry, "msg_signature"),
        timestamp: text(entry, "timestamp"),
        nonce: text(entry, "nonce"),
        encrypt: text(entry, "encrypt"),
    }
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}

fn check_wecom(entry: &Value) {
    let name = text(entry, "name");
    let crypt = crypt(entry);
    assert_eq!(crypt.open(signed(entry)).as_deref(), Ok(text(entry, "plaintext")), "{name}");
    let random = entry["random16_ascii"]
        .as_str()
        .map_or_else(|| unhex(text(entry, "random16_hex")), |ascii| ascii.as_bytes().to_vec());
    let sealed = crypt.seal_with(text(entry, "plaintext"), &random.try_into().unwrap());
    assert_eq!(sealed, text(entry, "encrypt"), "{name} encrypts to the same bytes");
    let signature = crypt.signature(text(entry, "timestamp"), text(entry, "nonce"), &sealed);
    assert_eq!(signature, text(entry, "msg_signature"), "{name}");

    let wire = &entry["wire"];
    let part = match optional(wire, "content_type") {
        "text/xml" => wecom::message::encrypted_part(text(wire, "body")),
        "application/json" => wecom::robot::encrypted_part(text(wire, "body").as_bytes()),
        _ => return,
    };
    assert_eq!(part.as_deref(), Ok(text(entry, "encrypt")), "{name}: the body's encrypted part");
}

#[test]
fn wecom_samples_verify_decrypt_and_encrypt() {
    for file in ["wecom_crypto_official.json", "wecom_crypto_generated.json"] {
        for entry in entries(shared(file)) {
            check_wecom(&entry);
        }
    }
    for entry in entries(Some(own("wecom.json"))) {
        check_wecom(&entry);
    }
}

#[test]
fn wecom_messages_inside_the_samples_are_understood() {
    use wecom::message::Callback as App;
    use wecom::robot::Callback as Robot;
    let (official, generated) =
        (entries(shared("wecom_crypto_official.json")), entries(shared("wecom_crypto_generated.json")));
    for entry in official.iter().chain(&generated) {
        let (name, plain) = (text(entry, "name"), text(entry, "plaintext"));
        match name {
            "xml_text_msg_cn_py" => {
                let Ok(App::Text(message)) = wecom::message::parse(plain) else { panic!("{name}") };
                assert_eq!((message.from.as_str(), message.text.as_str()), ("ChenJiaShun", "你好"));
                assert_eq!((message.id.as_str(), message.created_at_s), ("1456453720", 1_476_422_779));
            }
            "xml_text_msg_doc" | "wechatpy_decrypt_message" => {
                assert!(matches!(wecom::message::parse(plain), Ok(App::Text(_))), "{name}");
            }
            "json_callback_py_MALFORMED_INNER_JSON" => {
                assert!(matches!(wecom::robot::parse(plain), Err(Rejected::Format(_))), "{name}");
            }
            "app_xxe_attempt" => {
                let refused = wecom::message::parse(plain);
                assert!(matches!(refused, Err(Rejected::Format(_))), "{name}: {refused:?}");
            }
            "app_cdata_injection_reply" => {
                let made = wecom::message::text_reply(
                    "lisi",
                    "ww1436e0e65a779aee",
                    1_790_000_012,
                    "a]]>b</Content>",
                );
                assert_eq!(made, plain, "{name}");
            }
            "kf_msg_or_event" => {
                let Ok(App::KfEvent { token, open_kfid }) = wecom::message::parse(plain) else {
                    panic!("{name}")
                };
                assert!(
                    token.starts_with("ENCApHxn") && open_kfid.starts_with("wkAJ2"),
                    "{token} {open_kfid}"
                );
            }
            "aibot_text_group" => {
                let Ok(Robot::Message { text, chat, response_url, .. }) = wecom::robot::parse(plain) else {
                    panic!("{name}")
                };
                assert_eq!((text.as_str(), chat.as_deref()), ("X200 和竞品 Y 的差别？", Some("CHATID")));
                assert!(response_url.starts_with("https://qyapi.weixin.qq.com/"));
            }
            "aibot_text_single_emoji" => {
                let Ok(Robot::Message { text, chat, .. }) = wecom::robot::parse(plain) else {
                    panic!("{name}")
                };
                assert_eq!((text.as_str(), chat), ("底价多少？😀", None));
            }
            "aibot_stream_refresh" => {
                assert_eq!(
                    wecom::robot::parse(plain),
                    Ok(Robot::Refresh { stream_id: "STREAMID-1".to_owned() })
                );
            }
            "aibot_feedback_event" => {
                let Ok(Robot::Feedback { is_good, text, .. }) = wecom::robot::parse(plain) else {
                    panic!("{name}")
                };
                assert_eq!((is_good, text.as_str()), (Some(false), "能再详细一些么"));
            }
            "aibot_reply_stream_first" | "aibot_reply_stream_final" => {
                let said: Value = serde_json::from_str(plain).unwrap();
                let stream = &said["stream"];
                let made = wecom::robot::stream_reply(
                    text(stream, "id"),
                    text(stream, "content"),
                    stream["finish"].as_bool().unwrap(),
                    stream["feedback"]["id"].as_str(),
                );
                assert_eq!(made, said, "{name}");
                let timestamp = text(entry, "timestamp").parse().unwrap();
                let body = wecom::robot::signed(
                    &crypt(entry),
                    text(entry, "encrypt"),
                    timestamp,
                    text(entry, "nonce"),
                );
                assert_eq!(body, entry["wire"]["response_json"], "{name}");
            }
            _ => {}
        }
    }
}

/// The reason that an entry of a file of negatives gives, as this crate has it.
fn is_for_the_reason(rejected: &Rejected, reason: &str) -> bool {
    match reason {
        "reject:signature" => matches!(rejected, Rejected::Signature(_)),
        "reject:receive_id" => *rejected == Rejected::ReceiveId,
        "reject:padding" => *rejected == Rejected::Padding,
        "reject:format" => matches!(rejected, Rejected::Format(_)),
        "reject:utf8" => *rejected == Rejected::Utf8,
        "reject:stale" | "reject:timestamp" | "reject:clock" => matches!(rejected, Rejected::Clock { .. }),
        other => panic!("a reason that is not known: {other}"),
    }
}

#[test]
fn wecom_negatives_are_rejected_for_their_reason() {
    let negatives = entries(shared("wecom_crypto_negative.json"));
    for entry in negatives.iter().chain(&entries(Some(own("wecom_negative.json")))) {
        let name = text(entry, "name");
        let opened = crypt(entry).open(signed(entry)).and_then(|_| match entry["now"].as_i64() {
            Some(now_s) => check_clock(text(entry, "timestamp").parse().unwrap(), now_s, 300),
            None => Ok(()),
        });
        let rejected = opened.expect_err(name);
        assert!(is_for_the_reason(&rejected, text(entry, "expect")), "{name}: {rejected}");
    }
}

#[test]
fn wecom_media_decrypts() {
    use base64::Engine;
    let decode = |text: &str| base64::engine::general_purpose::STANDARD.decode(text).unwrap();
    for entry in entries(shared("wecom/aibot_media_decrypt.json").map(|file| file["files"].clone())) {
        let plain = wecom::decrypt_media(text(&entry, "aeskey"), decode(text(&entry, "ciphertext_b64")));
        assert_eq!(plain, Ok(decode(text(&entry, "plaintext_b64"))), "{}", text(&entry, "name"));
    }
}

#[test]
fn the_page_signature_of_wecom_is_the_documented_one() {
    for entry in entries(shared("wecom/jssdk_signature.json")) {
        let signed = |url: &str| {
            wecom::jssdk::signature(
                text(&entry, "jsapi_ticket"),
                text(&entry, "noncestr"),
                entry["timestamp"].as_i64().unwrap(),
                url,
            )
        };
        assert_eq!(signed(text(&entry, "url")), text(&entry, "signature"));
        assert_eq!(signed(&format!("{}#top", text(&entry, "url"))), text(&entry, "signature"));
    }
}

#[test]
fn bodies_for_wecom_are_those_that_its_clients_send() {
    use wecom::kf;
    let Some(transcript) = shared("wecom/rest_api_transcript_wechatpy.json") else { return };
    for exchange in transcript["exchanges"].as_array().unwrap() {
        let (request, response) = (&exchange["request"], &exchange["response"]);
        let body = &request["body"];
        match text(request, "path").split('?').next().unwrap() {
            "/cgi-bin/kf/sync_msg" => {
                assert_eq!(kf::sync_body("wkAJ", "", "ENCApHx"), *body);
                let page = kf::parse_page(response);
                assert_eq!((page.next_cursor.as_str(), page.has_more), ("4gw7MepFLfgF2VC5npN", false));
                let contents: Vec<_> = page.items.iter().map(|item| &item.content).collect();
                assert!(matches!(
                    contents[..],
                    [
                        kf::Content::Entered { .. },
                        kf::Content::Customer { .. },
                        kf::Content::Servicer(_),
                        kf::Content::TakenByPerson(_),
                        kf::Content::SendFailed { reason: 4, .. },
                    ]
                ));
                assert!(page.items.iter().all(|item| item.customer.starts_with("wmAJ2")));
            }
            "/cgi-bin/kf/send_msg" if body["msgtype"] == "text" => {
                assert_eq!(kf::text_body("wmAJ", "wkAJ", "ans_1", "X200 报价请见…"), *body);
            }
            "/cgi-bin/kf/send_msg" => {
                let mut made = kf::menu_body("wmAJ", "wkAJ", "m", "还想了解？", &["交期".to_owned()]);
                made.as_object_mut().unwrap().remove("msgid");
                assert_eq!(made, *body);
            }
            _ => {}
        }
    }
}

#[test]
fn dingtalk_samples() {
    for entry in entries(shared("dingtalk/http_vectors.json")) {
        let name = text(&entry, "name");
        let headers = &entry["headers"];
        let verified = || {
            dingtalk::verify(
                text(headers, "timestamp"),
                text(headers, "sign"),
                text(&entry, "app_secret"),
                entry["now_ms"].as_i64().unwrap(),
            )
        };
        match name {
            "robot_http_callback_sign_doc_example" => {
                assert_eq!(
                    dingtalk::sign(text(&entry, "timestamp"), text(&entry, "app_secret")),
                    text(&entry, "sign")
                );
            }
            "custom_robot_outgoing_sign" => {
                assert_eq!(
                    dingtalk::sign(text(&entry, "timestamp"), text(&entry, "secret")),
                    text(&entry, "sign_b64")
                );
            }
            "event_subscription_crypto_official" => {
                let crypt =
                    Crypt::new(text(&entry, "token"), text(&entry, "encoding_aes_key"), text(&entry, "key"))
                        .unwrap();
                let signed = Signed {
                    signature: text(&entry, "signature"),
                    timestamp: text(&entry, "timestamp"),
                    nonce: text(&entry, "nonce"),
                    encrypt: text(&entry, "encrypt"),
                };
                assert_eq!(crypt.open(signed).as_deref(), Ok(text(&entry, "plaintext")));
                assert!(dingtalk::event_reply(&crypt, 1_445_827_045_067, "n").is_ok());
            }
            "NEG_stale_1h" => assert!(matches!(verified(), Err(Rejected::Clock { .. }))),
            "NEG_sign_does_not_cover_body" => {
                assert_eq!(verified(), Ok(()));
                let message = dingtalk::parse(text(&entry, "body").as_bytes()).unwrap();
                let host = message.session_webhook.split('/').nth(2).unwrap().to_owned();
                assert!(!dingtalk::is_reply_host(&host), "{host}");
            }
            _ if name.starts_with("NEG_") => assert!(verified().is_err(), "{name}"),
            _ => {
                assert_eq!(verified(), Ok(()), "{name}");
                let message = dingtalk::parse(text(&entry, "body").as_bytes()).unwrap();
                assert_eq!(message.text, "X200 交期？");
                assert!(message.is_group && message.is_employee);
                let host = message.session_webhook.split('/').nth(2).unwrap().to_owned();
                assert!(dingtalk::is_reply_host(&host));
            }
        }
    }
}

#[test]
fn dingtalk_frames_hold_the_same_messages() {
    let Some(transcript) = shared("dingtalk/stream_transcript_python_sdk.json") else { return };
    let frames = transcript["events"].as_array().unwrap().iter().map(|event| &event["frame"]);
    let callbacks: Vec<_> = frames.filter(|frame| frame["type"] == "CALLBACK").collect();
    assert!(!callbacks.is_empty());
    for frame in callbacks {
        assert_eq!(dingtalk::parse(text(frame, "data").as_bytes()).unwrap().text, "X200 交期？");
    }
}

#[test]
fn feishu_samples() {
    for entry in entries(shared("feishu/http_vectors.json")) {
        check_feishu(&entry);
    }
}

fn check_feishu(entry: &Value) {
    let name = text(entry, "name");
    match name {
        "official_decrypt" => {
            let plain = feishu::decrypt(text(entry, "encrypt_key"), text(entry, "encrypt"));
            return assert_eq!(plain.as_deref(), Ok(text(entry, "plaintext")));
        }
        "official_signature_input" => {
            let (timestamp, nonce) = (text(entry, "timestamp"), text(entry, "nonce"));
            let made = feishu::signature(
                timestamp,
                nonce,
                text(entry, "encrypt_key"),
                text(entry, "body").as_bytes(),
            );
            return assert_eq!(made, text(entry, "x_lark_signature"));
        }
        "legacy_card_signature_sha1" => {
            let (timestamp, nonce) = (text(entry, "timestamp"), text(entry, "nonce"));
            let token = text(entry, "verification_token");
            let made = feishu::card_signature(timestamp, nonce, token, text(entry, "body").as_bytes());
            return assert_eq!(made, text(entry, "x_lark_signature"));
        }
        "custom_bot_webhook_sign" => {
            let made = feishu::custom_bot_sign(text(entry, "timestamp"), text(entry, "secret"));
            return assert_eq!(made, text(entry, "sign"));
        }
        _ => {}
    }
    let secrets = feishu::Secrets {
        encrypt_key: text(entry, "encrypt_key"),
        verification_token: text(entry, "verification_token"),
    };
    let headers = entry["headers"]["X-Lark-Signature"].as_str().map(|signature| feishu::Headers {
        timestamp: text(&entry["headers"], "X-Lark-Request-Timestamp"),
        nonce: text(&entry["headers"], "X-Lark-Request-Nonce"),
        signature,
    });
    let body = text(entry, "body");
    let opened = feishu::open(secrets, headers, body.as_bytes(), 1_790_000_010);
    if let Some(encrypt) = serde_json::from_str::<Value>(body).unwrap()["encrypt"].as_str() {
        let plain = feishu::decrypt(secrets.encrypt_key, encrypt).unwrap();
        assert_eq!(plain, text(entry, "plaintext"), "{name}");
        let iv: [u8; 16] = unhex(text(entry, "iv_hex")).try_into().unwrap();
        assert_eq!(feishu::encrypt_with(secrets.encrypt_key, &plain, &iv), encrypt, "{name}");
    }
    match (name, opened) {
        ("NEG_bad_signature", opened) => assert_eq!(opened, Err(Rejected::Signature("Encrypt Key"))),
        ("NEG_wrong_verification_token", opened) => assert_eq!(opened, Err(Rejected::Token)),
        (_, Ok(feishu::Event::Challenge(challenge))) => {
            assert!(name.starts_with("url_verification"), "{name}");
            assert_eq!(feishu::challenge_reply(&challenge), json!({"challenge": "ajls384kdjx98XX"}));
        }
        ("card_action_trigger", Ok(feishu::Event::CardAction { value, chat, .. })) => {
            assert_eq!((&value["act"], chat.as_str()), (&json!("thumb_up"), "oc_5ce6"));
        }
        (_, Ok(feishu::Event::Message(message))) => {
            let expected = match name {
                "message_receive_p2p" => "底价多少",
                "message_receive_post" => "询价\n X200 链接",
                _ => "X200 交期？",
            };
            assert_eq!(message.text_for("ou_bot"), expected, "{name}");
            assert_eq!(message.is_group, name != "message_receive_p2p");
            assert!(message.is_person);
        }
        (_, opened) => panic!("{name}: {opened:?}"),
    }
}

#[test]
fn feishu_frames_hold_the_same_events() {
    let Some(transcript) = shared("feishu/ws_and_api_transcript_python_sdk.json") else { return };
    let frames = transcript["events"].as_array().unwrap().iter().map(|event| &event["frame"]);
    let whole = frames.filter(|frame| frame["headers"]["type"] == "event" && frame["headers"]["sum"] == "1");
    let mut n_messages = 0;
    for frame in whole {
        // An acknowledgement is the same frame with another payload.
        let Ok(event) = serde_json::from_str::<Value>(optional(frame, "payload")) else { continue };
        if let Ok(feishu::Event::Message(message)) = feishu::parse(&event) {
            assert_eq!(message.text_for("ou_bot"), "X200 交期？");
            n_messages += 1;
        }
    }
    assert!(n_messages > 0);
}

#[test]
fn feishu_frames_are_read_and_written_as_the_official_client_does() {
    let Some(transcript) = shared("feishu/ws_and_api_transcript_python_sdk.json") else { return };
    let recorded = transcript["events"].as_array().unwrap().iter().filter(|event| event["hex"].is_string());
    let mut n_acknowledged = 0;
    let mut received: Vec<feishu::WireFrame> = Vec::new();
    for event in recorded {
        let bytes = unhex(text(event, "hex"));
        let frame = feishu::WireFrame::decode(&bytes).unwrap();
        let wanted = &event["frame"];
        assert_eq!(
            (Some(frame.sequence), Some(frame.log)),
            (wanted["SeqID"].as_u64(), wanted["LogID"].as_u64())
        );
        assert_eq!(Some(i64::from(frame.service)), wanted["service"].as_i64());
        assert_eq!(Some(i64::from(frame.method)), wanted["method"].as_i64());
        let headers: serde_json::Map<String, Value> =
            frame.headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        assert_eq!(Value::Object(headers), wanted["headers"]);
        assert_eq!(String::from_utf8_lossy(&frame.payload), text(wanted, "payload"));
        assert_eq!(frame.encode(), bytes, "the same bytes");
        if frame.header("type") == "ping" {
            assert_eq!(feishu::WireFrame::ping(frame.service).encode(), bytes);
        }
        // The client's acknowledgement of what came before.
        let answered = received.iter().find(|known| {
            let same = |name: &str| known.header(name) == frame.header(name);
            frame.method == feishu::WireFrame::DATA && same("message_id") && same("seq")
        });
        if let Some(answered) = answered {
            let took_ms = frame.header("biz_rt").parse().unwrap();
            assert_eq!(answered.acknowledge(took_ms, frame.payload.clone()).encode(), bytes);
            n_acknowledged += 1;
        } else {
            received.push(frame);
        }
        for cut in 0..bytes.len() {
            // Whatever is missing, it is an error or a shorter frame, and never a panic.
            let _ = feishu::WireFrame::decode(&bytes[..cut]);
        }
    }
    assert_eq!(n_acknowledged, 2);
}

#[test]
fn slack_samples() {
    const NOW_S: i64 = 1_790_000_001;
    for entry in entries(shared("slack/http_vectors.json")) {
        let name = text(&entry, "name");
        let headers = &entry["headers"];
        let body = text(&entry, "body").as_bytes();
        let (timestamp, signed) = if headers.is_object() {
            (text(headers, "X-Slack-Request-Timestamp"), text(headers, "X-Slack-Signature"))
        } else {
            (text(&entry, "timestamp"), text(&entry, "signature"))
        };
        let now_s = if name == "official" { 1_531_420_618 } else { NOW_S };
        let verified = slack::verify(text(&entry, "signing_secret"), timestamp, signed, body, now_s);
        if name.starts_with("NEG_") {
            assert!(matches!(verified, Err(Rejected::Clock { .. })), "{name}: {verified:?}");
            continue;
        }
        assert_eq!(verified, Ok(()), "{name}");
        match name {
            "official" => assert!(slack::parse(body).is_err(), "a form is not JSON"),
            "url_verification" => assert!(matches!(slack::parse(body), Ok(slack::Event::Challenge(_)))),
            "own_bot_message_loop" => assert!(matches!(slack::parse(body), Ok(slack::Event::Ignored(_)))),
            _ => {
                let Ok(slack::Event::Message(message)) = slack::parse(body) else { panic!("{name}") };
                assert_eq!(
                    (message.event_id.as_str(), message.text.as_str()),
                    ("Ev0PV52K21", "X200 lead time?")
                );
            }
        }
    }
}

fn check_webhook(entry: &Value) {
    let secrets = webhook::Secrets::new(&[text(entry, "secret").to_owned()]).unwrap();
    let (body, headers) = (text(entry, "body").as_bytes(), &entry["headers"]);
    let headers = webhook::Headers {
        id: text(headers, "webhook-id"),
        timestamp: text(headers, "webhook-timestamp"),
        signatures: text(headers, "webhook-signature"),
    };
    let signed_at_s: i64 = headers.timestamp.parse().unwrap();
    assert_eq!(secrets.verify(headers, body, signed_at_s + 300), Ok(()));
    assert!(matches!(secrets.verify(headers, body, signed_at_s + 301), Err(Rejected::Clock { .. })));
    assert_eq!(secrets.sign(headers.id, signed_at_s, body), headers.signatures);
    let several = format!("v1,AAAA v1a,BBBB {}", headers.signatures);
    let headers = webhook::Headers { signatures: &several, ..headers };
    assert_eq!(secrets.verify(headers, body, signed_at_s), Ok(()));
    assert!(secrets.verify(headers, &body[1..], signed_at_s).is_err());
    assert!(matches!(webhook::parse(body), Ok(webhook::Event::Message(_))));
}

#[test]
fn standard_webhooks_samples() {
    let samples = entries(shared("generic_webhook.json"));
    for entry in samples.iter().chain(&entries(Some(own("webhook.json")))) {
        check_webhook(entry);
    }
}
