//! The platforms' own SDKs against the fakes that the other tests use, and against the server: what the fakes say is
//! what the SDKs expect, and what the SDKs sign and seal is what the server takes.

use std::path::PathBuf;
use std::process::Command;

use flightdeck_channels::protocol::feishu::WireFrame;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::Message;

use super::connections::{Gateway, ding_said, ding_say_in, lark_say, slack_say};
use super::line::Line;
use super::trials::Trial;
use super::{AES_KEY, SECRET};
use crate::support::{repository, wait_for};

#[test]
fn the_platforms_own_sdks_agree_with_the_fakes_and_the_server() {
    let Some(sdks) = std::env::var_os("FLIGHTDECK_SDKS").map(PathBuf::from) else {
        println!("skipped: FLIGHTDECK_SDKS names no folder with the SDKs; tests/clients/platforms makes one");
        return;
    };
    let trial = Trial::start();
    let fake = trial.fake.clone();
    let gateway = Gateway::start();
    fake.set_gateway(&gateway.address);
    let address = fake.address.clone();
    // Slack's client comes first, then DingTalk's, then Feishu's; how each acknowledges is how ours does.
    let gate = std::thread::spawn(move || {
        let mut slack = gateway.next();
        let hello = json!({"type": "hello", "num_connections": 1, "connection_info": {"app_id": "A"}});
        slack.send(Message::text(hello.to_string())).expect("the client listens");
        assert_eq!(slack_say(&mut slack, 0)["envelope_id"], "env0");
        let mut ding = gateway.next();
        let acknowledged = ding_say_in(&mut ding, "sdk", &ding_said(&address, "sdk", 0));
        assert_eq!(
            (&acknowledged["code"], &acknowledged["headers"]["messageId"]),
            (&json!(200), &json!("sdk"))
        );
        let mut lark = gateway.next();
        let acknowledged: WireFrame = lark_say(&mut lark, 0, 2);
        let payload: Value = serde_json::from_slice(&acknowledged.payload).expect("it is JSON");
        assert_eq!(payload["code"], 200);
        assert!(!acknowledged.header("biz_rt").is_empty());
        let _ = lark.send(Message::Close(None));
    });
    let line = Line::start();
    let said = line.clone();
    let speaker = std::thread::spawn(move || said.say("sdk", "sdk-line", "K7 整机保修多久？"));
    let run = |program: PathBuf, script: &str| {
        let output = Command::new(program)
            .arg(repository().join("tests/clients").join(script))
            .env("FLIGHTDECK_FAKE", &fake.address)
            .env("FLIGHTDECK_BASE", trial.server().url(""))
            .env("FLIGHTDECK_AES_KEY", AES_KEY)
            .env("FLIGHTDECK_SECRET", SECRET)
            .env("FLIGHTDECK_SDKS", &sdks)
            .env("FLIGHTDECK_LINE", line.address.replacen("http", "ws", 1))
            .env("NO_PROXY", "127.0.0.1")
            .env("no_proxy", "127.0.0.1")
            .output()
            .expect("the interpreter can be started");
        let complaints = String::from_utf8_lossy(&output.stderr).into_owned();
        let found: Vec<Value> = String::from_utf8_lossy(&output.stdout)
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect();
        assert!(!found.is_empty(), "{script} found nothing: {complaints}");
        (found, complaints)
    };
    let (mut found, mut complaints) = run(sdks.join("python/bin/python"), "platform_sdks.py");
    let (more, also) = run(PathBuf::from("node"), "platform_sdks.mjs");
    found.extend(more);
    complaints.push_str(&also);
    println!("| SDK | what it does | |\n| --- | --- | --- |");
    for check in &found {
        let word = if check["ok"] == true { "yes" } else { "**no**" };
        println!("| {} | {} | {word} |", text(check, "sdk"), text(check, "check"));
    }
    assert!(found.iter().all(|check| check["ok"] == true), "{found:#?}\n{complaints}");
    gate.join().expect("the gateway heard all clients");
    speaker.join().expect("the line was there");
    let expected =
        [("sdk", "二十四个月"), ("sdk", "主动说的")].map(|(to, text)| (to.to_owned(), text.to_owned()));
    assert_eq!(line.delivered(), expected);
    assert!(line.n_pings() > 0);
    // What the SDKs signed and sealed was answered, and what they sent has arrived.
    for (platform, to) in [("app", "sdk"), ("slack", "sdk"), ("site", "sdk")] {
        wait_for(platform, || {
            let delivered = fake.delivered(platform);
            delivered.iter().any(|d| d.to == to && d.text.contains("24")).then_some(())
        });
    }
    for (platform, to) in [
        ("app", "sdk-reader"),
        ("kf", "sdk-customer"),
        ("slack", "sdk-channel"),
        ("slack", "sdk-stream"),
        ("lark", "sdk-message"),
        ("lark", "sdk-card-message"),
        ("ding", "sdk"),
    ] {
        assert!(fake.delivered(platform).iter().any(|d| d.to == to), "{platform}");
    }
    assert!(fake.delivered("ding").iter().any(|d| d.text == "您好，卡片"), "{:?}", fake.delivered("ding"));
    for platform in ["ding", "lark", "slack"] {
        assert_eq!(fake.with(platform, |platform| platform.n_open()), 0, "{platform}");
    }
}

fn text<'a>(check: &'a Value, name: &str) -> &'a str {
    check[name].as_str().unwrap_or_default()
}
