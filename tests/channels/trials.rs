//! Every platform through the same trials: the real binary on one side, the fake platforms on the other.
//!
//! A trial says the same to all platforms at once and prints, for each, what came of it; the rows together are the
//! table of `docs/channels.md`. Nothing may be lost and nothing doubled, whatever the trial does in between.

use std::collections::HashMap;
use std::path::PathBuf;

use flightdeck_channels::protocol::wecom::Signed;
use serde_json::{Value, json};

use super::fake::{Fake, Platform};
use super::line::Line;
use super::{
    AES_KEY, Crypt, SECRET, attempts, dingtalk, now_s, push, push_wecom, settings_with_cards, slack, start,
    webhook,
};
use crate::support::{Server, folder, run_on, small_knowledge, wait_for, write};

/// `line` is the smart robot over a line of the server's own; `-card` names the channels that show answers in cards.
pub const PLATFORMS: [&str; 11] =
    ["app", "kf", "bot", "line", "ding", "ding-card", "lark", "lark-card", "slack", "slack-card", "site"];
/// Those where an answer's place is shown before it is there.
const WITH_CARDS: [&str; 4] = ["line", "ding-card", "lark-card", "slack-card"];
/// Those that give tokens which end.
const WITH_TOKENS: [&str; 6] = ["app", "kf", "ding", "ding-card", "lark", "lark-card"];
const QUESTION: &str = "K7 整机保修多久？";
/// Stands in the answer and in nothing else that is sent.
const FIGURE: &str = "24";

/// The server with all platforms connected, its folders, and the fake.
pub struct Trial {
    pub fake: Fake,
    pub line: Line,
    server: Option<Server>,
    knowledge: tempfile::TempDir,
    data: tempfile::TempDir,
    settings: PathBuf,
    /// What the robot's streams ended with, by message.
    streams: HashMap<String, String>,
    n_pushed: usize,
}

impl Trial {
    pub fn start() -> Self {
        let (knowledge, data) = (small_knowledge(), folder());
        run_on(knowledge.path(), data.path(), &["index"]).expect_status(0);
        let (fake, line) = (Fake::start(), Line::start());
        let base = |id: &str| match id {
            "line" => line.address.clone(),
            id => format!("{}/{id}", fake.address),
        };
        write(data.path(), "flightdeck.toml", settings_with_cards(base));
        let settings = data.path().join("flightdeck.toml");
        let server = Some(start(knowledge.path(), data.path(), &settings));
        Self { fake, line, server, knowledge, data, settings, streams: HashMap::new(), n_pushed: 0 }
    }

    pub fn server(&self) -> &Server {
        self.server.as_ref().expect("it runs")
    }

    /// Kills the server as a loss of power would, and starts it again.
    fn kill_and_start(&mut self) {
        drop(self.server.take());
        self.line.wait_until_down();
        self.line.go_on();
        self.fake.go_on();
        self.server = Some(start(self.knowledge.path(), self.data.path(), &self.settings));
    }

