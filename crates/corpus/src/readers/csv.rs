//! CSV as spreadsheets really write it: any delimiter, ragged rows, line breaks in cells.
//!
//! Quoting is left to the `csv` crate; lines are counted here from byte positions, because a citation names
//! the lines a person sees in an editor.

use csv::{ReaderBuilder, StringRecord};

use super::{Row, Table};
use crate::lines::LineIndex;
use crate::problem::Problem;

/// The file's one table; `None` where every cell is empty.
pub(crate) fn read(path: &str, text: &str, problems: &mut Vec<Problem>) -> Option<Table> {
    let (skipped, told) = told_delimiter(text);
    let delimiter = told.unwrap_or_else(|| sniff(&text[skipped..]));
    let index = LineIndex::new(text);
    let mut reader = ReaderBuilder::new()
        .delimiter(delimiter)
        .flexible(true)
        .has_headers(false)
        .from_reader(&text.as_bytes()[skipped..]);
    let mut rows = Vec::new();
    let mut record = StringRecord::new();
    // The text is valid UTF-8 and rows may be ragged, so reading a record from memory cannot fail.
    while reader.read_record(&mut record).unwrap_or(false) {
        let start = record.position().map_or(0, csv::Position::byte) as usize + skipped;
        let end = reader.position().byte() as usize + skipped;
        let raw = &text[start..end.min(text.len())];
        let start = start + (raw.len() - raw.trim_start_matches('\n').len());
        let raw = raw.trim_matches('\n');
        let lines = (index.line_at(start), index.line_at(start + raw.len().saturating_sub(1)));
        if end >= text.len() && raw.bytes().filter(|&byte| byte == b'"').count() % 2 == 1 {
            problems.push(Problem::error(
                path,
                Some(lines.0),
                "bad_row",
                "a quotation mark opened in this row is never closed; what follows was read as one cell",
                "本行有引号未闭合，其后的内容被当成了一个单元格",
            ));
        }
        let cells: Vec<String> = record.iter().map(|cell| cell.trim().to_owned()).collect();
        if cells.iter().any(|cell| !cell.is_empty()) {
            rows.push(Row { cells, lines });
        }
    }
    if rows.is_empty() {
        return None;
    }
    let header = rows.remove(0);
    for row in &rows {
        if row.cells.iter().skip(header.cells.len()).any(|cell| !cell.is_empty()) {
            problems.push(Problem::warning(
                path,
                Some(row.lines.0),
                "bad_row",
                format!("{} cells under {} columns", row.cells.len(), header.cells.len()),
                format!("本行有 {} 个单元格，表头只有 {} 列", row.cells.len(), header.cells.len()),
            ));
        }
    }
    Some(Table { name: None, preface: Vec::new(), header, rows })
}

/// The bytes that a record takes, its line break included, and its cells.
pub(crate) type Record = (std::ops::Range<usize>, Vec<String>);

/// The delimiter, and every record. The first names the columns.
pub(crate) fn records(text: &str) -> (u8, Vec<Record>) {
    let (skipped, told) = told_delimiter(text);
    let delimiter = told.unwrap_or_else(|| sniff(&text[skipped..]));
    let mut reader = ReaderBuilder::new()
        .delimiter(delimiter)
        .flexible(true)
        .has_headers(false)
        .from_reader(&text.as_bytes()[skipped..]);
    let mut records = Vec::new();
    let mut record = StringRecord::new();
    // As above, this cannot fail.
    while reader.read_record(&mut record).unwrap_or(false) {
        let start = record.position().map_or(0, csv::Position::byte) as usize + skipped;
        let end = (reader.position().byte() as usize + skipped).min(text.len());
        records.push((start..end, record.iter().map(str::to_owned).collect()));
    }
    (delimiter, records)
}

/// Excel's `sep=;` line: how many bytes it takes, and what it says.
fn told_delimiter(text: &str) -> (usize, Option<u8>) {
    let line = text.lines().next().unwrap_or_default();
    match line.trim().strip_prefix("sep=").map(str::as_bytes) {
        Some([delimiter]) => ((line.len() + 1).min(text.len()), Some(*delimiter)),
        _ => (0, None),
    }
}

/// The delimiter that cuts the first lines into the same number of cells most often; a comma where none does.
fn sniff(text: &str) -> u8 {
    const SAMPLE_LINES: usize = 30;
    let mut best = (b',', 0.0_f64);
    for delimiter in [b',', b'\t', b';', b'|'] {
        let counts = counts_outside_quotes(text, delimiter, SAMPLE_LINES);
        let header = counts.first().copied().unwrap_or(0);
        if header == 0 {
            continue;
        }
        let alike = counts.iter().filter(|&&count| count == header).count() as f64 / counts.len() as f64;
        // Agreement counts first; of two that agree, the one that makes more cells.
        let score = alike + (header as f64).min(20.0) / 1_000.0;
        if score > best.1 {
            best = (delimiter, score);
        }
    }
    best.0
}

/// Per record, how often the delimiter stands outside quotes.
fn counts_outside_quotes(text: &str, delimiter: u8, n_records: usize) -> Vec<usize> {
    let mut counts = Vec::new();
    let (mut count, mut quoted, mut blank) = (0, false, true);
    for byte in text.bytes().chain(std::iter::once(b'\n')) {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' if !quoted => {
                if !blank {
                    counts.push(count);
                }
                if counts.len() == n_records {
                    break;
                }
                (count, blank) = (0, true);
                continue;
            }
            _ if byte == delimiter && !quoted => count += 1,
            _ => {}
        }
        blank = false;
    }
    counts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(text: &str) -> Vec<(Vec<String>, (u32, u32))> {
        let table = read("a.csv", text, &mut Vec::new()).expect("a table");
        std::iter::once(table.header).chain(table.rows).map(|row| (row.cells, row.lines)).collect()
    }

    #[test]
    fn delimiters_are_sniffed() {
        for text in
            ["a,b\n1,2\n", "a;b\n1;2\n", "a\tb\n1\t2\n", "a|b\n1|2\n", "sep=;\na;b\n1;2\n", "\n\na,b\n\n1,2"]
        {
            let rows = cells(text);
            assert_eq!(rows[1].0, ["1", "2"], "{text:?}");
        }
        assert_eq!(
            cells("问题;答案\n多少钱，含税吗;26,8\n有货吗;有,现货\n")[1].0,
            ["多少钱，含税吗", "26,8"]
        );
    }

    #[test]
    fn a_row_knows_its_physical_lines() {
        let rows = cells("q,a\n\nx,\"一\n二\n三\"\ny,z\n");
        assert_eq!(rows.iter().map(|row| row.1).collect::<Vec<_>>(), [(1, 1), (3, 5), (6, 6)]);
        assert_eq!(rows[1].0[1], "一\n二\n三");
    }

    #[test]
    fn ragged_rows_are_kept_and_extra_cells_reported() {
        let mut problems = Vec::new();
        let table = read("a.csv", "a,b\n1\n1,2,3\n", &mut problems).expect("a table");
        assert_eq!(table.rows.len(), 2);
        assert_eq!((problems.len(), problems[0].line), (1, Some(3)));
    }

    #[test]
    fn an_open_quote_is_an_error() {
        let mut problems = Vec::new();
        read("a.csv", "a,b\n1,\"2\n3,4\n", &mut problems);
        assert_eq!((problems[0].code.as_str(), problems[0].line), ("bad_row", Some(2)));
    }
}
