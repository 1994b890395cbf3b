//! The company's own models: families by the letters of their numbers, and sizes by the first figure in them.

use flightdeck_corpus::{Audience, Document, Kind};
use flightdeck_retrieval::{Index, fold_text, is_han};
use jiff::civil::Date;

use crate::question::{Language, models};

/// The one model whose sheet a document is, in this language.
pub(crate) fn sheet_of(document: &Document, language: Language) -> Option<String> {
    let is_sheet = document.kind == Kind::Product
        && document.title.chars().any(is_han) == (language == Language::Chinese);
    let named = if is_sheet { models(&fold_text(&document.title)) } else { Vec::new() };
    <[String; 1]>::try_from(named).ok().map(|[model]| model)
}

/// The product of the same family that comes next in size, as its sheet spells it.
pub(crate) fn neighbour(
    model: &str,
    bigger: bool,
    index: &Index,
    audience: Audience,
    day: Date,
) -> Option<String> {
    let (of, size) = family(model)?;
    let mut sizes = members(of, index, audience, day).into_iter();
    if bigger {
        sizes.find(|(number, _)| *number > size).map(|(_, name)| name)
    } else {
        sizes.rev().find(|(number, _)| *number < size).map(|(_, name)| name)
    }
}

/// The products of the family that this number would belong to, nearest in size first; none where it is one of them.
pub(crate) fn siblings(model: &str, index: &Index, audience: Audience, day: Date) -> Vec<String> {
    let Some((of, size)) = family(model) else { return Vec::new() };
    let mut members = members(of, index, audience, day);
    if members.iter().any(|(_, name)| models(&fold_text(name)).iter().any(|known| known == model)) {
        return Vec::new();
    }
    members.sort_by_key(|(number, _)| number.abs_diff(size));
    members.into_iter().map(|(_, name)| name).collect()
}

/// The served products of a family, the smallest first.
fn members(of: &str, index: &Index, audience: Audience, day: Date) -> Vec<(u64, String)> {
    let mut sizes: Vec<(u64, String)> = Vec::new();
    for document in index.served(audience, day).filter(|document| document.kind == Kind::Product) {
        for product in &document.profile.product {
            let [known] = &models(&fold_text(product))[..] else { continue };
            if let Some((letters, number)) = family(known)
                && letters == of
            {
                sizes.push((number, product.clone()));
            }
        }
    }
    sizes.sort();
    sizes.dedup();
    sizes
}

/// The letters that a model number begins with, and its first number.
fn family(model: &str) -> Option<(&str, u64)> {
    let letters = model.bytes().take_while(u8::is_ascii_alphabetic).count();
    let digits = model[letters..].bytes().take_while(u8::is_ascii_digit).count();
    let number = model[letters..letters + digits].parse().ok()?;
    (letters > 0).then_some((&model[..letters], number))
}

#[cfg(test)]
mod tests {
    use super::family;

    #[test]
    fn a_number_has_a_family_and_a_size() {
        assert_eq!(family("lb300s"), Some(("lb", 300)));
        assert_eq!(family("300s"), None);
        assert_eq!(family("lb"), None);
    }
}
