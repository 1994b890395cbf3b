//! Long connections against gateways of the test's own: what comes over them is taken once, acknowledged and
//! answered, and a connection that breaks is made anew, by a server that was killed too.

use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread;

use flightdeck_channels::protocol::feishu::WireFrame;
use serde_json::{Value, json};
use tokio_tungstenite::tungstenite::{Message, WebSocket, accept};

use super::fake::Fake;
use super::{now_s, start};
use crate::support::{PATIENCE, Server, folder, run_on, small_knowledge, wait_for, write};

const QUESTION: &str = "K7 整机保修多久？";
const FIGURE: &str = "24";

/// Takes connections and hands them to the test, one after the other.
pub struct Gateway {
    pub address: String,
    connections: Receiver<WebSocket<TcpStream>>,
}

impl Gateway {
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("there is a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let (sender, connections): (Sender<_>, _) = channel();
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                stream.set_read_timeout(Some(PATIENCE)).expect("it is a socket");
                if let Ok(socket) = accept(stream)
                    && sender.send(socket).is_err()
                {
                    return;
                }
            }
        });
        Self { address, connections }
    }

    #[track_caller]
    pub fn next(&self) -> WebSocket<TcpStream> {
        self.connections.recv_timeout(PATIENCE).expect("the server connects")
    }
}

/// A server with DingTalk's robot and Feishu's app over long connections.
struct Setting {
    fake: Fake,
    gateway: Gateway,
    knowledge: tempfile::TempDir,
    data: tempfile::TempDir,
}

impl Setting {
    fn of(platform: &str, fields: &str) -> Self {
        let (knowledge, data) = (small_knowledge(), folder());
        run_on(knowledge.path(), data.path(), &["index"]).expect_status(0);
        let (fake, gateway) = (Fake::start(), Gateway::start());
        fake.set_gateway(&gateway.address);
        let settings = format!(
            "outward.private_hosts = \"127.0.0.1\"\n[[channels]]\nid = \"{platform}\"\ntransport = \"connection\"\n\
             base_url = \"{}/{platform}\"\n{fields}",
            fake.address
        );
        write(data.path(), "flightdeck.toml", settings);
        Self { fake, gateway, knowledge, data }
    }

    fn server(&self) -> Server {
        start(self.knowledge.path(), self.data.path(), &self.data.path().join("flightdeck.toml"))
    }

    /// Waits for `n` answers, and sees that nobody got two.
    #[track_caller]
    fn expect_one_each(&self, platform: &str, n: usize) {
        let answers = || {
            let delivered = self.fake.delivered(platform);
            let mut to: Vec<_> =
                delivered.into_iter().filter(|d| d.text.contains(FIGURE)).map(|d| d.to).collect();
            to.sort();
            to
        };
        wait_for(&format!("{n} answers"), || (answers().len() >= n).then_some(()));
        let mut distinct = answers();
        distinct.dedup();
        assert_eq!((answers().len(), distinct.len()), (n, n), "{:?}", answers());
    }
}

fn text(message: Message) -> Value {
    let Message::Text(text) = message else { panic!("no text: {message:?}") };
    serde_json::from_str(&text).expect("it is JSON")
}

/// The next frame that is no ping of the WebSocket's own.
fn next(socket: &mut WebSocket<TcpStream>) -> Message {
    loop {
        match socket.read().expect("the server answers") {
            Message::Ping(_) | Message::Pong(_) => {}
            message => return message,
        }
    }
}

fn ding_frame(kind: &str, topic: &str, id: &str, data: &Value) -> Message {
    let headers = json!({"appId": "app", "connectionId": "c", "contentType": "application/json", "messageId": id,
        "time": (now_s() * 1000).to_string(), "topic": topic});
    let frame = json!({"specVersion": "1.0", "type": kind, "headers": headers, "data": data.to_string()});
    Message::text(frame.to_string())
}

/// What a customer of this name says, its answer expected at the fake.
pub fn ding_said(fake: &str, to: &str, n: usize) -> Value {
    json!({"conversationId": to, "conversationType": "1", "msgId": format!("m{n}"),
        "senderStaffId": to, "senderId": "x", "senderNick": "李", "robotCode": "r",
        "sessionWebhook": format!("{fake}/ding/robot/sendBySession?session={to}"),
        "sessionWebhookExpiredTime": (now_s() + 3600) * 1000, "createAt": now_s() * 1000,
        "msgtype": "text", "text": {"content": format!(" {QUESTION}")}})
}

/// Says something over a stream under this frame's id; gives how it was acknowledged.
pub fn ding_say_in(socket: &mut WebSocket<TcpStream>, id: &str, said: &Value) -> Value {
    let frame = ding_frame("CALLBACK", "/v1.0/im/bot/messages/get", id, said);
    socket.send(frame).expect("the client listens");
    text(next(socket))
}

