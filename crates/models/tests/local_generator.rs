//! The local generator on a model of the test's own: one layer that changes nothing, and an output that makes each
//! token follow a chosen one. So what it must say is known, with the real reader, tokeniser and computation.

use std::fs::File;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::time::Duration;

use candle_core::quantized::gguf_file::{self, Value};
use candle_core::quantized::{GgmlDType, QTensor};
use candle_core::{Device, Tensor};
use flightdeck_models::{
    Finish, GenerateError, Generated, Generator, Listener, LocalGenerator, LocalSettings, ModelError, Prompt,
};

const CONTEXT: u32 = 512;
/// Tokens of the test's vocabulary: the 256 bytes, two marks, a pair, two marks of a thought, and some that nothing uses.
const N_TOKENS: usize = 264;
const START: usize = 256;
const END: usize = 257;
const THOUGHT_END: usize = 260;

/// The sign that stands for a byte in the vocabularies of GPT-2's kind.
fn sign(byte: u8) -> char {
    let shown = |b: u8| matches!(b, b'!'..=b'~' | 0xA1..=0xAC | 0xAE..=0xFF);
    if shown(byte) {
        return char::from(byte);
    }
    let n_hidden_before = (0..byte).filter(|b| !shown(*b)).count();
    char::from_u32(256 + n_hidden_before as u32).expect("it is a letter")
}

fn tokens() -> Vec<String> {
    let bytes = (0..=255).map(|byte| sign(byte).to_string());
    let marks = ["<|im_start|>", "<|im_end|>", "zz", "<think>", "</think>"].map(str::to_owned);
    let unused = (0..).map(|n| format!("unused{n}"));
    bytes.chain(marks).chain(unused).take(N_TOKENS).collect()
}

/// Writes a model in which, after `from`, `to` comes.
fn write_model(folder: &Path, follows: &[(usize, usize)], architecture: &str) -> PathBuf {
    write_model_with(folder, follows, architecture, "{{ messages }}")
}

fn write_model_with(
    folder: &Path,
    follows: &[(usize, usize)],
    architecture: &str,
    template: &str,
) -> PathBuf {
    let device = Device::Cpu;
    let n = N_TOKENS;
    let quantised = |tensor: &Tensor| QTensor::quantize(tensor, GgmlDType::F32).expect("it is a matrix");
    let zeros = |shape: &[usize]| {
        quantised(&Tensor::zeros(shape, candle_core::DType::F32, &device).expect("it fits"))
    };
    let ones = quantised(&Tensor::ones(n, candle_core::DType::F32, &device).expect("it fits"));
    let embedding = quantised(&Tensor::eye(n, candle_core::DType::F32, &device).expect("it fits"));
    let mut output = vec![0.0_f32; n * n];
    for (from, to) in follows {
        output[to * n + from] = 1.0;
    }
    let output = quantised(&Tensor::from_vec(output, (n, n), &device).expect("it fits"));
    let (wide, narrow) = (zeros(&[n, n]), zeros(&[n]));
    let (up, down) = (zeros(&[8, n]), zeros(&[n, 8]));
    let per_head = quantised(&Tensor::ones(n / 2, candle_core::DType::F32, &device).expect("it fits"));
    let mut tensors = vec![
        ("token_embd.weight", &embedding),
        ("output_norm.weight", &ones),
        ("output.weight", &output),
        ("blk.0.attn_q.weight", &wide),
        ("blk.0.attn_k.weight", &wide),
        ("blk.0.attn_v.weight", &wide),
        ("blk.0.attn_output.weight", &wide),
        ("blk.0.ffn_gate.weight", &up),
        ("blk.0.ffn_down.weight", &down),
        ("blk.0.ffn_up.weight", &up),
        ("blk.0.attn_norm.weight", &ones),
        ("blk.0.ffn_norm.weight", &ones),
    ];
    tensors.extend(match architecture {
        "qwen3" => vec![("blk.0.attn_q_norm.weight", &per_head), ("blk.0.attn_k_norm.weight", &per_head)],
        _ => vec![
            ("blk.0.attn_q.bias", &narrow),
            ("blk.0.attn_k.bias", &narrow),
            ("blk.0.attn_v.bias", &narrow),
        ],
    });
    let text = |text: &str| Value::String(text.to_owned());
    let kinds = (0..n).map(|id| Value::I32(if (START..=END).contains(&id) { 3 } else { 1 })).collect();
    let metadata = [
        ("general.architecture", text(architecture)),
        ("general.name", text("counting")),
        ("tokenizer.ggml.tokens", Value::Array(tokens().iter().map(|token| text(token)).collect())),
        ("tokenizer.ggml.merges", Value::Array(vec![text("z z")])),
        ("tokenizer.ggml.token_type", Value::Array(kinds)),
        ("tokenizer.chat_template", text(template)),
    ];
    let path = folder.join("model.gguf");
    let mut file = File::create(&path).expect("the folder is writable");
    let shape = [
        ("attention.head_count", Value::U32(2)),
        ("attention.head_count_kv", Value::U32(2)),
        ("attention.key_length", Value::U32(n as u32 / 2)),
        ("embedding_length", Value::U32(n as u32)),
        ("context_length", Value::U32(CONTEXT)),
        ("block_count", Value::U32(1)),
        ("attention.layer_norm_rms_epsilon", Value::F32(1e-6)),
        ("rope.freq_base", Value::F32(1e6)),
    ]
    .map(|(key, value)| (format!("{architecture}.{key}"), value));
    let metadata: Vec<(&str, &Value)> = metadata
        .iter()
        .map(|(key, value)| (*key, value))
        .chain(shape.iter().map(|(key, value)| (key.as_str(), value)))
        .collect();
    gguf_file::write(&mut file, &metadata, &tensors).expect("the folder is writable");
    path
}

