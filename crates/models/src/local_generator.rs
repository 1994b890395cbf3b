//! A Qwen2 or Qwen3 chat model (Qwen2.5 is of the former) in a GGUF file, computed on this machine.
//!
//! The computation is candle's. Here is what makes a generator of it: the prompt in tokens and its budget, text as it
//! comes, an end in time, and an early one when the listener leaves. The prompt is read in steps, since a step cannot
//! be stopped; between two steps the clock and the listener are looked at.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use candle_core::quantized::gguf_file::{Content, Value};
use candle_core::{Device, Tensor};
use candle_transformers::generation::LogitsProcessor;
use candle_transformers::models::{quantized_qwen2, quantized_qwen3};

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
    model: Mutex<Network>,
}

/// The computation, by architecture.
enum Network {
    Qwen2(quantized_qwen2::ModelWeights),
    Qwen3(quantized_qwen3::ModelWeights),
}

impl Network {
    /// Reads the weights of `architecture`; `None` when it is another one.
    fn load(
        architecture: &str,
        mut content: Content,
        reader: &mut BufReader<File>,
    ) -> Option<candle_core::Result<Self>> {
        match architecture {
            "qwen2" => {
                Some(quantized_qwen2::ModelWeights::from_gguf(content, reader, &Device::Cpu).map(Self::Qwen2))
            }
            "qwen3" => {
                // Unless it is said that the file is of `f32`, angles of the rotary positions are multiplied out in half
                // floats, and from some hundred tokens on they are none of the right ones.
                content.metadata.insert("general.dtype".to_owned(), Value::U32(0));
                Some(quantized_qwen3::ModelWeights::from_gguf(content, reader, &Device::Cpu).map(Self::Qwen3))
            }
            _ => None,
        }
    }

    /// The logits after the tokens `ids`, `[1, n]`, of which the first stands at `place`.
    fn forward(&mut self, ids: &Tensor, place: usize) -> candle_core::Result<Tensor> {
        match self {
            Self::Qwen2(model) => model.forward(ids, place),
            Self::Qwen3(model) => model.forward(ids, place),
        }
    }

    fn forget(&mut self) {
        match self {
            Self::Qwen2(model) => model.clear_kv_cache(),
            Self::Qwen3(model) => model.clear_kv_cache(),
        }
    }
}

impl LocalGenerator {
    /// Reads the file, which takes some seconds.
    ///
    /// # Errors
    /// [`ModelError::Missing`] when there is no such file, [`ModelError::Damaged`] when it holds no chat model of the two
    /// architectures.
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
        let architecture = text("general.architecture").cloned().unwrap_or_else(|| "unnamed".to_owned());
        let name = text("general.name").cloned().unwrap_or_else(|| stem(&path));
        let length = content.metadata.get(&format!("{architecture}.context_length"));
        let length = length.and_then(|value| value.to_u32().ok());
        let tokenizer = ChatTokenizer::from_gguf(&content, &path);
        let model = Network::load(&architecture, content, &mut reader).ok_or_else(|| {
            damaged(format!(
                "its architecture is {architecture}, and qwen2 and qwen3 are what can be computed"
            ))
        })?;
        let (tokenizer, model) = (tokenizer?, model.map_err(|error| damaged(error.to_string()))?);
        let length = length.ok_or_else(|| damaged("it does not say its context length".to_owned()))? as usize;
        let prompt_budget = settings.context_tokens.min(length).saturating_sub(settings.answer_tokens);
        Ok(Self { name, settings, prompt_budget, tokenizer, model: Mutex::new(model) })
    }

    fn answer(
        &self,
        ids: &[u32],
        model: &mut Network,
        listener: &mut dyn Listener,
        clock: &mut Clock,
    ) -> Result<Generated, GenerateError> {
        model.forget();
        let mut n_read = 0;
        let mut logits = None;
        while n_read < ids.len() {
            clock.look(listener)?;
            let step = next_step(n_read, ids.len());
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
        model.forget();
        result
    }
}

/// How many of `n_tokens` are read together where `n_read` are read already.
fn next_step(n_read: usize, n_tokens: usize) -> usize {
    let fits = |step: &usize| n_read.is_multiple_of(*step) && n_tokens - n_read >= *step;
    STEPS.into_iter().find(fits).expect("one token always fits")
}

