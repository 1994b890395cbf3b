//! What the proposals for front matter are worth.
//!
//! `cargo run --release -p flightdeck-eval --example propose` takes each document of `knowledge/` that is a whole file,
//! asks for proposals as if nothing were said of it but its title, and holds them against what its author said.

use std::collections::BTreeMap;
use std::error::Error;
use std::path::Path;

use flightdeck_assistant::propose;
use flightdeck_corpus::{Document, Reader};
use flightdeck_retrieval::{Access, Store};
use jiff::Zoned;

/// How often a key was said by the author, proposed, and both the same.
#[derive(Default)]
struct Tally {
    said: usize,
    proposed: usize,
    right: usize,
}

fn said(document: &Document, key: &str) -> Vec<String> {
    match key {
        "kind" => vec![document.kind.name().to_owned()],
        "industry" => document.profile.industry.clone(),
        "product" => document.profile.product.clone(),
        _ => Vec::new(),
    }
}

fn main() -> Result<(), Box<dyn Error>> {
    let details = std::env::args().any(|argument| argument == "--details");
    let embedder = flightdeck_models::load(Path::new("models/multilingual-e5-small"), 2)?;
    let data = std::env::temp_dir().join("flightdeck-propose");
    let store = Store::open(&data, Access::Write, embedder)?;
    store.update(&mut Reader::new("knowledge", flightdeck_corpus::Settings::default()), false, &|_| true)?;
    let index = store.current().ok_or("no index")?;
    let day = Zoned::now().date();
    let mut tallies: BTreeMap<&str, Tally> = BTreeMap::new();
    for document in index.documents().filter(|document| document.fields.is_empty()) {
        let proposals = propose(&index, document, day)?;
        for key in ["kind", "industry", "product"] {
            let said = said(document, key);
            let proposed =
                proposals.iter().find(|proposal| proposal.key == key).map_or(&[][..], |p| &p.values);
            let tally = tallies.entry(key).or_default();
            tally.said += said.len();
            tally.proposed += proposed.len();
            tally.right += proposed.iter().filter(|value| said.contains(value)).count();
            if details && (said.len() != proposed.len() || !proposed.iter().all(|v| said.contains(v))) {
                println!("{}\t{key}\tsaid {said:?}\tproposed {proposed:?}", document.path);
            }
        }
        if details {
            let keywords = proposals.iter().find(|proposal| proposal.key == "keywords");
            println!("{}\tkeywords {:?}", document.path, keywords.map(|proposal| &proposal.values));
        }
    }
    println!("| | said by the author | proposed | right | precision | recall |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for (key, Tally { said, proposed, right }) in tallies {
        let share = |of: usize| right as f64 / of.max(1) as f64;
        println!("| {key} | {said} | {proposed} | {right} | {:.2} | {:.2} |", share(proposed), share(said));
    }
    Ok(())
}
