//! Keys to the HTTP interface.
//!
//! A key is 32 random bytes, shown once when it is made; only its SHA-256 is stored. A plain hash is enough because
//! the secret is not a password: there is nothing to guess that is shorter than the secret itself.
//!
//! A signing key is different: its secret stays with another program, which signs its reps' tokens with it (see
//! `sign_in`). It opens nothing when it is shown, and must be stored as it is.

use std::fmt::{self, Write as _};
use std::num::NonZeroU32;
use std::str::FromStr;

use rusqlite::{Row, params};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use subtle::{Choice, ConstantTimeEq};
use uuid::Uuid;

use crate::audit::{self, Actor};
use crate::{Records, RecordsError, now_ms, timestamp};

const SECRET_PREFIX: &str = "fd_";
/// Of signing keys, so that nobody takes one for a key to be shown.
const SIGNING_PREFIX: &str = "fdsign_";

/// What the holder of a key may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum KeyRole {
    /// Everything.
    Admin,
    /// Curates the knowledge.
    Marketing,
    /// Asks, for the company's own eyes.
    Rep,
    /// Asks on behalf of customers; never sees what is internal.
    Bot,
}

impl KeyRole {
    /// All roles.
    pub const ALL: [Self; 4] = [Self::Admin, Self::Marketing, Self::Rep, Self::Bot];

    /// As the command line, JSON and the database spell it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Marketing => "marketing",
            Self::Rep => "rep",
            Self::Bot => "bot",
        }
    }
}

impl fmt::Display for KeyRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for KeyRole {
    type Err = UnknownRole;

    fn from_str(name: &str) -> Result<Self, UnknownRole> {
        Self::ALL.into_iter().find(|role| role.name() == name).ok_or_else(|| UnknownRole(name.to_owned()))
    }
}

/// There is no role of this name.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("unknown role {0:?}: it is one of admin, marketing, rep, bot")]
pub struct UnknownRole(pub String);

/// A key, without its secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Key {
    /// Names the key in lists and when it is revoked; no secret.
    pub id: String,
    /// Who or what it was made for.
    pub name: String,
    /// What its holder may do.
    pub role: KeyRole,
    /// When it was made.
    pub created_at: jiff::Timestamp,
    /// Since when it opens nothing any more.
    pub revoked_at: Option<jiff::Timestamp>,
    /// What narrows it further.
    pub limits: KeyLimits,
    /// Whose pages may use it (`https://crm.example.com`); empty where nothing is said.
    pub origins: Vec<String>,
    /// Whether another program signs tokens with it; it then opens nothing by itself.
    pub signs: bool,
}

/// A key to be made.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewKey {
    /// Who or what it is for.
    pub name: String,
    /// What its holder may do.
    pub role: KeyRole,
    /// What narrows it further.
    pub limits: KeyLimits,
    /// Whose pages may use it, each as [`origin`] gives it.
    pub origins: Vec<String>,
    /// Whether another program signs tokens with it.
    pub signs: bool,
}

/// The origin in the one spelling that browsers use, or `None` where `text` is none: a scheme, a host, perhaps a port,
/// and nothing behind them.
pub fn origin(text: &str) -> Option<String> {
    let text = text.trim().trim_end_matches('/').to_ascii_lowercase();
    let (scheme, authority) = text.split_once("://")?;
    let is_name = |c: char| c.is_ascii_alphanumeric() || "-.:[]".contains(c);
    if !matches!(scheme, "https" | "http") || authority.is_empty() || !authority.chars().all(is_name) {
        return None;
    }
    let usual_port = if scheme == "https" { ":443" } else { ":80" };
    Some(format!("{scheme}://{}", authority.strip_suffix(usual_port).unwrap_or(authority)))
}

/// What narrows a key beyond its role. The default narrows nothing.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct KeyLimits {
    /// Whether its holder sees only what customers may see, whatever the role.
    pub customer_only: bool,
    /// Requests a minute.
    pub per_minute: Option<NonZeroU32>,
}

impl Records {
    /// Makes a key without limits. The second value is the secret, `fd_` and 64 hexadecimal digits, which nobody can see again.
    ///
    /// # Errors
    /// [`RecordsError::NoRandomness`] when the operating system gives none; when the database fails.
    pub fn create_key(&self, name: &str, role: KeyRole) -> Result<(Key, String), RecordsError> {
        self.create_limited_key(name, role, KeyLimits::default())
    }

