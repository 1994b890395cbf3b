//! Times a model: `cargo run --release -p flightdeck-models --example time_embed -- MODEL_DIR TEXTS THREADS KERNEL`,
//! where TEXTS has one text a line. Prints passages and tokens a second of the clock
//! and of processor time, a question's time, loading time and memory.

use std::path::Path;
use std::time::Instant;

use flightdeck_models::{Embedder, LoadOptions, load_with, peak_memory_bytes, verify};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [dir, texts, threads, kernel] = arguments.as_slice() else {
        return Err(
            "usage: time_embed MODEL_DIR TEXTS THREADS auto|candle|portable|avx2|avx-vnni|avx512|amx".into(),
        );
    };
    let started = Instant::now();
    let model =
        load_with(Path::new(dir), LoadOptions { threads: threads.parse()?, kernel: kernel.parse()? })?;
    let (loading, loading_cpu) = (started.elapsed(), cpu_seconds());
    let started = Instant::now();
    verify(Path::new(dir))?;
    let verifying = started.elapsed();
    let memory_loaded = peak_memory_bytes().unwrap_or_default();
    let content = std::fs::read_to_string(texts)?;
    let texts: Vec<&str> = content.lines().filter(|line| !line.is_empty()).collect();
    let started = Instant::now();
    let n_tokens: usize = texts.iter().map(|text| model.count_tokens(text)).sum();
    let tokens_a_second = n_tokens as f64 / started.elapsed().as_secs_f64();
    let (mut best, mut best_cpu) = (f64::INFINITY, f64::INFINITY);
    for _ in 0..3 {
        let (started, cpu_before) = (Instant::now(), cpu_seconds());
        model.embed_passages(&texts, &|_| true)?;
        best = best.min(started.elapsed().as_secs_f64());
        best_cpu = best_cpu.min(cpu_seconds() - cpu_before);
    }
    let mut times: Vec<f64> = (0..100)
        .map(|idx| {
            let question = format!("贴标机{idx}换线需要多长时间？");
            let started = Instant::now();
            model.embed_query(&question).map(|_| started.elapsed().as_secs_f64() * 1e3)
        })
        .collect::<Result<_, _>>()?;
    times.sort_by(f64::total_cmp);
    println!(
        "{}: loaded in {:.0} ms ({:.0} ms of the main thread; files verified in {:.0} ms) with {} MB at most; {:.1} M tokens/s tokenised; {:.1} passages/s, {:.0} tokens/s; \
         {:.1} passages a CPU second; a question {:.2} ms (best {:.2}); \
         {} MB at most",
        model.kernel(),
        loading.as_secs_f64() * 1e3,
        loading_cpu * 1e3,
        verifying.as_secs_f64() * 1e3,
        memory_loaded >> 20,
        tokens_a_second * 1e-6,
        texts.len() as f64 / best,
        n_tokens as f64 / best,
        texts.len() as f64 / best_cpu,
        times[times.len() / 2],
        times[0],
        peak_memory_bytes().unwrap_or_default() >> 20,
    );
    Ok(())
}

/// Processor time of all threads so far; needs a Linux with scheduler statistics, and is 0 elsewhere.
fn cpu_seconds() -> f64 {
    let Ok(tasks) = std::fs::read_dir("/proc/self/task") else { return 0.0 };
    tasks
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok())
        .filter_map(|line| line.split_whitespace().next()?.parse::<f64>().ok())
        .sum::<f64>()
        * 1e-9
}
