//! Customers from a file as a CRM or a spreadsheet exports them.
//!
//! CSV, JSON and JSONL, and sheets that the caller has read, with column names in Chinese or English and in any
//! order. A file is taken whole or not at all: a bad row is an error with its line, so that nobody finds out weeks
//! later which half was missing.

use std::collections::{BTreeMap, HashMap, HashSet};

use encoding_rs::{GB18030, UTF_8, UTF_16BE, UTF_16LE};
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};

use crate::keys::hexadecimal;
use crate::{Customer, CustomerProfile};

/// Why a file of customers cannot be imported.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ImportError {
    /// The file's name ends in nothing that customers are read from.
    #[error("{0}: customers are imported from .csv, .xlsx, .json or .jsonl")]
    UnknownFormat(String),
    /// The file is neither UTF-8 nor GB18030 nor marked UTF-16.
    #[error("{0}: the text is neither UTF-8 nor GB18030; save the file as UTF-8")]
    UnknownEncoding(String),
    /// There is no column for an id or a name.
    #[error("{0}: no column is called id/编号/客户编号 or name/客户/客户名称")]
    NoCustomerColumn(String),
    /// The file is not a list of customers.
    #[error("{file}: {reason}")]
    NotAList {
        /// The file's name.
        file: String,
        /// What was found in its place.
        reason: String,
    },
    /// One row or entry is wrong.
    #[error("{file}, {place}: {reason}")]
    BadRow {
        /// The file's name.
        file: String,
        /// `line 12`, or `entry 3` in a JSON list.
        place: String,
        /// What is wrong.
        reason: String,
    },
}

/// The customers in a file, in its order. `file_name` tells the format by its ending; UTF-8 with or without a BOM,
/// UTF-16 with one, and GB18030 are read.
///
/// Rows without an id get one that stays the same while their name stays the same. Empty rows are skipped.
///
/// # Errors
/// As [`ImportError`].
pub fn parse_customers(file_name: &str, bytes: &[u8]) -> Result<Vec<Customer>, ImportError> {
    let text = decode(bytes).ok_or_else(|| ImportError::UnknownEncoding(file_name.to_owned()))?;
    let ending = file_name.rsplit_once('.').map(|(_, ending)| ending.to_ascii_lowercase());
    let rows = match ending.as_deref() {
        Some("csv") => csv_rows(file_name, &text)?,
        Some("json") => json_rows(file_name, &text)?,
        Some("jsonl" | "ndjson") => jsonl_rows(file_name, &text)?,
        _ => return Err(ImportError::UnknownFormat(file_name.to_owned())),
    };
    customers_of(file_name, rows)
}

/// A sheet of a workbook, cells as a person sees them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SheetOfCustomers {
    /// The sheet's name.
    pub name: String,
    /// Column names.
    pub header: Vec<String>,
    /// Below the header, in its columns.
    pub rows: Vec<Vec<String>>,
}

/// The customers in a workbook, sheet after sheet; a sheet whose columns are not a customer's holds none.
///
/// # Errors
/// As [`ImportError`].
pub fn parse_customer_sheets(
    file_name: &str,
    sheets: Vec<SheetOfCustomers>,
) -> Result<Vec<Customer>, ImportError> {
    let mut rows = Vec::new();
    let mut is_list = false;
    for sheet in sheets {
        if !is_about_customers(&sheet.header) {
            continue;
        }
        is_list = true;
        rows.extend((1..).zip(sheet.rows).map(|(number, cells)| SourceRow {
            place: format!("sheet {}, row {number} below the header", sheet.name),
            cells: sheet.header.iter().cloned().zip(cells).collect(),
        }));
    }
    if is_list {
        customers_of(file_name, rows)
    } else {
        Err(ImportError::NoCustomerColumn(file_name.to_owned()))
    }
}

fn customers_of(file_name: &str, rows: Vec<SourceRow>) -> Result<Vec<Customer>, ImportError> {
    let mut customers = Vec::with_capacity(rows.len());
    let mut seen: HashMap<String, String> = HashMap::new();
    for row in rows {
        let place = row.place.clone();
        let bad = |reason| ImportError::BadRow { file: file_name.to_owned(), place: place.clone(), reason };
        let Some(customer) = row.into_customer().map_err(bad)? else { continue };
        if let Some(earlier) = seen.insert(customer.id.clone(), place.clone()) {
            let who = customer.profile.name.as_deref().unwrap_or_default();
            return Err(bad(format!(
                "{who} has the id {:?} of {earlier}; give each customer an id of its own",
                customer.id
            )));
        }
        customers.push(customer);
    }
    Ok(customers)
}