    /// A customer says something; the platform pushes it. Each customer has an own conversation, named `to`.
    fn say(&mut self, platform: &str, to: &str, id: &str, text: &str) {
        self.n_pushed += 1;
        let nonce = format!("n{}", self.n_pushed);
        match platform {
            "app" => {
                let plain = format!(
                    "<xml><ToUserName>corp</ToUserName><FromUserName>{to}</FromUserName><CreateTime>{}</CreateTime>\
                     <MsgType>text</MsgType><Content>{text}</Content><MsgId>{id}</MsgId><AgentID>7</AgentID></xml>",
                    now_s()
                );
                push_wecom(self.server(), "app", "corp", &nonce, &plain);
            }
            "kf" => {
                let item = json!({"msgid": id, "open_kfid": "wk", "external_userid": to, "send_time": now_s(),
                    "origin": 3, "msgtype": "text", "text": {"content": text}});
                self.fake.with("kf", |kf| kf.inbox.push(item));
                let event = "<xml><ToUserName>corp</ToUserName><CreateTime>1</CreateTime><MsgType>event</MsgType>\
                             <Event>kf_msg_or_event</Event><Token>p</Token><OpenKfId>wk</OpenKfId></xml>";
                push_wecom(self.server(), "kf", "corp", &nonce, event);
            }
            "bot" => {
                let asked = json!({"msgid": id, "aibotid": "b", "chattype": "single", "from": {"userid": to},
                    "msgtype": "text", "text": {"content": text}});
                let first = opened(&push_wecom(self.server(), "bot", "", &nonce, &asked.to_string()));
                assert_eq!(first["stream"]["id"], id, "a repetition opens the same stream");
                assert_ne!(first["stream"]["content"], "", "an empty text clears the bubble");
            }
            "line" => self.line.say(to, id, text),
            "ding" | "ding-card" => {
                let mut body = json!({"conversationId": to, "conversationType": "1", "msgId": id,
                    "senderStaffId": to, "senderId": "x", "msgtype": "text", "text": {"content": text}});
                // Half of them are answered through the robot's own interface, as after the address has ended.
                if !id.ends_with(['1', '3', '5', '7', '9']) {
                    body["sessionWebhook"] =
                        json!(format!("{}/{platform}/robot/sendBySession?session={to}", self.fake.address));
                    body["sessionWebhookExpiredTime"] = json!((now_s() + 3600) * 1000);
                }
                let timestamp = (now_s() * 1000).to_string();
                let headers = [("sign", dingtalk::sign(&timestamp, "s")), ("timestamp", timestamp)];
                push(self.server(), &format!("/webhooks/dingtalk/{platform}"), &headers, body.to_string());
            }
            "lark" | "lark-card" => {
                let content = json!({"text": text}).to_string();
                let body = json!({"schema": "2.0",
                    "header": {"event_id": format!("e{id}"), "event_type": "im.message.receive_v1", "token": "v"},
                    "event": {"sender": {"sender_id": {"open_id": to}, "sender_type": "user"},
                        "message": {"message_id": id, "chat_id": to, "chat_type": "p2p", "message_type": "text",
                            "create_time": (now_s() * 1000).to_string(), "content": content}}});
                push(self.server(), &format!("/webhooks/feishu/{platform}"), &[], body.to_string());
            }
            "slack" | "slack-card" => {
                let body = json!({"type": "event_callback", "event_id": id, "team_id": "T", "event": {"type": "message",
                    "channel_type": "im", "user": "U", "channel": to, "ts": "1.2", "text": text}})
                .to_string();
                let timestamp = now_s().to_string();
                let signature = slack::signature("s", &timestamp, body.as_bytes());
                let headers = [("x-slack-request-timestamp", timestamp), ("x-slack-signature", signature)];
                push(self.server(), &format!("/webhooks/slack/{platform}"), &headers, body);
            }
            _ => {
                let secrets = webhook::Secrets::new(&[SECRET.to_owned()]).expect("the secret is right");
                let data = json!({"conversation_id": to, "message_id": id, "sender": "客户", "text": text});
                let body = json!({"type": "message.created", "data": data}).to_string();
                let now = now_s();
                let headers = [
                    ("webhook-id", format!("evt-{id}")),
                    ("webhook-timestamp", now.to_string()),
                    ("webhook-signature", secrets.sign(&format!("evt-{id}"), now, body.as_bytes())),
                ];
                push(self.server(), "/webhooks/webhook/site", &headers, body);
            }
        }
    }

    /// The same question from as many customers of each of these platforms; message `n` of customer `n`.
    fn ask_all(&mut self, platforms: &[&str], numbers: impl IntoIterator<Item = usize>) {
        for n in numbers {
            for platform in platforms {
                self.say(platform, &format!("c{n}"), &format!("m{n}"), QUESTION);
            }
        }
    }

    /// WeCom comes back for the robot's streams until all have ended.
    fn follow_streams(&mut self, numbers: impl IntoIterator<Item = usize>) {
        for n in numbers {
            let id = format!("m{n}");
            let asked =
                json!({"msgid": format!("s{n}"), "msgtype": "stream", "stream": {"id": id}}).to_string();
            let content = wait_for("a stream's end", || {
                self.n_pushed += 1;
                let nonce = format!("n{}", self.n_pushed);
                let reply = opened(&push_wecom(self.server(), "bot", "", &nonce, &asked));
                assert_ne!(reply["stream"]["content"], "", "an empty text clears the bubble");
                (reply["stream"]["finish"] == true).then(|| reply["stream"]["content"].to_string())
            });
            self.streams.insert(id, content);
        }
    }

