//! Whether a sentence of a model is what its sources say.
//!
//! A model may word an answer, it may not add to it. Everything that can be compared to the letter is: quantities,
//! model numbers, addresses, and what is affirmed or denied; and most of a sentence's words must stand in the
//! sources it names. What a sentence may say is decided here from the sources alone, whatever the model, a document
//! or a customer's message says about it.

use std::collections::HashSet;
use std::ops::Range;
use std::sync::Arc;

use flightdeck_corpus::{Chunk, Document};
use flightdeck_retrieval::fold_text;
#[cfg(test)]
use flightdeck_retrieval::is_han;

use crate::claims::{Quantity, addresses, codes, contradicts, markup, quantities};
use crate::question::share_in;
use crate::units::{Form, trim, units};

/// Share of a sentence's meaning, by rarity of its words, that must stand in the sources it names.
const COVERED: f32 = 0.7;
/// The same for a sentence that names no source: it is given the one that says nearly all of it.
const COVERED_UNNAMED: f32 = 0.85;

/// What the check needs to know of words.
pub(crate) trait Lexicon {
    /// The content words of `text`, in order.
    fn words(&self, text: &str) -> Vec<String>;
    /// All terms of `text`: words, parts of model numbers, pairs of characters.
    fn terms(&self, text: &str) -> HashSet<String>;
    /// How rare a word is, above 0.
    fn rarity(&self, word: &str) -> f32;
}

impl Lexicon for flightdeck_retrieval::Index {
    fn words(&self, text: &str) -> Vec<String> {
        self.words(text)
    }

    fn terms(&self, text: &str) -> HashSet<String> {
        self.terms(text)
    }

    fn rarity(&self, word: &str) -> f32 {
        self.rarity(word)
    }
}

/// A passage that an answer may be made of.
pub(crate) struct Source {
    pub document: Arc<Document>,
    pub chunk: Arc<Chunk>,
    /// What the model reads and a sentence is held against.
    pub text: String,
    /// What a citation shows beside its quote: title, headings, link, time.
    context: String,
    /// The model numbers that the document as a whole is about.
    subjects: Vec<String>,
    terms: HashSet<String>,
    pieces: Vec<Piece>,
}

/// A sentence, list item or row of a source, or all of it.
struct Piece {
    span: Range<usize>,
    /// The words as they would be quoted.
    quantities: Vec<Quantity>,
    codes: Vec<(String, usize)>,
    terms: HashSet<String>,
}

/// A sentence that passed, with what it stands on: for each source, by its place in the list, what is quoted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Supported {
    pub quotes: Vec<(usize, Range<usize>)>,
}

/// Why a sentence did not pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Unsupported {
    /// It names no source that exists, and none says it.
    NoSource,
    /// A quantity stands in none of its sources, or belongs to something else there.
    Quantity,
    /// A model number stands in none of its sources.
    Code,
    /// An address stands in none of its sources.
    Address,
    /// A tag or the target of a link stands in none of its sources.
    Markup,
    /// It affirms what its sources deny, or denies what they affirm.
    Contradicts,
    /// Too little of it stands in its sources.
    Words,
}

impl Source {
    /// A passage as a source.
    pub fn new(document: Arc<Document>, chunk: Arc<Chunk>, lexicon: &dyn Lexicon) -> Self {
        let text = chunk.shown(&document);
        let mut context = vec![document.title.clone()];
        context.extend(chunk.location.heading.iter().cloned());
        context.extend(document.link.clone());
        context.extend(chunk.location.start_ms.map(|ms| format!("{:02}:{:02}", ms / 60_000, ms / 1000 % 60)));
        let context = context.join("\n");
        let subject = format!("{} {}", document.title, document.profile.product.join(" "));
        let subjects = codes(&subject).into_iter().map(|(code, _)| code).collect();
        let whole =
            chunk.table_header.as_ref().map_or(chunk.span.start, |header| header.start)..chunk.span.end;
        let mut pieces: Vec<Piece> = units(&document, &chunk)
            .into_iter()
            .filter(|unit| unit.form != Form::Heading)
            .map(|unit| {
                // A row's words bear its columns' names; the quote bears the figures in them.
                let quote = &document.text[unit.span.clone()];
                let in_quote =
                    |quantity: &Quantity| quantities(quote).iter().any(|q| q.number == quantity.number);
                let mut stated = quantities(&unit.words);
                stated.retain(in_quote);
                Piece {
                    quantities: stated,
                    codes: codes(&unit.words),
                    terms: lexicon.terms(&unit.words),
                    span: unit.span,
                }
            })
            .collect();
        let whole = trim(&document.text, whole);
        let quote = &document.text[whole.clone()];
        pieces.push(Piece {
            quantities: quantities(quote),
            codes: codes(quote),
            terms: lexicon.terms(quote),
            span: whole,
        });
        let terms = lexicon.terms(&format!("{context}\n{text}"));
        Self { document, chunk, text, context, subjects, terms, pieces }
    }

