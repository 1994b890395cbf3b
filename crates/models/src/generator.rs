//! The boundary to language models: a prompt in, text out piece by piece.
//!
//! A generator knows strings, not documents: what a prompt holds and what may be made of the text is its caller's
//! business. It blocks the calling thread, hands out text as it comes, looks often whether anybody still listens, and
//! ends by itself within the time it was given, whatever the model does.

use std::ops::ControlFlow;
use std::time::Duration;

/// What a model is asked: rules that hold, and the matter they are applied to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Prompt {
    /// The system message.
    pub system: String,
    /// The user message.
    pub user: String,
}

/// Who takes the text while it is made.
pub trait Listener {
    /// The next piece, never empty; a break ends the generation with [`GenerateError::Cancelled`].
    fn text(&mut self, piece: &str) -> ControlFlow<()>;

    /// Whether nobody waits any more. Asked some times a second, also while there is no text yet.
    fn is_gone(&self) -> bool {
        false
    }
}

/// What was spent on an answer. A server that does not count tokens leaves them unknown.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Tokens of the prompt.
    pub prompt_tokens: Option<u64>,
    /// Tokens of the answer.
    pub completion_tokens: Option<u64>,
    /// By the prices of the settings, in their currency; unknown without prices or without counts.
    pub cost: Option<f64>,
    /// From the call to the first piece of text, retries included.
    pub first_text: Option<Duration>,
}

impl Usage {
    /// Counts a further generation for the same answer; the first text stays the first one's.
    pub fn add(&mut self, further: Self) {
        fn sum<T: std::ops::Add<Output = T>>(a: Option<T>, b: Option<T>) -> Option<T> {
            match (a, b) {
                (Some(a), Some(b)) => Some(a + b),
                (one, other) => one.or(other),
            }
        }
        self.prompt_tokens = sum(self.prompt_tokens, further.prompt_tokens);
        self.completion_tokens = sum(self.completion_tokens, further.completion_tokens);
        self.cost = sum(self.cost, further.cost);
        self.first_text = self.first_text.or(further.first_text);
    }
}

/// Why a generation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finish {
    /// The model said all it wanted to say.
    Complete,
    /// The longest allowed answer was reached.
    Length,
}

/// A generation that ended well.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Generated {
    /// Why it ended.
    pub finish: Finish,
    /// What it took.
    pub usage: Usage,
}

/// A language model.
pub trait Generator: Send + Sync {
    /// The model's name, as it is shown beside an answer.
    fn name(&self) -> &str;

    /// Tokens that a prompt may have so that the answer still has its room.
    fn prompt_budget(&self) -> usize;

    /// Tokens of `text`; an upper estimate where the model's own count is not at hand.
    fn count_tokens(&self, text: &str) -> usize;

    /// Answers `prompt`, giving the text to `listener` as it comes.
    ///
    /// # Errors
    /// As [`GenerateError`]. Text may have been given out before.
    fn generate(&self, prompt: &Prompt, listener: &mut dyn Listener) -> Result<Generated, GenerateError>;
}

/// Why there is no answer, or not all of one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum GenerateError {
    /// The listener has gone.
    #[error("cancelled")]
    Cancelled,
    /// The first text did not come in time.
    #[error("no text within {} s", .0.as_secs_f32())]
    Slow(Duration),
    /// The text began and did not end in time.
    #[error("not finished within {} s", .0.as_secs_f32())]
    Unfinished(Duration),
    /// The prompt does not fit the model.
    #[error("the prompt has {tokens} tokens, and {budget} fit")]
    TooLong {
        /// Tokens of the prompt.
        tokens: usize,
        /// Tokens that fit.
        budget: usize,
    },
    /// The server failed lately and is left alone for a while.
    #[error("the model server failed {failures} times in a row and is not asked for a while")]
    Resting {
        /// Failures in a row.
        failures: u32,
    },
    /// The server cannot be reached.
    #[error("the model server cannot be reached: {0}")]
    Unreachable(String),
    /// The server refused.
    #[error("the model server answered {status}: {message}")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// What it said, shortened.
        message: String,
    },
    /// What the server sent cannot be understood, or breaks off.
    #[error("the model server's answer is broken: {0}")]
    Broken(String),
    /// The computation itself failed.
    #[error("the model failed: {0}")]
    Failed(String),
}

