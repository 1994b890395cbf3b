//! The default model against its unpruned source: `data/golden.json` holds what `reference/golden.py` computed.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};

use flightdeck_models::{Embedder, Kernel, LoadOptions, LocalEmbedder, ModelError, load, load_with};

fn model_dir() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../models/multilingual-e5-small")
}

fn model(kernel: Kernel) -> LocalEmbedder {
    load_with(&model_dir(), LoadOptions { threads: 2, kernel }).expect("the default model loads")
}

#[derive(serde::Deserialize)]
struct Golden {
    text: String,
    ids: Option<Vec<u32>>,
    kind: Option<String>,
    vector: Option<String>,
}

fn golden() -> Vec<Golden> {
    serde_json::from_str(include_str!("data/golden.json")).expect("the golden file is JSON")
}

fn decode(vector: &str) -> Vec<f32> {
    let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, vector)
        .expect("the vector is base64");
    bytes.chunks_exact(4).map(|chunk| f32::from_le_bytes([chunk[0], chunk[1], chunk[2], chunk[3]])).collect()
}

fn dot(left: &[f32], right: &[f32]) -> f64 {
    left.iter().zip(right).map(|(left, right)| f64::from(*left) * f64::from(*right)).sum()
}

#[test]
fn token_ids_are_the_sources_wherever_no_piece_was_pruned() {
    let model = model(Kernel::Auto);
    let mut n_compared = 0;
    for entry in golden() {
        let Some(ids) = entry.ids else { continue };
        let found = model.token_ids(&entry.text).expect("it tokenises");
        assert_eq!(found[1..found.len() - 1], ids, "{:?}", entry.text);
        n_compared += 1;
    }
    assert!(n_compared >= 200, "{n_compared}");
}

#[test]
fn the_lean_tokeniser_agrees_with_the_tokenizers_crate() {
    let model = model(Kernel::Auto);
    let reference =
        tokenizers::Tokenizer::from_file(model_dir().join("tokenizer.json")).expect("tokenizer.json is read");
    let texts: Vec<String> = golden().into_iter().map(|entry| entry.text).collect();
    // Beside the texts themselves: every text behind every other prefix of the next, for odd starts and ends.
    let mut mixed = texts.clone();
    for pair in texts.windows(2) {
        let cut = pair[1].char_indices().nth(pair[1].chars().count() / 2).map_or(0, |(idx, _)| idx);
        mixed.push(format!("{}{}", &pair[1][cut..], pair[0]));
        mixed.push(format!("{} {}", pair[0], &pair[1][..cut]));
    }
    for text in mixed {
        let expected = reference.encode(text.as_str(), true).expect("the reference tokenises");
        assert_eq!(model.token_ids(&text).expect("it tokenises"), expected.get_ids(), "{text:?}");
        assert_eq!(model.count_tokens(&text), expected.get_ids().len() - 2, "{text:?}");
    }
}

fn check_against_reference(kernel: Kernel, least: f64, mean: f64) {
    let model = model(kernel);
    let mut cosines = Vec::new();
    for entry in golden() {
        let (Some(kind), Some(vector)) = (entry.kind, entry.vector) else { continue };
        let found = if kind == "query" {
            model.embed_query(&entry.text)
        } else {
            model.embed_passages(&[&entry.text], &|_| true).map(|mut vectors| vectors.remove(0))
        };
        cosines.push(dot(&found.expect("it embeds"), &decode(&vector)));
    }
    let found_least = cosines.iter().copied().fold(f64::INFINITY, f64::min);
    let found_mean = cosines.iter().sum::<f64>() / cosines.len() as f64;
    println!("{}: least {found_least:.6}, mean {found_mean:.6} over {}", model.kernel(), cosines.len());
    assert!(cosines.len() >= 48);
    assert!(found_least >= least && found_mean >= mean, "least {found_least}, mean {found_mean}");
}

#[test]
fn vectors_on_candle_equal_the_unpruned_weights_in_f32() {
    check_against_reference(Kernel::Candle, 0.999_99, 0.999_99);
}