    fn says_code(&self, code: &str) -> bool {
        let in_pieces = self.pieces.iter().any(|piece| piece.codes.iter().any(|(known, _)| known == code));
        in_pieces || self.subjects.iter().any(|known| known == code) || {
            codes(&self.context).iter().any(|(known, _)| known == code)
        }
    }

    /// The place of the shortest piece that holds all of `wanted`, with those that the context holds left out; the
    /// words decide among pieces that hold as much.
    fn best_piece(&self, wanted: &[&Quantity], sentence: &Sentence) -> &Piece {
        let in_context = quantities(&self.context);
        let score = |piece: &Piece| {
            let held = wanted
                .iter()
                .filter(|quantity| sentence.held_by(quantity, piece, self) || states(&in_context, quantity))
                .count();
            let shared = sentence.terms.intersection(&piece.terms).count();
            // The whole passage holds everything; it is quoted only where no part of it does.
            let is_whole = std::ptr::eq(piece, self.pieces.last().expect("the whole is a piece"));
            (held, !is_whole, shared)
        };
        self.pieces.iter().max_by_key(|piece| score(piece)).expect("the whole is a piece")
    }
}

/// What a sentence claims.
struct Sentence {
    quantities: Vec<Quantity>,
    codes: Vec<(String, usize)>,
    terms: HashSet<String>,
}

impl Sentence {
    fn of(text: &str, lexicon: &dyn Lexicon) -> Self {
        Self { quantities: quantities(text), codes: codes(text), terms: lexicon.terms(text) }
    }

    fn names(&self, code: &str) -> bool {
        self.codes.iter().any(|(named, _)| named == code)
    }

    /// Whether the piece states the quantity, and of something that the sentence speaks of.
    fn held_by(&self, quantity: &Quantity, piece: &Piece, source: &Source) -> bool {
        piece.quantities.iter().any(|stated| {
            if !same(stated, quantity) {
                return false;
            }
            if self.codes.is_empty() {
                return true;
            }
            if piece.codes.is_empty() {
                return source.subjects.is_empty() || source.subjects.iter().any(|code| self.names(code));
            }
            // Where a piece speaks of several models, a figure belongs to the one named last before it.
            let owner = piece.codes.iter().rev().find(|(_, at)| *at < stated.at);
            match (owner, self.codes.as_slice()) {
                (Some((code, _)), [_]) => self.names(code),
                _ => piece.codes.iter().any(|(code, _)| self.names(code)),
            }
        })
    }
}

/// Checks a sentence, without its marks, against the sources that it names (places in `sources`).
///
/// # Errors
/// The first reason for which it cannot stand.
pub(crate) fn check(
    text: &str,
    named: &[usize],
    sources: &[Source],
    lexicon: &dyn Lexicon,
) -> Result<Supported, Unsupported> {
    if named.is_empty() {
        return Err(Unsupported::NoSource);
    }
    check_covered(text, named, sources, lexicon, COVERED).map(|(supported, _)| supported)
}

/// The source that says nearly all of a sentence that names none.
///
/// # Errors
/// [`Unsupported::NoSource`] when there is none.
pub(crate) fn attribute(
    text: &str,
    sources: &[Source],
    lexicon: &dyn Lexicon,
) -> Result<Supported, Unsupported> {
    (0..sources.len())
        .filter_map(|place| check_covered(text, &[place], sources, lexicon, COVERED_UNNAMED).ok())
        .reduce(|best, next| if next.1 > best.1 { next } else { best })
        .map(|(supported, _)| supported)
        .ok_or(Unsupported::NoSource)
}