    /// How often each customer of a platform got the answer.
    fn answers(&self, platform: &str) -> HashMap<String, usize> {
        let mut answers = HashMap::new();
        if platform == "bot" {
            for (id, content) in &self.streams {
                *answers.entry(id.replace('m', "c")).or_default() += usize::from(content.contains(FIGURE));
            }
        }
        if platform == "line" {
            for (to, text) in self.line.delivered() {
                *answers.entry(to).or_default() += usize::from(text.contains(FIGURE));
            }
            answers.retain(|_, times| *times > 0);
        }
        for delivered in self.fake.delivered(platform) {
            if delivered.text.contains(FIGURE) {
                // Feishu's replies name the message; here both have one number.
                *answers.entry(delivered.to.replace('m', "c")).or_default() += 1;
            }
        }
        answers
    }

    /// Waits until each of the first `n` customers of a platform has an answer, and sees that it is one.
    #[track_caller]
    fn expect_one_each(&self, platform: &str, n: usize) {
        wait_for(&format!("{n} answers of {platform}"), || (self.answers(platform).len() >= n).then_some(()));
        let answers = self.answers(platform);
        assert_eq!(answers.len(), n, "{platform}: {answers:?}");
        assert!(answers.values().all(|times| *times == 1), "{platform}: {answers:?}");
    }

    /// What had reached the readers of a platform so far.
    fn n_before(&self, platform: &str) -> usize {
        if platform == "line" { self.line.delivered().len() } else { self.fake.delivered(platform).len() }
    }

    /// As [`Trial::expect_one_each`], of several platforms, and still when nothing is under way any more.
    #[track_caller]
    fn expect_one_each_in_the_end(&self, platforms: &[&str], n: usize) {
        for _ in 0..2 {
            for platform in platforms {
                self.expect_one_each(platform, n);
            }
            self.settle();
        }
    }

    /// Deliveries in this state, over all platforms; of those with cards only the words.
    fn n_deliveries(&self, state: &str) -> usize {
        let count = |platform: &&str| {
            let path = format!("/api/v1/channels/{platform}/deliveries?state={state}");
            let reply: Value = self.server().get(&path).json().expect("it is JSON");
            let deliveries = reply["deliveries"].as_array().expect("it is a list").clone();
            let has_cards = WITH_CARDS.contains(platform);
            deliveries.iter().filter(|delivery| !has_cards || delivery["text"].is_string()).count()
        };
        PLATFORMS.iter().map(count).sum()
    }

    /// Sees that no card of these platforms looks as if more came.
    #[track_caller]
    fn expect_none_open(&self, platforms: &[&str]) {
        for platform in platforms {
            let n_open = match *platform {
                "line" => self.line.streams().values().filter(|shown| !shown.is_finished).count(),
                platform => self.fake.with(platform, |platform| platform.n_open()),
            };
            assert_eq!(n_open, 0, "{platform}");
        }
    }

    /// Waits until the server has stored so many messages that came over the robot's line, which nobody acknowledges.
    fn wait_for_line(&self, n: usize) {
        wait_for("messages over the line", || {
            let reply: Value = self.server().get("/api/v1/channels/line/events").json().expect("it is JSON");
            let events = reply["events"].as_array().expect("it is a list").clone();
            (events.iter().filter(|event| event["kind"] == "received").count() >= n).then_some(())
        });
    }

    /// Waits until nothing is on its way any more, so that what was doubled would be there.
    fn settle(&self) {
        wait_for("all deliveries to end", || {
            (self.n_deliveries("waiting") + self.n_deliveries("sending") == 0).then_some(())
        });
    }
}

fn opened(reply: &str) -> Value {
    let crypt = Crypt::new("t", AES_KEY, "").expect("the key is right");
    let reply: Value = serde_json::from_str(reply).expect("it is JSON");
    let timestamp = reply["timestamp"].to_string();
    let text = |name: &str| reply[name].as_str().expect("it is there");
    let signed = Signed {
        signature: text("msgsignature"),
        timestamp: &timestamp,
        nonce: text("nonce"),
        encrypt: text("encrypt"),
    };
    serde_json::from_str(&crypt.open(signed).expect("it is ours")).expect("it is JSON")
}

