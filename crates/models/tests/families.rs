//! Each family of encoders against a reference: tiny networks with random weights, whose ids and vectors `reference/tiny.py`
//! computed. Every way to compute must agree with it, as nearly as its rounding allows.

mod tiny;

use flightdeck_models::{Architecture, Embedder, Kernel, LoadOptions, ModelError, Pooling, load_with};

fn cosine(left: &[f32], right: &[f32]) -> f32 {
    left.iter().zip(right).map(|(a, b)| a * b).sum()
}

#[test]
fn every_family_gives_the_reference_s_ids_and_vectors_on_every_kernel() {
    for (family, pooling) in [(Architecture::Bert, Pooling::Cls), (Architecture::XlmRoberta, Pooling::Mean)] {
        let folder = tiny::model(family, pooling);
        for kernel in Kernel::available() {
            let model = load_with(folder.path(), LoadOptions { threads: 1, kernel }).expect("it loads");
            let golden = tiny::golden(family);
            let texts: Vec<&str> = golden.iter().map(|case| case.text.as_str()).collect();
            let vectors = model.embed_passages(&texts, &|_| true).expect("it computes");
            let mut least = 1.0_f32;
            for (case, vector) in golden.iter().zip(&vectors) {
                assert_eq!(model.token_ids(&case.text).expect("it cuts"), case.ids, "{}", case.text);
                least = least.min(cosine(vector, &case.vector));
                let question = model.embed_query(&case.text).expect("it computes");
                assert!(cosine(&question, vector) > 0.999_999, "no prefixes, so both are the same");
            }
            println!("{family:?} {kernel:?}: least cosine {least}");
            // Small random networks round worse than trained ones, whose figures stand in the measurements.
            let bound = if kernel == Kernel::Candle { 0.999_99 } else { 0.998 };
            assert!(least > bound, "{family:?} {kernel:?}: {least}");
        }
    }
}

#[test]
fn a_wrong_pooling_or_family_would_be_seen() {
    let golden = &tiny::golden(Architecture::Bert)[0];
    let folder = tiny::model(Architecture::Bert, Pooling::Mean);
    let load = |dir| load_with(dir, LoadOptions { threads: 1, kernel: Kernel::Candle });
    let vector = load(folder.path()).expect("it loads").embed_query(&golden.text).expect("it computes");
    assert!(cosine(&vector, &golden.vector) < 0.99);
    let folder = tiny::model(Architecture::XlmRoberta, Pooling::Mean);
    tiny::describe(folder.path(), Architecture::Bert, Pooling::Mean);
    let golden = &tiny::golden(Architecture::XlmRoberta)[0];
    let vector = load(folder.path()).expect("it loads").embed_query(&golden.text).expect("it computes");
    assert!(cosine(&vector, &golden.vector) < 0.99_9, "positions from 0 are not those from 2");
    assert!(matches!(load(&folder.path().join("none")), Err(ModelError::Missing(_))));
}
