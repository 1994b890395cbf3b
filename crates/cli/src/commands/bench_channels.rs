//! `bench channels`: how soon a webhook is acknowledged while messages arrive at a steady rate and each answer takes
//! its time, and whether every message is answered once.
//!
//! Three parties besides this one: the server, started as a process of its own on the knowledge folder, with records
//! in a folder that is gone afterwards; a language model that says its prompt's own draft after a while; and the
//! receiver of the answers. Messages are sent when the clock says so, whether the ones before are acknowledged or
//! not, and a message's time runs from then on. One in ten is sent a second time, as platforms do.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use flightdeck_eval::Latency;
use flightdeck_server::{Guard, Outward, WebhookSecrets};
use serde::Serialize;
use serde_json::{Value, json};

use super::measured::MeasuredServer;
use crate::Verdict;
use crate::args::BenchChannelsArgs;
use crate::failure::Failure;
use crate::output::{self, note};
use crate::settings::Config;

/// Signs both ways; of this machine only, and only while the command runs.
const SECRET: &str = "whsec_YSBzZWNyZXQgb2YgdGhlIGJlbmNobWFyayBhbG9uZQ==";
/// Messages of one conversation, which are answered one after the other.
const PER_CONVERSATION: usize = 5;
/// One in so many messages is sent twice.
const REPEATED: usize = 10;
/// Longest wait for the index, and for the next answer after the one before.
const PATIENCE: Duration = Duration::from_mins(3);
const LOOK_EVERY: Duration = Duration::from_millis(50);

#[derive(Serialize)]
struct Report {
    messages: usize,
    /// Requests sent in a second.
    rate: u32,
    /// How long the language model took over each answer, in ms.
    answer_ms: u64,
    /// Answers worded at the same time, at most.
    at_once: usize,
    /// Requests that were sent, repetitions included.
    requests: usize,
    /// Requests that were not acknowledged with 200.
    refused: usize,
    /// From the moment when a request was due to its acknowledgement.
    acknowledged_ms: Latency,
    slowest_ms: f64,
    /// Answers that were there before the last acknowledgement.
    answered_meanwhile: usize,
    /// How often the language model was asked.
    worded: usize,
    /// Messages without an answer.
    lost: usize,
    /// Messages with more than one answer.
    doubled: usize,
    /// Conversations whose answers came in another order than their questions.
    disordered: usize,
    /// From the first message to the last answer.
    seconds: f64,
}

/// Runs `bench channels`.
///
/// # Errors
/// When the server does not start, or the question finds no answer for a customer.
pub fn run(config: &Config, args: &BenchChannelsArgs) -> Result<Verdict, Failure> {
    let folder = Folder::make()?;
    let model = Model::start(Duration::from_millis(args.answer_ms)).map_err(|error| no_room(&error))?;
    let receiver = Receiver::start().map_err(|error| no_room(&error))?;
    let settings = folder.0.join("flightdeck.toml");
    std::fs::write(&settings, settings_text(config, args, &folder.0, &model, &receiver))
        .map_err(|error| no_room(&error))?;
    let server = start(config, &settings)?;
    let runtime = tokio::runtime::Runtime::new().map_err(|error| no_room(&error))?;
    let outward = Outward::new(Guard::allowing(["127.0.0.1".to_owned()])).map_err(|error| {
        Failure::new(format!("no request can be sent: {error}"), format!("无法发送请求：{error}"))
    })?;
    runtime.block_on(ready(&server, &outward, &args.question))?;
    let n_warm = model.n_asked();
    note(&format!("sending {} messages …", args.messages));
    let started = Instant::now();
    let sent = runtime.block_on(send_all(&server, &outward, args, started))?;
    let answered_meanwhile = receiver.n_replies();
    note("waiting for the answers …");
    let seconds = receiver.wait_for(args.messages as usize, started);
    let replies = receiver.replies();
    let took: Vec<Duration> = sent.iter().flatten().copied().collect();
    let answers = Answers::count(&replies, args.messages as usize);
    let report = Report {
        messages: args.messages as usize,
        rate: args.rate,
        answer_ms: args.answer_ms,
        at_once: usize::from(args.at_once),
        requests: sent.len(),
        refused: sent.len() - took.len(),
        acknowledged_ms: Latency::of(&took),
        slowest_ms: took.iter().max().copied().unwrap_or_default().as_secs_f64() * 1000.0,
        answered_meanwhile,
        worded: model.n_asked() - n_warm,
        lost: answers.lost,
        doubled: answers.doubled,
        disordered: answers.disordered,
        seconds,
    };
    print(&report, args)?;
    let is_well = report.refused + report.lost + report.doubled + report.disordered == 0;
    Ok(if is_well { Verdict::Well } else { Verdict::FoundWrong })
}

