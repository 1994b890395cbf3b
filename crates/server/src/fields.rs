//! Reading a JSON body strictly: every field has the right type and range, or the error names it.
//!
//! Derived deserialisation stops at a type and cannot say `filters.kind[1]`; here each field is taken out by name,
//! and what is left over at the end is an unknown field. `null` counts as absent, as in the contract's examples.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Request};
use axum::http::{HeaderMap, StatusCode, header};
use flightdeck_records::Change;
use futures::StreamExt;
use serde_json::{Map, Value};

use crate::error::ApiError;

/// Largest body, in bytes.
pub(crate) const MAX_BODY_BYTES: usize = 256 * 1024;

/// A body that has not arrived by then is not coming.
const BODY_TIMEOUT: Duration = Duration::from_secs(15);

/// The fields of a JSON object that have not been taken out yet.
#[derive(Debug)]
pub(crate) struct Fields {
    values: Map<String, Value>,
    /// `filters.` inside the object `filters`; empty outside.
    prefix: String,
}

impl Fields {
    /// The fields of a body.
    ///
    /// # Errors
    /// When it is not JSON or not an object.
    pub fn parse(body: &[u8]) -> Result<Self, ApiError> {
        match serde_json::from_slice(body) {
            Ok(Value::Object(values)) => Ok(Self { values, prefix: String::new() }),
            Ok(_) => Err(ApiError::malformed("the body must be a JSON object")),
            Err(error) => Err(ApiError::malformed(format!("the body is not JSON: {error}"))),
        }
    }

    /// All fields, for a body that may hold what is not known here.
    pub fn into_values(self) -> Map<String, Value> {
        self.values
    }

    fn take(&mut self, name: &str) -> Option<Value> {
        self.values.remove(name).filter(|value| !value.is_null())
    }

    fn invalid(&self, name: &str, message: impl Into<String>) -> ApiError {
        ApiError::invalid(format!("{}{name}", self.prefix), message)
    }

    /// A text of at least one letter and at most `max_chars` characters.
    pub fn text(&mut self, name: &str, max_chars: usize) -> Result<String, ApiError> {
        match self.optional_text(name, max_chars)? {
            Some(text) if text.trim().is_empty() => Err(self.invalid(name, "must not be empty")),
            Some(text) => Ok(text),
            None => Err(self.invalid(name, "is required")),
        }
    }