/// One row: cells by their column names as written, and where it stands.
struct SourceRow {
    place: String,
    cells: Vec<(String, String)>,
}

impl SourceRow {
    /// The customer, or `None` when every cell is empty.
    fn into_customer(self) -> Result<Option<Customer>, String> {
        let mut id = None;
        let mut profile = CustomerProfile::default();
        let mut attributes = BTreeMap::new();
        let mut is_empty = true;
        for (column, value) in self.cells {
            let value = value.trim();
            if value.is_empty() {
                continue;
            }
            is_empty = false;
            let slot = match canonical(&column) {
                Some("id") => &mut id,
                Some("name") => &mut profile.name,
                Some("industry") => &mut profile.industry,
                Some("company_size") => &mut profile.company_size,
                Some("region") => &mut profile.region,
                Some("needs") => &mut profile.needs,
                Some("scenario") => &mut profile.scenario,
                Some("stage") => &mut profile.stage,
                _ => {
                    attributes.insert(column.trim().to_owned(), value.to_owned());
                    continue;
                }
            };
            if slot.is_some() {
                return Err(format!("two columns mean the same; one of them is {column:?}"));
            }
            *slot = Some(value.to_owned());
        }
        if is_empty {
            return Ok(None);
        }
        let id = match (id, &profile.name) {
            (Some(id), _) => id,
            (None, Some(name)) => id_from_name(name),
            (None, None) => return Err("the row has neither an id nor a name".to_owned()),
        };
        Ok(Some(Customer { id, profile, attributes, updated_at: jiff::Timestamp::now() }))
    }
}

/// Whether a sheet lists customers: products have a 名称 and an id too, so one such column alone says nothing.
fn is_about_customers(header: &[String]) -> bool {
    let fields: HashSet<&str> = header.iter().filter_map(|column| canonical(column)).collect();
    let names_one = fields.contains("id") || fields.contains("name");
    let says_customer = |column: &String| {
        let column = column.to_lowercase();
        ["客户", "公司", "customer"].iter().any(|word| column.contains(word)) && canonical(&column).is_some()
    };
    names_one && (fields.len() > 1 || header.iter().any(says_customer))
}

/// The profile's field that a column fills.
fn canonical(column: &str) -> Option<&'static str> {
    let column = column.trim().to_lowercase().replace([' ', '-'], "_");
    Some(match column.as_str() {
        "id" | "customer_id" | "编号" | "客户编号" | "客户id" => "id",
        "name" | "customer" | "customer_name" | "客户" | "客户名称" | "名称" | "公司" | "公司名称" => {
            "name"
        }
        "industry" | "行业" | "所属行业" => "industry",
        "company_size" | "size" | "规模" | "企业规模" | "公司规模" => "company_size",
        "region" | "地区" | "区域" => "region",
        "needs" | "需求" | "客户需求" => "needs",
        "scenario" | "场景" | "应用场景" => "scenario",
        "stage" | "阶段" | "销售阶段" => "stage",
        _ => return None,
    })
}

/// The id of a customer of whom only the name is known; the same for the same name.
///
/// Twelve hexadecimal digits of the name's hash: even among a million customers two names fall together once in
/// some five hundred files, and then the import says so.
pub fn id_from_name(name: &str) -> String {
    format!("c-{}", &hexadecimal(&Sha256::digest(name.as_bytes()))[..12])
}

fn decode(bytes: &[u8]) -> Option<String> {
    let (encoding, body) = if let Some(body) = bytes.strip_prefix(b"\xEF\xBB\xBF") {
        (UTF_8, body)
    } else if let Some(body) = bytes.strip_prefix(b"\xFF\xFE") {
        (UTF_16LE, body)
    } else if let Some(body) = bytes.strip_prefix(b"\xFE\xFF") {
        (UTF_16BE, body)
    } else if std::str::from_utf8(bytes).is_ok() {
        (UTF_8, bytes)
    } else {
        (GB18030, bytes)
    };
    encoding.decode_without_bom_handling_and_without_replacement(body).map(std::borrow::Cow::into_owned)
}