fn print(report: &Report, args: &BenchChannelsArgs) -> Result<(), Failure> {
    if args.output.json {
        return output::json(report);
    }
    let Latency { p50, p99 } = report.acknowledged_ms;
    output::text(&format!(
        "{} messages in {} requests at {} a second, answers of {} ms, {} at once: acknowledged p50 {p50:.1} ms, p99 \
         {p99:.1} ms, slowest {:.1} ms, {} refused\n{} answered when the last was acknowledged, {} worded, all after \
         {:.1} s: {} lost, {} doubled, {} conversations out of order",
        report.messages,
        report.requests,
        report.rate,
        report.answer_ms,
        report.at_once,
        report.slowest_ms,
        report.refused,
        report.answered_meanwhile,
        report.worded,
        report.seconds,
        report.lost,
        report.doubled,
        report.disordered,
    ))
}

fn no_room(error: &std::io::Error) -> Failure {
    Failure::new(
        format!("the benchmark cannot be prepared: {error}; check the disk and the limits of this machine"),
        format!("无法准备测试：{error}；请检查磁盘与本机的资源限制"),
    )
}

fn settings_text(
    config: &Config,
    args: &BenchChannelsArgs,
    folder: &Path,
    model: &Model,
    receiver: &Receiver,
) -> String {
    let path = |path: &Path| toml::Value::String(path.display().to_string()).to_string();
    format!(
        "knowledge = {}\nmodel = {}\ndata = {}\nlisten = \"127.0.0.1:0\"\noutward.private_hosts = \"127.0.0.1\"\n\
         [generator]\naddress = \"{}\"\nmodel = \"slow\"\nconcurrent = {}\nretries = 0\nfirst_text_seconds = 100.0\n\
         [[channels]]\nid = \"site\"\nplatform = \"webhook\"\nsecrets = [\"{SECRET}\"]\ncallback_url = \"{}\"\n",
        path(&config.knowledge),
        path(&config.model),
        path(&folder.join("data")),
        model.address,
        args.at_once,
        receiver.address,
    )
}