#[test]
fn vectors_on_every_integer_kernel_stay_close_to_f32() {
    for kernel in Kernel::available() {
        // Plain Rust is slow, and the other kernels are tested against it operation by operation.
        if !matches!(kernel, Kernel::Candle | Kernel::Portable) {
            check_against_reference(kernel, 0.9996, 0.9998);
        }
    }
}

#[test]
fn a_texts_vector_has_the_same_bits_however_it_is_batched() {
    let model = model(Kernel::Auto);
    let texts: Vec<String> = golden().into_iter().map(|entry| entry.text).take(60).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let together = model.embed_passages(&texts, &|_| true).expect("they embed");
    let single = load_with(&model_dir(), LoadOptions { threads: 1, kernel: Kernel::Auto }).expect("it loads");
    for text in texts.iter().step_by(7) {
        // Two threads share a question's products; one thread computes them whole.
        assert_eq!(model.embed_query(text).expect("it embeds"), single.embed_query(text).expect("it embeds"));
    }
    for (idx, text) in texts.iter().enumerate().step_by(4) {
        let alone = model.embed_passages(&[text], &|_| true).expect("it embeds");
        assert_eq!(alone[0], together[idx], "{text:?}");
    }
}

#[test]
fn vectors_have_unit_length_and_similar_texts_are_nearer() {
    let model = load(&model_dir(), 1).expect("the default model loads");
    let query = model.embed_query("换线要多长时间？").expect("it embeds");
    let passages = ["换线时间由45分钟缩短至8分钟。", "公司成立于1998年，总部位于苏州。", ""];
    let vectors = model.embed_passages(&passages, &|_| true).expect("they embed");
    for vector in vectors.iter().chain([&query]) {
        assert_eq!(vector.len(), model.dimension());
        assert!((dot(vector, vector) - 1.0).abs() < 1e-5);
    }
    assert!(dot(&query, &vectors[0]) > dot(&query, &vectors[1]));
}

#[test]
fn long_texts_are_cut_to_the_longest_input() {
    let model = model(Kernel::Auto);
    let text = "设备采用模块化设计，换型无需工具。".repeat(200);
    assert_eq!(model.token_ids(&text).expect("it tokenises").len(), model.max_tokens());
    let longer = format!("{text}这一句已经看不到了");
    let vectors = model.embed_passages(&[&text, &longer], &|_| true).expect("they embed");
    assert_eq!(vectors[0], vectors[1]);
}

#[test]
fn progress_reaches_the_end_and_can_stop_the_work() {
    let model = model(Kernel::Auto);
    let texts: Vec<String> =
        (0..40).map(|idx| format!("第{idx}条：设备采用模块化设计，换型无需工具。")).collect();
    let texts: Vec<&str> = texts.iter().map(String::as_str).collect();
    let most = AtomicUsize::new(0);
    let vectors = model.embed_passages(&texts, &|n_done| {
        most.fetch_max(n_done, Ordering::Relaxed);
        true
    });
    assert_eq!(vectors.expect("they embed").len(), texts.len());
    assert_eq!(most.load(Ordering::Relaxed), texts.len());
    assert!(matches!(model.embed_passages(&texts, &|_| false), Err(ModelError::Cancelled)));
}

#[test]
fn a_question_gets_the_same_vector_again_and_during_indexing() {
    let model = model(Kernel::Auto);
    let first = model.embed_query("底价是多少？").expect("it embeds");
    assert_eq!(first, model.embed_query("底价是多少？").expect("it embeds"));
    let other = self::model(Kernel::Auto);
    let text = "设备采用模块化设计，换型无需工具。".repeat(10);
    let texts = vec![text.as_str(); 12];
    std::thread::scope(|scope| {
        let indexing = scope.spawn(|| other.embed_passages(&texts, &|_| true).expect("they embed").len());
        assert_eq!(first, other.embed_query("底价是多少？").expect("it embeds"));
        assert_eq!(indexing.join().expect("indexing ends"), texts.len());
    });
}
