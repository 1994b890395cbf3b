//! Whom the reps talk to: profiles that steer which cases and arguments fit.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::audit::Actor;
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

impl Customer {
    /// A customer of whom only the profile is known.
    pub fn new(id: impl Into<String>, profile: CustomerProfile) -> Self {
        Self { id: id.into(), profile, attributes: BTreeMap::new(), updated_at: jiff::Timestamp::now() }
    }
}

/// What becomes of a field.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Change {
    /// It stays as it is.
    #[default]
    Keep,
    /// It is not known any more.
    Clear,
    /// It becomes this.
    Set(String),
}

impl Change {
    fn apply(self, field: &mut Option<String>) -> bool {
        let before = field.clone();
        match self {
            Self::Keep => {}
            Self::Clear => *field = None,
            Self::Set(value) => *field = Some(value),
        }
        *field != before
    }
}

/// What becomes of a customer's record.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs, reason = "the names are the profile's own")]
pub struct CustomerChange {
    pub name: Change,
    pub industry: Change,
    pub company_size: Change,
    pub region: Change,
    pub needs: Change,
    pub scenario: Change,
    pub stage: Change,
    /// Columns outside the profile; those that are not named stay.
    pub attributes: BTreeMap<String, Change>,
}

impl CustomerChange {
    /// Applies it and gives the names of the fields that are different now.
    fn apply(self, customer: &mut Customer) -> Vec<String> {
        let profile = &mut customer.profile;
        let mut changed = Vec::new();
        for (name, change, field) in [
            ("name", self.name, &mut profile.name),
            ("industry", self.industry, &mut profile.industry),
            ("company_size", self.company_size, &mut profile.company_size),
            ("region", self.region, &mut profile.region),
            ("needs", self.needs, &mut profile.needs),
            ("scenario", self.scenario, &mut profile.scenario),
            ("stage", self.stage, &mut profile.stage),
        ] {
            if change.apply(field) {
                changed.push(name.to_owned());
            }
        }
        for (name, change) in self.attributes {
            let mut field = customer.attributes.remove(&name);
            let is_different = change.apply(&mut field);
            if is_different {
                changed.push(format!("attributes.{name}"));
            }
            if let Some(value) = field {
                customer.attributes.insert(name, value);
            }
        }
        changed
    }
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
        find(&self.reading(), id)
    }

    /// Customers whose id, name, industry, region or other columns contain `query`, by name and id; all when it is
    /// empty. At most `limit`, beginning behind the customer `after`; `None` where `after` names nobody.
    ///
    /// # Errors
    /// When the database fails.
    pub fn customers(
        &self,
        query: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Option<Vec<Customer>>, RecordsError> {
        let connection = self.reading();
        let begin = match after {
            None => None,
            Some(id) => match find(&connection, id)? {
                Some(customer) => Some((customer.profile.name.unwrap_or_default(), customer.id)),
                None => return Ok(None),
            },
        };
        let (name, id) = begin.unzip();
        let mut statement = connection.prepare_cached(&format!(
            "SELECT {COLUMNS} FROM customers
             WHERE (?1 = '' OR instr(lower(concat_ws(char(10), id, name, industry, region, stage, attributes)), lower(?1)) > 0)
               AND (?3 IS NULL OR (coalesce(name, ''), id) > (?3, ?4))
             ORDER BY coalesce(name, ''), id LIMIT ?2"
        ))?;
        let limit = i64::try_from(limit).unwrap_or(i64::MAX);
        let rows = statement.query_map(params![query.trim(), limit, name, id], customer)?;
        Ok(Some(rows.collect::<Result<_, _>>()?))
    }

    /// Adds a customer who is not there yet.
    ///
    /// # Errors
    /// [`RecordsError::CustomerExists`] when the id is taken; when the database fails.
    pub fn create_customer(
        &self,
        customer: &Customer,
        actor: Option<&Actor>,
    ) -> Result<Customer, RecordsError> {
        self.write(|transaction| {
            if find(transaction, &customer.id)?.is_some() {
                return Err(RecordsError::CustomerExists(customer.id.clone()));
            }
            put(transaction, customer)?;
            audit::note_by(transaction, actor, "customer.create", &customer.id, &json!(null))?;
            Ok(find(transaction, &customer.id)?.expect("it was written above"))
        })
    }

    /// Changes single fields of a customer and returns what the record has become.
    ///
    /// # Errors
    /// [`RecordsError::UnknownCustomer`] when there is none of this id; when the database fails.
    pub fn change_customer(
        &self,
        id: &str,
        change: CustomerChange,
        actor: Option<&Actor>,
    ) -> Result<Customer, RecordsError> {
        self.write(|transaction| {
            let mut customer =
                find(transaction, id)?.ok_or_else(|| RecordsError::UnknownCustomer(id.to_owned()))?;
            let changed = change.apply(&mut customer);
            if changed.is_empty() {
                return Ok(customer);
            }
            put(transaction, &customer)?;
            // The names of the fields, never what stood in them: the trail outlives an erasure.
            audit::note_by(transaction, actor, "customer.change", id, &json!({"fields": changed}))?;
            Ok(find(transaction, id)?.expect("it was written above"))
        })
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

pub(crate) fn find(connection: &Connection, id: &str) -> Result<Option<Customer>, RecordsError> {
    let mut statement =
        connection.prepare_cached(&format!("SELECT {COLUMNS} FROM customers WHERE id = ?1"))?;
    Ok(statement.query_row([id], customer).optional()?)
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
            records
                .customers(query, None, 10)
                .unwrap()
                .unwrap()
                .into_iter()
                .map(|customer| customer.id)
                .collect()
        };
        assert_eq!(found("饮料"), ["c-1"]);
        assert_eq!(found("baan"), ["c-2"]);
        assert_eq!(found("周小满"), ["c-2", "c-1"]);
        assert_eq!(found(""), ["c-2", "c-1"]);
        assert!(found("%").is_empty());
        let page = |after| records.customers("", after, 1).unwrap();
        assert_eq!(page(None).unwrap()[0].id, "c-2");
        assert_eq!(page(Some("c-2")).unwrap()[0].id, "c-1");
        assert!(page(Some("c-1")).unwrap().is_empty());
        assert_eq!(page(Some("c-9")), None);
    }

    #[test]
    fn a_change_touches_what_it_names_and_the_trail_tells_of_no_contents() {
        let records = Records::in_memory().unwrap();
        let actor = Actor { id: "k".to_owned(), name: "陈立航".to_owned() };
        records.create_customer(&make("c-1", "华睿饮料", "食品饮料"), Some(&actor)).unwrap();
        let again = records.create_customer(&make("c-1", "别人", "日化"), None).unwrap_err();
        assert!(matches!(again, RecordsError::CustomerExists(_)), "{again}");
        let set = |value: &str| Change::Set(value.to_owned());
        let change = CustomerChange {
            stage: set("报价"),
            industry: Change::Clear,
            name: set("华睿饮料"),
            attributes: BTreeMap::from([
                ("客户经理".to_owned(), Change::Clear),
                ("等级".to_owned(), set("A")),
            ]),
            ..CustomerChange::default()
        };
        let changed = records.change_customer("c-1", change, Some(&actor)).unwrap();
        assert_eq!(changed.profile.stage.as_deref(), Some("报价"));
        assert_eq!((changed.profile.industry, changed.profile.name.is_some()), (None, true));
        assert_eq!(changed.attributes, BTreeMap::from([("等级".to_owned(), "A".to_owned())]));
        let entry = &records.audit(1).unwrap()[0];
        let fields = json!(["industry", "stage", "attributes.客户经理", "attributes.等级"]);
        assert_eq!((entry.action.as_str(), &entry.details["fields"]), ("customer.change", &fields));
        assert_eq!(entry.actor.as_deref(), Some("陈立航"));
        let unknown = records.change_customer("c-9", CustomerChange::default(), None).unwrap_err();
        assert!(matches!(unknown, RecordsError::UnknownCustomer(_)), "{unknown}");
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