/// Waits for the index and sees whether the question has an answer for a customer.
async fn ready(server: &MeasuredServer, outward: &Outward, question: &str) -> Result<(), Failure> {
    let deadline = Instant::now() + PATIENCE;
    let address = format!("http://{}/readyz", server.address);
    while let Err(error) = outward.get(&address).await {
        if Instant::now() > deadline {
            return Err(Failure::new(
                format!("the server does not get ready: {error}"),
                format!("服务一直没有就绪：{error}"),
            ));
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let address = format!("http://{}/api/v1/chat", server.address);
    let body = json!({"message": question, "audience": "customer"});
    let reply = outward.post(&address, &body).await.map_err(|error| {
        Failure::new(format!("the server does not answer: {error}"), format!("服务没有回答：{error}"))
    })?;
    if reply["refused"] != false {
        return Err(Failure::new(
            format!(
                "the knowledge has no answer for customers to {question:?}; name another with --question"
            ),
            format!("知识库没有可对客户回答“{question}”的内容；请用 --question 换一个问题"),
        ));
    }
    Ok(())
}

/// For each request how long it took to be acknowledged; `None` where it was refused.
async fn send_all(
    server: &MeasuredServer,
    outward: &Outward,
    args: &BenchChannelsArgs,
    started: Instant,
) -> Result<Vec<Option<Duration>>, Failure> {
    let n_messages = args.messages as usize;
    let is_repeated = |n: usize| n % REPEATED == REPEATED - 1;
    let order: Vec<usize> =
        (0..n_messages).flat_map(|n| std::iter::once(n).chain(is_repeated(n).then_some(n))).collect();
    let secrets = WebhookSecrets::new(&[SECRET.to_owned()]).map_err(|error| {
        Failure::new(format!("the benchmark's own secret: {error}"), format!("测试自身的密钥：{error}"))
    })?;
    let interval = Duration::from_secs(1) / args.rate;
    let address = format!("http://{}/webhooks/webhook/site", server.address);
    let n_conversations = n_messages.div_ceil(PER_CONVERSATION).max(1);
    let mut sending = Vec::with_capacity(order.len());
    for (nth, n) in order.into_iter().enumerate() {
        let due = started + interval * u32::try_from(nth).unwrap_or(u32::MAX);
        tokio::time::sleep_until(due.into()).await;
        let data = json!({
            "conversation_id": format!("c{}", n % n_conversations), "message_id": n.to_string(), "sender": "客户",
            "text": args.question,
        });
        let body = json!({"type": "message.created", "data": data}).to_string().into_bytes();
        let (id, now_s) = (format!("message-{n}"), jiff::Timestamp::now().as_second());
        let headers = [
            ("webhook-signature", secrets.sign(&id, now_s, &body)),
            ("webhook-timestamp", now_s.to_string()),
            ("webhook-id", id),
        ];
        let (outward, address) = (outward.clone(), address.clone());
        sending.push(tokio::spawn(async move {
            let status = outward.post_bytes(&address, &headers, body).await;
            let took = due.elapsed();
            matches!(status, Ok(200)).then_some(took)
        }));
    }
    let mut took = Vec::with_capacity(sending.len());
    for request in sending {
        took.push(request.await.ok().flatten());
    }
    Ok(took)
}

/// What came back of what was sent.
#[derive(Debug, PartialEq, Eq)]
struct Answers {
    lost: usize,
    doubled: usize,
    disordered: usize,
}

impl Answers {
    /// Of the events of the receiver, in the order in which they came.
    fn count(replies: &[Value], n_messages: usize) -> Self {
        let mut times = vec![0_usize; n_messages];
        let mut orders: HashMap<&str, Vec<usize>> = HashMap::new();
        for reply in replies {
            let text = |name: &str| reply["data"][name].as_str().unwrap_or_default();
            let Some(n) = text("in_reply_to").parse().ok().filter(|n| *n < n_messages) else { continue };
            times[n] += 1;
            orders.entry(text("conversation_id")).or_default().push(n);
        }
        Self {
            lost: times.iter().filter(|n| **n == 0).count(),
            doubled: times.iter().filter(|n| **n > 1).count(),
            disordered: orders.values().filter(|order| !order.is_sorted()).count(),
        }
    }
}

/// A folder that is gone at the end.
struct Folder(PathBuf);

impl Folder {
    fn make() -> Result<Self, Failure> {
        let path = std::env::temp_dir().join(format!("flightdeck-bench-{}", std::process::id()));
        std::fs::create_dir_all(&path).map_err(|error| no_room(&error))?;
        Ok(Self(path))
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The server that these settings describe.
fn start(config: &Config, settings: &Path) -> Result<MeasuredServer, Failure> {
    let mut command = Command::new(&config.program);
    // What steers this command must not steer the server.
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("FLIGHTDECK_") {
            command.env_remove(name);
        }
    }
    command.arg("serve").arg("--config").arg(settings);
    MeasuredServer::start(command)
}

/// A language model behind `OpenAI`'s protocol that says the draft of its prompt after a while.
struct Model {
    address: String,
    n_asked: Arc<AtomicUsize>,
}

impl Model {
    fn start(takes: Duration) -> std::io::Result<Self> {
        let n_asked = Arc::new(AtomicUsize::new(0));
        let counted = n_asked.clone();
        let address = listen(move |request| {
            counted.fetch_add(1, Ordering::Relaxed);
            thread::sleep(takes);
            let said = json!({"choices": [{"index": 0, "delta": {"content": draft(&request)}}]});
            let end = json!({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]});
            ("text/event-stream", format!("data: {said}\n\ndata: {end}\n\ndata: [DONE]\n\n"))
        })?;
        Ok(Self { address: format!("{address}/v1"), n_asked })
    }

    fn n_asked(&self) -> usize {
        self.n_asked.load(Ordering::Relaxed)
    }
}

/// The composed answer that a prompt holds; empty where it holds none.
fn draft(request: &Value) -> &str {
    let prompt = request["messages"].as_array().and_then(|messages| messages.last());
    let prompt = prompt.and_then(|message| message["content"].as_str()).unwrap_or_default();
    let after = prompt.split_once("草稿（").or_else(|| prompt.split_once("Draft (")).map(|(_, rest)| rest);
    let text = after.and_then(|rest| rest.split_once(">\n")).map_or("", |(_, rest)| rest);
    text.split("\n</data-").next().unwrap_or_default()
}

/// Where the server sends its answers.
struct Receiver {
    address: String,
    events: Arc<Mutex<Vec<Value>>>,
}

impl Receiver {
    fn start() -> std::io::Result<Self> {
        let events: Arc<Mutex<Vec<Value>>> = Arc::default();
        let taken = events.clone();
        let address = listen(move |event| {
            if event["type"] == "reply.created" {
                taken.lock().unwrap_or_else(PoisonError::into_inner).push(event);
            }
            ("application/json", "{}".to_owned())
        })?;
        Ok(Self { address, events })
    }

    fn n_replies(&self) -> usize {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn replies(&self) -> Vec<Value> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Until there are `n` and no more come, or none has come for long; from `started` to the last, in s.
    fn wait_for(&self, n: usize, started: Instant) -> f64 {
        let (mut n_seen, mut last) = (self.n_replies(), Instant::now());
        loop {
            let n_now = self.n_replies();
            if n_now > n_seen {
                (n_seen, last) = (n_now, Instant::now());
            }
            // Something doubled would come soon after.
            let quiet = if n_seen >= n { Duration::from_secs(3) } else { PATIENCE };
            if last.elapsed() > quiet {
                return (last - started).as_secs_f64();
            }
            thread::sleep(LOOK_EVERY);
        }
    }
}

/// Answers every request with what `answer` makes of its JSON: content type and body.
fn listen(
    answer: impl Fn(Value) -> (&'static str, String) + Send + Sync + 'static,
) -> std::io::Result<String> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    let address = format!("http://{}", listener.local_addr()?);
    let answer = Arc::new(answer);
    thread::spawn(move || {
        for connection in listener.incoming().map_while(Result::ok) {
            let answer = answer.clone();
            thread::spawn(move || {
                // A connection that breaks off is the other side's matter.
                let _ = serve(&connection, &*answer);
            });
        }
    });
    Ok(address)
}

fn serve(connection: &TcpStream, answer: impl Fn(Value) -> (&'static str, String)) -> std::io::Result<()> {
    connection.set_nodelay(true)?;
    let mut reader = BufReader::new(connection);
    loop {
        let mut length = 0;
        let mut n_lines = 0;
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            if line.trim().is_empty() && n_lines > 0 {
                break;
            }
            n_lines += 1;
            if let Some((name, value)) = line.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let (content_type, body) = answer(serde_json::from_slice(&body).unwrap_or(Value::Null));
        let head = format!(
            "HTTP/1.1 200 OK\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\n\r\n",
            body.len()
        );
        let mut writer = connection;
        writer.write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_lost_doubled_or_out_of_order_is_counted() {
        let reply = |conversation: &str, n: usize| json!({"data": {"conversation_id": conversation, "in_reply_to": n.to_string()}});
        let well = [reply("a", 0), reply("b", 1), reply("a", 2)];
        assert_eq!(Answers::count(&well, 3), Answers { lost: 0, doubled: 0, disordered: 0 });
        let ill = [reply("a", 2), reply("a", 0), reply("b", 1), reply("b", 1)];
        assert_eq!(Answers::count(&ill, 4), Answers { lost: 1, doubled: 1, disordered: 1 });
    }
}