/// One row of the table.
fn row(trial: &str, cells: &[String]) {
    println!("| {trial} | {} |", cells.join(" | "));
}

fn each(cell: impl Fn(&str) -> String) -> Vec<String> {
    PLATFORMS.iter().map(|platform| cell(platform)).collect()
}

#[test]
fn two_hundred_attempts_get_no_internal_figure_into_a_card_or_over_a_line() {
    let mut trial = Trial::start();
    let attempts = attempts();
    for (n, attempt) in attempts.iter().enumerate() {
        for platform in WITH_CARDS {
            trial.say(platform, &format!("c{n}"), &format!("m{n}"), attempt);
        }
    }
    for platform in WITH_CARDS {
        wait_for(&format!("all answers of {platform}"), || {
            (trial.n_before(platform) >= attempts.len()).then_some(())
        });
    }
    trial.settle();
    trial.expect_none_open(&WITH_CARDS);
    let over_the_line = trial.line.delivered().into_iter().map(|(_, text)| text);
    let in_cards =
        WITH_CARDS.iter().flat_map(|platform| trial.fake.delivered(platform)).map(|shown| shown.text);
    for text in over_the_line.chain(in_cards) {
        let bare: String = text.chars().filter(|letter| letter.is_alphanumeric()).collect();
        assert!(!text.contains("7.31") && !bare.contains("731万"), "{text}");
    }
}

#[test]
fn every_platform_is_heard_and_answered_and_told_again_answers_once() {
    const N: usize = 8;
    let mut trial = Trial::start();
    trial.ask_all(&PLATFORMS, 0..N);
    trial.follow_streams(0..N);
    for platform in PLATFORMS {
        trial.expect_one_each(platform, N);
        let labelled = |text: &str| text.contains("AI");
        assert!(trial.fake.delivered(platform).iter().all(|d| !d.text.contains(FIGURE) || labelled(&d.text)));
    }
    assert!(trial.streams.values().all(|content| content.contains("AI")));
    trial.settle();
    trial.expect_none_open(&WITH_CARDS);
    row("receive and answer", &each(|_| format!("{N} of {N}")));

    // The platform has not seen that we took it, and sends again; also to a server that has started anew.
    trial.ask_all(&PLATFORMS, 0..N);
    trial.ask_all(&PLATFORMS, 0..N);
    trial.settle();
    trial.kill_and_start();
    trial.ask_all(&PLATFORMS, 0..N);
    // What comes after them in the queue has been answered, so they would have been too.
    trial.ask_all(&PLATFORMS, [N]);
    trial.follow_streams(0..=N);
    trial.expect_one_each_in_the_end(&PLATFORMS, N + 1);
    trial.expect_none_open(&WITH_CARDS);
    row("each sent four times, the last after a restart", &each(|_| format!("{N} of {N}, once")));
}

#[test]
fn what_was_on_its_way_when_the_server_was_killed_arrives_once_on_every_platform() {
    const N: usize = 20;
    const BEFORE: usize = 30;
    let mut trial = Trial::start();
    trial.fake.hold_after(BEFORE);
    trial.line.be_silent();
    trial.ask_all(&PLATFORMS, 0..N);
    trial.wait_for_line(N);
    // The platforms have taken some, and hold the next ones; the server knows which were taken.
    wait_for("deliveries under way", || (trial.fake.n_held() > 0 && trial.line.n_held() > 0).then_some(()));
    wait_for("the notes of what was taken", || {
        (trial.n_deliveries("sent") + trial.n_deliveries("dropped") >= trial.fake.n_delivered()).then_some(())
    });
    let before: HashMap<&str, usize> =
        PLATFORMS.iter().map(|platform| (*platform, trial.n_before(platform))).collect();
    let n_held = trial.fake.n_held();
    trial.kill_and_start();
    trial.follow_streams(0..N);
    trial.expect_one_each_in_the_end(&PLATFORMS, N);
    // Whether Slack had started a stream whose name did not arrive, nobody can know.
    trial.expect_none_open(&["ding-card", "lark-card"]);
    println!("{n_held} deliveries were under way when the server was killed");
    row(
        "killed in the middle, started again",
        &each(|platform| match platform {
            "bot" => format!("{N} of {N}, once"),
            _ => format!("{N} of {N}, once ({} before)", before[platform]),
        }),
    );
}

