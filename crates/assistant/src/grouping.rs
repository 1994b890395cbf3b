//! Questions that mean the same, put together, so that one answer is written for all of them.
//!
//! Each question joins the first group whose leader it is close enough to, or leads one of its own. Who comes first
//! leads, so with the questions in order of how often they were asked the groups carry the names that people use most,
//! and the same questions always make the same groups. Close enough is a mean of two signs that fail in different
//! places: the cosine of the questions' vectors, which takes two questions about one product for alike, and the words
//! they share by rarity, which takes a paraphrase for something else. Different model numbers are different questions
//! whatever the signs say.

use std::collections::BTreeSet;

use flightdeck_retrieval::{Index, RetrievalError};

/// Cosine at which two questions have nothing in common, and where they are the same: the model gives 0.80 to 0.86 to
/// unrelated Chinese questions about one trade and above 0.93 to paraphrases.
const FAR: f32 = 0.84;
const NEAR: f32 = 0.95;
/// What the shared words count for.
const WORDS_SHARE: f32 = 0.4;
/// The least closeness of a group's question to its leader.
const ALIKE: f32 = 0.55;

/// Questions that mean the same.
#[derive(Clone, Debug, PartialEq)]
pub struct Group {
    /// Places of the questions, the leader's first, with how close each is to the leader, 0 to 1.
    pub members: Vec<(usize, f32)>,
}

/// Puts `questions` into groups, in order of their leaders.
///
/// # Errors
/// When the model fails.
pub fn group(index: &Index, questions: &[&str]) -> Result<Vec<Group>, RetrievalError> {
    let mut read = Vec::with_capacity(questions.len());
    for question in questions {
        read.push(Read::of(index, question)?);
    }
    let mut groups: Vec<Group> = Vec::new();
    for (place, question) in read.iter().enumerate() {
        let close = |group: &Group| closeness(index, question, &read[group.members[0].0]);
        let mut best: Option<(usize, f32)> = None;
        for (idx, found) in groups.iter().enumerate() {
            let close = close(found);
            if close >= ALIKE && best.is_none_or(|(_, most)| close > most) {
                best = Some((idx, close));
            }
        }
        match best {
            Some((idx, close)) => groups[idx].members.push((place, close)),
            None => groups.push(Group { members: vec![(place, 1.0)] }),
        }
    }
    Ok(groups)
}

/// A question as it is compared.
struct Read {
    vector: Vec<f32>,
    words: BTreeSet<String>,
    models: BTreeSet<String>,
}

impl Read {
    fn of(index: &Index, question: &str) -> Result<Self, RetrievalError> {
        let corrected = index.corrected(question);
        let words: BTreeSet<String> =
            index.words(corrected.as_deref().unwrap_or(question)).into_iter().collect();
        let is_model = |word: &&String| {
            word.chars().any(|c| c.is_ascii_digit()) && word.chars().any(|c| c.is_ascii_alphabetic())
        };
        let models = words.iter().filter(is_model).cloned().collect();
        Ok(Self { vector: index.question_vector(question)?, words, models })
    }
}

/// How close two questions are, 0 to 1.
fn closeness(index: &Index, a: &Read, b: &Read) -> f32 {
    if a.models != b.models {
        return 0.0;
    }
    let cosine: f32 = a.vector.iter().zip(&b.vector).map(|(x, y)| x * y).sum();
    let meaning = ((cosine - FAR) / (NEAR - FAR)).clamp(0.0, 1.0);
    let weight =
        |words: &mut dyn Iterator<Item = &String>| -> f32 { words.map(|word| index.rarity(word)).sum() };
    let all = weight(&mut a.words.union(&b.words));
    let shared = weight(&mut a.words.intersection(&b.words));
    let words = if all > 0.0 { shared / all } else { 0.0 };
    WORDS_SHARE * words + (1.0 - WORDS_SHARE) * meaning
}
