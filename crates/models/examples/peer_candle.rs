//! candle-transformers' own `BertModel` beside our kernels, on the same weights and texts, in one run and taking turns:
//!
//! `cargo run --release -p flightdeck-models --example peer_candle -- MODEL_DIR TEXTS ROUNDS [BATCH]`, where `MODEL_DIR`
//! has GGUF weights of the family `bert` with mean pooling and TEXTS one text a line.
//!
//! Both get one thread. The other side gets every advantage that a user can give it: token ids made beforehand, batches
//! of texts of like length, so that little is padding, and, with no BATCH given, the best of 1, 4 and 16. Printed are
//! passages a second of processor time, medians over the rounds, and the least cosine between the two sides' vectors.

use std::collections::HashMap;
use std::fs::File;
use std::path::Path;
use std::time::Duration;

use candle_core::quantized::gguf_file::Content;
use candle_core::{DType, Device, Tensor};
use candle_nn::VarBuilder;
use candle_transformers::models::bert::{BertModel, Config, HiddenAct, PositionEmbeddingType};
use flightdeck_models::{Architecture, Embedder, Kernel, LoadOptions, Pooling, cpu_time, load_with};

type Outcome<T> = Result<T, Box<dyn std::error::Error>>;

fn main() -> Outcome<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let (dir, texts, rounds, batches) = match arguments.as_slice() {
        [dir, texts, rounds] => (dir, texts, rounds, vec![1, 4, 16]),
        [dir, texts, rounds, batch] => (dir, texts, rounds, vec![batch.parse::<usize>()?.max(1)]),
        _ => return Err("usage: peer_candle MODEL_DIR TEXTS ROUNDS [BATCH]".into()),
    };
    let ours = load_with(Path::new(dir), LoadOptions { threads: 1, kernel: Kernel::Auto })?;
    let manifest = ours.manifest();
    if manifest.architecture != Architecture::Bert || manifest.pooling != Pooling::Mean {
        return Err("the model must be of the family bert and pool by the mean".into());
    }
    let theirs = peer(&Path::new(dir).join(&manifest.weights))?;
    let content = std::fs::read_to_string(texts)?;
    let texts: Vec<&str> = content.lines().filter(|line| !line.is_empty()).collect();
    let mut ids: Vec<(usize, Vec<u32>)> = texts
        .iter()
        .map(|text| ours.token_ids(&[&manifest.passage_prefix, *text].concat()))
        .enumerate()
        .map(|(idx, ids)| Ok((idx, ids?)))
        .collect::<Outcome<_>>()?;
    ids.sort_by_key(|(_, ids)| ids.len());
    // candle computes on the pool it is called from.
    let one_thread = rayon::ThreadPoolBuilder::new().num_threads(1).build()?;

    let mut our_times = Vec::new();
    let mut their_times = vec![Vec::new(); batches.len()];
    let mut least = f32::INFINITY;
    for _ in 0..rounds.parse::<usize>()?.max(1) {
        let (took, vectors) = timed(|| Ok(ours.embed_passages(&texts, &|_| true)?))?;
        our_times.push(took);
        for (times, &batch) in their_times.iter_mut().zip(&batches) {
            let (took, others) = timed(|| Ok(one_thread.install(|| embed(&theirs, &ids, batch))?))?;
            times.push(took);
            for (idx, other) in others {
                let cosine: f32 = vectors[idx].iter().zip(&other).map(|(a, b)| a * b).sum();
                least = least.min(cosine);
            }
        }
    }
    let rate = |times: &mut Vec<Duration>| {
        times.sort();
        texts.len() as f64 / times[times.len() / 2].as_secs_f64()
    };
    let n_tokens: usize = ids.iter().map(|(_, ids)| ids.len()).sum();
    let ours_a_second = rate(&mut our_times);
    println!("{} passages of {} tokens, one thread each", texts.len(), n_tokens / texts.len().max(1));
    println!("{}: {ours_a_second:.1} passages a CPU second", ours.kernel());
    let mut best = 0.0_f64;
    for (times, batch) in their_times.iter_mut().zip(&batches) {
        let theirs_a_second = rate(times);
        best = best.max(theirs_a_second);
        println!("candle-transformers f32, batches of {batch}: {theirs_a_second:.2} passages a CPU second");
    }
    println!("{:.1} times its best; least cosine between the two {least:.4}", ours_a_second / best);
    Ok(())
}