fn ding_say(setting: &Setting, socket: &mut WebSocket<TcpStream>, n: usize) -> Value {
    ding_say_in(socket, &format!("cb{n}"), &ding_said(&setting.fake.address, &format!("c{n}"), n))
}

#[test]
fn dingtalks_stream_is_heard_acknowledged_answered_once_and_connected_anew() {
    let setting = Setting::of(
        "ding",
        "platform = \"dingtalk\"\napp_key = \"k\"\napp_secret = \"s\"\nrobot_code = \"r\"\n",
    );
    let server = setting.server();
    let mut socket = setting.gateway.next();
    socket
        .send(ding_frame("SYSTEM", "ping", "sys1", &json!({"opaque": "0d5e"})))
        .expect("the server listens");
    let pong = text(next(&mut socket));
    assert_eq!(
        (&pong["headers"]["messageId"], &pong["data"]),
        (&json!("sys1"), &json!("{\"opaque\":\"0d5e\"}"))
    );
    for n in 0..5 {
        let acknowledged = ding_say(&setting, &mut socket, n);
        assert_eq!(acknowledged["headers"]["messageId"], format!("cb{n}"));
        assert_eq!(acknowledged["code"], 200);
    }
    // Again, as where the acknowledgement was not seen.
    ding_say(&setting, &mut socket, 3);
    setting.expect_one_each("ding", 5);

    // The platform wants the connection anew.
    socket.send(ding_frame("SYSTEM", "disconnect", "sys2", &json!({}))).expect("the server listens");
    assert_eq!(text(next(&mut socket))["headers"]["messageId"], "sys2");
    let mut socket = setting.gateway.next();
    ding_say(&setting, &mut socket, 5);
    // It breaks off without a word.
    drop(socket);
    let mut socket = setting.gateway.next();
    ding_say(&setting, &mut socket, 6);
    setting.expect_one_each("ding", 7);
    let events: Value = server.get("/api/v1/channels/ding/events").json().expect("it is JSON");
    let kinds = |kind: &str| {
        events["events"].as_array().expect("a list").iter().filter(|event| event["kind"] == kind).count()
    };
    assert!(kinds("connected") >= 3 && kinds("disconnected") >= 2, "{events}");

    // The server is killed with messages taken and not answered.
    setting.fake.hold_after(setting.fake.n_delivered());
    for n in 7..12 {
        ding_say(&setting, &mut socket, n);
    }
    drop(server);
    setting.fake.go_on();
    let _server = setting.server();
    let mut socket = setting.gateway.next();
    ding_say(&setting, &mut socket, 11);
    setting.expect_one_each("ding", 12);
}

fn lark_event(n: usize) -> String {
    let content = json!({"text": QUESTION}).to_string();
    json!({"schema": "2.0",
        "header": {"event_id": format!("e{n}"), "event_type": "im.message.receive_v1", "token": ""},
        "event": {"sender": {"sender_id": {"open_id": "ou"}, "sender_type": "user"},
            "message": {"message_id": format!("m{n}"), "chat_id": format!("c{n}"), "chat_type": "p2p",
                "message_type": "text", "create_time": (now_s() * 1000).to_string(), "content": content}}})
    .to_string()
}

/// Sends an event in so many parts, the last one first; gives how it was acknowledged.
pub fn lark_say(socket: &mut WebSocket<TcpStream>, n: usize, n_parts: usize) -> WireFrame {
    let event = lark_event(n).into_bytes();
    let parts: Vec<&[u8]> = event.chunks(event.len().div_ceil(n_parts)).collect();
    for (seq, part) in parts.iter().enumerate().rev() {
        let header = |name: &str, value: String| (name.to_owned(), value);
        let frame = WireFrame {
            sequence: n as u64,
            log: 1,
            service: 33,
            method: WireFrame::DATA,
            headers: vec![
                header("type", "event".to_owned()),
                header("message_id", format!("f{n}")),
                header("sum", parts.len().to_string()),
                header("seq", seq.to_string()),
                header("trace_id", "t".to_owned()),
            ],
            payload: part.to_vec(),
        };
        socket.send(Message::binary(frame.encode())).expect("the server listens");
    }
    loop {
        let Message::Binary(bytes) = next(socket) else { panic!("no binary frame") };
        let frame = WireFrame::decode(&bytes).expect("it is a frame");
        if frame.method == WireFrame::DATA {
            return frame;
        }
        assert_eq!((frame.header("type"), frame.service), ("ping", 33));
        let pong = WireFrame { headers: vec![("type".to_owned(), "pong".to_owned())], ..frame };
        socket.send(Message::binary(pong.encode())).expect("the server listens");
    }
}