/// An upper estimate of the tokens of `text` for models whose tokeniser is not at hand: at most one for a Chinese
/// character or another sign outside ASCII, one for three letters, one for a digit or mark.
pub(crate) fn estimated_tokens(text: &str) -> usize {
    let (mut tokens, mut letters) = (0, 0);
    for c in text.chars() {
        if c.is_ascii_alphabetic() {
            letters += 1;
        } else if c != ' ' {
            tokens += 1;
        }
    }
    tokens + letters / 3 + usize::from(letters % 3 > 0)
}

/// Takes out what a reasoning model thinks aloud, `<think>…</think>`, from text that comes in pieces.
#[derive(Default)]
pub(crate) struct Thoughts {
    /// What cannot be decided yet: the beginning of a tag.
    held: String,
    is_inside: bool,
    /// White space after a thought belongs to it.
    has_just_ended: bool,
}

impl Thoughts {
    /// The part of `piece`, and of what was held back, that is said and not thought.
    pub fn said(&mut self, piece: &str) -> String {
        self.held.push_str(piece);
        let mut said = String::new();
        loop {
            let tag = if self.is_inside { "</think>" } else { "<think>" };
            if let Some(at) = self.held.find(tag) {
                if !self.is_inside {
                    said.push_str(&self.held[..at]);
                }
                self.held.drain(..at + tag.len());
                self.has_just_ended = self.is_inside;
                self.is_inside = !self.is_inside;
                continue;
            }
            // The longest end of the text that may be the beginning of the tag waits.
            let begun = (1..tag.len()).rev().find(|&n| self.held.ends_with(&tag[..n])).unwrap_or(0);
            let rest = self.held.split_off(self.held.len() - begun);
            if !self.is_inside {
                said.push_str(&self.held);
            }
            self.held = rest;
            break;
        }
        self.without_lead(said)
    }

    /// What was held back and is no tag after all, at the end.
    pub fn rest(&mut self) -> String {
        let held = std::mem::take(&mut self.held);
        if self.is_inside { String::new() } else { self.without_lead(held) }
    }

    fn without_lead(&mut self, said: String) -> String {
        if !self.has_just_ended {
            return said;
        }
        let trimmed = said.trim_start();
        if !trimmed.is_empty() {
            self.has_just_ended = false;
        }
        trimmed.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn thoughts_are_taken_out_however_the_text_is_cut() {
        let text = "<think>先想一想 < 3 </thin k></think>\n\n答案是 4 < 5。<b>";
        for size in 1..text.chars().count() {
            let letters: Vec<char> = text.chars().collect();
            let mut thoughts = Thoughts::default();
            let mut said = String::new();
            for piece in letters.chunks(size) {
                said.push_str(&thoughts.said(&piece.iter().collect::<String>()));
            }
            said.push_str(&thoughts.rest());
            assert_eq!(said, "答案是 4 < 5。<b>", "in pieces of {size}");
        }
    }

    #[test]
    fn a_thought_without_an_end_says_nothing() {
        let mut thoughts = Thoughts::default();
        assert_eq!(thoughts.said("<think>没想完"), "");
        assert_eq!(thoughts.rest(), "");
    }

    #[test]
    fn an_estimate_counts_characters_and_thirds_of_words() {
        assert_eq!(estimated_tokens("速度 300 瓶"), 6);
        assert_eq!(estimated_tokens("labels"), 2);
        assert_eq!(estimated_tokens(""), 0);
    }
}
