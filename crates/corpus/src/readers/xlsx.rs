//! XLSX sheets as tables of what a person sees.
//!
//! Cells are streamed: a range over a sheet with one far cell would allocate the whole rectangle, so only
//! cells that hold something are kept and empty columns are closed up. Workbooks that unpack to absurd
//! sizes are refused from the archive's directory, before anything is unpacked.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Cursor;

use calamine::{Data, DataRef, DataType as _, Reader as _, SheetType, SheetVisible, Xlsx};

use super::archive::claims;
use super::xlsx_format::{date_time, duration, number};
use super::{Row, Table, broken};
use crate::columns::canonical;
use crate::problem::Problem;

/// Most bytes that a workbook may unpack to.
const MAX_UNPACKED_BYTES: u64 = 1 << 30;
/// Most cells that are read from one workbook.
const MAX_CELLS: usize = 4_000_000;
/// Tallest merged range whose value is repeated in the rows that it covers.
const MAX_MERGED_ROWS: u32 = 200;
/// Rows in which a header is looked for.
const HEADER_SEARCH_ROWS: usize = 10;

type Workbook<'a> = Xlsx<Cursor<&'a [u8]>>;
/// Row, then column, both from 0.
pub(crate) type Cells = BTreeMap<u32, BTreeMap<u32, String>>;

pub(crate) fn read(path: &str, bytes: &[u8], problems: &mut Vec<Problem>) -> Result<Vec<Table>, Problem> {
    // A workbook of the older format under the newer name, or one with a password: both are compound files.
    if bytes.starts_with(b"\xD0\xCF\x11\xE0") {
        return super::xls::read(path, bytes, problems);
    }
    let unpacked = claims(bytes)
        .ok_or_else(|| broken(path, None, "XLSX", "the file is not a complete archive"))?
        .unpacked;
    if unpacked > MAX_UNPACKED_BYTES {
        return Err(Problem::error(
            path,
            None,
            "too_large",
            format!("the workbook unpacks to {unpacked} bytes"),
            format!("工作簿解压后有 {unpacked} 字节，过大"),
        ));
    }
    let mut workbook: Workbook<'_> =
        Xlsx::new(Cursor::new(bytes)).map_err(|error| broken(path, None, "XLSX", &error.to_string()))?;
    let sheets: Vec<String> = workbook
        .sheets_metadata()
        .iter()
        .filter(|sheet| sheet.visible == SheetVisible::Visible && sheet.typ == SheetType::WorkSheet)
        .map(|sheet| sheet.name.clone())
        .collect();
    let mut tables = Vec::new();
    let mut n_cells = 0;
    for sheet in sheets {
        let mut cells = Cells::new();
        if let Err(detail) = read_cells(&mut workbook, &sheet, &mut cells, &mut n_cells) {
            problems.push(Problem::error(
                path,
                cells.keys().next_back().map(|row| row + 1),
                "unreadable",
                format!("sheet `{sheet}` cannot be read to its end: {detail}"),
                format!("工作表“{sheet}”无法完整读取：{detail}"),
            ));
        }
        fill_merged(&mut workbook, &sheet, &mut cells);
        tables.extend(table(sheet, cells));
    }
    if tables.is_empty() && problems.is_empty() { Err(super::wordless(path)) } else { Ok(tables) }
}

fn read_cells(
    workbook: &mut Workbook<'_>,
    sheet: &str,
    cells: &mut Cells,
    n_cells: &mut usize,
) -> Result<(), String> {
    let mut reader = workbook.worksheet_cells_reader(sheet).map_err(|error| error.to_string())?;
    let formats: Vec<(String, Option<u32>)> = reader
        .styles()
        .iter()
        .map(|style| {
            let format = style.number_format.clone().unwrap_or_default();
            (format.format_code, format.format_id)
        })
        .collect();
    while let Some((cell, style)) = reader.next_cell_with_style_id().map_err(|error| error.to_string())? {
        let general = (String::from("General"), None);
        let (code, id) = formats.get(style).unwrap_or(&general);
        let text = shown(cell.get_value(), code, *id);
        if text.is_empty() {
            continue;
        }
        *n_cells += 1;
        if *n_cells > MAX_CELLS {
            return Err(format!("more than {MAX_CELLS} cells"));
        }
        let (row, column) = cell.get_position();
        cells.entry(row).or_default().insert(column, text);
    }
    Ok(())
}