fn csv_rows(file: &str, text: &str) -> Result<Vec<SourceRow>, ImportError> {
    let bad = |error: &csv::Error| {
        let place = error.position().map_or_else(|| "header".to_owned(), |at| format!("line {}", at.line()));
        let reason = match error.kind() {
            csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
                format!("{len} cells where the header has {expected_len}")
            }
            _ => error.to_string(),
        };
        ImportError::BadRow { file: file.to_owned(), place, reason }
    };
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let header = reader.headers().map_err(|error| bad(&error))?.clone();
    if !header.iter().any(|column| matches!(canonical(column), Some("id" | "name"))) {
        return Err(ImportError::NoCustomerColumn(file.to_owned()));
    }
    let mut rows = Vec::new();
    for record in reader.records() {
        let record = record.map_err(|error| bad(&error))?;
        let line = record.position().map_or(0, csv::Position::line);
        let cells =
            header.iter().zip(&record).map(|(name, cell)| (name.to_owned(), cell.to_owned())).collect();
        rows.push(SourceRow { place: format!("line {line}"), cells });
    }
    Ok(rows)
}

fn json_rows(file: &str, text: &str) -> Result<Vec<SourceRow>, ImportError> {
    let not_a_list = |reason: String| ImportError::NotAList { file: file.to_owned(), reason };
    let value: Value =
        serde_json::from_str(text).map_err(|error| not_a_list(format!("not JSON: {error}")))?;
    let list = match value {
        Value::Array(list) => list,
        Value::Object(mut object) => match object.remove("customers") {
            Some(Value::Array(list)) => list,
            _ => return Err(not_a_list("an object without a list called \"customers\"".to_owned())),
        },
        _ => return Err(not_a_list("not a list of customers".to_owned())),
    };
    let rows = list.into_iter().enumerate().map(|(idx, entry)| {
        let place = format!("entry {}", idx + 1);
        match entry {
            Value::Object(entry) => Ok(from_object(place, entry)),
            _ => {
                Err(ImportError::BadRow { file: file.to_owned(), place, reason: "not an object".to_owned() })
            }
        }
    });
    rows.collect()
}

fn jsonl_rows(file: &str, text: &str) -> Result<Vec<SourceRow>, ImportError> {
    let lines = text.lines().enumerate().filter(|(_, line)| !line.trim().is_empty());
    let rows = lines.map(|(idx, line)| {
        let place = format!("line {}", idx + 1);
        match serde_json::from_str(line) {
            Ok(entry) => Ok(from_object(place, entry)),
            Err(error) => Err(ImportError::BadRow {
                file: file.to_owned(),
                place,
                reason: format!("not a JSON object: {error}"),
            }),
        }
    });
    rows.collect()
}

fn from_object(place: String, entry: Map<String, Value>) -> SourceRow {
    SourceRow { place, cells: entry.into_iter().map(|(name, value)| (name, plain(&value))).collect() }
}

