//! An embedding model behind a server: any that speaks `OpenAI`'s embeddings protocol (vLLM, Ollama, Xinference, clouds) or
//! that of Text Embeddings Inference.
//!
//! An index holds what came from the server for as long as it lives, so what comes is checked before it is believed: a
//! vector for every text, all of the dimension that was promised, all numbers, none of them of no length. What is
//! transient is tried again; a server that keeps failing is left alone for a while, so that questions fail at once.

use std::num::NonZeroUsize;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use lru::LruCache;
use reqwest::header::RETRY_AFTER;
use reqwest::{Client, Response, StatusCode, Url, redirect};
use serde::Deserialize;
use serde_json::json;
use tokio::runtime::Runtime;

use crate::breaker::{Breaker, pause};
use crate::generator::estimated_tokens;
use crate::http_generator::{Secret, SetupError, install_tls, said};
use crate::local::unit;
use crate::{Embedder, ModelError};

/// Questions whose vectors are remembered.
const REMEMBERED_QUESTIONS: usize = 1024;
/// More than any answer to one request holds.
const MAX_ANSWER_BYTES: usize = 256 << 20;
/// What is shown of a refusal, in characters.
const MAX_ERROR_CHARS: usize = 200;

/// What is spoken with the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EmbeddingProtocol {
    /// `POST ADDRESS/embeddings` with `input`.
    OpenAi,
    /// `POST ADDRESS/embed` with `inputs`.
    Tei,
}

/// Which server and model, and how it is used.
#[derive(Clone, Debug, PartialEq)]
pub struct HttpEmbedderSettings {
    /// What stands before `/embeddings` or `/embed`.
    pub address: String,
    /// What is spoken there.
    pub protocol: EmbeddingProtocol,
    /// The model's name there; also says, with the prefixes, which vectors may be compared.
    pub model: String,
    /// Sent as a bearer token.
    pub key: Option<Secret>,
    /// Length of the vectors; `None` asks the server with a first text.
    pub dimension: Option<usize>,
    /// Put before every question.
    pub query_prefix: String,
    /// Put before every passage.
    pub passage_prefix: String,
    /// Longest input in tokens, as the server has it.
    pub max_tokens: usize,
    /// Texts in one request.
    pub batch: usize,
    /// Longest time for one request.
    pub timeout: Duration,
    /// Further tries after a transient failure.
    pub retries: u32,
}

/// A model behind HTTP. Blocks the calling thread, which must not be one that drives asynchronous tasks.
pub struct HttpEmbedder {
    settings: HttpEmbedderSettings,
    id: String,
    dimension: usize,
    endpoint: Url,
    client: Client,
    breaker: Mutex<Breaker>,
    questions: Mutex<LruCache<String, Vec<f32>>>,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
}

impl HttpEmbedder {
    /// An embedder of these settings. Asks the server only where they do not say the dimension.
    ///
    /// # Errors
    /// [`SetupError`] for settings that cannot be right; [`SetupError::Client`] also where the server had to be asked and
    /// did not answer.
    pub fn new(settings: HttpEmbedderSettings) -> Result<Self, SetupError> {
        install_tls();
        let path = match settings.protocol {
            EmbeddingProtocol::OpenAi => "embeddings",
            EmbeddingProtocol::Tei => "embed",
        };
        let endpoint = format!("{}/{path}", settings.address.trim_end_matches('/'));
        let endpoint = Url::parse(&endpoint)
            .ok()
            .filter(|url| matches!(url.scheme(), "http" | "https") && url.has_host())
            .ok_or_else(|| SetupError::Address(settings.address.clone()))?;
        if settings.key.as_ref().is_some_and(|key| !key.can_be_sent()) {
            return Err(SetupError::Key);
        }
        let client = Client::builder()
            .user_agent(concat!("flightdeck/", env!("CARGO_PKG_VERSION")))
            .connect_timeout(settings.timeout)
            .timeout(settings.timeout)
            // A redirect would carry the company's knowledge to somebody whom nobody has named.
            .redirect(redirect::Policy::none())
            .no_proxy()
            .build()
            .map_err(|error| SetupError::Client(error.to_string()))?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(1)
            .thread_name("embedder")
            .enable_all()
            .build()
            .map_err(|error| SetupError::Client(error.to_string()))?;
        let remembered = NonZeroUsize::new(REMEMBERED_QUESTIONS).expect("the constant is not zero");
        let mut embedder = Self {
            id: String::new(),
            dimension: settings.dimension.unwrap_or(0),
            settings,
            endpoint,
            client,
            breaker: Mutex::default(),
            questions: Mutex::new(LruCache::new(remembered)),
            runtime: Some(runtime),
        };
        if embedder.dimension == 0 {
            let vectors =
                embedder.request(&["?"], None).map_err(|error| SetupError::Client(error.to_string()))?;
            embedder.dimension = vectors[0].len();
        }
        let HttpEmbedderSettings { model, query_prefix, passage_prefix, .. } = &embedder.settings;
        // Not the address: the same model elsewhere gives the same vectors.
        embedder.id = format!("{model}@server/{}/{query_prefix:?}/{passage_prefix:?}", embedder.dimension);
        Ok(embedder)
    }