    /// A text of at most `max_chars` characters, if there is one.
    pub fn optional_text(&mut self, name: &str, max_chars: usize) -> Result<Option<String>, ApiError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) if text.chars().count() > max_chars => {
                Err(self.invalid(name, format!("must have at most {max_chars} characters")))
            }
            Some(Value::String(text)) => Ok(Some(text)),
            Some(_) => Err(self.invalid(name, "must be a text")),
        }
    }

    /// What becomes of a field: absent it stays, `null` or an empty text empties it. The one place where `null` is
    /// not absence.
    pub fn change(&mut self, name: &str, max_chars: usize) -> Result<Change, ApiError> {
        match self.values.remove(name) {
            None => Ok(Change::Keep),
            Some(Value::Null) => Ok(Change::Clear),
            Some(Value::String(text)) if text.chars().count() > max_chars => {
                Err(self.invalid(name, format!("must have at most {max_chars} characters")))
            }
            Some(Value::String(text)) if text.trim().is_empty() => Ok(Change::Clear),
            Some(Value::String(text)) => Ok(Change::Set(text.trim().to_owned())),
            Some(_) => Err(self.invalid(name, "must be a text or null")),
        }
    }

    /// What becomes of a list: absent it stays, `null` or an empty one empties it.
    pub fn list_change(&mut self, name: &str, max_chars: usize) -> Result<Option<Vec<String>>, ApiError> {
        if !self.values.contains_key(name) {
            return Ok(None);
        }
        Ok(Some(self.texts(name, max_chars)?.into_iter().map(|text| text.trim().to_owned()).collect()))
    }

    /// As [`Fields::change`], for all fields of an object whose names are not known.
    pub fn changes(mut self, max_chars: usize) -> Result<BTreeMap<String, Change>, ApiError> {
        const MAX_FIELDS: usize = 100;
        const MAX_NAME_CHARS: usize = 100;
        let names: Vec<String> = self.values.keys().cloned().collect();
        if names.len() > MAX_FIELDS {
            let whole = self.prefix.trim_end_matches('.').to_owned();
            return Err(ApiError::invalid(whole, format!("must have at most {MAX_FIELDS} fields")));
        }
        let changes = names.into_iter().map(|name| {
            if name.trim().is_empty() || name.chars().count() > MAX_NAME_CHARS {
                return Err(
                    self.invalid(&name, format!("must have a name of 1 to {MAX_NAME_CHARS} characters"))
                );
            }
            let change = self.change(&name, max_chars)?;
            Ok((name, change))
        });
        changes.collect()
    }

    /// A whole number in `range`, if there is one.
    pub fn integer(&mut self, name: &str, range: RangeInclusive<u64>) -> Result<Option<u64>, ApiError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        if !value.is_number() {
            return Err(self.invalid(name, "must be a number"));
        }
        let number = value.as_u64().filter(|number| range.contains(number));
        number.map(Some).ok_or_else(|| {
            let (least, most) = range.into_inner();
            self.invalid(name, format!("must be a whole number from {least} to {most}"))
        })
    }

    /// A number in `range`, if there is one.
    pub fn number(&mut self, name: &str, range: RangeInclusive<f64>) -> Result<Option<f64>, ApiError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let number = value.as_f64().filter(|number| range.contains(number));
        number.map(Some).ok_or_else(|| {
            let (least, most) = range.into_inner();
            self.invalid(name, format!("must be a number from {least} to {most}"))
        })
    }

    /// `true` or `false`; `false` where there is none.
    pub fn flag(&mut self, name: &str) -> Result<bool, ApiError> {
        Ok(self.optional_flag(name)?.unwrap_or(false))
    }

    /// `true` or `false`, if there is one.
    pub fn optional_flag(&mut self, name: &str) -> Result<Option<bool>, ApiError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(_) => Err(self.invalid(name, "must be true or false")),
        }
    }

    /// One of `choices` by its name, if there is one.
    pub fn choice<T: Copy>(&mut self, name: &str, choices: &[(&str, T)]) -> Result<Option<T>, ApiError> {
        self.take(name).map(|value| self.chosen(name, &value, choices)).transpose()
    }

    /// A list of `choices` by their names; empty where there is none.
    pub fn choices<T: Copy>(&mut self, name: &str, choices: &[(&str, T)]) -> Result<Vec<T>, ApiError> {
        let items = self.list(name)?;
        let chosen = items
            .iter()
            .enumerate()
            .map(|(idx, value)| self.chosen(&format!("{name}[{idx}]"), value, choices));
        chosen.collect()
    }

    /// A list of texts; empty where there is none.
    pub fn texts(&mut self, name: &str, max_chars: usize) -> Result<Vec<String>, ApiError> {
        let items = self.list(name)?;
        let texts = items.into_iter().enumerate().map(|(idx, value)| match value {
            Value::String(text) if !text.trim().is_empty() && text.chars().count() <= max_chars => Ok(text),
            _ => {
                let message = format!("must be a text of 1 to {max_chars} characters");
                Err(self.invalid(&format!("{name}[{idx}]"), message))
            }
        });
        texts.collect()
    }

    /// A list of whole numbers in `range`; empty where there is none.
    pub fn integers(&mut self, name: &str, range: RangeInclusive<u64>) -> Result<Vec<u64>, ApiError> {
        let items = self.list(name)?;
        let numbers = items.iter().enumerate().map(|(idx, value)| {
            let number = value.as_u64().filter(|number| range.contains(number));
            number.ok_or_else(|| self.invalid(&format!("{name}[{idx}]"), "must be a whole number in range"))
        });
        numbers.collect()
    }

    /// The fields of an object inside this one, if there is one.
    pub fn object(&mut self, name: &str) -> Result<Option<Self>, ApiError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Object(values)) => {
                Ok(Some(Self { values, prefix: format!("{}{name}.", self.prefix) }))
            }
            Some(_) => Err(self.invalid(name, "must be an object")),
        }
    }

    /// To be called last.
    ///
    /// # Errors
    /// When a field is left that nobody took: a misspelt option must not be ignored quietly.
    pub fn finish(self) -> Result<(), ApiError> {
        match self.values.keys().next() {
            None => Ok(()),
            Some(name) => Err(self.invalid(name, "is not a field of this request")),
        }
    }

    fn list(&mut self, name: &str) -> Result<Vec<Value>, ApiError> {
        const MAX_ITEMS: usize = 100;
        match self.take(name) {
            None => Ok(Vec::new()),
            Some(Value::Array(items)) if items.len() > MAX_ITEMS => {
                Err(self.invalid(name, format!("must have at most {MAX_ITEMS} entries")))
            }
            Some(Value::Array(items)) => Ok(items),
            Some(_) => Err(self.invalid(name, "must be a list")),
        }
    }

    fn chosen<T: Copy>(&self, name: &str, value: &Value, choices: &[(&str, T)]) -> Result<T, ApiError> {
        let chosen = value.as_str().and_then(|text| choices.iter().find(|(choice, _)| *choice == text));
        chosen.map(|(_, choice)| *choice).ok_or_else(|| {
            let names: Vec<_> = choices.iter().map(|(choice, _)| *choice).collect();
            self.invalid(name, format!("must be one of {}", names.join(", ")))
        })
    }
}