#[test]
fn feishus_long_connection_is_heard_in_parts_acknowledged_answered_once_and_connected_anew() {
    let setting = Setting::of("lark", "platform = \"feishu\"\napp_id = \"a\"\napp_secret = \"s\"\n");
    let server = setting.server();
    let mut socket = setting.gateway.next();
    for (n, n_parts) in [1, 2, 3].into_iter().enumerate() {
        let acknowledged = lark_say(&mut socket, n, n_parts);
        assert_eq!(acknowledged.payload, br#"{"code":200}"#);
        assert_eq!((acknowledged.header("message_id"), acknowledged.service), (format!("f{n}").as_str(), 33));
        assert!(acknowledged.header("biz_rt").parse::<u64>().is_ok());
    }
    lark_say(&mut socket, 1, 1);
    setting.expect_one_each("lark", 3);
    // What is no frame does not end the connection.
    socket.send(Message::binary(vec![0xFF; 5])).expect("the server listens");
    lark_say(&mut socket, 3, 1);
    drop(socket);
    let mut socket = setting.gateway.next();
    lark_say(&mut socket, 4, 2);
    setting.expect_one_each("lark", 5);

    setting.fake.hold_after(setting.fake.n_delivered());
    for n in 5..10 {
        lark_say(&mut socket, n, 1);
    }
    drop(server);
    setting.fake.go_on();
    let _server = setting.server();
    let mut socket = setting.gateway.next();
    lark_say(&mut socket, 9, 1);
    setting.expect_one_each("lark", 10);
}

fn slack_envelope(n: usize) -> Value {
    let event = json!({"type": "message", "channel_type": "im", "user": "U", "channel": format!("c{n}"), "ts": "1.2",
        "text": QUESTION});
    let payload =
        json!({"type": "event_callback", "event_id": format!("Ev{n}"), "team_id": "T", "event": event});
    json!({"type": "events_api", "envelope_id": format!("env{n}"), "accepts_response_payload": false,
        "retry_attempt": 0, "payload": payload})
}

/// Sends an event in an envelope; gives how it was acknowledged.
pub fn slack_say(socket: &mut WebSocket<TcpStream>, n: usize) -> Value {
    socket.send(Message::text(slack_envelope(n).to_string())).expect("the client listens");
    text(next(socket))
}

#[test]
fn slacks_socket_is_heard_acknowledged_answered_once_and_connected_anew() {
    let setting = Setting::of("slack", "platform = \"slack\"\nbot_token = \"xoxb\"\napp_token = \"xapp\"\n");
    let server = setting.server();
    let mut socket = setting.gateway.next();
    let hello = json!({"type": "hello", "num_connections": 1, "connection_info": {"app_id": "A"}});
    socket.send(Message::text(hello.to_string())).expect("the server listens");
    for n in 0..5 {
        assert_eq!(slack_say(&mut socket, n), json!({"envelope_id": format!("env{n}")}));
    }
    // Again, as where the acknowledgement was not seen.
    slack_say(&mut socket, 3);
    setting.expect_one_each("slack", 5);
    // What is none of ours is acknowledged too, and what is no JSON ends nothing.
    let other = json!({"type": "slash_commands", "envelope_id": "other", "payload": {"command": "/x"}});
    socket.send(Message::text(other.to_string())).expect("the server listens");
    assert_eq!(text(next(&mut socket)), json!({"envelope_id": "other"}));
    socket.send(Message::text("{")).expect("the server listens");
    slack_say(&mut socket, 5);

    let refresh = json!({"type": "disconnect", "reason": "refresh_requested", "debug_info": {}});
    socket.send(Message::text(refresh.to_string())).expect("the server listens");
    let mut socket = setting.gateway.next();
    slack_say(&mut socket, 6);
    // It breaks off without a word.
    drop(socket);
    let mut socket = setting.gateway.next();
    slack_say(&mut socket, 7);
    setting.expect_one_each("slack", 8);
    let response = server.post("/webhooks/slack/slack", &json!({}));
    assert_eq!(response.status(), 401, "nothing comes by HTTP");

    // The server is killed with messages taken and not answered.
    setting.fake.hold_after(setting.fake.n_delivered());
    for n in 8..13 {
        slack_say(&mut socket, n);
    }
    drop(server);
    setting.fake.go_on();
    let _server = setting.server();
    let mut socket = setting.gateway.next();
    slack_say(&mut socket, 12);
    setting.expect_one_each("slack", 13);
}

#[test]
fn a_gateway_that_gives_no_connection_is_asked_again_and_told_of() {
    let setting = Setting::of(
        "ding",
        "platform = \"dingtalk\"\napp_key = \"another\"\napp_secret = \"s\"\nrobot_code = \"r\"\n",
    );
    let server = setting.server();
    let event = wait_for("the events", || {
        let events: Value = server.get("/api/v1/channels/ding/events").json().expect("it is JSON");
        let events = events["events"].as_array().expect("it is a list").clone();
        (events.len() >= 2).then(|| events[0].to_string())
    });
    assert!(event.contains("check app_key and app_secret"), "{event}");
    // Over a connection of its own making nothing comes by HTTP.
    let response = server.post("/webhooks/dingtalk/ding", &json!({}));
    assert_eq!(response.status(), 401);
}