/// The logits after these tokens, of which the first stands at `place`.
fn forward(model: &mut Network, ids: &[u32], place: usize) -> Result<Tensor, GenerateError> {
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

#[cfg(test)]
mod tests {
    use candle_core::quantized::{GgmlDType, QTensor, gguf_file};

    use super::*;
    use crate::encoder::{Encoder, OpenGate, Tokens};
    use crate::manifest::Manifest;
    use crate::qwen3::Qwen3Encoder;

    /// The tiny decoder of the golden tests as a GGUF file whose output is the last token's state itself.
    fn tiny_qwen3(path: &Path) {
        let weights = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny-qwen3/model.safetensors");
        let tensors = candle_core::safetensors::load(weights, &Device::Cpu).expect("it lies there");
        let f32s = |tensor: &Tensor| {
            let tensor = tensor.to_dtype(candle_core::DType::F32).expect("it is a number");
            QTensor::quantize(&tensor, GgmlDType::F32).expect("it is a tensor")
        };
        let name = |name: &str| {
            let name = name.trim_start_matches("model.").replace("layers.", "blk.");
            [
                ("embed_tokens", "token_embd"),
                ("input_layernorm", "attn_norm"),
                ("post_attention_layernorm", "ffn_norm"),
                ("self_attn.q_proj", "attn_q"),
                ("self_attn.k_proj", "attn_k"),
                ("self_attn.v_proj", "attn_v"),
                ("self_attn.q_norm", "attn_q_norm"),
                ("self_attn.k_norm", "attn_k_norm"),
                ("self_attn.o_proj", "attn_output"),
                ("mlp.gate_proj", "ffn_gate"),
                ("mlp.up_proj", "ffn_up"),
                ("mlp.down_proj", "ffn_down"),
            ]
            .iter()
            .fold(name, |name, (from, to)| name.replace(from, to))
        };
        let mut named: Vec<(String, QTensor)> = tensors
            .iter()
            .map(|(from, tensor)| {
                let to = if from.ends_with("norm.weight") && !from.contains("layers") {
                    "output_norm.weight".to_owned()
                } else {
                    name(from)
                };
                (to, f32s(tensor))
            })
            .collect();
        let identity = Tensor::eye(64, candle_core::DType::F32, &Device::Cpu).expect("it fits");
        named.push(("output.weight".to_owned(), f32s(&identity)));
        let metadata = [
            ("qwen3.attention.head_count", Value::U32(4)),
            ("qwen3.attention.head_count_kv", Value::U32(2)),
            ("qwen3.attention.key_length", Value::U32(32)),
            ("qwen3.block_count", Value::U32(2)),
            ("qwen3.embedding_length", Value::U32(64)),
            ("qwen3.context_length", Value::U32(4096)),
            ("qwen3.attention.layer_norm_rms_epsilon", Value::F32(1e-6)),
            ("qwen3.rope.freq_base", Value::F32(1e4)),
        ];
        let metadata: Vec<(&str, &Value)> = metadata.iter().map(|(key, value)| (*key, value)).collect();
        let named: Vec<(&str, &QTensor)> =
            named.iter().map(|(name, tensor)| (name.as_str(), tensor)).collect();
        let mut file = File::create(path).expect("the folder is writable");
        gguf_file::write(&mut file, &metadata, &named).expect("the folder is writable");
    }

    const MANIFEST: &str = r#"
        name = "tiny"
        architecture = "qwen3"
        dimension = 64
        max_tokens = 40
        pooling = "last"
        query_prefix = ""
        passage_prefix = ""
        licence = "Apache-2.0"
        weights = "model.safetensors"
        tokenizer = "tokenizer.json"
        file = []

        [source]
        model = "tiny"
        package = ""
        file = ""
        sha256 = ""
        made_with = ""
        notes = ""
    "#;

    /// Over more tokens than half floats can count, and in steps as a prompt is read.
    #[test]
    fn the_qwen3_network_computes_what_the_encoder_computes() {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/tiny-qwen3");
        let manifest: Manifest = toml::from_str(MANIFEST).expect("it is a manifest");
        let encoder = Qwen3Encoder::open(&data, &manifest).expect("it lies there");
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let path = folder.path().join("tiny.gguf");
        tiny_qwen3(&path);
        let mut reader = BufReader::new(File::open(&path).expect("it was written"));
        let content = Content::read(&mut reader).expect("it is GGUF");
        let network = Network::load("qwen3", content, &mut reader).expect("it is known");
        let mut network = network.expect("it is whole");
        for n_tokens in [1, 9, 64, 73, 2_500] {
            let ids: Vec<u32> = (0..n_tokens).map(|n| n * 7 % 265).collect();
            let expected = encoder.encode(&[Tokens::single(&ids)], &OpenGate).expect("it is computed");
            network.forget();
            let mut place = 0;
            let mut state = None;
            while place < ids.len() {
                let step = next_step(place, ids.len());
                state =
                    Some(forward(&mut network, &ids[place..place + step], place).expect("it is computed"));
                place += step;
            }
            let state: Vec<f32> = state.expect("there was a step").to_vec1().expect("it is a vector");
            let dot = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
            let cosine =
                dot(&state, &expected[0]) / (dot(&state, &state) * dot(&expected[0], &expected[0])).sqrt();
            assert!(cosine > 0.9999, "{cosine} over {n_tokens} tokens");
        }
    }
}