    /// As [`Records::create_key`], with limits.
    ///
    /// # Errors
    /// As [`Records::create_key`].
    pub fn create_limited_key(
        &self,
        name: &str,
        role: KeyRole,
        limits: KeyLimits,
    ) -> Result<(Key, String), RecordsError> {
        let new = NewKey { name: name.to_owned(), role, limits, origins: Vec::new(), signs: false };
        self.make_key(new, None)
    }

    /// Makes a key, which `actor` wanted. The second value is the secret: `fd_` and 64 hexadecimal digits, or for a
    /// signing key `fdsign_` and as many.
    ///
    /// # Errors
    /// As [`Records::create_key`].
    pub fn make_key(&self, new: NewKey, actor: Option<&Actor>) -> Result<(Key, String), RecordsError> {
        let NewKey { name, role, limits, origins, signs } = new;
        let secret = random_secret(if signs { SIGNING_PREFIX } else { SECRET_PREFIX })?;
        let created_ms = now_ms();
        let key = Key {
            id: Uuid::now_v7().to_string(),
            name: name.trim().to_owned(),
            role,
            created_at: timestamp(created_ms),
            revoked_at: None,
            limits,
            origins,
            signs,
        };
        self.write(|transaction| {
            transaction.execute(
                "INSERT INTO keys (id, name, role, digest, created_at, customer_only, per_minute, origins, signing_secret)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)",
                params![
                    key.id,
                    key.name,
                    role.name(),
                    digest(&secret),
                    created_ms,
                    limits.customer_only,
                    limits.per_minute.map(NonZeroU32::get),
                    json!(key.origins).to_string(),
                    signs.then_some(&secret),
                ],
            )?;
            let mut details = json!({"name": key.name, "role": role.name()});
            if limits != KeyLimits::default() {
                details["limits"] = json!(limits);
            }
            if !key.origins.is_empty() {
                details["origins"] = json!(key.origins);
            }
            if signs {
                details["signs"] = json!(true);
            }
            audit::note_by(transaction, actor, "key.create", &key.id, &details)
        })?;
        Ok((key, secret))
    }

    /// The key that this secret belongs to; `None` when it is unknown or revoked, and for the secret of a signing key.
    ///
    /// The time taken does not depend on which key it is, nor on how much of a stored hash agrees.
    ///
    /// # Errors
    /// When the database fails.
    pub fn authenticate(&self, secret: &str) -> Result<Option<Key>, RecordsError> {
        let presented = digest(secret);
        let connection = self.reading();
        let mut statement = connection.prepare_cached(&format!(
            "SELECT {COLUMNS}, digest FROM keys WHERE revoked_at IS NULL AND signing_secret IS NULL"
        ))?;
        let mut rows = statement.query([])?;
        let mut found = None;
        while let Some(row) = rows.next()? {
            let stored: Vec<u8> = row.get("digest")?;
            let candidate = key(row)?;
            let same: Choice = stored.as_slice().ct_eq(&presented);
            if bool::from(same) {
                found = Some(candidate);
            }
        }
        Ok(found)
    }

