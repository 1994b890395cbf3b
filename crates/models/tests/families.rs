//! Each family of encoders against a reference: tiny networks with random weights, whose ids and vectors `reference/tiny.py`
//! computed. Every way to compute must agree with it, as nearly as its rounding allows.

mod tiny;

use candle_core::{DType, Device, Tensor};
use candle_nn::{Activation, VarBuilder};
use candle_transformers::models::stella_en_v5::{Config, Model, ModelVariant};
use flightdeck_models::{Architecture, Embedder, Kernel, LoadOptions, ModelError, Pooling, load_with};

fn cosine(left: &[f32], right: &[f32]) -> f32 {
    left.iter().zip(right).map(|(a, b)| a * b).sum()
}

#[test]
fn every_family_gives_the_reference_s_ids_and_vectors_on_every_kernel() {
    let families = [
        (Architecture::Bert, Pooling::Cls),
        (Architecture::XlmRoberta, Pooling::Mean),
        (Architecture::Gte, Pooling::Cls),
    ];
    for (family, pooling) in families {
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
fn weights_as_pytorch_writes_them_are_the_same_weights() {
    let (folder, archived) =
        (tiny::model(Architecture::Bert, Pooling::Cls), tempfile::tempdir().expect("a folder"));
    let files = ["config.json", "tokenizer.json", "pytorch_model.bin"];
    for name in files {
        std::fs::copy(tiny::data(Architecture::Bert).join(name), archived.path().join(name))
            .expect("it is copied");
    }
    let text = std::fs::read_to_string(folder.path().join("manifest.toml")).expect("it is there");
    let mut manifest: toml::Table = text.parse().expect("it is TOML");
    manifest.insert("weights".to_owned(), "pytorch_model.bin".into());
    let entries = files.map(|name| {
        let content = std::fs::read(archived.path().join(name)).expect("it is there");
        let (size, sum) = (i64::try_from(content.len()).expect("it is small"), tiny::sha256(&content));
        toml::Value::Table(toml::Table::from_iter([
            ("name".to_owned(), name.into()),
            ("size".to_owned(), size.into()),
            ("sha256".to_owned(), sum.into()),
        ]))
    });
    manifest.insert("file".to_owned(), toml::Value::Array(entries.to_vec()));
    std::fs::write(archived.path().join("manifest.toml"), manifest.to_string()).expect("it is written");
    let vector = |folder: &std::path::Path| {
        let model = load_with(folder, LoadOptions { threads: 1, kernel: Kernel::Candle }).expect("it loads");
        model.embed_query("换线时间").expect("it computes")
    };
    assert_eq!(vector(folder.path()), vector(archived.path()));
    let cut = std::fs::read(archived.path().join("pytorch_model.bin")).expect("it is there");
    for length in [0, 100, cut.len() / 2, cut.len() - 30] {
        std::fs::write(archived.path().join("pytorch_model.bin"), &cut[..length]).expect("it is written");
        assert!(flightdeck_models::check_weights(archived.path()).is_err(), "cut to {length}");
    }
}

#[test]
fn a_decoder_gives_the_reference_s_ids_and_vectors() {
    let folder = tiny::model(Architecture::Qwen3, Pooling::Last);
    for kernel in [Kernel::Auto, Kernel::Candle] {
        let model = load_with(folder.path(), LoadOptions { threads: 1, kernel }).expect("it loads");
        for case in tiny::golden(Architecture::Qwen3) {
            assert_eq!(model.token_ids(&case.text).expect("it cuts"), case.ids, "{}", case.text);
            let vectors = model.embed_passages(&[&case.text, "价"], &|_| true).expect("it computes");
            let alike = cosine(&vectors[0], &case.vector);
            assert!(alike > 0.999_99, "{kernel:?} {}: {alike}", case.text);
        }
    }
    let portable = load_with(folder.path(), LoadOptions { threads: 1, kernel: Kernel::Portable });
    assert!(matches!(portable.err(), Some(ModelError::Failed(_))), "no integer kernel knows its layers");
}

#[test]
fn gte_s_network_is_the_one_that_candle_transformers_computes() {
    let config = Config {
        variant: ModelVariant::Small,
        vocab_size: 41,
        hidden_size: 64,
        intermediate_size: 96,
        num_hidden_layers: 2,
        num_attention_heads: 2,
        max_position_embeddings: 40,
        type_vocab_size: 1,
        norm_eps: 1e-12,
        scaling_factor: 8.0,
        rope_theta: 20_000.0,
        activation_fn: Activation::Gelu,
        ..Config::default()
    };
    let weights =
        std::fs::read(tiny::data(Architecture::Gte).join("model.safetensors")).expect("it is there");
    let weights = VarBuilder::from_buffered_safetensors(weights, DType::F32, &Device::Cpu).expect("it reads");
    let mut network = Model::new(&config, weights).expect("it has these sizes");
    for case in tiny::golden(Architecture::Gte) {
        let ids = Tensor::new(case.ids.as_slice(), &Device::Cpu).and_then(|ids| ids.unsqueeze(0));
        let ids = ids.expect("a batch of one text");
        let states = network.forward(&ids, &ids.ones_like().expect("a mask")).expect("it computes");
        let first = states.get(0).and_then(|text| text.get(0)?.to_vec1::<f32>()).expect("a vector");
        let length = cosine(&first, &first).sqrt();
        let alike = cosine(&first, &case.vector) / length;
        assert!(alike > 0.999_99, "{}: {alike}", case.text);
    }
}

#[test]
fn variants_of_gte_that_are_computed_differently_are_refused() {
    let folder = tiny::model(Architecture::Gte, Pooling::Cls);
    let path = folder.path().join("config.json");
    let plain = std::fs::read_to_string(&path).expect("it is there");
    for (was, is) in [
        (r#""type": "ntk""#, r#""type": "yarn""#),
        (r#""logn_attention_scale": false"#, r#""logn_attention_scale": true"#),
        (r#""layer_norm_type": "layer_norm""#, r#""layer_norm_type": "rms_norm""#),
        (r#""position_embedding_type": "rope""#, r#""position_embedding_type": "absolute""#),
        (r#""hidden_act": "gelu""#, r#""hidden_act": "silu""#),
        (r#""num_attention_heads": 2"#, r#""num_attention_heads": 0"#),
    ] {
        let changed = plain.replace(was, is);
        assert_ne!(changed, plain, "{was} stands there");
        std::fs::write(&path, changed).expect("it is written");
        tiny::describe(folder.path(), Architecture::Gte, Pooling::Cls);
        let loaded = load_with(folder.path(), LoadOptions { threads: 1, kernel: Kernel::Auto });
        assert!(matches!(loaded.err(), Some(ModelError::Damaged { .. })), "{is}");
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