    /// The vectors of texts, all in one request, tried again as the settings say.
    fn request(&self, texts: &[&str], dimension: Option<usize>) -> Result<Vec<Vec<f32>>, ModelError> {
        let failed = |reason: String| ModelError::Failed(format!("the embedding server {reason}"));
        let admitted = self.breaker().admit(Instant::now());
        admitted.map_err(|n| failed(format!("failed {n} times in a row and is left alone for a while")))?;
        let runtime = self.runtime.as_ref().expect("it is there until the embedder is dropped");
        let mut retry = 0;
        let result = loop {
            match runtime.block_on(self.try_once(texts, dimension)) {
                Err(Trouble::Passing { retry_after, .. }) if retry < self.settings.retries => {
                    let wait = pause(retry, retry_after, 0.5).min(self.settings.timeout);
                    retry += 1;
                    std::thread::sleep(wait);
                }
                result => break result,
            }
        };
        match &result {
            Ok(_) => self.breaker().succeeded(),
            Err(Trouble::Passing { .. }) => self.breaker().failed(Instant::now()),
            // Nothing is learnt about the server from a request that it will never take.
            Err(Trouble::TooLarge | Trouble::Lasting(_)) => {}
        }
        match result {
            Err(Trouble::TooLarge) if texts.len() > 1 => {
                let (left, right) = texts.split_at(texts.len() / 2);
                let mut vectors = self.request(left, dimension)?;
                vectors.extend(self.request(right, dimension)?);
                Ok(vectors)
            }
            Err(Trouble::TooLarge) => Err(failed("does not take a text of this length".to_owned())),
            Err(Trouble::Passing { reason, .. } | Trouble::Lasting(reason)) => Err(failed(reason)),
            Ok(vectors) => vectors.into_iter().map(unit).collect(),
        }
    }

    async fn try_once(&self, texts: &[&str], dimension: Option<usize>) -> Result<Vec<Vec<f32>>, Trouble> {
        let body = match self.settings.protocol {
            EmbeddingProtocol::OpenAi => {
                json!({"model": self.settings.model, "input": texts, "encoding_format": "float"})
            }
            EmbeddingProtocol::Tei => json!({"inputs": texts, "truncate": true, "normalize": true}),
        };
        let mut request = self.client.post(self.endpoint.clone()).json(&body);
        if let Some(key) = &self.settings.key {
            request = request.bearer_auth(key.reveal());
        }
        let passing = |error: reqwest::Error| Trouble::passing(format!("cannot be asked: {}", said(&error)));
        let mut response = request.send().await.map_err(passing)?;
        if !response.status().is_success() {
            return Err(self.refusal(response).await);
        }
        let mut answer = Vec::new();
        while let Some(bytes) = response.chunk().await.map_err(passing)? {
            answer.extend(bytes);
            if answer.len() > MAX_ANSWER_BYTES {
                return Err(Trouble::Lasting("sends an answer without end".to_owned()));
            }
        }
        let vectors = match self.settings.protocol {
            EmbeddingProtocol::OpenAi => open_ai_vectors(&answer, texts.len()),
            EmbeddingProtocol::Tei => serde_json::from_slice(&answer).map_err(|error| error.to_string()),
        };
        let vectors: Vec<Vec<f32>> =
            vectors.map_err(|reason| Trouble::Lasting(format!("sends what is no answer: {reason}")))?;
        if vectors.len() != texts.len() {
            let wrong = format!("sends {} vectors for {} texts", vectors.len(), texts.len());
            return Err(Trouble::Lasting(wrong));
        }
        let expected = dimension.or(vectors.first().map(Vec::len)).unwrap_or(0);
        match vectors.iter().find(|vector| vector.len() != expected || expected == 0) {
            Some(vector) => Err(Trouble::Lasting(format!(
                "sends vectors of {} numbers and not of {expected}; another model runs there, or the dimension in the \
                 settings is wrong",
                vector.len()
            ))),
            None => Ok(vectors),
        }
    }