fn timed<T>(work: impl FnOnce() -> Outcome<T>) -> Outcome<(Duration, T)> {
    let before = cpu_time().ok_or("the system does not tell how long a process has computed")?;
    let result = work()?;
    Ok((cpu_time().ok_or("it told before")?.saturating_sub(before), result))
}

/// The model as candle-transformers has it, its matrices dequantised.
fn peer(weights: &Path) -> Outcome<BertModel> {
    let mut file = File::open(weights)?;
    let content = Content::read(&mut file)?;
    let number = |key: &str| -> Outcome<usize> {
        Ok(content.metadata.get(key).ok_or_else(|| format!("no {key}"))?.to_u32()? as usize)
    };
    let epsilon = content.metadata.get("bert.attention.layer_norm_epsilon").ok_or("no epsilon")?.to_f32()?;
    let mut tensors = HashMap::new();
    for name in content.tensor_infos.keys() {
        let tensor = content.tensor(&mut file, name, &Device::Cpu)?.dequantize(&Device::Cpu)?;
        tensors.insert(name.clone(), tensor);
    }
    let rows = |part: &str| -> Outcome<usize> {
        Ok(tensors.get(&format!("embeddings.{part}_embeddings.weight")).ok_or("no embeddings")?.dim(0)?)
    };
    let config = Config {
        vocab_size: rows("word")?,
        hidden_size: tensors["embeddings.word_embeddings.weight"].dim(1)?,
        num_hidden_layers: number("bert.block_count")?,
        num_attention_heads: number("bert.attention.head_count")?,
        intermediate_size: number("bert.feed_forward_length")?,
        hidden_act: HiddenAct::Gelu,
        hidden_dropout_prob: 0.0,
        max_position_embeddings: rows("position")?,
        type_vocab_size: rows("token_type")?,
        initializer_range: 0.02,
        layer_norm_eps: f64::from(epsilon),
        pad_token_id: 0,
        position_embedding_type: PositionEmbeddingType::Absolute,
        use_cache: false,
        classifier_dropout: None,
        model_type: None,
    };
    Ok(BertModel::load(VarBuilder::from_tensors(tensors, DType::F32, &Device::Cpu), &config)?)
}

/// Unit vectors with the places of their texts, `batch` texts at a time, padded to the longest of them.
fn embed(
    model: &BertModel,
    texts: &[(usize, Vec<u32>)],
    batch: usize,
) -> candle_core::Result<Vec<(usize, Vec<f32>)>> {
    let mut vectors = Vec::with_capacity(texts.len());
    for batch in texts.chunks(batch) {
        let longest = batch.iter().map(|(_, ids)| ids.len()).max().unwrap_or_default();
        let mut ids = vec![0_u32; batch.len() * longest];
        let mut mask = vec![0.0_f32; batch.len() * longest];
        for (row, (_, text)) in batch.iter().enumerate() {
            ids[row * longest..][..text.len()].copy_from_slice(text);
            mask[row * longest..][..text.len()].fill(1.0);
        }
        let shape = (batch.len(), longest);
        let ids = Tensor::from_vec(ids, shape, &Device::Cpu)?;
        let mask = Tensor::from_vec(mask, shape, &Device::Cpu)?;
        let states = model.forward(&ids, &ids.zeros_like()?, Some(&mask))?;
        let sums = states.broadcast_mul(&mask.unsqueeze(2)?)?.sum(1)?;
        let units = sums.broadcast_div(&sums.sqr()?.sum_keepdim(1)?.sqrt()?)?;
        vectors.extend(batch.iter().map(|(idx, _)| *idx).zip(units.to_vec2::<f32>()?));
    }
    Ok(vectors)
}
