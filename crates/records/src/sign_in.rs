//! Reps that another program vouches for.
//!
//! A CRM knows which rep is looking at its page. Its server says so in a token, signed with the secret of a signing
//! key, and the page hands that token on; the rep needs no key of their own, and what the page can read is no secret
//! that lasts. A token is a JSON Web Token (RFC 7519) under HMAC-SHA-256, because every language has a library for it.
//!
//! Of what the standard leaves open, only this is taken: the algorithm is fixed and never read from the token as an
//! instruction, a token is for us (`aud`) and names the key (`kid`), its rep (`sub`) and itself (`jti`), it lives for
//! minutes (`iat`, `exp`), and it is taken once. Whoever finds one later, in a log or a cached page, finds nothing that
//! opens. What it is taken in exchange for is a secret of the rep's page, which ends after an hour or with the key.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, Mac};
use rusqlite::{Connection, OptionalExtension, params};
use serde::Deserialize;
use serde_json::json;
use sha2::Sha256;

use crate::audit::{self, Actor};
use crate::keys::{self, COLUMNS, Key, digest, random_secret};
use crate::{Records, RecordsError, timestamp};

const SESSION_PREFIX: &str = "fdrep_";
/// Whom a token must be for.
const AUDIENCE: &str = "flightdeck";
/// How far the clocks of two servers may be apart, in ms.
const SKEW: i64 = 60_000;
/// Longest life of a token, in ms: it is made for the page that is being loaded.
const LONGEST_LIFE: i64 = 15 * 60_000;
/// How long a rep stays signed in, in ms; the page then asks for another token.
const SIGNED_IN_FOR: i64 = 60 * 60_000;
const LONGEST_TOKEN_BYTES: usize = 4096;
const LONGEST_NAME_CHARS: usize = 200;

/// A rep, as the other program knows them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rep {
    /// The other program's id of them.
    pub id: String,
    /// What they are called; the id where the token does not say.
    pub name: String,
}

/// Who holds a secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Holder {
    /// The key that it is, or that vouches for it.
    pub key: Key,
    /// The rep who was vouched for; `None` for the holder of the key.
    pub rep: Option<Rep>,
}

impl Holder {
    /// Under whom what they do is kept: the key, and below a key that signs each rep alone.
    pub fn actor(&self) -> Actor {
        match &self.rep {
            None => Actor { id: self.key.id.clone(), name: self.key.name.clone() },
            Some(rep) => Actor { id: format!("{}/{}", self.key.id, rep.id), name: rep.name.clone() },
        }
    }
}

/// A token was taken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SignIn {
    /// What the rep's page shows from now on.
    pub secret: String,
    /// Who it is for.
    pub holder: Holder,
    /// When it ends.
    pub expires_at: jiff::Timestamp,
}

/// Why a token was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum TokenRefusal {
    /// It is no token of the kind that is taken.
    #[error("it is not a JSON Web Token with alg HS256 and the claims aud, sub, iat, exp and jti")]
    Malformed,
    /// No key that signs has this id.
    #[error("its kid names no signing key that is in use")]
    UnknownKey,
    /// It was signed with another secret, or changed since.
    #[error("its signature does not fit; check that the key's secret is the one of its kid")]
    Signature,
    /// It is for somebody else.
    #[error("its aud is not \"flightdeck\"")]
    Audience,
    /// Its time is over.
    #[error("it has expired; check the clocks, or make a new one for each page")]
    Expired,
    /// Its time has not come.
    #[error("it is from the future; check the clocks")]
    Early,
    /// It would be good for longer than a token may be.
    #[error("it may be good for at most 15 minutes from iat to exp")]
    Long,
    /// It was taken before.
    #[error("it was used before; make a new one for each page")]
    Used,
    /// A page that may not use the key handed it on.
    #[error("the page that sent it may not use its key")]
    Page,
}

