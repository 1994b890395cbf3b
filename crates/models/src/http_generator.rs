//! A model behind a server that speaks `OpenAI`'s chat protocol: DeepSeek, Qwen, GLM, Ollama, vLLM, llama.cpp.
//!
//! Everything that can go wrong between here and there ends in an answer or in an error of a known kind, within the
//! time limits. What is transient is tried again, as long as no text was given out: a text that begins twice would be
//! worse than none. A server that keeps failing is left alone for a while, so that readers do not wait for it.

use std::fmt;
use std::sync::{Mutex, Once, PoisonError};
use std::time::{Duration, Instant};

use reqwest::header::{ACCEPT, CONTENT_TYPE, RETRY_AFTER};
use reqwest::{Client, NoProxy, Proxy, Response, StatusCode, Url, redirect};
use serde::Deserialize;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::breaker::{Breaker, pause};
use crate::event_stream::EventStream;
use crate::generator::{
    Finish, GenerateError, Generated, Generator, Listener, Prompt, Thoughts, Usage, estimated_tokens,
};

/// How often it is looked whether the listener has gone.
const LOOK_EVERY: Duration = Duration::from_millis(100);
/// More text than any answer has.
const MAX_TEXT_BYTES: usize = 1 << 20;
/// What is read of an error's body.
const MAX_ERROR_BYTES: usize = 4096;
/// What is shown of it, in characters.
const MAX_ERROR_CHARS: usize = 200;

/// A text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// Keeps `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text, to be sent and for nothing else.
    pub(crate) fn reveal(&self) -> &str {
        &self.0
    }

    /// Whether a header can carry it.
    pub(crate) fn can_be_sent(&self) -> bool {
        self.0.bytes().all(|byte| byte.is_ascii_graphic())
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(…)")
    }
}

/// What tokens cost, in any one currency.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Prices {
    /// For a million tokens of the prompt.
    pub prompt: f64,
    /// For a million tokens of the answer.
    pub completion: f64,
}

impl Prices {
    /// The cost of these counts.
    pub fn cost(&self, prompt_tokens: u64, completion_tokens: u64) -> f64 {
        (self.prompt * prompt_tokens as f64 + self.completion * completion_tokens as f64) / 1e6
    }
}

/// A proxy on the way to the server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxySettings {
    /// `http://HOST:PORT`, with `USER:PASSWORD@` where it asks for them.
    pub address: Secret,
    /// Hosts that are reached without it, as `NO_PROXY` lists them.
    pub except: String,
}

/// Which server and model, and how long to wait for them.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpSettings {
    /// What stands before `/chat/completions`: `https://api.deepseek.com/v1`.
    pub address: String,
    /// The model's name there.
    pub model: String,
    /// Sent as a bearer token.
    pub key: Option<Secret>,
    /// The proxy, if any; the environment is not looked at.
    pub proxy: Option<ProxySettings>,
    /// Longest time for a connection.
    pub connect: Duration,
    /// Longest time to the first text, all retries together, and then between two pieces.
    pub first_text: Duration,
    /// Longest time for the whole answer.
    pub total: Duration,
    /// Further tries after a transient failure.
    pub retries: u32,
    /// Tokens of prompt and answer together.
    pub context_tokens: usize,
    /// Tokens of the answer, at most.
    pub answer_tokens: usize,
    /// 0 always takes the likeliest token.
    pub temperature: f64,
    /// For the cost of an answer.
    pub prices: Option<Prices>,
}

/// Why a generator cannot be made of its settings.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SetupError {
    /// The address is no `http` or `https` address.
    #[error("not an http or https address: {0}")]
    Address(String),
    /// The proxy's address cannot be used; it is not repeated, because a password may stand in it.
    #[error("not the address of a proxy")]
    Proxy,
    /// The key holds signs that a header cannot carry.
    #[error("the key holds characters that no key has")]
    Key,
    /// The client cannot be made.
    #[error("no HTTP client: {0}")]
    Client(String),
}

/// A model behind HTTP. Blocks the calling thread, which must not be one that drives asynchronous tasks.
pub struct HttpGenerator {
    settings: HttpSettings,
    endpoint: Url,
    client: Client,
    breaker: Mutex<Breaker>,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
}