    /// Whether any key was ever made. A revoked one counts: revoking the last key locks up, it does not open.
    ///
    /// # Errors
    /// When the database fails.
    pub fn has_keys(&self) -> Result<bool, RecordsError> {
        let connection = self.reading();
        let mut statement = connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM keys)")?;
        Ok(statement.query_row([], |row| row.get(0))?)
    }

    /// All keys, revoked ones too, oldest first.
    ///
    /// # Errors
    /// When the database fails.
    pub fn keys(&self) -> Result<Vec<Key>, RecordsError> {
        let connection = self.reading();
        let mut statement =
            connection.prepare_cached(&format!("SELECT {COLUMNS} FROM keys ORDER BY created_at, id"))?;
        let rows = statement.query_map([], key)?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Whose pages may use some key: the origins of all keys that open something.
    ///
    /// # Errors
    /// When the database fails.
    pub fn key_origins(&self) -> Result<Vec<String>, RecordsError> {
        let connection = self.reading();
        let mut statement = connection.prepare_cached(
            "SELECT DISTINCT value FROM keys, json_each(keys.origins) WHERE revoked_at IS NULL ORDER BY value",
        )?;
        let rows = statement.query_map([], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// Makes a key open nothing from now on. Whether there was such a key that still opened something.
    ///
    /// # Errors
    /// When the database fails.
    pub fn revoke_key(&self, id: &str) -> Result<bool, RecordsError> {
        self.revoke_key_by(id, None)
    }

    /// As [`Records::revoke_key`], because `actor` wants it so.
    ///
    /// # Errors
    /// When the database fails.
    pub fn revoke_key_by(&self, id: &str, actor: Option<&Actor>) -> Result<bool, RecordsError> {
        self.write(|transaction| {
            let n_revoked = transaction.execute(
                "UPDATE keys SET revoked_at = ?2 WHERE id = ?1 AND revoked_at IS NULL",
                params![id, now_ms()],
            )?;
            if n_revoked > 0 {
                audit::note_by(transaction, actor, "key.revoke", id, &Value::Null)?;
            }
            Ok(n_revoked > 0)
        })
    }
}

pub(crate) const COLUMNS: &str = "id, name, role, created_at, revoked_at, customer_only, per_minute, origins, \
                                  signing_secret IS NOT NULL";

pub(crate) fn key(row: &Row<'_>) -> rusqlite::Result<Key> {
    let role: String = row.get(2)?;
    let revoked_ms: Option<i64> = row.get(4)?;
    Ok(Key {
        id: row.get(0)?,
        name: row.get(1)?,
        // The table lets only the roles' names in; the least of them stands for any other.
        role: role.parse().unwrap_or(KeyRole::Bot),
        created_at: timestamp(row.get(3)?),
        revoked_at: revoked_ms.map(timestamp),
        limits: KeyLimits {
            customer_only: row.get(5)?,
            per_minute: row.get::<_, Option<u32>>(6)?.and_then(NonZeroU32::new),
        },
        // A list that cannot be read lets nobody's page in rather than everybody's.
        origins: serde_json::from_str(&row.get::<_, String>(7)?).unwrap_or_else(|_| vec!["null".to_owned()]),
        signs: row.get(8)?,
    })
}

/// A secret of 256 random bits.
pub(crate) fn random_secret(prefix: &str) -> Result<String, RecordsError> {
    let mut random = [0_u8; 32];
    getrandom::fill(&mut random).map_err(|error| RecordsError::NoRandomness(error.to_string()))?;
    Ok(format!("{prefix}{}", hexadecimal(&random)))
}

pub(crate) fn digest(secret: &str) -> [u8; 32] {
    Sha256::digest(secret.as_bytes()).into()
}

pub(crate) fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(2 * bytes.len()), |mut digits, byte| {
        // Writing to a string cannot fail.
        let _ = write!(digits, "{byte:02x}");
        digits
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_opens_with_its_secret_until_it_is_revoked() {
        let records = Records::in_memory().unwrap();
        assert!(!records.has_keys().unwrap());
        let (rep, rep_secret) = records.create_key("陈立航", KeyRole::Rep).unwrap();
        let (bot, bot_secret) = records.create_key("website", KeyRole::Bot).unwrap();

        assert_eq!(records.authenticate(&rep_secret).unwrap(), Some(rep.clone()));
        assert_eq!(records.authenticate(&bot_secret).unwrap(), Some(bot));
        assert!(records.revoke_key(&rep.id).unwrap());
        assert_eq!(records.authenticate(&rep_secret).unwrap(), None);
        assert!(!records.revoke_key(&rep.id).unwrap());
        assert!(records.keys().unwrap().iter().any(|key| key.id == rep.id && key.revoked_at.is_some()));
    }

    #[test]
    fn revoking_the_last_key_does_not_open_the_door() {
        let records = Records::in_memory().unwrap();
        let (key, _) = records.create_key("only", KeyRole::Admin).unwrap();
        records.revoke_key(&key.id).unwrap();
        assert!(records.has_keys().unwrap());
    }

    #[test]
    fn what_is_not_a_secret_opens_nothing() {
        let records = Records::in_memory().unwrap();
        let (key, secret) = records.create_key("one", KeyRole::Admin).unwrap();
        for wrong in ["", "fd_", &key.id, &secret[..66], &secret.to_uppercase(), &format!("{secret} ")] {
            assert_eq!(records.authenticate(wrong).unwrap(), None, "{wrong:?}");
        }
    }

    #[test]
    fn the_secret_is_256_random_bits_and_is_stored_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("records.sqlite");
        let secret = {
            let records = Records::open(&path).unwrap();
            let (_, first) = records.create_key("one", KeyRole::Rep).unwrap();
            let (_, second) = records.create_key("two", KeyRole::Rep).unwrap();
            assert_ne!(first, second);
            first
        };
        let digits = secret.strip_prefix("fd_").unwrap();
        assert!(digits.len() == 64 && digits.chars().all(|digit| digit.is_ascii_hexdigit()));
        let stored = std::fs::read(&path).unwrap();
        assert!(!stored.windows(64).any(|window| window == digits.as_bytes()));
    }

    #[test]
    fn making_and_revoking_keys_leaves_a_trace_without_the_secret() {
        let records = Records::in_memory().unwrap();
        let (key, secret) = records.create_key("bot", KeyRole::Bot).unwrap();
        records.revoke_key(&key.id).unwrap();
        let audit = records.audit(10).unwrap();
        let actions: Vec<_> = audit.iter().map(|entry| entry.action.as_str()).collect();
        assert_eq!(actions, ["key.revoke", "key.create"]);
        assert!(audit.iter().all(|entry| entry.subject == key.id));
        assert!(!serde_json::to_string(&audit).unwrap().contains(&secret));
    }

    #[test]
    fn a_keys_limits_come_back_with_it_and_stand_in_the_trail() {
        let records = Records::in_memory().unwrap();
        let limits = KeyLimits { customer_only: true, per_minute: NonZeroU32::new(30) };
        let (key, secret) = records.create_limited_key("widget", KeyRole::Rep, limits).unwrap();
        assert_eq!(key.limits, limits);
        assert_eq!(records.authenticate(&secret).unwrap(), Some(key.clone()));
        assert_eq!(records.keys().unwrap(), [key]);
        let limits = &records.audit(1).unwrap()[0].details["limits"];
        assert_eq!(*limits, json!({"customer_only": true, "per_minute": 30}));
        let (free, _) = records.create_key("desk", KeyRole::Rep).unwrap();
        assert_eq!(free.limits, KeyLimits::default());
    }

    #[test]
    fn a_signing_key_opens_nothing_by_itself_and_a_keys_origins_end_with_it() {
        let records = Records::in_memory().unwrap();
        let new = |origins: &[&str], signs| NewKey {
            name: "CRM".to_owned(),
            role: KeyRole::Rep,
            limits: KeyLimits::default(),
            origins: origins.iter().map(|&origin| origin.to_owned()).collect(),
            signs,
        };
        let (signing, secret) = records.make_key(new(&["https://crm.example.com"], true), None).unwrap();
        assert!(signing.signs && secret.starts_with("fdsign_"));
        assert_eq!(records.authenticate(&secret).unwrap(), None);
        let (shown, secret) =
            records.make_key(new(&["https://b.example", "https://crm.example.com"], false), None).unwrap();
        assert_eq!(records.authenticate(&secret).unwrap(), Some(shown.clone()));
        assert_eq!(records.key_origins().unwrap(), ["https://b.example", "https://crm.example.com"]);
        records.revoke_key(&shown.id).unwrap();
        assert_eq!(records.key_origins().unwrap(), ["https://crm.example.com"]);
        assert!(!serde_json::to_string(&records.audit(9).unwrap()).unwrap().contains("fdsign_"));
    }

    #[test]
    fn an_origin_has_one_spelling_and_nothing_behind_its_host() {
        for (text, wanted) in [
            ("https://crm.example.com", "https://crm.example.com"),
            (" HTTPS://CRM.Example.com/ ", "https://crm.example.com"),
            ("https://crm.example.com:443", "https://crm.example.com"),
            ("http://127.0.0.1:8080", "http://127.0.0.1:8080"),
            ("http://[::1]:80", "http://[::1]"),
        ] {
            assert_eq!(origin(text).as_deref(), Some(wanted), "{text}");
        }
        for text in [
            "",
            "crm.example.com",
            "https://",
            "https://a/b",
            "https://a; script-src *",
            "https://*.a",
            "ftp://a",
            "https://a b",
            "null",
            "https://u@a",
        ] {
            assert_eq!(origin(text), None, "{text}");
        }
    }

    #[test]
    fn roles_are_read_as_they_are_written() {
        for role in KeyRole::ALL {
            assert_eq!(role.to_string().parse(), Ok(role));
        }
        assert_eq!("root".parse::<KeyRole>(), Err(UnknownRole("root".to_owned())));
    }
}