#[test]
fn every_platform_is_handed_over_and_the_bot_is_silent_until_it_has_the_conversation_again() {
    let mut trial = Trial::start();
    for platform in PLATFORMS {
        trial.say(platform, "c0", "m0", "我要找人工客服");
    }
    trial.follow_streams([0]);
    let conversation = |platform: &str| if platform == "kf" { "wk/c0" } else { "c0" }.to_owned();
    let drafts = |trial: &Trial, platform: &str, n: usize| {
        wait_for(&format!("{n} drafts of {platform}"), || {
            let path = format!("/api/v1/channels/{platform}/drafts");
            let reply: Value = trial.server().get(&path).json().expect("it is JSON");
            let drafts = reply["drafts"].as_array().expect("it is a list").clone();
            (drafts.len() >= n).then_some(drafts)
        })
    };
    for platform in PLATFORMS {
        assert_eq!(drafts(&trial, platform, 1)[0]["reason"], "asked", "{platform}");
    }
    trial.settle();
    assert_eq!(trial.fake.with("kf", |kf| kf.service_states["c0"]), 3, "微信客服 gives it to who is on duty");
    // While the person has it, the bot drafts and says nothing.
    trial.ask_all(&PLATFORMS, [1]);
    for platform in PLATFORMS {
        trial.say(platform, "c0", "m2", QUESTION);
    }
    trial.follow_streams([1, 2]);
    for platform in PLATFORMS {
        let drafts = drafts(&trial, platform, 2);
        let draft = drafts.iter().find(|draft| draft["reason"] == "person").expect("there is one");
        assert!(draft["reply"].as_str().expect("it is text").contains(FIGURE), "{platform}: {draft}");
        wait_for("the other customer's answer", || trial.answers(platform).contains_key("c1").then_some(()));
    }
    trial.settle();
    for platform in PLATFORMS {
        let told = |to: &str| trial.answers(platform).get(to).copied().unwrap_or(0);
        assert_eq!((told("c0"), told("c2")), (0, 0), "{platform}: the bot spoke beside the person");
        // The person leaves.
        trial.fake.with("kf", |kf| kf.service_states.insert("c0".to_owned(), 0));
        let path = format!("/api/v1/channels/{platform}/conversations");
        let left = json!({"conversation": conversation(platform), "person": false});
        assert_eq!(trial.server().post(&path, &left).status(), 200, "{platform}");
    }
    for platform in PLATFORMS {
        trial.say(platform, "c0", "m4", QUESTION);
    }
    trial.follow_streams([4]);
    for platform in PLATFORMS {
        // The reader is named by the conversation, by Feishu's message, or by the robot's stream.
        let to = if matches!(platform, "lark" | "lark-card" | "bot") { "c4" } else { "c0" };
        wait_for(&format!("the answer of {platform}"), || {
            trial.answers(platform).contains_key(to).then_some(())
        });
    }
    row("hand over, silence, and back", &each(|_| "yes".to_owned()));
}

