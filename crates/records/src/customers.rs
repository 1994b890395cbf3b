//! Whom the reps talk to: profiles that steer which cases and arguments fit.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::{Records, RecordsError, audit, now_ms, timestamp};

/// Whom a rep is talking to, as far as it is known; empty fields are unknown.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
#[allow(missing_docs, reason = "the names are the contract's own")]
pub struct CustomerProfile {
    pub name: Option<String>,
    pub industry: Option<String>,
    pub company_size: Option<String>,
    pub region: Option<String>,
    pub needs: Option<String>,
    pub scenario: Option<String>,
    pub stage: Option<String>,
}

/// A customer in the records.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Customer {
    /// Stable and unique.
    pub id: String,
    /// What is known of them.
    pub profile: CustomerProfile,
    /// Columns outside the profile, by their names as imported.
    pub attributes: BTreeMap<String, String>,
    /// When it was last written; writing sets it.
    pub updated_at: jiff::Timestamp,
}

/// What an import did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ImportReport {
    /// Customers that were new.
    pub added: usize,
    /// Customers that were replaced.
    pub updated: usize,
}

const COLUMNS: &str =
    "id, name, industry, company_size, region, needs, scenario, stage, attributes, updated_at";

impl Records {
    /// The customer of this id.
    ///
    /// # Errors
    /// When the database fails.
    pub fn customer(&self, id: &str) -> Result<Option<Customer>, RecordsError> {
        let connection = self.reading();
        let mut statement =
            connection.prepare_cached(&format!("SELECT {COLUMNS} FROM customers WHERE id = ?1"))?;
        Ok(statement.query_row([id], customer).optional()?)
    }

    /// Customers whose id, name, industry, region or other columns contain `query`, by name and id; all when it is
    /// empty. At most `limit`.
    ///
    /// # Errors
    /// When the database fails.
    pub fn customers(&self, query: &str, limit: usize) -> Result<Vec<Customer>, RecordsError> {
        let connection = self.reading();
        let mut statement = connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM customers
             WHERE ?1 = '' OR instr(lower(concat_ws(char(10), id, name, industry, region, stage, attributes)), lower(?1)) > 0
             ORDER BY name, id LIMIT ?2"
        ))?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = statement.query_map(params![query.trim(), limit], customer)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Adds a customer, or replaces the one of the same id.
    ///
    /// # Errors
    /// When the database fails.
    pub fn put_customer(&self, customer: &Customer) -> Result<(), RecordsError> {
        self.write(|transaction| put(transaction, customer).map(drop))
    }

    /// Adds or replaces all of `customers`, or none of them when that fails. `source` names the file for the audit.
    ///
    /// # Errors
    /// When the database fails.
    pub fn import_customers(
        &self,
        customers: &[Customer],
        source: &str,
    ) -> Result<ImportReport, RecordsError> {
        self.write(|transaction| {
            let mut report = ImportReport::default();
            for customer in customers {
                if put(transaction, customer)? {
                    report.added += 1;
                } else {
                    report.updated += 1;
                }
            }
            let details = json!({"added": report.added, "updated": report.updated});
            audit::note(transaction, "customers.import", source, &details)?;
            Ok(report)
        })
    }
}

/// Writes one customer; whether it was new.
fn put(connection: &Connection, customer: &Customer) -> Result<bool, RecordsError> {
    let is_new = connection
        .prepare_cached("SELECT 1 FROM customers WHERE id = ?1")?
        .query_row([&customer.id], |_| Ok(()))
        .optional()?
        .is_none();
    let profile = &customer.profile;
    connection
        .prepare_cached(&format!(
            "INSERT OR REPLACE INTO customers ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
        ))?
        .execute(params![
            customer.id,
            profile.name,
            profile.industry,
            profile.company_size,
            profile.region,
            profile.needs,
            profile.scenario,
            profile.stage,
            json!(customer.attributes).to_string(),
            now_ms(),
        ])?;
    Ok(is_new)
}

fn customer(row: &Row<'_>) -> rusqlite::Result<Customer> {
    Ok(Customer {
        id: row.get(0)?,
        profile: CustomerProfile {
            name: row.get(1)?,
            industry: row.get(2)?,
            company_size: row.get(3)?,
            region: row.get(4)?,
            needs: row.get(5)?,
            scenario: row.get(6)?,
            stage: row.get(7)?,
        },
        attributes: serde_json::from_str(&row.get::<_, String>(8)?).unwrap_or_default(),
        updated_at: timestamp(row.get(9)?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn make(id: &str, name: &str, industry: &str) -> Customer {
        Customer {
            id: id.to_owned(),
            profile: CustomerProfile {
                name: Some(name.to_owned()),
                industry: Some(industry.to_owned()),
                ..CustomerProfile::default()
            },
            attributes: BTreeMap::from([("客户经理".to_owned(), "周小满".to_owned())]),
            updated_at: jiff::Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_customer_comes_back_as_it_was_put_with_the_time_of_writing() {
        let records = Records::in_memory().unwrap();
        let customer = make("c-102", "华睿饮料", "食品饮料");
        records.put_customer(&customer).unwrap();
        let found = records.customer("c-102").unwrap().unwrap();
        assert_eq!((&found.profile, &found.attributes), (&customer.profile, &customer.attributes));
        assert!(found.updated_at > customer.updated_at);
        assert_eq!(records.customer("c-103").unwrap(), None);
    }

    #[test]
    fn customers_are_found_by_any_of_their_words_and_wildcards_are_letters() {
        let records = Records::in_memory().unwrap();
        records.put_customer(&make("c-1", "华睿饮料", "食品饮料")).unwrap();
        records.put_customer(&make("c-2", "Baan Suan Foods", "food")).unwrap();
        let found = |query: &str| -> Vec<String> {
            records.customers(query, 10).unwrap().into_iter().map(|customer| customer.id).collect()
        };
        assert_eq!(found("饮料"), ["c-1"]);
        assert_eq!(found("baan"), ["c-2"]);
        assert_eq!(found("周小满"), ["c-2", "c-1"]);
        assert_eq!(found(""), ["c-2", "c-1"]);
        assert!(found("%").is_empty());
        assert_eq!(records.customers("", 1).unwrap().len(), 1);
    }

    #[test]
    fn an_import_replaces_what_was_there_counts_both_and_leaves_a_trace() {
        let records = Records::in_memory().unwrap();
        records.put_customer(&make("c-1", "旧名", "日化")).unwrap();
        let report = records
            .import_customers(&[make("c-1", "雪漾日化", "日化"), make("c-2", "麦禾食品", "烘焙")], "客户.csv")
            .unwrap();
        assert_eq!(report, ImportReport { added: 1, updated: 1 });
        assert_eq!(records.customer("c-1").unwrap().unwrap().profile.name.as_deref(), Some("雪漾日化"));
        let entry = &records.audit(1).unwrap()[0];
        assert_eq!((entry.action.as_str(), entry.subject.as_str()), ("customers.import", "客户.csv"));
        assert_eq!(entry.details, json!({"added": 1, "updated": 1}));
    }
}