/// Why nobody was signed in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// The token is not good.
    #[error("the token was refused: {0}")]
    Refused(#[from] TokenRefusal),
    /// The records failed.
    #[error(transparent)]
    Records(#[from] RecordsError),
}

impl From<rusqlite::Error> for SignInError {
    fn from(error: rusqlite::Error) -> Self {
        Self::Records(error.into())
    }
}

#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: String,
    /// Extensions that must be understood; none is.
    crit: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Claims {
    aud: OneOrMany,
    sub: String,
    name: Option<String>,
    jti: String,
    /// Seconds since 1970; a fraction is allowed by the standard.
    iat: f64,
    exp: f64,
    nbf: Option<f64>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl Records {
    /// Who holds this secret: a key, or a rep who was signed in; `None` when it is unknown, revoked or over.
    ///
    /// # Errors
    /// When the database fails.
    pub fn holder(&self, secret: &str, now: jiff::Timestamp) -> Result<Option<Holder>, RecordsError> {
        if !secret.starts_with(SESSION_PREFIX) {
            return Ok(self.authenticate(secret)?.map(|key| Holder { key, rep: None }));
        }
        let connection = self.reading();
        // The hash of a secret tells nothing of the secret, so it may be looked up as any other value.
        let mut statement = connection.prepare_cached(
            "SELECT key_id, rep_id, rep_name FROM sign_ins WHERE digest = ?1 AND expires_at > ?2",
        )?;
        let found = statement
            .query_row(params![digest(secret), now.as_millisecond()], |row| {
                Ok((row.get::<_, String>(0)?, Rep { id: row.get(1)?, name: row.get(2)? }))
            })
            .optional()?;
        let Some((key_id, rep)) = found else { return Ok(None) };
        let signing = signing_key(&connection, &key_id)?;
        Ok(signing.map(|(key, _)| Holder { key, rep: Some(rep) }))
    }

    /// Takes a token in exchange for a secret of the rep's page. `page` is the origin of the page that it came from,
    /// where one is known.
    ///
    /// # Errors
    /// [`SignInError::Refused`] when the token is not good; when the operating system or the database fails.
    pub fn sign_in(
        &self,
        token: &str,
        page: Option<&str>,
        now: jiff::Timestamp,
    ) -> Result<SignIn, SignInError> {
        let now_ms = now.as_millisecond();
        let (header, claims, signed, signature) = parse(token)?;
        let secret = random_secret(SESSION_PREFIX)?;
        let mut connection = crate::lock(&self.writer);
        let transaction = connection.transaction_with_behavior(rusqlite::TransactionBehavior::Immediate)?;
        let (key, signing_secret) =
            signing_key(&transaction, &header.kid)?.ok_or(TokenRefusal::UnknownKey)?;
        let mut expected =
            Hmac::<Sha256>::new_from_slice(signing_secret.as_bytes()).expect("a key of any length will do");
        expected.update(signed.as_bytes());
        expected.verify_slice(&signature).map_err(|_| TokenRefusal::Signature)?;
        // Only now is it the other program that speaks.
        let expires_ms = check(&claims, now_ms)?;
        if let Some(page) = page
            && !key.origins.is_empty()
            && !key.origins.iter().any(|origin| origin == page)
        {
            return Err(TokenRefusal::Page.into());
        }
        transaction.execute("DELETE FROM redeemed_tokens WHERE expires_at < ?1", [now_ms])?;
        transaction.execute("DELETE FROM sign_ins WHERE expires_at < ?1", [now_ms])?;
        let n_taken = transaction.execute(
            "INSERT OR IGNORE INTO redeemed_tokens (key_id, token_id, expires_at) VALUES (?1, ?2, ?3)",
            params![key.id, claims.jti, expires_ms + SKEW],
        )?;
        if n_taken == 0 {
            return Err(TokenRefusal::Used.into());
        }
        let name = claims.name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
        let rep = Rep { name: name.unwrap_or_else(|| claims.sub.clone()), id: claims.sub };
        let ends_ms = now_ms + SIGNED_IN_FOR;
        transaction.execute(
            "INSERT INTO sign_ins (digest, key_id, rep_id, rep_name, expires_at) VALUES (?1, ?2, ?3, ?4, ?5)",
            params![digest(&secret), key.id, rep.id, rep.name, ends_ms],
        )?;
        let holder = Holder { key, rep: Some(rep) };
        audit::note_by(&transaction, Some(&holder.actor()), "rep.sign_in", &holder.key.id, &json!(null))?;
        transaction.commit()?;
        Ok(SignIn { secret, holder, expires_at: timestamp(ends_ms) })
    }
}

/// A signing key that is in use, with its secret.
fn signing_key(connection: &Connection, id: &str) -> Result<Option<(Key, String)>, RecordsError> {
    let mut statement = connection.prepare_cached(&format!(
        "SELECT {COLUMNS}, signing_secret AS secret FROM keys
         WHERE id = ?1 AND revoked_at IS NULL AND signing_secret IS NOT NULL"
    ))?;
    Ok(statement.query_row([id], |row| Ok((keys::key(row)?, row.get("secret")?))).optional()?)
}

type Parsed<'t> = (Header, Claims, &'t str, Vec<u8>);

/// The parts of a token, of which nothing is known yet; what was signed; and the signature.
fn parse(token: &str) -> Result<Parsed<'_>, TokenRefusal> {
    let token = token.trim();
    if token.len() > LONGEST_TOKEN_BYTES {
        return Err(TokenRefusal::Malformed);
    }
    let (signed, signature) = token.rsplit_once('.').ok_or(TokenRefusal::Malformed)?;
    let (header, claims) = signed.split_once('.').ok_or(TokenRefusal::Malformed)?;
    let decoded = |part: &str| URL_SAFE_NO_PAD.decode(part).map_err(|_| TokenRefusal::Malformed);
    let header: Header = serde_json::from_slice(&decoded(header)?).map_err(|_| TokenRefusal::Malformed)?;
    let claims: Claims = serde_json::from_slice(&decoded(claims)?).map_err(|_| TokenRefusal::Malformed)?;
    if header.alg != "HS256" || header.crit.is_some() {
        return Err(TokenRefusal::Malformed);
    }
    let is_name = |text: &str| !text.trim().is_empty() && text.chars().count() <= LONGEST_NAME_CHARS;
    let name_fits = claims.name.as_ref().is_none_or(|name| name.chars().count() <= LONGEST_NAME_CHARS);
    if !is_name(&claims.sub) || !is_name(&claims.jti) || !name_fits {
        return Err(TokenRefusal::Malformed);
    }
    Ok((header, claims, signed, decoded(signature)?))
}