fn check_covered(
    text: &str,
    named: &[usize],
    sources: &[Source],
    lexicon: &dyn Lexicon,
    least: f32,
) -> Result<(Supported, f32), Unsupported> {
    let sentence = Sentence::of(text, lexicon);
    let named: Vec<(usize, &Source)> = named.iter().map(|&place| (place, &sources[place])).collect();
    if !sentence.codes.iter().all(|(code, _)| named.iter().any(|(_, source)| source.says_code(code))) {
        return Err(Unsupported::Code);
    }
    let folded: Vec<String> =
        named.iter().map(|(_, source)| fold_text(&format!("{}\n{}", source.context, source.text))).collect();
    let own = fold_text(text);
    let is_said = |part: &&str| folded.iter().any(|said| said.contains(*part));
    if !addresses(&own).iter().all(is_said) {
        return Err(Unsupported::Address);
    }
    if !markup(&own).iter().all(is_said) {
        return Err(Unsupported::Markup);
    }
    let is_held = |quantity: &Quantity| {
        named.iter().any(|(_, source)| {
            source.pieces.iter().any(|piece| sentence.held_by(quantity, piece, source))
                || states(&quantities(&source.context), quantity)
        })
    };
    if !sentence.quantities.iter().all(is_held) {
        return Err(Unsupported::Quantity);
    }
    let covered = coverage(text, &named, lexicon);
    if covered < least {
        return Err(Unsupported::Words);
    }
    let quotes = quotes(&sentence, &named);
    let said: String = quotes
        .iter()
        .map(|(place, span)| format!("{}\n", &sources[*place].document.text[span.clone()]))
        .collect();
    if contradicts(text, &said) {
        return Err(Unsupported::Contradicts);
    }
    Ok((Supported { quotes }, covered))
}

/// What of each source is quoted for a sentence: the piece that says most of it, or all of the passages where the
/// pieces together do not hold its quantities.
fn quotes(sentence: &Sentence, named: &[(usize, &Source)]) -> Vec<(usize, Range<usize>)> {
    let wanted: Vec<&Quantity> = sentence.quantities.iter().collect();
    let best =
        named.iter().map(|(place, source)| (*place, source.best_piece(&wanted, sentence).span.clone()));
    let best: Vec<(usize, Range<usize>)> = best.collect();
    let shown = best.iter().zip(named).flat_map(|((_, span), (_, source))| {
        quantities(&format!("{}\n{}", source.context, &source.document.text[span.clone()]))
    });
    let shown: Vec<Quantity> = shown.collect();
    if wanted.iter().all(|quantity| shown.iter().any(|known| known.number == quantity.number)) {
        return best;
    }
    let whole = |source: &Source| source.pieces.last().expect("the whole is a piece").span.clone();
    named.iter().map(|(place, source)| (*place, whole(source))).collect()
}

/// Whether one of `stated` is `quantity`.
fn states(stated: &[Quantity], quantity: &Quantity) -> bool {
    stated.iter().any(|known| same(known, quantity))
}

/// Whether a stated quantity is the one claimed. A unit may be left out on either side, as cells of a table do whose
/// columns name it; two different ones are two quantities.
fn same(stated: &Quantity, claimed: &Quantity) -> bool {
    let fits = |stated: &str, claimed: &str| {
        let (counted, by) = stated.split_once('/').unwrap_or((stated, ""));
        let (claimed_counted, claimed_by) = claimed.split_once('/').unwrap_or((claimed, ""));
        let agree = |a: &str, b: &str| a.is_empty() || b.is_empty() || a == b;
        agree(counted, claimed_counted) && agree(by, claimed_by)
    };
    stated.number == claimed.number && stated.is_part == claimed.is_part && fits(&stated.unit, &claimed.unit)
}

/// Share of the sentence's words, weighted by rarity, that stand in the named sources; 1 for a sentence without any.
fn coverage(text: &str, named: &[(usize, &Source)], lexicon: &dyn Lexicon) -> f32 {
    let (mut total, mut found) = (0.0, 0.0);
    for word in lexicon.words(text) {
        // Numbers are checked for themselves, and may be written in either way.
        let is_number =
            |c: char| c.is_ascii_digit() || c == '.' || "零〇一二两三四五六七八九十百千".contains(c);
        if !word.chars().any(char::is_alphanumeric) || word.chars().all(is_number) {
            continue;
        }
        let rarity = lexicon.rarity(&word).max(f32::EPSILON);
        total += rarity;
        let share = named.iter().map(|(_, source)| share_in(&word, &source.terms)).fold(0.0, f32::max);
        found += rarity * share;
    }
    if total > 0.0 { found / total } else { 1.0 }
}

/// Words for tests: characters and pairs of them, Latin words, all equally rare.
#[cfg(test)]
pub(crate) struct PlainLexicon;

#[cfg(test)]
impl Lexicon for PlainLexicon {
    fn words(&self, text: &str) -> Vec<String> {
        let folded = fold_text(text);
        let mut words = Vec::new();
        for run in folded.split(|c: char| !c.is_alphanumeric() && c != '-') {
            let chars: Vec<char> = run.chars().filter(|c| *c != '-').collect();
            if chars.iter().any(|c| is_han(*c)) {
                words.extend(chars.windows(2).map(|pair| pair.iter().collect::<String>()));
            } else if !chars.is_empty() {
                words.push(chars.into_iter().collect());
            }
        }
        words
    }

