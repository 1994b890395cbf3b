//! A Qwen2 model (Qwen2.5 is one) in a GGUF file, computed on this machine.
//!
//! The computation is candle's. Here is what makes a generator of it: the prompt in tokens and its budget, text as it
//! comes, an end in time, and an early one when the listener leaves. The prompt is read in steps, since a step cannot
//! be stopped; between two steps the clock and the listener are looked at.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use candle_core::quantized::gguf_file::Content;
use candle_core::{Device, Tensor};
use candle_transformers::generation::LogitsProcessor;
use candle_transformers::models::quantized_qwen2::ModelWeights;

use crate::ModelError;
use crate::chat_tokenizer::ChatTokenizer;
use crate::generator::{Finish, GenerateError, Generated, Generator, Listener, Prompt, Thoughts, Usage};

/// Tokens that are read at a time, the largest that still fits. The model keeps a mask for every size and place, so
/// there are few sizes, each at multiples of itself.
const STEPS: [usize; 3] = [64, 8, 1];

/// Which model, and how long it may take.
#[derive(Clone, Debug, PartialEq)]
pub struct LocalSettings {
    /// The GGUF file.
    pub file: PathBuf,
    /// Longest time to the first text, and then between two pieces.
    pub first_text: Duration,
    /// Longest time for the whole answer.
    pub total: Duration,
    /// Tokens of prompt and answer together; the model's own bound counts as well.
    pub context_tokens: usize,
    /// Tokens of the answer, at most.
    pub answer_tokens: usize,
    /// 0 always takes the likeliest token.
    pub temperature: f64,
}

/// A model on this machine. It words one answer at a time; a second one waits.
pub struct LocalGenerator {
    name: String,
    settings: LocalSettings,
    prompt_budget: usize,
    tokenizer: ChatTokenizer,
    model: Mutex<ModelWeights>,
}

impl LocalGenerator {
    /// Reads the file, which takes some seconds.
    ///
    /// # Errors
    /// [`ModelError::Missing`] when there is no such file, [`ModelError::Damaged`] when it holds no Qwen2 chat model.
    pub fn load(settings: LocalSettings) -> Result<Self, ModelError> {
        let path = settings.file.clone();
        let damaged = |reason: String| ModelError::Damaged { path: path.clone(), reason };
        let file = File::open(&path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => ModelError::Missing(path.clone()),
            _ => damaged(error.to_string()),
        })?;
        let mut reader = BufReader::new(file);
        let content = Content::read(&mut reader).map_err(|error| damaged(format!("no GGUF: {error}")))?;
        let text = |key: &str| content.metadata.get(key).and_then(|value| value.to_string().ok());
        let architecture = text("general.architecture").map_or("unnamed", String::as_str);
        if architecture != "qwen2" {
            return Err(damaged(format!(
                "its architecture is {architecture}, and qwen2 is what can be computed"
            )));
        }
        let name = text("general.name").cloned().unwrap_or_else(|| stem(&path));
        let length = content.metadata.get("qwen2.context_length").and_then(|value| value.to_u32().ok());
        let length = length.ok_or_else(|| damaged("it does not say its context length".to_owned()))? as usize;
        let prompt_budget = settings.context_tokens.min(length).saturating_sub(settings.answer_tokens);
        let tokenizer = ChatTokenizer::from_gguf(&content, &path)?;
        let model = ModelWeights::from_gguf(content, &mut reader, &Device::Cpu)
            .map_err(|error| damaged(error.to_string()))?;
        Ok(Self { name, settings, prompt_budget, tokenizer, model: Mutex::new(model) })
    }

    fn answer(
        &self,
        ids: &[u32],
        model: &mut ModelWeights,
        listener: &mut dyn Listener,
        clock: &mut Clock,
    ) -> Result<Generated, GenerateError> {
        model.clear_kv_cache();
        let mut n_read = 0;
        let mut logits = None;
        while n_read < ids.len() {
            clock.look(listener)?;
            let fits = |step: &&usize| n_read % **step == 0 && ids.len() - n_read >= **step;
            let step = *STEPS.iter().find(fits).expect("one token always fits");
            logits = Some(forward(model, &ids[n_read..n_read + step], n_read)?);
            n_read += step;
        }
        let mut logits = logits.ok_or_else(|| GenerateError::Failed("the prompt is empty".to_owned()))?;
        let seed = getrandom::u64().unwrap_or(0);
        let temperature = Some(self.settings.temperature).filter(|temperature| *temperature > 0.0);
        let failed = |error: candle_core::Error| GenerateError::Failed(error.to_string());
        let mut sampler = LogitsProcessor::new(seed, temperature, None);
        let mut texts = self.tokenizer.texts();
        let mut thoughts = Thoughts::default();
        let mut n_said = 0;
        let finish = loop {
            let next = sampler.sample(&logits).map_err(failed)?;
            if self.tokenizer.is_end(next) {
                break Finish::Complete;
            }
            n_said += 1;
            let text = texts(next).map_err(|error| GenerateError::Failed(error.to_string()))?;
            clock.give(&thoughts.said(&text), listener)?;
            if n_said == self.settings.answer_tokens {
                break Finish::Length;
            }
            clock.look(listener)?;
            logits = forward(model, &[next], n_read)?;
            n_read += 1;
        };
        clock.give(&thoughts.rest(), listener)?;
        let usage = Usage {
            prompt_tokens: Some(ids.len() as u64),
            completion_tokens: Some(n_said as u64),
            cost: None,
            first_text: clock.first_text,
        };
        if usage.first_text.is_none() {
            return Err(GenerateError::Broken("it holds no text".to_owned()));
        }
        Ok(Generated { finish, usage })
    }
}

