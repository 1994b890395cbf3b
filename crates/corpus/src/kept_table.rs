//! Tables in the knowledge folder that the program keeps for people: answers written in the console become rows there.
//!
//! They are ordinary tables, `faqs/console.csv` and `qa-history/console.csv`, which anybody may open, sort and change
//! in a spreadsheet. So a row is put among the columns as they are found, what stands there is left to the letter, and
//! the file is replaced in one step: whoever reads it sees it with the row or without.

use std::fs::{self, File};
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use jiff::civil::Date;

use crate::build::row_id;
use crate::columns::canonical;
use crate::document::{Audience, Kind};
use crate::encoding::decode;
use crate::readers::csv_records;

/// A row to be kept.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptRow {
    /// The question; a row with the same one is replaced.
    pub question: String,
    /// Its answer.
    pub answer: String,
    /// Words that people use for it and neither of the two has.
    pub keywords: Vec<String>,
    /// Who may see it.
    pub audience: Audience,
    /// Who wrote or approved it.
    pub author: Option<String>,
    /// When.
    pub date: Date,
}

/// Where a row is now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptPlace {
    /// The table's path in the knowledge folder.
    pub path: String,
    /// Id of the document that the row becomes, unless a sidecar gives the table another id.
    pub document_id: String,
    /// Whether a row with the same question was there before.
    pub replaced: bool,
}