    fn terms(&self, text: &str) -> HashSet<String> {
        self.words(text).into_iter().collect()
    }

    fn rarity(&self, _: &str) -> f32 {
        1.0
    }
}

#[cfg(test)]
mod tests {
    use flightdeck_corpus::{Kind, Location};

    use super::*;

    fn source(title: &str, text: &str) -> Source {
        let document = Document::new("d", Kind::Product, title, "products/d.md", text);
        let chunk = Chunk {
            id: "d#1".into(),
            document: document.id.clone(),
            span: 0..text.len(),
            table_header: None,
            location: Location::default(),
        };
        Source::new(Arc::new(document), Arc::new(chunk), &PlainLexicon)
    }

    const SHEET: &str = "# LB-300S\n\n整机保修 24 个月，不含易损件。\n\n| 项目 | 参数 |\n| --- | --- |\n| 最高速度 | 300 瓶/分钟 |\n| 面价 | 26.8 万元 |\n";
    const GUIDE: &str = "| 型号 | 速度（瓶/分钟） | 交期（天） |\n| --- | --- | --- |\n| LB-300S | 300 | 45 |\n| LB-500R | 500 | 60 |\n\nLB-300S 每小时贴 18,000 瓶，LB-500R 每小时贴 30,000 瓶。\n";

    fn sources() -> Vec<Source> {
        vec![source("LB-300S 贴标机", SHEET), source("选型指南", GUIDE)]
    }

    fn judged(text: &str, named: &[usize]) -> Result<Vec<String>, Unsupported> {
        let sources = sources();
        let supported = check(text, named, &sources, &PlainLexicon)?;
        let quote =
            |(place, span): &(usize, Range<usize>)| sources[*place].document.text[span.clone()].to_owned();
        Ok(supported.quotes.iter().map(quote).collect())
    }

    #[test]
    fn what_the_source_says_passes_and_the_narrowest_piece_is_quoted() {
        assert_eq!(judged("LB-300S 最高速度 300 瓶/分钟。", &[0]).unwrap(), ["| 最高速度 | 300 瓶/分钟 |"]);
        assert_eq!(
            judged("整机保修二十四个月，不含易损件。", &[0]).unwrap(),
            ["整机保修 24 个月，不含易损件。"]
        );
        assert_eq!(judged("LB-500R 交期 60 天。", &[1]).unwrap(), ["| LB-500R | 500 | 60 |"]);
    }

    #[test]
    fn what_it_does_not_say_fails_with_the_reason() {
        for (text, named, reason) in [
            ("最高速度 320 瓶/分钟。", &[0][..], Unsupported::Quantity),
            ("最高速度 300 瓶/小时。", &[0], Unsupported::Quantity),
            ("面价 26.8 元。", &[0], Unsupported::Quantity),
            ("LB-300S 交期 60 天。", &[1], Unsupported::Quantity),
            ("LB-300S 每小时贴 30,000 瓶。", &[1], Unsupported::Quantity),
            ("LB-450 最高速度 300 瓶/分钟。", &[0], Unsupported::Code),
            ("整机保修 24 个月，含易损件。", &[0], Unsupported::Contradicts),
            ("整机保修 24 个月，详见 https://evil.example/x 易损件。", &[0], Unsupported::Address),
            ("整机保修 24 个月，不含易损件，见 evil.example。", &[0], Unsupported::Address),
            ("整机保修 24 个月，不含<b>易损件</b>。", &[0], Unsupported::Markup),
            ("[整机保修 24 个月](javascript:a())，不含易损件。", &[0], Unsupported::Markup),
            ("我们是全国最大的厂家，服务遍布各地。", &[0], Unsupported::Words),
            ("最高速度 300 瓶/分钟。", &[], Unsupported::NoSource),
        ] {
            assert_eq!(judged(text, named), Err(reason), "{text}");
        }
    }

    #[test]
    fn two_sources_may_share_a_sentence() {
        let text = "LB-300S 最高速度 300 瓶/分钟，交期 45 天。";
        assert_eq!(judged(text, &[0]), Err(Unsupported::Quantity));
        assert_eq!(judged(text, &[0, 1]).unwrap().len(), 2);
    }

    #[test]
    fn a_sentence_without_a_mark_is_given_the_source_that_says_it() {
        let sources = sources();
        let found = attribute("整机保修 24 个月，不含易损件。", &sources, &PlainLexicon).unwrap();
        assert_eq!(found.quotes[0].0, 0);
        assert_eq!(attribute("整机终身免费保修。", &sources, &PlainLexicon), Err(Unsupported::NoSource));
    }
}