impl Generator for LocalGenerator {
    fn name(&self) -> &str {
        &self.name
    }

    fn prompt_budget(&self) -> usize {
        self.prompt_budget
    }

    fn count_tokens(&self, text: &str) -> usize {
        self.tokenizer.encode(text).map_or(usize::MAX / 4, |ids| ids.len())
    }

    fn generate(&self, prompt: &Prompt, listener: &mut dyn Listener) -> Result<Generated, GenerateError> {
        let mut clock = Clock::new(&self.settings);
        let ids = self.tokenizer.chat(prompt).map_err(|error| GenerateError::Failed(error.to_string()))?;
        if ids.len() > self.prompt_budget {
            return Err(GenerateError::TooLong { tokens: ids.len(), budget: self.prompt_budget });
        }
        // What a panic left behind is cleared with the cache.
        let mut model = self.model.lock().unwrap_or_else(PoisonError::into_inner);
        let result = self.answer(&ids, &mut model, listener, &mut clock);
        model.clear_kv_cache();
        result
    }
}

/// The logits after these tokens, of which the first stands at `place`.
fn forward(model: &mut ModelWeights, ids: &[u32], place: usize) -> Result<Tensor, GenerateError> {
    let input = Tensor::new(ids, &Device::Cpu).and_then(|ids| ids.unsqueeze(0));
    let logits = input.and_then(|input| model.forward(&input, place)).and_then(|logits| logits.squeeze(0));
    logits.map_err(|error| GenerateError::Failed(error.to_string()))
}

fn stem(path: &Path) -> String {
    path.file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default()
}

/// Until when the next piece of text must be there.
struct Clock {
    started: Instant,
    last_text: Instant,
    first_text: Option<Duration>,
    limit_first: Duration,
    limit_total: Duration,
}

impl Clock {
    fn new(settings: &LocalSettings) -> Self {
        let started = Instant::now();
        Self {
            started,
            last_text: started,
            first_text: None,
            limit_first: settings.first_text,
            limit_total: settings.total,
        }
    }

    fn look(&self, listener: &dyn Listener) -> Result<(), GenerateError> {
        if listener.is_gone() {
            return Err(GenerateError::Cancelled);
        }
        let is_late =
            self.last_text.elapsed() >= self.limit_first || self.started.elapsed() >= self.limit_total;
        match (is_late, self.first_text) {
            (false, _) => Ok(()),
            (true, None) => Err(GenerateError::Slow(self.limit_first.min(self.limit_total))),
            (true, Some(_)) => Err(GenerateError::Unfinished(self.started.elapsed())),
        }
    }

    fn give(&mut self, text: &str, listener: &mut dyn Listener) -> Result<(), GenerateError> {
        if text.is_empty() {
            return Ok(());
        }
        self.last_text = Instant::now();
        self.first_text.get_or_insert(self.last_text - self.started);
        if listener.text(text).is_break() { Err(GenerateError::Cancelled) } else { Ok(()) }
    }
}
