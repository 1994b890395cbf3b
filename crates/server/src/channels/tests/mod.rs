//! Every channel from a platform's request to the reply that arrives: the router, the pipeline and the database are
//! the real ones, the platform is a fake on this machine, the engine a double.

mod cards;
mod fake;
mod platforms;
mod troubles;

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::Request;
use axum::response::Response;
use fake::Fake;
use flightdeck_channels::gate::Source;
use flightdeck_channels::protocol::wecom::Crypt;
use flightdeck_channels::{Account, Engine, EngineError, Finding, Hook, Question, Timing};
use flightdeck_records::Records;
use futures::FutureExt;
use futures::future::BoxFuture;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinHandle;
use tower::ServiceExt;

use crate::tests::body_json;
use crate::{AppState, ChannelSettings, Limits, router};

const AES_KEY: &str = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFG";
const SECRET: &str = "whsec_MDEyMzQ1Njc4OTAxMjM0NTY3ODkwMTIzNDU2Nzg5MDE=";

/// Answers what it is asked in a sentence that its only source holds; some words make it answer otherwise.
struct Double {
    /// A permit for each answer; closed where there are always enough.
    gate: Option<Arc<Semaphore>>,
    n_asked: AtomicUsize,
}

impl Engine for Double {
    fn answer(
        &self,
        question: Question,
        so_far: watch::Sender<String>,
    ) -> BoxFuture<'static, Result<Finding, EngineError>> {
        self.n_asked.fetch_add(1, Ordering::SeqCst);
        let gate = self.gate.clone();
        async move {
            if question.text.contains("一句一句") {
                so_far.send_replace("整机保修".to_owned());
            }
            if let Some(gate) = gate {
                gate.acquire().await.expect("nobody closes it").forget();
            }
            if question.text.contains("失败") {
                return Err(EngineError::Failed);
            }
            let is_sure = !question.text.contains("不知道");
            let (text, quote) = match question.text.as_str() {
                text if text.contains("泄露") => ("底价是 19.8 万元[1]", "标价 26.8 万元"),
                text if text.contains("编造") => ("只要 12.5 万元[1]", "标价 26.8 万元"),
                _ => ("整机保修 18 个月[1]", "整机保修 18 个月"),
            };
            let text = if question.text.contains("详细") {
                format!("{text}\n").repeat(200)
            } else {
                text.to_owned()
            };
            let source = Source {
                title: "服务条款".to_owned(),
                quote: quote.to_owned(),
                is_public: !question.text.contains("内部来源"),
                link: None,
            };
            Ok(Finding {
                text,
                sources: vec![source],
                is_sure,
                is_small_talk: question.text == "你好",
                suggestions: vec!["密封件保修多久？".to_owned()],
                session_id: String::new(),
            })
        }
        .boxed()
    }
}

/// A server with a running pipeline.
struct Server {
    state: AppState,
    engine: Arc<Double>,
    running: JoinHandle<()>,
}

impl Drop for Server {
    /// As a crash: nothing is told to end.
    fn drop(&mut self) {
        self.running.abort();
    }
}

fn quick() -> Timing {
    Timing {
        first_retry: Duration::from_millis(5),
        stream_wait: Duration::from_mins(10),
        ..Timing::default()
    }
}

impl Server {
    fn start(records: Arc<Records>, accounts: Vec<Account>) -> Self {
        Self::start_with(records, accounts, Vec::new(), quick(), None)
    }

    fn start_with(
        records: Arc<Records>,
        accounts: Vec<Account>,
        hooks: Vec<Hook>,
        timing: Timing,
        gate: Option<Arc<Semaphore>>,
    ) -> Self {
        let state = AppState::new(records, Limits::default());
        let engine = Arc::new(Double { gate, n_asked: AtomicUsize::new(0) });
        let settings = ChannelSettings { accounts, hooks, private_hosts: vec!["127.0.0.1".to_owned()] };
        state.connect_with(settings, engine.clone(), 0, timing).unwrap();
        let pipeline = state.pipeline().unwrap().clone();
        let running = tokio::spawn(async move { pipeline.run().await });
        Self { state, engine, running }
    }

    fn n_asked(&self) -> usize {
        self.engine.n_asked.load(Ordering::SeqCst)
    }

    async fn send(&self, request: Request<Body>) -> Response {
        let mut request = request;
        request.extensions_mut().insert(ConnectInfo("127.0.0.1:5000".parse::<SocketAddr>().unwrap()));
        router(self.state.clone()).oneshot(request).await.unwrap()
    }