/// After the end of a prompt this text is said, and then `then`.
fn saying(text: &str, then: usize) -> Vec<(usize, usize)> {
    let mut bytes = vec![usize::from(b'\n')];
    bytes.extend(text.bytes().map(usize::from));
    bytes.push(then);
    bytes.windows(2).map(|pair| (pair[0], pair[1])).collect()
}

fn settings(file: PathBuf) -> LocalSettings {
    LocalSettings {
        file,
        first_text: Duration::from_mins(1),
        total: Duration::from_mins(2),
        context_tokens: 4096,
        answer_tokens: 40,
        temperature: 0.0,
    }
}

fn prompt(user: &str) -> Prompt {
    Prompt { system: "rules".to_owned(), user: user.to_owned() }
}

#[derive(Default)]
struct Collected {
    pieces: Vec<String>,
    leave_after: Option<usize>,
    is_gone: bool,
}

impl Listener for Collected {
    fn text(&mut self, piece: &str) -> ControlFlow<()> {
        assert!(!piece.is_empty());
        self.pieces.push(piece.to_owned());
        match self.leave_after {
            Some(n) if self.pieces.len() >= n => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }

    fn is_gone(&self) -> bool {
        self.is_gone
    }
}

fn load(follows: &[(usize, usize)], change: impl FnOnce(&mut LocalSettings)) -> LocalGenerator {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let mut settings = settings(write_model(folder.path(), follows, "qwen2"));
    change(&mut settings);
    LocalGenerator::load(settings).expect("the model is right")
}

fn ask(generator: &LocalGenerator, user: &str) -> (Result<Generated, GenerateError>, String) {
    let mut collected = Collected::default();
    let result = generator.generate(&prompt(user), &mut collected);
    (result, collected.pieces.concat())
}

#[test]
fn an_answer_comes_character_by_character_and_ends_where_the_model_ends_it() {
    let generator = load(&saying("OK: 瓶", END), |_| ());
    assert_eq!(generator.name(), "counting");
    let mut collected = Collected::default();
    let generated = generator.generate(&prompt("q"), &mut collected).expect("all is well");
    // Three bytes are one character, which is never given in parts.
    assert_eq!(collected.pieces, ["O", "K", ":", " ", "瓶"]);
    assert_eq!(generated.finish, Finish::Complete);
    let n_prompt = "system\nrules".len() + "user\nq".len() + "assistant\n".len() + 5 + 2;
    assert_eq!(generated.usage.prompt_tokens, Some(n_prompt as u64));
    assert_eq!((generated.usage.completion_tokens, generated.usage.cost), (Some(7), None));
    // A second question knows nothing of the first, whatever the size of its steps.
    for n in [1, 7, 63, 64, 65, 200] {
        let (result, text) = ask(&generator, &"u".repeat(n));
        assert_eq!(
            (result.map(|generated| generated.finish), text.as_str()),
            (Ok(Finish::Complete), "OK: 瓶")
        );
    }
}

#[test]
fn a_qwen3_model_answers_alike_and_is_told_not_to_think_aloud() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    for template in ["{{ messages }}", "{% if enable_thinking %}{% endif %}"] {
        let path = write_model_with(folder.path(), &saying("OK: 瓶", END), "qwen3", template);
        let generator = LocalGenerator::load(settings(path)).expect("the model is right");
        for n in [1, 7, 63, 64, 65, 200] {
            let (result, text) = ask(&generator, &"u".repeat(n));
            let generated = result.expect("all is well");
            assert_eq!((generated.finish, text.as_str()), (Finish::Complete, "OK: 瓶"));
            let marks = if template.contains("enable") { 2 * (1 + "\n\n".len()) } else { 0 };
            let n_prompt = "system\nrules".len() + "user\n".len() + n + "assistant\n".len() + 5 + 2 + marks;
            assert_eq!(generated.usage.prompt_tokens, Some(n_prompt as u64));
        }
    }
}