impl From<Map<String, Value>> for Fields {
    fn from(values: Map<String, Value>) -> Self {
        Self { values, prefix: String::new() }
    }
}

impl<S: Send + Sync> FromRequest<S> for Fields {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        // A form or a plain text can be sent by any page without asking the browser; JSON cannot.
        if !is_json(request.headers()) {
            return Err(ApiError::new(
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported_media_type",
                "send the body as content-type: application/json",
            ));
        }
        Self::parse(&read_body(request.into_body()).await?)
    }
}

/// The bytes of a body as they came.
///
/// # Errors
/// When it is too long, takes too long, or breaks off.
pub(crate) async fn read_body(body: Body) -> Result<Bytes, ApiError> {
    read_body_up_to(body, MAX_BODY_BYTES, BODY_TIMEOUT).await
}

/// As [`read_body`], for bodies of other lengths.
///
/// # Errors
/// As [`read_body`].
pub(crate) async fn read_body_up_to(body: Body, most: usize, within: Duration) -> Result<Bytes, ApiError> {
    tokio::time::timeout(within, read(body, most)).await.unwrap_or_else(|_| {
        Err(ApiError::new(StatusCode::REQUEST_TIMEOUT, "timeout", "the body did not arrive in time"))
    })
}

fn is_json(headers: &HeaderMap) -> bool {
    let Some(value) = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) else {
        return false;
    };
    let essence = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json"))
}

async fn read(body: Body, most: usize) -> Result<Bytes, ApiError> {
    let mut chunks = body.into_data_stream();
    let mut bytes = Vec::new();
    while let Some(chunk) = chunks.next().await {
        let chunk = chunk.map_err(|_| ApiError::malformed("the body broke off"))?;
        if bytes.len() + chunk.len() > most {
            return Err(ApiError::new(
                StatusCode::PAYLOAD_TOO_LARGE,
                "too_large",
                format!("the body may have at most {most} bytes"),
            ));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.into())
}
