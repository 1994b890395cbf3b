//! What stands in an address: the id in the path and the parameters behind it, read as strictly as a body.

use axum::extract::rejection::PathRejection;
use axum::extract::{FromRequestParts, Path, Query};
use axum::http::request::Parts;

use crate::error::ApiError;

/// The parameters of a query string that have not been taken out yet.
#[derive(Debug)]
pub(crate) struct Parameters(Vec<(String, String)>);

impl Parameters {
    /// A text of at most `max_chars` characters, if there is one; an empty one counts as none.
    pub fn text(&mut self, name: &str, max_chars: usize) -> Result<Option<String>, ApiError> {
        let Some(at) = self.0.iter().position(|(given, _)| given == name) else { return Ok(None) };
        let (_, text) = self.0.swap_remove(at);
        if text.chars().count() > max_chars {
            return Err(ApiError::invalid(name, format!("must have at most {max_chars} characters")));
        }
        Ok(Some(text).filter(|text| !text.trim().is_empty()))
    }

    /// One of `choices` by its name, if there is one.
    pub fn choice<T: Copy>(&mut self, name: &str, choices: &[(&str, T)]) -> Result<Option<T>, ApiError> {
        let Some(text) = self.text(name, usize::MAX)? else { return Ok(None) };
        let chosen = choices.iter().find(|(choice, _)| *choice == text);
        chosen.map(|(_, choice)| Some(*choice)).ok_or_else(|| {
            let names: Vec<_> = choices.iter().map(|(choice, _)| *choice).collect();
            ApiError::invalid(name, format!("must be one of {}", names.join(", ")))
        })
    }

    /// How many entries are wanted, 1 to 100; 20 where nothing is said.
    pub fn limit(&mut self) -> Result<usize, ApiError> {
        const MOST: usize = 100;
        let Some(text) = self.text("limit", 20)? else { return Ok(20) };
        let limit = text.parse().ok().filter(|limit| (1..=MOST).contains(limit));
        limit.ok_or_else(|| ApiError::invalid("limit", format!("must be a whole number from 1 to {MOST}")))
    }

    /// To be called last.
    ///
    /// # Errors
    /// When a parameter is left that nobody took, or stands twice.
    pub fn finish(self) -> Result<(), ApiError> {
        match self.0.first() {
            None => Ok(()),
            Some((name, _)) => {
                Err(ApiError::invalid(name, "is not a parameter of this request, or stands twice"))
            }
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Parameters {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, ApiError> {
        let parsed = Query::<Vec<(String, String)>>::try_from_uri(&parts.uri);
        let Query(parameters) = parsed.map_err(|_| ApiError::malformed("the query string cannot be read"))?;
        Ok(Self(parameters))
    }
}

/// The first `limit` of what was `found`, and the id to go on behind where there is more.
///
/// # Errors
/// When nothing was found because `after` names nothing.
pub(crate) fn page<T>(
    found: Option<Vec<T>>,
    limit: usize,
    id: impl Fn(&T) -> &String,
) -> Result<(Vec<T>, Option<String>), ApiError> {
    let mut found = found.ok_or_else(|| ApiError::invalid("after", "names nothing that is there"))?;
    let has_more = found.len() > limit;
    found.truncate(limit);
    let next = found.last().filter(|_| has_more).map(|last| id(last).clone());
    Ok((found, next))
}

/// The id in the path of a request.
#[derive(Debug)]
pub(crate) struct Id(pub String);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let found: Result<Path<String>, PathRejection> = Path::from_request_parts(parts, state).await;
        let Path(id) = found.map_err(|_| ApiError {
            field: Some("id".to_owned()),
            ..ApiError::malformed("the id is not URL-encoded UTF-8")
        })?;
        Ok(Self(id))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parameters(pairs: &[(&str, &str)]) -> Parameters {
        Parameters(pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
    }

    #[test]
    fn what_is_said_is_taken_and_what_is_left_over_is_named() {
        let mut given = parameters(&[("q", "饮料"), ("limit", "5"), ("after", " ")]);
        assert_eq!(given.text("q", 10).unwrap().as_deref(), Some("饮料"));
        assert_eq!((given.limit().unwrap(), given.text("after", 10).unwrap()), (5, None));
        assert!(given.finish().is_ok());
        let field = |error: ApiError| error.field.unwrap();
        for limit in ["0", "101", "-1", "many"] {
            assert_eq!(field(parameters(&[("limit", limit)]).limit().unwrap_err()), "limit");
        }
        assert_eq!(field(parameters(&[("q", "12345")]).text("q", 4).unwrap_err()), "q");
        assert_eq!(field(parameters(&[("query", "1")]).finish().unwrap_err()), "query");
        let rating = parameters(&[("rating", "left")]).choice("rating", &[("up", 1), ("down", 2)]);
        assert_eq!(field(rating.unwrap_err()), "rating");
    }
}