/// Whether a token is good at `now_ms`; when it ends.
fn check(claims: &Claims, now_ms: i64) -> Result<i64, TokenRefusal> {
    let is_ours = match &claims.aud {
        OneOrMany::One(audience) => audience == AUDIENCE,
        OneOrMany::Many(audiences) => audiences.iter().any(|audience| audience == AUDIENCE),
    };
    if !is_ours {
        return Err(TokenRefusal::Audience);
    }
    // What is no number or too great for one becomes the nearest that there is, and fails below.
    let ms = |seconds: f64| (seconds * 1000.0) as i64;
    let (issued, expires) = (ms(claims.iat), ms(claims.exp));
    if issued.max(claims.nbf.map_or(i64::MIN, ms)) > now_ms.saturating_add(SKEW) {
        return Err(TokenRefusal::Early);
    }
    if expires.saturating_add(SKEW) <= now_ms {
        return Err(TokenRefusal::Expired);
    }
    if expires.saturating_sub(issued) > LONGEST_LIFE {
        return Err(TokenRefusal::Long);
    }
    Ok(expires)
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::{KeyLimits, KeyRole, NewKey};

    const NOW: i64 = 1_800_000_000;

    fn at(seconds: i64) -> jiff::Timestamp {
        jiff::Timestamp::from_second(seconds).unwrap()
    }

    fn crm(records: &Records) -> (Key, String) {
        let new = NewKey {
            name: "CRM".to_owned(),
            role: KeyRole::Rep,
            limits: KeyLimits::default(),
            origins: vec!["https://crm.example.com".to_owned()],
            signs: true,
        };
        records.make_key(new, None).unwrap()
    }

    fn claims() -> Value {
        json!({"aud": "flightdeck", "sub": "u-7", "name": "陈立航", "iat": NOW, "exp": NOW + 300, "jti": "t-1"})
    }

    fn signed(header: &Value, claims: &Value, secret: &str) -> String {
        let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
        let text = format!("{}.{}", part(header), part(claims));
        let mut mac = Hmac::<Sha256>::new_from_slice(secret.as_bytes()).unwrap();
        mac.update(text.as_bytes());
        format!("{text}.{}", URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes()))
    }

    fn header(kid: &str) -> Value {
        json!({"alg": "HS256", "typ": "JWT", "kid": kid})
    }

    #[track_caller]
    fn refusal(outcome: Result<SignIn, SignInError>) -> TokenRefusal {
        match outcome {
            Err(SignInError::Refused(refusal)) => refusal,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_rep_who_is_vouched_for_is_known_for_an_hour_or_until_the_key_is_revoked() {
        let records = Records::in_memory().unwrap();
        let (key, secret) = crm(&records);
        let token = signed(&header(&key.id), &claims(), &secret);
        let signed_in = records.sign_in(&token, Some("https://crm.example.com"), at(NOW + 10)).unwrap();
        assert!(signed_in.secret.starts_with("fdrep_"));
        let holder = records.holder(&signed_in.secret, at(NOW + 3000)).unwrap().unwrap();
        assert_eq!(holder, signed_in.holder);
        assert_eq!(holder.actor(), Actor { id: format!("{}/u-7", key.id), name: "陈立航".to_owned() });
        assert_eq!(records.holder(&signed_in.secret, at(NOW + 3611)).unwrap(), None);
        assert_eq!(records.audit(1).unwrap()[0].actor.as_deref(), Some("陈立航"));
        records.revoke_key(&key.id).unwrap();
        assert_eq!(records.holder(&signed_in.secret, at(NOW + 20)).unwrap(), None);
        let token = signed(&header(&key.id), &claims(), &secret);
        assert_eq!(refusal(records.sign_in(&token, None, at(NOW))), TokenRefusal::UnknownKey);
    }

    #[test]
    fn a_token_is_taken_once_also_after_its_end() {
        let records = Records::in_memory().unwrap();
        let (key, secret) = crm(&records);
        let token = signed(&header(&key.id), &claims(), &secret);
        records.sign_in(&token, None, at(NOW)).unwrap();
        for later in [0, 299, 359] {
            assert_eq!(refusal(records.sign_in(&token, None, at(NOW + later))), TokenRefusal::Used);
        }
        assert_eq!(refusal(records.sign_in(&token, None, at(NOW + 361))), TokenRefusal::Expired);
    }

    #[test]
    fn clocks_may_be_a_minute_apart_and_no_more() {
        let records = Records::in_memory().unwrap();
        let (key, secret) = crm(&records);
        let mut n = 0;
        let mut at_time = |now: i64| {
            n += 1;
            let mut claims = claims();
            claims["jti"] = json!(n.to_string());
            records.sign_in(&signed(&header(&key.id), &claims, &secret), None, at(now))
        };
        assert!(at_time(NOW - 60).is_ok() && at_time(NOW + 359).is_ok());
        assert_eq!(refusal(at_time(NOW - 61)), TokenRefusal::Early);
        assert_eq!(refusal(at_time(NOW + 360)), TokenRefusal::Expired);
    }

    #[test]
    fn what_is_no_good_token_is_refused_for_its_reason() {
        use TokenRefusal::{Audience, Long, Malformed, Page, Signature, UnknownKey};
        let records = Records::in_memory().unwrap();
        let (key, secret) = crm(&records);
        let (shown, shown_secret) = records.create_key("desk", KeyRole::Rep).unwrap();
        let with = |field: &str, value: Value| {
            let mut claims = claims();
            claims[field] = value;
            claims
        };
        let good = signed(&header(&key.id), &claims(), &secret);
        let (text, _) = good.rsplit_once('.').unwrap();
        let mut without_id = claims();
        without_id.as_object_mut().unwrap().remove("jti");
        for (token, wanted) in [
            (String::new(), Malformed),
            ("a.b.c".to_owned(), Malformed),
            (format!("{text}."), Signature),
            (signed(&header(&key.id), &claims(), &shown_secret), Signature),
            (signed(&json!({"alg": "none", "kid": key.id}), &claims(), &secret), Malformed),
            (signed(&json!({"alg": "HS512", "kid": key.id}), &claims(), &secret), Malformed),
            (signed(&json!({"alg": "HS256", "kid": key.id, "crit": ["b64"]}), &claims(), &secret), Malformed),
            (signed(&header("nobody"), &claims(), &secret), UnknownKey),
            // A key that is shown cannot sign, though its holder knows a secret.
            (signed(&header(&shown.id), &claims(), &shown_secret), UnknownKey),
            (signed(&header(&key.id), &with("aud", json!("other")), &secret), Audience),
            (signed(&header(&key.id), &with("exp", json!(NOW + 901)), &secret), Long),
            (signed(&header(&key.id), &with("exp", json!(1e300)), &secret), Long),
            (signed(&header(&key.id), &with("sub", json!(" ")), &secret), Malformed),
            (signed(&header(&key.id), &with("name", json!("长".repeat(201))), &secret), Malformed),
            (signed(&header(&key.id), &without_id, &secret), Malformed),
            ("x".repeat(5000), Malformed),
        ] {
            assert_eq!(refusal(records.sign_in(&token, None, at(NOW))), wanted, "{token}");
        }
        assert_eq!(refusal(records.sign_in(&good, Some("https://evil.example"), at(NOW))), Page);
        // Nothing of all that has used it up.
        assert!(records.sign_in(&good, None, at(NOW)).is_ok());
        assert!(
            records
                .sign_in(
                    &signed(&header(&key.id), &with("aud", json!(["x", "flightdeck"])), &secret),
                    None,
                    at(NOW)
                )
                .is_err(),
            "the same id again"
        );
    }
}
