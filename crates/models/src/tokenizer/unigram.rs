//! A lean tokeniser for `SentencePiece` Unigram models, the family of XLM-R and multilingual E5.
//!
//! Why not only the `tokenizers` crate: for the vocabulary of this model family it takes half a second and some
//! 300 MB to load, more than the model itself. This one reads the same `tokenizer.json`, gives the same ids (a
//! test compares them over a mixed corpus) and is ready in some tens of milliseconds.
//!
//! The steps: characters through the normalisation map; runs of spaces to one; `▁` for spaces and before the
//! first word; within each word (from one `▁` to the next) the segmentation with the highest sum of scores;
//! characters that no piece covers become one `<unk>` a run. Sums are in `f64` and a later candidate must be
//! better to win, so that ties fall as in the reference.
//!
//! Differences from `tokenizers`, as in the source this model was imported from: special tokens written out in a
//! text are pieces like others (so what follows one does not start a new word), and a combining mark after a
//! mapped character is kept rather than dropped.

use serde::Deserialize;

use super::charsmap::Charsmap;
use super::trie::Trie;

const METASPACE: char = '▁';
/// How much worse than the rarest piece an unknown character scores, as in `SentencePiece`.
const UNKNOWN_PENALTY: f64 = 10.0;

/// The tokeniser.
pub(crate) struct Unigram {
    trie: Trie,
    scores: Vec<f64>,
    unknown_id: u32,
    unknown_score: f64,
    charsmap: Charsmap,
    /// What each ASCII character becomes, so that the trie of the map is asked for the others only.
    ascii: [Ascii; 128],
    /// Ids put before and after the tokens of a text.
    prefix: Vec<u32>,
    suffix: Vec<u32>,
}

#[derive(Clone, Copy)]
enum Ascii {
    Same,
    Space,
    Drop,
    Map,
}

impl Unigram {
    /// Reads a `tokenizer.json` of exactly the supported shape. `Ok(None)` when it is another kind of tokeniser.
    ///
    /// # Errors
    /// A message when the file is of this kind and contradicts itself.
    pub(crate) fn from_json(json: &[u8]) -> Result<Option<Self>, String> {
        let Ok(file) = serde_json::from_slice::<File>(json) else { return Ok(None) };
        let Normalizer::Sequence { normalizers } = file.normalizer;
        let [Step::Precompiled { precompiled_charsmap }, Step::Replace { pattern, content }] =
            normalizers.as_slice()
        else {
            return Ok(None);
        };
        let PreTokenizer::Metaspace { replacement, prepend_scheme, split } = &file.pre_tokenizer;
        let supported = pattern.regex == " {2,}"
            && content == " "
            && *replacement == METASPACE
            && prepend_scheme == "always"
            && *split
            && !file.model.byte_fallback;
        if !supported {
            return Ok(None);
        }
        let bytes = base64::Engine::decode(&base64::engine::general_purpose::STANDARD, precompiled_charsmap)
            .map_err(|error| format!("the normalisation map is not base64: {error}"))?;
        let charsmap = Charsmap::parse(&bytes).ok_or("the normalisation map is cut short")?;
        let PostProcessor::TemplateProcessing { single, special_tokens } = file.post_processor;
        let mut template = single.iter();
        let mut special_ids = || {
            let mut ids = Vec::new();
            for part in template.by_ref() {
                match part {
                    TemplatePart::SpecialToken { id } => ids.extend(
                        special_tokens
                            .get(id)
                            .ok_or_else(|| format!("the template's special token {id} has no id"))?
                            .ids
                            .iter(),
                    ),
                    TemplatePart::Sequence {} => break,
                }
            }
            Ok::<_, String>(ids)
        };
        let (prefix, suffix) = (special_ids()?, special_ids()?);
        let vocabulary = file.model.vocab;
        let n_pieces = vocabulary.len();
        if file.model.unk_id as usize >= n_pieces {
            return Err(format!("the unknown token {} is beyond the {n_pieces} pieces", file.model.unk_id));
        }
        if let Some(id) = prefix.iter().chain(&suffix).find(|&&id| id as usize >= n_pieces) {
            return Err(format!("special token {id} is beyond the {n_pieces} pieces"));
        }
        let least = vocabulary.iter().map(|(_, score)| *score).fold(f64::INFINITY, f64::min);
        if !least.is_finite() {
            return Err("a piece's score is not a number".to_owned());
        }
        let ascii = std::array::from_fn(|code| {
            let character = [code as u8];
            let text = std::str::from_utf8(&character).expect("codes below 128 are ASCII");
            match charsmap.longest_match(text) {
                None => Ascii::Same,
                Some((_, "")) => Ascii::Drop,
                Some((_, " ")) => Ascii::Space,
                Some(_) => Ascii::Map,
            }
        });
        Ok(Some(Self {
            trie: Trie::new(vocabulary.iter().map(|(piece, _)| piece.as_ref())),
            scores: vocabulary.iter().map(|(_, score)| *score).collect(),
            unknown_id: file.model.unk_id,
            unknown_score: least - UNKNOWN_PENALTY,
            charsmap,
            ascii,
            prefix,
            suffix,
        }))
    }

    /// Number of pieces; ids are below it.
    pub(crate) fn n_pieces(&self) -> usize {
        self.scores.len()
    }

    /// Ids put before a text's tokens.
    pub(crate) fn prefix(&self) -> &[u32] {
        &self.prefix
    }

    /// Ids put after a text's tokens.
    pub(crate) fn suffix(&self) -> &[u32] {
        &self.suffix
    }