/// Chooses how TLS is computed, once for the process; must come before the first client.
pub(crate) fn install_tls() {
    static PROVIDER: Once = Once::new();
    PROVIDER.call_once(|| {
        // An error means that the process has one already.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

impl HttpGenerator {
    /// A generator of these settings; does not connect yet.
    ///
    /// # Errors
    /// As [`SetupError`].
    pub fn new(settings: HttpSettings) -> Result<Self, SetupError> {
        install_tls();
        let endpoint = format!("{}/chat/completions", settings.address.trim_end_matches('/'));
        let endpoint = Url::parse(&endpoint)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| SetupError::Address(settings.address.clone()))?;
        if settings.key.as_ref().is_some_and(|key| !key.can_be_sent()) {
            return Err(SetupError::Key);
        }
        let client = Client::builder()
            .user_agent(concat!("flightdeck/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(settings.connect)
            // A redirect would carry the prompt to somebody whom nobody has named.
            .redirect(redirect::Policy::none());
        let client = match &settings.proxy {
            None => client.no_proxy(),
            Some(ProxySettings { address: Secret(address), except }) => {
                let proxy = Proxy::all(address).map_err(|_| SetupError::Proxy)?;
                client.proxy(proxy.no_proxy(NoProxy::from_string(except)))
            }
        };
        let client = client.build().map_err(|error| SetupError::Client(error.to_string()))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("generator")
            .enable_all()
            .build()
            .map_err(|error| SetupError::Client(error.to_string()))?;
        Ok(Self { settings, endpoint, client, breaker: Mutex::default(), runtime: Some(runtime) })
    }

    async fn converse(
        &self,
        prompt: &Prompt,
        listener: &mut dyn Listener,
        started: Instant,
    ) -> Result<Generated, GenerateError> {
        let mut progress = Progress::new(started, &self.settings);
        let mut retry = 0;
        loop {
            let Trouble { error, is_transient, retry_after } =
                match self.try_once(prompt, listener, &mut progress).await {
                    Ok(generated) => return Ok(generated),
                    Err(trouble) => trouble,
                };
            let pause = pause(retry, retry_after, chance());
            let is_in_time = pause < progress.deadline().saturating_duration_since(Instant::now());
            if !is_transient || progress.first_text.is_some() || retry >= self.settings.retries || !is_in_time
            {
                return Err(error);
            }
            retry += 1;
            tracing::debug!(%error, retry, "the model server is asked again");
            match progress.watch(listener, tokio::time::sleep(pause)).await {
                Ok(()) => {}
                Err(error) => return Err(error),
            }
        }
    }

    async fn try_once(
        &self,
        prompt: &Prompt,
        listener: &mut dyn Listener,
        progress: &mut Progress,
    ) -> Result<Generated, Trouble> {
        let body = json!({
            "model": self.settings.model,
            "messages": [
                {"role": "system", "content": prompt.system},
                {"role": "user", "content": prompt.user},
            ],
            "stream": true,
            "stream_options": {"include_usage": true},
            "temperature": self.settings.temperature,
            "max_tokens": self.settings.answer_tokens,
        });
        let mut request =
            self.client.post(self.endpoint.clone()).header(ACCEPT, "text/event-stream").json(&body);
        if let Some(Secret(key)) = &self.settings.key {
            request = request.bearer_auth(key);
        }
        let mut response = progress
            .watch(listener, request.send())
            .await?
            .map_err(|error| Trouble::transient(GenerateError::Unreachable(said(&error))))?;
        if !response.status().is_success() {
            return Err(self.refusal(response, listener, progress).await);
        }
        let mut reading = Reading::default();
        let is_stream = response
            .headers()
            .get(CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok())
            .is_none_or(|kind| !kind.starts_with("application/json"));
        if is_stream {
            self.read_stream(&mut response, &mut reading, listener, progress).await?;
        } else {
            // Some servers answer whole, whatever they are asked.
            let body = read_whole(&mut response, MAX_TEXT_BYTES, listener, progress).await?;
            let chunk: Chunk = serde_json::from_slice(&body).map_err(|error| broken(&error))?;
            self.take_in(chunk, &mut reading, listener, progress)?;
        }
        let rest = reading.thoughts.rest();
        progress.give(&rest, listener)?;
        let finish = reading
            .finish
            .ok_or_else(|| Trouble::transient(GenerateError::Broken("it ends in the middle".to_owned())))?;
        if progress.first_text.is_none() {
            return Err(Trouble::lasting(GenerateError::Broken("it holds no text".to_owned())));
        }
        let cost = match (self.settings.prices, reading.usage) {
            (Some(prices), Some(usage)) => Some(prices.cost(usage.prompt_tokens, usage.completion_tokens)),
            _ => None,
        };
        let usage = Usage {
            prompt_tokens: reading.usage.map(|usage| usage.prompt_tokens),
            completion_tokens: reading.usage.map(|usage| usage.completion_tokens),
            cost,
            first_text: progress.first_text,
        };
        Ok(Generated { finish, usage })
    }

    async fn read_stream(
        &self,
        response: &mut Response,
        reading: &mut Reading,
        listener: &mut dyn Listener,
        progress: &mut Progress,
    ) -> Result<(), Trouble> {
        let mut stream = EventStream::default();
        while let Some(bytes) = next_bytes(response, listener, progress).await? {
            for data in stream.push(&bytes).map_err(|error| broken(&error))? {
                if data.trim() == "[DONE]" {
                    return Ok(());
                }
                let chunk = serde_json::from_str(&data).map_err(|error| broken(&error))?;
                self.take_in(chunk, reading, listener, progress)?;
            }
        }
        let last = stream.finish().map_err(|error| broken(&error))?;
        if let Some(data) = last.filter(|data| data.trim() != "[DONE]") {
            let chunk = serde_json::from_str(&data).map_err(|error| broken(&error))?;
            self.take_in(chunk, reading, listener, progress)?;
        }
        Ok(())
    }

    fn take_in(
        &self,
        chunk: Chunk,
        reading: &mut Reading,
        listener: &mut dyn Listener,
        progress: &mut Progress,
    ) -> Result<(), Trouble> {
        if let Some(error) = chunk.error {
            let message = error.get("message").and_then(|message| message.as_str()).unwrap_or("an error");
            return Err(Trouble::transient(GenerateError::Broken(self.shortened(message))));
        }
        reading.usage = chunk.usage.or(reading.usage);
        let Some(choice) = chunk.choices.into_iter().next() else { return Ok(()) };
        let text = choice.delta.or(choice.message).and_then(|message| message.content).unwrap_or_default();
        let said = reading.thoughts.said(&text);
        progress.give(&said, listener)?;
        match choice.finish_reason.as_deref() {
            None | Some("") => {}
            Some("length") => reading.finish = Some(Finish::Length),
            Some("content_filter") => {
                let stopped = GenerateError::Broken("stopped by the server's content filter".to_owned());
                return Err(Trouble::lasting(stopped));
            }
            Some(_) => reading.finish = Some(Finish::Complete),
        }
        Ok(())
    }

    async fn refusal(&self, mut response: Response, listener: &dyn Listener, progress: &Progress) -> Trouble {
        let status = response.status();
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.trim().parse().ok())
            .map(Duration::from_secs);
        // A body that cannot be read takes nothing from what the status says.
        let body = match read_whole(&mut response, MAX_ERROR_BYTES, listener, progress).await {
            Ok(body) => body,
            Err(Trouble { error: GenerateError::Cancelled, .. }) => {
                return Trouble::lasting(GenerateError::Cancelled);
            }
            Err(_) => Vec::new(),
        };
        let text = String::from_utf8_lossy(&body).into_owned();
        let parsed: Option<serde_json::Value> = serde_json::from_str(&text).ok();
        let message = parsed.as_ref().and_then(|value| value["error"]["message"].as_str()).unwrap_or(&text);
        let error = GenerateError::Refused { status: status.as_u16(), message: self.shortened(message) };
        let is_transient = status.is_server_error()
            || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
        Trouble { error, is_transient, retry_after }
    }

    /// One short line without the key, which servers like to repeat.
    fn shortened(&self, message: &str) -> String {
        let message = match &self.settings.key {
            Some(Secret(key)) if !key.is_empty() => message.replace(key.as_str(), "…"),
            _ => message.to_owned(),
        };
        let line = message.split_whitespace().collect::<Vec<_>>().join(" ");
        line.chars().filter(|c| !c.is_control()).take(MAX_ERROR_CHARS).collect()
    }

    fn breaker(&self) -> std::sync::MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Generator for HttpGenerator {
    fn name(&self) -> &str {
        &self.settings.model
    }

    fn prompt_budget(&self) -> usize {
        self.settings.context_tokens.saturating_sub(self.settings.answer_tokens)
    }

    fn count_tokens(&self, text: &str) -> usize {
        estimated_tokens(text)
    }

    fn generate(&self, prompt: &Prompt, listener: &mut dyn Listener) -> Result<Generated, GenerateError> {
        let started = Instant::now();
        self.breaker().admit(started).map_err(|failures| GenerateError::Resting { failures })?;
        let runtime = self.runtime.as_ref().expect("it is there until the generator is dropped");
        let result = runtime.block_on(self.converse(prompt, listener, started));
        match &result {
            Ok(_) => self.breaker().succeeded(),
            // Nothing is learnt about the server from a listener that left or a request that it will never take.
            Err(GenerateError::Cancelled) => {}
            Err(GenerateError::Refused { status, .. }) if (400..500).contains(status) && *status != 429 => {}
            Err(_) => self.breaker().failed(Instant::now()),
        }
        result
    }
}

impl Drop for HttpGenerator {
    fn drop(&mut self) {
        // Waiting for the runtime's thread is forbidden where asynchronous tasks run, and there is nothing to wait for.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// What a try failed by, and whether another one may help.
struct Trouble {
    error: GenerateError,
    is_transient: bool,
    retry_after: Option<Duration>,
}

impl Trouble {
    fn transient(error: GenerateError) -> Self {
        Self { error, is_transient: true, retry_after: None }
    }

    fn lasting(error: GenerateError) -> Self {
        Self { error, is_transient: false, retry_after: None }
    }
}

impl From<GenerateError> for Trouble {
    fn from(error: GenerateError) -> Self {
        Self::lasting(error)
    }
}

/// How far an answer is, and until when the next step may take.
struct Progress {
    started: Instant,
    limit_first: Duration,
    limit_total: Duration,
    last_text: Instant,
    first_text: Option<Duration>,
    n_bytes: usize,
}

impl Progress {
    fn new(started: Instant, settings: &HttpSettings) -> Self {
        Self {
            started,
            limit_first: settings.first_text,
            limit_total: settings.total,
            last_text: started,
            first_text: None,
            n_bytes: 0,
        }
    }

    fn deadline(&self) -> Instant {
        (self.last_text + self.limit_first).min(self.started + self.limit_total)
    }

    fn give(&mut self, text: &str, listener: &mut dyn Listener) -> Result<(), GenerateError> {
        if text.is_empty() {
            return Ok(());
        }
        self.n_bytes += text.len();
        if self.n_bytes > MAX_TEXT_BYTES {
            return Err(GenerateError::Broken("it does not end".to_owned()));
        }
        self.last_text = Instant::now();
        self.first_text.get_or_insert(self.last_text - self.started);
        if listener.text(text).is_break() { Err(GenerateError::Cancelled) } else { Ok(()) }
    }

    /// What `step` gives, unless the deadline passes or the listener goes.
    async fn watch<T>(
        &self,
        listener: &dyn Listener,
        step: impl Future<Output = T>,
    ) -> Result<T, GenerateError> {
        let mut looks = tokio::time::interval(LOOK_EVERY);
        let end = tokio::time::sleep_until(self.deadline().into());
        tokio::pin!(step, end);
        loop {
            tokio::select! {
                result = &mut step => return Ok(result),
                () = &mut end => {
                    return Err(match self.first_text {
                        None => GenerateError::Slow(self.limit_first.min(self.limit_total)),
                        Some(_) => GenerateError::Unfinished(self.started.elapsed()),
                    });
                }
                _ = looks.tick() => {
                    if listener.is_gone() {
                        return Err(GenerateError::Cancelled);
                    }
                }
            }
        }
    }
}

/// What was read of an answer besides its text.
#[derive(Default)]
struct Reading {
    thoughts: Thoughts,
    finish: Option<Finish>,
    usage: Option<Counts>,
}

/// A chunk of a stream, or a whole answer: the difference is only `delta` or `message`.
#[derive(Deserialize)]
struct Chunk {
    #[serde(default)]
    choices: Vec<Choice>,
    usage: Option<Counts>,
    error: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Choice {
    delta: Option<Message>,
    message: Option<Message>,
    finish_reason: Option<String>,
}

#[derive(Deserialize)]
struct Message {
    content: Option<String>,
}

#[derive(Clone, Copy, Deserialize)]
struct Counts {
    #[serde(default)]
    prompt_tokens: u64,
    #[serde(default)]
    completion_tokens: u64,
}

async fn next_bytes(
    response: &mut Response,
    listener: &dyn Listener,
    progress: &Progress,
) -> Result<Option<Vec<u8>>, Trouble> {
    let chunk = progress.watch(listener, response.chunk()).await?;
    let chunk = chunk.map_err(|error| Trouble::transient(GenerateError::Broken(said(&error))))?;
    Ok(chunk.map(|bytes| bytes.to_vec()))
}

/// The body up to `limit` bytes; what lies beyond is left.
async fn read_whole(
    response: &mut Response,
    limit: usize,
    listener: &dyn Listener,
    progress: &Progress,
) -> Result<Vec<u8>, Trouble> {
    let mut body = Vec::new();
    while body.len() < limit {
        let Some(bytes) = next_bytes(response, listener, progress).await? else { break };
        body.extend(bytes);
    }
    body.truncate(limit);
    Ok(body)
}

fn broken(error: &dyn fmt::Display) -> Trouble {
    Trouble::lasting(GenerateError::Broken(error.to_string()))
}

/// The innermost reason: the outer ones only say that there was one. Addresses stay out.
pub(crate) fn said(error: &reqwest::Error) -> String {
    let mut reason: &dyn std::error::Error = error;
    while let Some(inner) = reason.source() {
        reason = inner;
    }
    reason.to_string()
}

/// From 0 to 1.
fn chance() -> f64 {
    getrandom::u32().map_or(0.5, |number| f64::from(number) / f64::from(u32::MAX))
}