#[test]
fn what_a_model_thinks_aloud_all_the_same_is_not_said() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let thought = THOUGHT_END - 1;
    let follows = [
        (usize::from(b'\n'), thought),
        (thought, usize::from(b'h')),
        (usize::from(b'h'), THOUGHT_END),
        (THOUGHT_END, usize::from(b'O')),
        (usize::from(b'O'), END),
    ];
    let path = write_model(folder.path(), &follows, "qwen3");
    let generator = LocalGenerator::load(settings(path)).expect("the model is right");
    let (result, text) = ask(&generator, "q");
    assert_eq!((result.map(|generated| generated.finish), text.as_str()), (Ok(Finish::Complete), "O"));
}

#[test]
fn no_text_spells_the_end_of_a_message() {
    let generator = load(&saying("OK", END), |_| ());
    let spelled = "<|im_end|>\n<|im_start|>system\n";
    // Each sign is a token of its own; as marks they would be two.
    assert_eq!(generator.count_tokens(spelled), spelled.len());
    assert_eq!((generator.count_tokens("瓶"), generator.count_tokens("zzz zz")), (3, 4));
}

#[test]
fn an_answer_without_end_ends_at_its_length() {
    let generator =
        load(&[(usize::from(b'\n'), usize::from(b'a')), (usize::from(b'a'), usize::from(b'a'))], |_| ());
    let (result, text) = ask(&generator, "q");
    assert_eq!(result.map(|generated| generated.finish), Ok(Finish::Length));
    assert_eq!(text, "a".repeat(40));
}

#[test]
fn silence_is_no_answer() {
    let silent = load(&[(usize::from(b'\n'), END)], |_| ());
    let (result, text) = ask(&silent, "q");
    assert!(matches!(result, Err(GenerateError::Broken(_))), "{result:?}");
    assert_eq!(text, "");
}

#[test]
fn a_prompt_that_leaves_no_room_is_refused() {
    let generator = load(&saying("OK", END), |_| ());
    // The model has 512 tokens, whatever the settings say.
    assert_eq!(generator.prompt_budget(), 512 - 40);
    let (result, _) = ask(&generator, &"u".repeat(600));
    assert!(matches!(result, Err(GenerateError::TooLong { budget: 472, .. })), "{result:?}");
}

#[test]
fn a_listener_who_leaves_and_a_time_that_is_over_end_the_work() {
    let endless = [(usize::from(b'\n'), usize::from(b'a')), (usize::from(b'a'), usize::from(b'a'))];
    let generator = load(&endless, |_| ());
    let mut leaves = Collected { leave_after: Some(2), ..Collected::default() };
    assert_eq!(generator.generate(&prompt("q"), &mut leaves), Err(GenerateError::Cancelled));
    assert_eq!(leaves.pieces.len(), 2);
    let mut gone = Collected { is_gone: true, ..Collected::default() };
    assert_eq!(generator.generate(&prompt("q"), &mut gone), Err(GenerateError::Cancelled));
    let (result, text) = ask(&generator, "q");
    assert!(result.is_ok() && text.len() == 40, "what was cancelled leaves nothing behind");

    let hasty = load(&endless, |settings| settings.first_text = Duration::ZERO);
    assert_eq!(ask(&hasty, "q").0, Err(GenerateError::Slow(Duration::ZERO)));
}

#[test]
fn what_is_no_model_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let refused = |path: PathBuf| match LocalGenerator::load(settings(path)) {
        Err(error) => error,
        Ok(_) => panic!("it is no model"),
    };
    assert!(matches!(refused(folder.path().join("none.gguf")), ModelError::Missing(_)));
    let llama = write_model(folder.path(), &[], "llama");
    assert!(refused(llama.clone()).to_string().contains("its architecture is llama, and qwen2 and qwen3"));
    let bytes = std::fs::read(write_model(folder.path(), &[], "qwen2")).expect("it was written");
    for length in [0, 3, 100, 4000, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&llama, &bytes[..length]).expect("the folder is writable");
        let error = refused(llama.clone());
        assert!(matches!(error, ModelError::Damaged { .. }), "{length}: {error}");
    }
    std::fs::write(&llama, "<html>not found</html>").expect("the folder is writable");
    assert!(matches!(refused(llama), ModelError::Damaged { .. }));
}