/// A JSON value as a person would write it into a cell.
fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join("、"),
        Value::Bool(_) | Value::Number(_) | Value::Object(_) => value.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CSV: &str = "客户编号,客户名称,行业,规模,地区,需求,场景,阶段,客户经理\n\
                       c-1,华睿饮料,食品饮料,大型,华东,\"换线快,少停机\",快速换线,报价,陈立航\n\
                       \n\
                       ,麦禾食品,烘焙,中型,华中,,,,\n";

    fn check_csv(bytes: &[u8]) {
        let customers = parse_customers("客户.csv", bytes).unwrap();
        assert_eq!(customers.len(), 2);
        let text = |value: &str| Some(value.to_owned());
        assert_eq!(customers[0].id, "c-1");
        assert_eq!(
            customers[0].profile,
            CustomerProfile {
                name: text("华睿饮料"),
                industry: text("食品饮料"),
                company_size: text("大型"),
                region: text("华东"),
                needs: text("换线快,少停机"),
                scenario: text("快速换线"),
                stage: text("报价"),
            }
        );
        assert_eq!(customers[0].attributes["客户经理"], "陈立航");
        assert_eq!(customers[1].profile.name.as_deref(), Some("麦禾食品"));
        assert_eq!(customers[1].profile.needs, None);
    }

    #[test]
    fn chinese_csv_is_read_in_every_encoding_that_spreadsheets_write() {
        check_csv(CSV.as_bytes());
        check_csv(&[b"\xEF\xBB\xBF", CSV.as_bytes()].concat());
        check_csv(&GB18030.encode(CSV).0);
        let utf16: Vec<u8> = CSV.encode_utf16().flat_map(u16::to_le_bytes).collect();
        check_csv(&[b"\xFF\xFE".as_slice(), &utf16].concat());
    }

    #[test]
    fn english_names_json_and_jsonl_give_the_same_customers() {
        let json = r#"[{"id": 7, "Name": "Baan Suan Foods", "company size": "中型", "needs": ["coconut water", "45 days"], "vip": true, "region": null}]"#;
        let jsonl = json.trim_matches(['[', ']']);
        let wrapped = format!(r#"{{"customers": {json}}}"#);
        for (file, text) in [("a.json", json), ("a.jsonl", jsonl), ("a.json", &wrapped)] {
            let customers = parse_customers(file, text.as_bytes()).unwrap();
            let customer = &customers[0];
            assert_eq!(customer.id, "7");
            assert_eq!(customer.profile.name.as_deref(), Some("Baan Suan Foods"));
            assert_eq!(customer.profile.company_size.as_deref(), Some("中型"));
            assert_eq!(customer.profile.needs.as_deref(), Some("coconut water、45 days"));
            assert_eq!(customer.attributes["vip"], "true");
            assert_eq!(customer.profile.region, None);
        }
    }

    #[test]
    fn a_row_without_an_id_keeps_the_one_it_gets() {
        let id = |csv: &str| parse_customers("a.csv", csv.as_bytes()).unwrap()[0].id.clone();
        assert_eq!(id("客户,行业\n麦禾食品,烘焙\n"), id("地区,客户\n华中,麦禾食品\n"));
        assert_ne!(id("客户\n麦禾食品\n"), id("客户\n青沅酱园\n"));
    }

    #[test]
    fn what_is_wrong_is_said_with_its_line() {
        let error = |file: &str, text: &str| parse_customers(file, text.as_bytes()).unwrap_err().to_string();
        assert_eq!(
            error("a.csv", "id,行业\nc-1,烘焙\n,日化\n"),
            "a.csv, line 3: the row has neither an id nor a name"
        );
        assert_eq!(error("a.csv", "id,name\nc-1,甲,乙\n"), "a.csv, line 2: 3 cells where the header has 2");
        assert!(error("a.csv", "id,name\nc-1,甲\nc-1,乙\n").contains("of line 2"));
        assert!(error("a.csv", "id,编号\nc-1,c-2\n").contains("two columns"));
        assert!(error("a.csv", "行业,地区\n烘焙,华中\n").contains("客户名称"));
        assert!(
            error("a.jsonl", "{\"id\":\"c-1\"}\n\n[1]\n").starts_with("a.jsonl, line 3: not a JSON object")
        );
        assert!(error("a.json", "[1]").contains("entry 1: not an object"));
        assert!(error("a.json", "{").contains("not JSON"));
        assert!(error("a.json", "{}").contains("customers"));
        assert!(error("a.docx", "").contains(".csv, .xlsx, .json or .jsonl"));
        assert!(matches!(
            parse_customers("a.csv", b"id,name\n\xFF\xFF\xFF,\x80\n"),
            Err(ImportError::UnknownEncoding(_))
        ));
    }

    #[test]
    fn the_sheets_of_a_workbook_are_one_list_and_sheets_about_something_else_are_left_out() {
        let sheet = |name: &str, header: &[&str], row: &[&str]| SheetOfCustomers {
            name: name.to_owned(),
            header: header.iter().map(ToString::to_string).collect(),
            rows: vec![row.iter().map(ToString::to_string).collect()],
        };
        let east = sheet("华东", &["客户编号", "客户名称", "阶段"], &["c-1", "华睿饮料", "报价"]);
        let notes = sheet("说明", &["作者", "日期"], &["周小满", "2026-03-01"]);
        let south = sheet("华南", &["id", "name"], &["c-2", "Baan Suan Foods"]);
        let parse = |sheets: &[&SheetOfCustomers]| {
            parse_customer_sheets("客户.xlsx", sheets.iter().map(|sheet| (*sheet).clone()).collect())
        };
        let customers = parse(&[&east, &notes, &south]).unwrap();
        assert_eq!(customers.len(), 2);
        assert_eq!(customers[0].profile.stage.as_deref(), Some("报价"));
        // A price list has names and numbers too.
        let prices = sheet("面价", &["型号", "名称", "面价"], &["LB-300S", "高速贴标机", "26.8"]);
        for other in [&notes, &prices] {
            assert!(matches!(parse(&[other]), Err(ImportError::NoCustomerColumn(_))), "{}", other.name);
        }
        let names_only = sheet("名单", &["客户名称"], &["麦禾食品"]);
        assert_eq!(parse(&[&names_only, &prices]).unwrap().len(), 1);
        let twice = parse(&[&east, &east]).unwrap_err().to_string();
        assert!(twice.contains("sheet 华东, row 1 below the header"), "{twice}");
    }

    #[test]
    fn an_empty_list_is_no_error() {
        assert!(parse_customers("a.csv", b"id,name\n").unwrap().is_empty());
        assert!(parse_customers("a.json", b"[]").unwrap().is_empty());
    }
}