    /// The ids of `text` without special tokens, at most `limit` of them.
    pub(crate) fn encode(&self, text: &str, limit: usize) -> Vec<u32> {
        let mut ids = Vec::new();
        self.segment(text, limit, |id| ids.push(id));
        ids.truncate(limit);
        ids
    }

    /// Number of tokens of `text` without special tokens.
    pub(crate) fn count(&self, text: &str) -> usize {
        let mut n_tokens = 0;
        self.segment(text, usize::MAX, |_| n_tokens += 1);
        n_tokens
    }

    fn segment(&self, text: &str, limit: usize, mut emit: impl FnMut(u32)) {
        let mut scratch = Scratch::default();
        let mut n_emitted = 0;
        self.for_each_word(text, &mut |word| {
            self.best_path(word, &mut scratch);
            for &id in scratch.path.iter().rev() {
                emit(id);
            }
            n_emitted += scratch.path.len();
            n_emitted < limit
        });
    }

    /// Normalises and calls `word` with each stretch that starts at a `▁`; stops when it returns `false`.
    fn for_each_word(&self, text: &str, word: &mut impl FnMut(&[char]) -> bool) {
        let mut current: Vec<char> = Vec::with_capacity(text.len().min(4096));
        let mut space_before = false;
        let mut push = |character: char| {
            if character == ' ' {
                // A run of spaces counts as one, so that only its first starts a word.
                if space_before {
                    return true;
                }
                space_before = true;
                let go_on = current.is_empty() || word(&current);
                current.clear();
                current.push(METASPACE);
                return go_on;
            }
            space_before = false;
            if current.is_empty() {
                current.push(METASPACE);
            }
            current.push(character);
            true
        };
        let mut rest = text;
        while let Some(character) = rest.chars().next() {
            let mut length = character.len_utf8();
            let go_on = match self.ascii.get(character as usize) {
                Some(Ascii::Same) => push(character),
                Some(Ascii::Space) => push(' '),
                Some(Ascii::Drop) => true,
                Some(Ascii::Map) | None => {
                    if let Some((matched, replacement)) = self.charsmap.longest_match(rest) {
                        length = matched;
                        replacement.chars().all(&mut push)
                    } else {
                        push(character)
                    }
                }
            };
            if !go_on {
                return;
            }
            rest = &rest[length..];
        }
        if !current.is_empty() {
            word(&current);
        }
    }

    /// Viterbi over one word; leaves the ids in `scratch.path`, last first.
    fn best_path(&self, word: &[char], scratch: &mut Scratch) {
        let nodes = &mut scratch.nodes;
        nodes.clear();
        nodes.resize(word.len() + 1, Node::UNREACHED);
        nodes[0].score = 0.0;
        for start in 0..word.len() {
            let score_here = nodes[start].score;
            let mut single = false;
            self.trie.prefixes(&word[start..], |n_characters, id| {
                if id == self.unknown_id {
                    return;
                }
                single |= n_characters == 1;
                let node = &mut nodes[start + n_characters];
                let score = score_here + self.scores[id as usize];
                if score > node.score {
                    *node = Node { score, id, start: start as u32 };
                }
            });
            if !single {
                let node = &mut nodes[start + 1];
                let score = score_here + self.unknown_score;
                if score > node.score {
                    *node = Node { score, id: self.unknown_id, start: start as u32 };
                }
            }
        }
        scratch.path.clear();
        let mut end = word.len();
        while end > 0 {
            let node = nodes[end];
            let repeated_unknown =
                node.id == self.unknown_id && scratch.path.last() == Some(&self.unknown_id);
            if !repeated_unknown {
                scratch.path.push(node.id);
            }
            end = node.start as usize;
        }
    }
}

#[derive(Default)]
struct Scratch {
    nodes: Vec<Node>,
    path: Vec<u32>,
}

/// The best way to reach a place: its score, its last piece and where that piece starts.
#[derive(Clone, Copy)]
struct Node {
    score: f64,
    id: u32,
    start: u32,
}

impl Node {
    const UNREACHED: Self = Self { score: f64::NEG_INFINITY, id: 0, start: 0 };
}

// The parts of `tokenizer.json` that matter here. Anything else does not parse, and then the file is for the
// general tokeniser.

#[derive(Deserialize)]
struct File<'a> {
    normalizer: Normalizer,
    pre_tokenizer: PreTokenizer,
    post_processor: PostProcessor,
    #[serde(borrow)]
    model: Model<'a>,
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum Normalizer {
    Sequence { normalizers: Vec<Step> },
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum Step {
    Precompiled { precompiled_charsmap: String },
    Replace { pattern: Pattern, content: String },
}

#[derive(Deserialize)]
struct Pattern {
    #[serde(rename = "Regex")]
    regex: String,
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum PreTokenizer {
    Metaspace { replacement: char, prepend_scheme: String, split: bool },
}

#[derive(Deserialize)]
#[serde(tag = "type")]
enum PostProcessor {
    TemplateProcessing {
        single: Vec<TemplatePart>,
        special_tokens: std::collections::HashMap<String, SpecialToken>,
    },
}

#[derive(Deserialize)]
enum TemplatePart {
    SpecialToken { id: String },
    Sequence {},
}

#[derive(Deserialize)]
struct SpecialToken {
    ids: Vec<u32>,
}

#[derive(Deserialize)]
struct Model<'a> {
    #[serde(rename = "type")]
    _kind: UnigramKind,
    unk_id: u32,
    #[serde(default)]
    byte_fallback: bool,
    #[serde(borrow)]
    vocab: Vec<(std::borrow::Cow<'a, str>, f64)>,
}

#[derive(Deserialize)]
enum UnigramKind {
    Unigram,
}
