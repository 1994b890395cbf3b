//! What tables say of products in figures, so that two documents can be held against each other.

use std::ops::Range;

use unicode_normalization::UnicodeNormalization;

use crate::document::{Document, Kind};
use crate::structure::{Markup, Shape, sections};

/// One figure of a table: of which product, which attribute, and its value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatedFigure {
    /// As the document's profile spells it.
    pub product: String,
    /// The row's name.
    pub attribute: String,
    /// The cell, with its unit.
    pub value: String,
    /// Bytes of the document's text: the table's row.
    pub row: Range<usize>,
}

impl StatedFigure {
    /// Product, attribute, and the value's words without its numbers, however written: `bottles/min` is not compared
    /// with `pcs/h`.
    pub fn what(&self) -> (String, String, String) {
        let unit = fold(&self.value).chars().filter(|c| !c.is_ascii_digit() && *c != '.').collect();
        (fold(&self.product), fold(&self.attribute), unit)
    }

    /// Whether the other says another number of the same.
    pub fn contradicts(&self, other: &Self) -> bool {
        self.what() == other.what() && numbers(&self.value) != numbers(&other.value)
    }
}

/// The figures of the document's Markdown tables whose first column names attributes. Comparisons with others' products
/// state none, since their attributes are not the company's to hold.
pub fn stated_figures(document: &Document) -> Vec<StatedFigure> {
    let mut figures = Vec::new();
    if !document.fields.is_empty() || document.kind == Kind::Competitor {
        return figures;
    }
    let text = &document.text;
    for section in sections(text, Markup::Markdown) {
        for block in &section.blocks {
            let Shape::Table { header } = &block.shape else { continue };
            let columns = cells(text[header.clone()].lines().next().unwrap_or_default());
            // A column for each product under its own name, or one for the only product of the document.
            let products: Vec<Option<String>> = columns
                .iter()
                .enumerate()
                .map(|(idx, column)| {
                    let named = document.profile.product.iter().find(|product| fold(product) == fold(column));
                    let is_only = columns.len() == 2 && idx == 1 && document.profile.product.len() == 1;
                    named.or(document.profile.product.first().filter(|_| is_only)).cloned()
                })
                .collect();
            let mut offset = header.end;
            for row in text[header.end..block.span.end].split_inclusive('\n') {
                let values = cells(row);
                for (value, product) in values.iter().zip(&products).skip(1) {
                    let Some(product) = product else { continue };
                    if numbers(value).len() == 1 && !values[0].is_empty() {
                        figures.push(StatedFigure {
                            product: product.clone(),
                            attribute: values[0].clone(),
                            value: value.clone(),
                            row: offset..offset + row.trim_end().len(),
                        });
                    }
                }
                offset += row.len();
            }
        }
    }
    figures
}

fn cells(row: &str) -> Vec<String> {
    let row = row.trim().trim_start_matches('|').trim_end_matches('|');
    row.split('|').map(|cell| cell.trim().to_owned()).collect()
}

pub(crate) fn fold(text: &str) -> String {
    text.nfkc().flat_map(char::to_lowercase).filter(|c| !c.is_whitespace() && *c != '*').collect()
}

fn numbers(text: &str) -> Vec<String> {
    let folded = fold(text).replace(',', "");
    let mut numbers: Vec<String> = Vec::new();
    let mut before = ' ';
    let mut is_unit = false;
    for c in folded.chars() {
        let (is_part, was_part) = (c.is_ascii_digit() || c == '.', before.is_ascii_digit() || before == '.');
        if is_part && !was_part {
            // The digit behind a letter is the unit's: the 3 of `m3/h`.
            is_unit = before.is_ascii_alphabetic();
            if !is_unit {
                numbers.push(String::new());
            }
        }
        if is_part
            && !is_unit
            && let Some(number) = numbers.last_mut()
        {
            number.push(c);
        }
        before = c;
    }
    let trimmed = numbers.into_iter().map(|number| number.trim_matches('.').to_owned());
    trimmed.filter(|number| !number.is_empty()).collect()
}