/// Why a row cannot be kept.
#[derive(Debug, thiserror::Error)]
pub enum KeptTableError {
    /// There are tables for questions and answers only.
    #[error("there is no table of kind {0}")]
    NoTable(&'static str),
    /// The file that is there is no table with the columns that a row needs.
    #[error("{path} has no columns for a question and its answer; its first row must name them")]
    NoColumns {
        /// The table's path in the knowledge folder.
        path: String,
    },
    /// The file that is there cannot be read as text.
    #[error("{path} is no text")]
    NoText {
        /// The table's path in the knowledge folder.
        path: String,
    },
    /// The file or its folder cannot be read or written.
    #[error("cannot write {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// One row at a time, or one of two would be lost.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Puts a row into the table of its kind ([`Kind::Faq`] or [`Kind::Qa`]) below `root`; makes the table where there is
/// none. The row is on the disk when this returns.
///
/// # Errors
/// As [`KeptTableError`]; then the table is as it was.
pub fn keep_row(root: &Path, kind: Kind, row: &KeptRow) -> Result<KeptPlace, KeptTableError> {
    let (path, header) = match kind {
        Kind::Faq => ("faqs/console.csv", ["编号", "问题", "答案", "关键词", "可见范围", "作者", "日期"]),
        Kind::Qa => {
            ("qa-history/console.csv", ["编号", "客户问题", "销售回复", "关键词", "可见范围", "作者", "日期"])
        }
        other => return Err(KeptTableError::NoTable(other.name())),
    };
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    let file = root.join(path);
    let failed = |source| KeptTableError::Io { path: file.clone(), source };
    let folder = file.parent().expect("a table lies in a folder");
    fs::create_dir_all(folder).map_err(failed)?;
    let found = match fs::read(&file) {
        Ok(bytes) => decode(&bytes).map_err(|_| KeptTableError::NoText { path: path.to_owned() })?.text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(failed(error)),
    };
    let id = row_id(&row.question);
    let (text, replaced) = with_row(&found, &header, &id, row)
        .ok_or_else(|| KeptTableError::NoColumns { path: path.to_owned() })?;
    let temporary = folder.join(".console.csv.new");
    let write = || -> std::io::Result<()> {
        let mut new = File::create(&temporary)?;
        // Spreadsheets take a file without the mark for one of the old local encodings.
        new.write_all("\u{FEFF}".as_bytes())?;
        new.write_all(text.as_bytes())?;
        new.sync_all()?;
        fs::rename(&temporary, &file)
    };
    write().map_err(failed)?;
    let name = path.strip_suffix(".csv").expect("both tables are CSV");
    Ok(KeptPlace { path: path.to_owned(), document_id: format!("{name}#{id}"), replaced })
}

/// The table with the row in it, in the place of the one with its id or question, else at the end; `None` where there
/// are no columns for it.
fn with_row(found: &str, header: &[&str], id: &str, row: &KeptRow) -> Option<(String, bool)> {
    let mut text = found.to_owned();
    if text.trim().is_empty() {
        text = line(header.iter().map(|name| (*name).to_owned()), b',');
    }
    let (delimiter, records) = csv_records(&text);
    let names: Vec<String> = records.first()?.1.clone();
    let columns: Vec<Option<&str>> = names.iter().map(|name| canonical(name)).collect();
    let column = |name: &str| columns.iter().position(|known| *known == Some(name));
    let (question, _) = (column("question")?, column("answer")?);
    let value = |at: usize| -> String {
        match (columns[at], names[at].trim()) {
            (Some("id"), _) => id.to_owned(),
            (Some("question"), _) => row.question.clone(),
            (Some("answer"), _) => row.answer.clone(),
            (Some("keywords"), _) => row.keywords.join("、"),
            (Some("audience"), _) => audience_name(row.audience).to_owned(),
            (Some("date"), _) => row.date.to_string(),
            (_, "作者" | "author") => row.author.clone().unwrap_or_default(),
            _ => String::new(),
        }
    };
    let new = line((0..names.len()).map(|at| plain_text(&value(at))), delimiter);
    let id_column = column("id");
    let old = records.iter().skip(1).find(|(_, cells)| {
        let cell = |at: usize| cells.get(at).map(|cell| cell.trim());
        id_column.and_then(cell) == Some(id) || cell(question) == Some(row.question.trim())
    });
    let replaced = old.is_some();
    if let Some((span, _)) = old {
        text.replace_range(span.clone(), &new);
    } else {
        if !text.ends_with('\n') {
            text.push('\n');
        }
        text.push_str(&new);
    }
    // A table without a column for the audience would leave it to a default.
    (column("audience").is_some() || row.audience == Audience::Internal).then_some((text, replaced))
}

/// One line of a table, with its line break.
fn line(cells: impl Iterator<Item = String>, delimiter: u8) -> String {
    let mut writer = csv::WriterBuilder::new().delimiter(delimiter).from_writer(Vec::new());
    let cells: Vec<String> = cells.collect();
    writer.write_record(&cells).expect("memory can be written");
    String::from_utf8(writer.into_inner().expect("memory can be written")).expect("cells are text")
}

/// Questions come from customers, and a spreadsheet takes a cell that begins so for a formula; readers trim the blank.
fn plain_text(cell: &str) -> String {
    let cell = cell.replace("\r\n", "\n").replace('\r', "\n");
    let cell = cell.trim();
    if cell.starts_with(['=', '+', '-', '@', '\t']) { format!(" {cell}") } else { cell.to_owned() }
}

fn audience_name(audience: Audience) -> &'static str {
    match audience {
        Audience::Internal => "internal",
        Audience::Customer => "customer",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(question: &str, answer: &str) -> KeptRow {
        KeptRow {
            question: question.to_owned(),
            answer: answer.to_owned(),
            keywords: vec!["越南".to_owned(), "海外".to_owned()],
            audience: Audience::Customer,
            author: Some("林知夏".to_owned()),
            date: jiff::civil::date(2026, 11, 26),
        }
    }

    #[test]
    fn a_row_is_added_then_replaced_and_others_stay_to_the_letter() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let table = folder.path().join("faqs/console.csv");
        let first = keep_row(folder.path(), Kind::Faq, &row("有越南案例吗？", "有，\n\"胡志明市\"一家。"))
            .expect("kept");
        assert!(!first.replaced && first.document_id.starts_with("faqs/console#r"), "{first:?}");
        keep_row(folder.path(), Kind::Faq, &row("=1+1", "不是公式")).expect("kept");
        let before = fs::read_to_string(&table).expect("it is there");
        assert!(before.starts_with('\u{FEFF}'), "{before}");
        assert!(before.contains(" =1+1"), "no formula: {before}");
        let again = keep_row(folder.path(), Kind::Faq, &row("有越南案例吗？", "有两家。")).expect("kept");
        assert_eq!((again.replaced, &again.document_id), (true, &first.document_id));
        let after = fs::read_to_string(&table).expect("it is there");
        assert_eq!(after.matches("有越南案例吗").count(), 1);
        assert!(
            after.contains("有两家。") && after.contains("不是公式") && !after.contains("胡志明市"),
            "{after}"
        );
        assert!(!folder.path().join("faqs/.console.csv.new").exists());
    }

    #[test]
    fn a_table_that_people_have_changed_keeps_its_columns_and_its_delimiter() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir_all(folder.path().join("qa-history")).expect("writable");
        let table = folder.path().join("qa-history/console.csv");
        let (gbk, ..) = encoding_rs::GB18030
            .encode("可见范围;答案;问题;备注\ncustomer;十二个月;保修多久；含配件吗;手写\n");
        fs::write(&table, gbk).expect("writable");
        keep_row(folder.path(), Kind::Qa, &row("有越南案例吗", "有")).expect("kept");
        let text = fs::read_to_string(&table).expect("it is UTF-8 now");
        let expected = "\u{FEFF}可见范围;答案;问题;备注\ncustomer;十二个月;保修多久；含配件吗;手写\ncustomer;有;有越南案例吗;\n";
        assert_eq!(text, expected);
    }

    #[test]
    fn a_file_that_is_no_such_table_is_left_alone() {
        let folder = tempfile::tempdir().expect("a temporary folder");
        fs::create_dir_all(folder.path().join("faqs")).expect("writable");
        let table = folder.path().join("faqs/console.csv");
        for content in ["名称,价格\n甲,1\n", "问题,答案\n甲,乙\n"] {
            fs::write(&table, content).expect("writable");
            let error = keep_row(folder.path(), Kind::Faq, &row("有吗", "有")).expect_err("no columns");
            assert!(matches!(error, KeptTableError::NoColumns { .. }), "{error}");
            assert_eq!(fs::read_to_string(&table).expect("it is there"), content);
        }
    }
}
