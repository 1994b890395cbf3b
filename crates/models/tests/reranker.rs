//! Cross-encoders against a reference: tiny networks with random weights, whose ids and scores `reference/tiny.py`
//! computed, on every kernel; and what must not be taken for a reranker.

mod tiny;

use std::sync::atomic::{AtomicUsize, Ordering};

use flightdeck_models::{
    Architecture, Kernel, LoadOptions, LocalReranker, ModelError, Pooling, Purpose, Reranker, load,
    load_reranker, verify,
};

const FAMILIES: [Architecture; 2] = [Architecture::Bert, Architecture::XlmRoberta];

fn open(folder: &tempfile::TempDir, kernel: Kernel) -> LocalReranker {
    load_reranker(folder.path(), LoadOptions { threads: 2, kernel }).expect("it loads")
}

#[test]
fn every_family_gives_the_reference_s_pairs_and_scores_on_every_kernel() {
    for family in FAMILIES {
        let folder = tiny::reranker(family);
        verify(folder.path()).expect("it is what its manifest says");
        for kernel in Kernel::available() {
            let model = open(&folder, kernel);
            let golden = tiny::golden_pairs(family);
            let mut worst = 0.0_f32;
            for pair in &golden {
                let (ids, second_from) = model.pair_ids(&pair.question, &pair.passage).expect("it cuts");
                assert_eq!((&ids, second_from), (&pair.ids, pair.second_from), "{}", pair.passage);
                let score = model.score(&pair.question, &[&pair.passage], &|| true).expect("it computes");
                worst = worst.max((score[0] - pair.score).abs());
            }
            println!("{family:?} {kernel:?}: largest difference of a score {worst}");
            // Scores lie between -1 and 2; small random networks round worse than trained ones.
            let bound = if kernel == Kernel::Candle { 1e-4 } else { 0.1 };
            assert!(worst < bound, "{family:?} {kernel:?}: {worst}");
        }
    }
}

#[test]
fn a_score_does_not_depend_on_what_it_is_computed_with() {
    for family in FAMILIES {
        let folder = tiny::reranker(family);
        for kernel in Kernel::available() {
            let model = open(&folder, kernel);
            let golden = tiny::golden_pairs(family);
            let passages: Vec<&str> = golden.iter().map(|pair| pair.passage.as_str()).collect();
            let together = model.score("换线时间", &passages, &|| true).expect("it computes");
            for (passage, score) in passages.iter().zip(&together) {
                let alone = model.score("换线时间", &[passage], &|| true).expect("it computes");
                assert_eq!(alone[0].to_bits(), score.to_bits(), "{family:?} {kernel:?} {passage}");
            }
        }
    }
}

#[test]
fn the_passage_is_cut_and_only_a_question_that_takes_everything_too() {
    for family in FAMILIES {
        let model = open(&tiny::reranker(family), Kernel::Auto);
        let long = "换线时间由四十五分钟".repeat(20);
        let (ids, second_from) = model.pair_ids("换线时间由", &long).expect("it cuts");
        let short = model.pair_ids("换线时间由", "").expect("it cuts");
        assert_eq!((ids.len(), second_from), (40, short.1), "the question is whole");
        let (ids, second_from) = model.pair_ids(&long, &long).expect("it cuts");
        assert_eq!(ids.len(), 40);
        assert!(second_from < 32, "a quarter is left for the passage: {second_from}");
        assert!(model.score(&long, &[&long, ""], &|| true).is_ok());
    }
}

#[test]
fn work_that_nobody_wants_any_more_ends() {
    let model = open(&tiny::reranker(Architecture::XlmRoberta), Kernel::Auto);
    let passages = vec!["换线时间由四十五分钟缩短至八分钟。"; 2000];
    let never = model.score("换线", &passages, &|| false);
    assert!(matches!(never, Err(ModelError::Cancelled)));
    let asked = AtomicUsize::new(0);
    let soon = model.score("换线", &passages, &|| asked.fetch_add(1, Ordering::SeqCst) < 3);
    assert!(matches!(soon, Err(ModelError::Cancelled)));
    // Some 160 groups of two layers each: every group that is still begun asks once.
    assert!(asked.load(Ordering::SeqCst) < 200, "it stops before a layer and finishes no other group");
    assert_eq!(model.score("换线", &[], &|| true).expect("nothing is easy"), Vec::<f32>::new());
}

#[test]
fn a_model_is_used_for_what_its_manifest_says() {
    let options = LoadOptions { threads: 1, kernel: Kernel::Auto };
    for family in FAMILIES {
        let embedder = tiny::model(family, Pooling::Cls);
        let refused = load_reranker(embedder.path(), options).err();
        assert!(matches!(refused, Some(ModelError::Damaged { path, .. }) if path.ends_with("manifest.toml")));
        // Called a reranker it has no head.
        tiny::describe_as(embedder.path(), family, Pooling::Cls, Purpose::Rerank);
        let refused = load_reranker(embedder.path(), options).err();
        assert!(
            matches!(refused, Some(ModelError::Damaged { path, .. }) if path.ends_with("model.safetensors"))
        );
        let refused = load(tiny::reranker(family).path(), 1).err();
        assert!(matches!(refused, Some(ModelError::Damaged { path, .. }) if path.ends_with("manifest.toml")));
    }
    let nowhere = load_reranker(&tiny::data(Architecture::Bert).join("none"), options).err();
    assert!(matches!(nowhere, Some(ModelError::Missing(_))));
}
