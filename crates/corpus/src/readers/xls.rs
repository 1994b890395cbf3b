//! XLS sheets, Excel's format before 2007: the library reads the cells, [`super::xlsx`] makes tables of them.

use office_oxide::DocumentFormat;

use super::office::open;
use super::xlsx::{Cells, repeat_merged, table};
use super::{Table, broken, wordless};
use crate::problem::Problem;

pub(crate) fn read(path: &str, bytes: &[u8], problems: &mut Vec<Problem>) -> Result<Vec<Table>, Problem> {
    // A workbook of the newer format under the old name is common.
    if bytes.starts_with(b"PK") {
        return super::xlsx::read(path, bytes, problems);
    }
    let document = open(path, bytes, DocumentFormat::Xls, "XLS")?;
    let workbook =
        document.as_xls().ok_or_else(|| broken(path, None, "XLS", "the file holds no workbook"))?;
    if workbook.truncated() {
        problems.push(Problem::error(
            path,
            None,
            "incomplete",
            "the workbook is too long to be read to its end",
            "工作簿过长，未能读到结尾",
        ));
    }
    let mut tables = Vec::new();
    for sheet in workbook.sheets.iter().filter(|sheet| !sheet.hidden) {
        let mut cells = Cells::new();
        for (row, values) in sheet.rows.iter().enumerate() {
            for column in 0..values.len() {
                let shown = sheet.display_text(row, column).unwrap_or_default();
                if !shown.trim().is_empty() {
                    cells.entry(row as u32).or_default().insert(column as u32, shown.trim().to_owned());
                }
            }
        }
        for &(first, last, column, last_column) in &sheet.merged_cells {
            repeat_merged(&mut cells, (first.into(), column.into()), (last.into(), last_column.into()));
        }
        tables.extend(table(sheet.name.clone(), cells));
    }
    if tables.is_empty() && problems.is_empty() { Err(wordless(path)) } else { Ok(tables) }
}