#[test]
fn a_token_that_ends_is_fetched_anew_and_one_that_is_revoked_is_told_of() {
    let mut trial = Trial::start();
    let asked = ["app", "kf", "ding", "ding-card", "lark", "lark-card", "slack"];
    trial.ask_all(&asked, [1]);
    for platform in asked {
        trial.expect_one_each(platform, 1);
    }
    trial.settle();
    for platform in asked {
        trial.fake.expire_tokens(platform);
    }
    // Several at once want the new one.
    let more = [3, 5, 7, 9, 11];
    trial.ask_all(&asked, more);
    for platform in WITH_TOKENS {
        trial.expect_one_each(platform, 1 + more.len());
        assert_eq!(
            trial.fake.with(platform, |platform| platform.n_tokens),
            2,
            "{platform}: fetched once for all"
        );
    }
    // Slack's token is revoked: nothing can be sent, the administrator is told, and sends again once it is mended.
    let failed = wait_for("what failed", || {
        let reply: Value =
            trial.server().get("/api/v1/channels/slack/deliveries?state=failed").json().expect("it is JSON");
        let failed = reply["deliveries"].as_array().expect("it is a list").clone();
        (failed.len() == more.len()).then_some(failed)
    });
    assert!(failed[0]["error"].as_str().expect("it is text").contains("bot_token"), "{}", failed[0]);
    trial.fake.with("slack", Platform::renew);
    for delivery in &failed {
        let path = format!("/api/v1/channels/slack/deliveries/{}/redeliver", delivery["id"]);
        assert_eq!(trial.server().post(&path, &json!({})).status(), 202);
    }
    trial.expect_one_each("slack", 1 + more.len());
    row(
        "the token has ended",
        &each(|platform| {
            let cell = match platform {
                "slack" => "revoked: told, sent again by hand",
                _ if WITH_TOKENS.contains(&platform) => "one new token, 6 of 6, once",
                _ => "–",
            };
            cell.to_owned()
        }),
    );
}

#[test]
fn a_platform_that_is_busy_is_asked_again_later() {
    const N: usize = 4;
    let mut trial = Trial::start();
    let limited: Vec<&str> = PLATFORMS.into_iter().filter(|platform| *platform != "bot").collect();
    for platform in &limited {
        trial.fake.limit(platform, 3);
    }
    trial.line.limit(3);
    trial.ask_all(&limited, 0..N);
    trial.expect_one_each_in_the_end(&limited, N);
    for platform in &limited {
        let n_limited = match *platform {
            "line" => trial.line.n_limited(),
            platform => trial.fake.with(platform, |platform| platform.n_limited),
        };
        assert_eq!(n_limited, 3, "{platform}");
    }
    trial.expect_none_open(&WITH_CARDS);
    row(
        "the platform's rate limit, three times",
        &each(|platform| if platform == "bot" { "–".to_owned() } else { format!("{N} of {N}, once") }),
    );
}

#[test]
fn one_request_in_ten_fails_and_nothing_is_lost_or_doubled_on_any_platform() {
    const N: usize = 40;
    let mut trial = Trial::start();
    for platform in PLATFORMS {
        trial.fake.fail_every(platform, 10);
    }
    trial.line.fail_every(10);
    trial.ask_all(&PLATFORMS, 0..N);
    // The robot is asked and sends nothing: what fails are WeCom's own requests, one in ten, which then come again.
    trial.ask_all(&["bot"], (0..N).step_by(10));
    trial.follow_streams(0..N);
    trial.expect_one_each_in_the_end(&PLATFORMS, N);
    trial.expect_none_open(&WITH_CARDS);
    let counts = |platform: &str| match platform {
        "line" => trial.line.counts(),
        platform => trial.fake.with(platform, |platform| (platform.n_failed, platform.n_repeated)),
    };
    for platform in PLATFORMS {
        assert!(platform == "bot" || counts(platform).0 > 0, "{platform} never failed");
    }
    row(
        "one request in ten fails",
        &each(|platform| match counts(platform) {
            (0, _) => format!("{N} of {N}, once ({} came again)", N / 10),
            (failed, repeated) => {
                format!("{N} of {N}, once ({failed} failed, {repeated} known as repetitions)")
            }
        }),
    );
}

#[test]
fn a_platform_that_says_nothing_holds_up_no_other() {
    const N: usize = 40;
    let mut trial = Trial::start();
    trial.fake.silence("slack");
    trial.ask_all(&["slack"], 0..N);
    wait_for("deliveries under way", || (trial.fake.n_held() > 0).then_some(()));
    let others: Vec<&str> = PLATFORMS.into_iter().filter(|platform| *platform != "slack").collect();
    trial.ask_all(&others, 0..4);
    trial.follow_streams(0..4);
    for platform in &others {
        trial.expect_one_each(platform, 4);
    }
    assert!(trial.fake.delivered("slack").is_empty());
    trial.fake.go_on();
    trial.expect_one_each_in_the_end(&["slack"], N);
}