/// The cell's text as the spreadsheet program shows it.
fn shown(value: &DataRef<'_>, code: &str, id: Option<u32>) -> String {
    match value {
        DataRef::Empty => String::new(),
        DataRef::String(text) => text.trim().to_owned(),
        DataRef::SharedString(text) => text.trim().to_owned(),
        DataRef::Int(value) => number(*value as f64, code),
        DataRef::Float(value) => number(*value, code),
        DataRef::Bool(value) => if *value { "TRUE" } else { "FALSE" }.to_owned(),
        DataRef::DateTime(moment) if moment.is_duration() => duration(moment.as_f64(), code),
        DataRef::DateTime(moment) => date_time(moment.to_ymd_hms_milli(), code, id),
        DataRef::DateTimeIso(text) => text.trim_end_matches("T00:00:00").replace('T', " "),
        DataRef::DurationIso(text) => text.clone(),
        DataRef::Error(_) => Data::from(value.clone()).as_string().unwrap_or_default(),
    }
}

/// A value in a cell merged over several rows holds for all of them; a person sees it beside each.
fn fill_merged(workbook: &mut Workbook<'_>, sheet: &str, cells: &mut Cells) {
    let Ok(merged) = workbook.merge_cells_by_sheet_name(sheet) else { return };
    for range in merged {
        repeat_merged(cells, range.start, range.end);
    }
}

/// Repeats the value of a range merged over several rows of one column in the rows that hold something.
pub(crate) fn repeat_merged(cells: &mut Cells, (first, column): (u32, u32), (last, last_column): (u32, u32)) {
    if column != last_column || last <= first || last - first > MAX_MERGED_ROWS {
        return;
    }
    let Some(value) = cells.get(&first).and_then(|row| row.get(&column)).cloned() else { return };
    for (_, row) in cells.range_mut(first + 1..=last) {
        row.entry(column).or_insert_with(|| value.clone());
    }
}

pub(crate) fn table(name: String, cells: Cells) -> Option<Table> {
    let columns: BTreeSet<u32> = cells.values().flat_map(|row| row.keys().copied()).collect();
    let columns: Vec<u32> = columns.into_iter().collect();
    let header_idx = header_row(&cells);
    let mut preface: Vec<Row> = Vec::new();
    let mut header = None;
    let mut rows = Vec::new();
    for (idx, (row, mut found)) in cells.into_iter().enumerate() {
        let lines = (row + 1, row + 1);
        if idx < header_idx {
            preface.push(Row { cells: found.into_values().collect(), lines });
            continue;
        }
        let texts: Vec<String> =
            columns.iter().map(|column| found.remove(column).unwrap_or_default()).collect();
        let row = Row { cells: texts, lines };
        if idx == header_idx { header = Some(row) } else { rows.push(row) }
    }
    Some(Table { name: Some(name), preface, header: header?, rows })
}

/// Which of the filled rows is the header: the first with two columns that we know by name; else the first
/// that fills at least half of the widest row's cells, above which stand headlines.
fn header_row(cells: &Cells) -> usize {
    let head: Vec<&BTreeMap<u32, String>> = cells.values().take(HEADER_SEARCH_ROWS).collect();
    let known = |row: &BTreeMap<u32, String>| row.values().filter(|cell| canonical(cell).is_some()).count();
    if let Some(idx) = head.iter().position(|row| known(row) >= 2) {
        return idx;
    }
    let widest = head.iter().map(|row| row.len()).max().unwrap_or(0);
    head.iter().position(|row| row.len() * 2 >= widest && (row.len() > 1 || widest <= 1)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cells(rows: &[&[&str]]) -> Cells {
        let row = |cells: &[&str]| {
            (0..)
                .zip(cells)
                .filter(|(_, cell)| !cell.is_empty())
                .map(|(column, cell)| (column, (*cell).to_owned()))
                .collect::<BTreeMap<u32, String>>()
        };
        (0..)
            .zip(rows)
            .map(|(number, cells)| (number, row(cells)))
            .filter(|(_, row)| !row.is_empty())
            .collect()
    }

    #[test]
    fn headlines_above_the_header_are_not_the_header() {
        let table = table(
            "价格".to_owned(),
            cells(&[&["2026 年价格表"], &[], &["型号", "", "面价", "备注"], &["LB-150", "", "9.8 万元", ""]]),
        )
        .expect("a table");
        assert_eq!(table.preface[0].cells, ["2026 年价格表"]);
        assert_eq!(table.header.cells, ["型号", "面价", "备注"]);
        assert_eq!((table.rows[0].cells[1].as_str(), table.rows[0].lines), ("9.8 万元", (4, 4)));
    }

    #[test]
    fn bytes_that_are_no_archive_are_refused() {
        let mut problems = Vec::new();
        for bytes in [&b"PK\x03\x04 cut off"[..], b"hello", b"PK\x05\x06", &[0; 22]] {
            assert!(read("a.xlsx", bytes, &mut problems).is_err());
        }
    }
}