    async fn get(&self, path: &str) -> Value {
        let response = self.send(Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(response.status(), 200, "{path}");
        body_json(response).await
    }

    async fn post(&self, path: &str, body: &Value) -> Response {
        let request = Request::post(path).header("content-type", "application/json");
        self.send(request.body(Body::from(body.to_string())).unwrap()).await
    }

    /// Looks at a list again and again until it has an entry that fits.
    async fn wait_for(&self, path: &str, list: &str, fits: impl Fn(&Value) -> bool) -> Value {
        let look = async {
            loop {
                let reply = self.get(path).await;
                if let Some(found) = reply[list].as_array().unwrap().iter().find(|entry| fits(entry)) {
                    return found.clone();
                }
                tokio::task::yield_now().await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_mins(1), look).await;
        waited.unwrap_or_else(|_| panic!("waited in vain in {path}"))
    }
}

fn in_memory() -> Arc<Records> {
    Arc::new(Records::in_memory().unwrap())
}

fn account(fake: &Fake, pairs: &[(&str, &str)]) -> Account {
    let mut fields: BTreeMap<String, String> =
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    if fields["platform"] == "webhook" {
        fields.insert("callback_url".to_owned(), format!("{}/callback", fake.address));
        fields.insert("secrets".to_owned(), SECRET.to_owned());
    } else {
        fields.insert("base_url".to_owned(), fake.address.clone());
    }
    Account::from_fields(fields).unwrap()
}

fn webhook_account(fake: &Fake) -> Account {
    account(fake, &[("id", "site"), ("platform", "webhook")])
}

fn kf_account(fake: &Fake) -> Account {
    account(
        fake,
        &[
            ("id", "kf"),
            ("platform", "wecom-kf"),
            ("corp_id", "corp"),
            ("secret", "s"),
            ("token", "t"),
            ("encoding_aes_key", AES_KEY),
        ],
    )
}

fn now_s() -> i64 {
    jiff::Timestamp::now().as_second()
}

/// A request that the generic webhook signs.
fn signed(id: &str, body: &Value) -> Request<Body> {
    let secrets = flightdeck_channels::protocol::webhook::Secrets::new(&[SECRET.to_owned()]).unwrap();
    let body = body.to_string();
    let signature = secrets.sign(id, now_s(), body.as_bytes());
    Request::post("/webhooks/webhook/site")
        .header("webhook-id", id)
        .header("webhook-timestamp", now_s().to_string())
        .header("webhook-signature", signature)
        .body(Body::from(body))
        .unwrap()
}

fn said(conversation: &str, id: &str, text: &str) -> Request<Body> {
    let data = json!({"conversation_id": conversation, "message_id": id, "sender": "客户", "text": text});
    signed(&format!("evt-{id}"), &json!({"type": "message.created", "data": data}))
}

/// A request that WeCom signs and encrypts.
fn sealed(account: &str, receive_id: &str, plain: &str, nonce: &str, as_json: bool) -> Request<Body> {
    let crypt = Crypt::new("t", AES_KEY, receive_id).unwrap();
    let encrypt = crypt.seal(plain).unwrap();
    let timestamp = now_s().to_string();
    let signature = crypt.signature(&timestamp, nonce, &encrypt);
    let address =
        format!("/webhooks/wecom/{account}?msg_signature={signature}&timestamp={timestamp}&nonce={nonce}");
    let body = if as_json {
        json!({"encrypt": encrypt}).to_string()
    } else {
        format!("<xml><ToUserName>corp</ToUserName><Encrypt><![CDATA[{encrypt}]]></Encrypt></xml>")
    };
    Request::post(address).body(Body::from(body)).unwrap()
}

/// What 微信客服 says when there is something to pull.
fn kf_event(nonce: &str) -> Request<Body> {
    let plain = "<xml><ToUserName>corp</ToUserName><CreateTime>1</CreateTime><MsgType>event</MsgType>\
                 <Event>kf_msg_or_event</Event><Token>pull</Token><OpenKfId>wk1</OpenKfId></xml>";
    sealed("kf", "corp", plain, nonce, false)
}

fn kf_said(id: &str, customer: &str, text: &str) -> Value {
    json!({"msgid": id, "open_kfid": "wk1", "external_userid": customer, "send_time": now_s(), "origin": 3,
           "msgtype": "text", "text": {"content": text}})
}