    async fn refusal(&self, response: Response) -> Trouble {
        let status = response.status();
        let retry_after = response
            .headers()
            .get(RETRY_AFTER)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.trim().parse().ok())
            .map(Duration::from_secs);
        if status == StatusCode::PAYLOAD_TOO_LARGE {
            return Trouble::TooLarge;
        }
        // A body that cannot be read takes nothing from what the status says.
        let body = response.text().await.unwrap_or_default();
        let body = match &self.settings.key {
            Some(key) if !key.reveal().is_empty() => body.replace(key.reveal(), "…"),
            _ => body,
        };
        let line = body.split_whitespace().collect::<Vec<_>>().join(" ");
        let line: String = line.chars().filter(|c| !c.is_control()).take(MAX_ERROR_CHARS).collect();
        let reason = format!("refuses with status {}: {line}", status.as_u16());
        let is_passing = status.is_server_error()
            || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
        if is_passing { Trouble::Passing { reason, retry_after } } else { Trouble::Lasting(reason) }
    }

    fn breaker(&self) -> std::sync::MutexGuard<'_, Breaker> {
        self.breaker.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Embedder for HttpEmbedder {
    fn id(&self) -> &str {
        &self.id
    }

    fn dimension(&self) -> usize {
        self.dimension
    }

    fn max_tokens(&self) -> usize {
        self.settings.max_tokens
    }

    /// An upper estimate: the server's tokeniser is not at hand.
    fn count_tokens(&self, text: &str) -> usize {
        estimated_tokens(text)
    }

    fn kernel(&self) -> &'static str {
        "server"
    }

    fn embed_query(&self, text: &str) -> Result<Vec<f32>, ModelError> {
        let remembered = || self.questions.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(vector) = remembered().get(text) {
            return Ok(vector.clone());
        }
        let asked = [self.settings.query_prefix.as_str(), text].concat();
        let vector = self.request(&[&asked], Some(self.dimension))?.concat();
        remembered().put(text.to_owned(), vector.clone());
        Ok(vector)
    }

    fn embed_passages(
        &self,
        texts: &[&str],
        progress: &(dyn Fn(usize) -> bool + Sync),
    ) -> Result<Vec<Vec<f32>>, ModelError> {
        let mut vectors = Vec::with_capacity(texts.len());
        for batch in texts.chunks(self.settings.batch.max(1)) {
            let asked: Vec<String> =
                batch.iter().map(|text| [self.settings.passage_prefix.as_str(), text].concat()).collect();
            let asked: Vec<&str> = asked.iter().map(String::as_str).collect();
            vectors.extend(self.request(&asked, Some(self.dimension))?);
            if !progress(vectors.len()) {
                return Err(ModelError::Cancelled);
            }
        }
        Ok(vectors)
    }
}

impl Drop for HttpEmbedder {
    fn drop(&mut self) {
        // Waiting for the runtime's thread is forbidden where asynchronous tasks run, and there is nothing to wait for.
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

enum Trouble {
    /// Another try may help.
    Passing {
        reason: String,
        retry_after: Option<Duration>,
    },
    /// Fewer texts may help.
    TooLarge,
    Lasting(String),
}

impl Trouble {
    fn passing(reason: String) -> Self {
        Self::Passing { reason, retry_after: None }
    }
}

/// The vectors in the order of the texts, which servers need not keep.
fn open_ai_vectors(answer: &[u8], n_texts: usize) -> Result<Vec<Vec<f32>>, String> {
    #[derive(Deserialize)]
    struct Answer {
        data: Vec<Entry>,
    }
    #[derive(Deserialize)]
    struct Entry {
        index: Option<usize>,
        embedding: Vec<f32>,
    }
    let answer: Answer = serde_json::from_slice(answer).map_err(|error| error.to_string())?;
    let mut vectors = vec![Vec::new(); n_texts];
    for (place, entry) in answer.data.into_iter().enumerate() {
        let index = entry.index.unwrap_or(place);
        match vectors.get_mut(index) {
            Some(vector) if vector.is_empty() => *vector = entry.embedding,
            _ => return Err(format!("the vector {index} is there twice or has no text")),
        }
    }
    if vectors.iter().any(Vec::is_empty) {
        return Err("a text has no vector".to_owned());
    }
    Ok(vectors)
}
