//! `/api/v1/phrases`: 话术, wordings that reps keep, offer to everybody, and use again.
//!
//! What a wording stands on is looked up when it is shown: a document that was internal, withdrawn or past its last
//! day makes it internal, whatever it was when it was kept.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use flightdeck_corpus::Audience;
use flightdeck_records::{Phrase, PhraseQuery, PhraseState};

use crate::access::Caller;
use crate::error::ApiError;
use crate::fields::Fields;
use crate::parameters::{Id, Parameters, page};
use crate::state::AppState;
use crate::wire::phrases::{PHRASE_STATES, PhraseChange, PhraseList, PhraseReply, PhraseRequest, new_phrase};
use crate::wire::{ErrorBody, MAX_ID_CHARS};

const MAX_WORDS_CHARS: usize = 200;

#[utoipa::path(
    get, path = "/api/v1/phrases", tag = "records", summary = "Find wordings",
    description = "One's own and the shared ones; marketing and admins also see those on offer.",
    params(
        ("q" = Option<String>, Query, description = "Words that it or its question holds"),
        ("state" = Option<String>, Query, description = "`own`, `offered` or `shared`"),
        ("after" = Option<String>, Query, description = "The `next` of the page before"),
        ("limit" = Option<u32>, Query, description = "How many at most, 1 to 100; 20 where nothing is said"),
    ),
    responses(
        (status = 200, description = "The latest first", body = PhraseList),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller may not", body = ErrorBody),
        (status = 422, description = "`after` names nothing, or a parameter has a value that it cannot have", body = ErrorBody),
    )
)]
pub(crate) async fn list(
    State(state): State<AppState>,
    caller: Caller,
    mut parameters: Parameters,
) -> Result<Json<PhraseList>, ApiError> {
    caller.must_be_staff()?;
    let words = parameters.text("q", MAX_WORDS_CHARS)?.unwrap_or_default();
    let wanted = parameters.choice("state", &PHRASE_STATES)?;
    let after = parameters.text("after", MAX_ID_CHARS)?;
    let limit = parameters.limit()?;
    parameters.finish()?;
    let owner = caller.owner().unwrap_or_default().to_owned();
    let sees_offers = caller.is_curator();
    let found = state.with_records(move |records| {
        let query = PhraseQuery {
            owner: &owner,
            sees_offers,
            words: &words,
            state: wanted,
            after: after.as_deref(),
            limit: limit + 1,
        };
        Ok(records.phrases(&query)?)
    });
    let (found, next) = page(found.await?, limit, |phrase| &phrase.id)?;
    Ok(Json(PhraseList {
        phrases: found.into_iter().map(|phrase| shown(&state, &caller, phrase)).collect(),
        next,
    }))
}

#[utoipa::path(
    post, path = "/api/v1/phrases", tag = "records", summary = "Keep a wording",
    request_body = PhraseRequest,
    responses(
        (status = 201, description = "As kept, for the caller alone", body = PhraseReply),
        (status = 400, description = "The body is not a JSON object", body = ErrorBody),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller may not", body = ErrorBody),
        (status = 413, description = "The body is over 256 KiB", body = ErrorBody),
        (status = 415, description = "The body is not declared as JSON", body = ErrorBody),
        (status = 422, description = "A field has a value that it cannot have", body = ErrorBody),
    )
)]
pub(crate) async fn keep(
    State(state): State<AppState>,
    caller: Caller,
    fields: Fields,
) -> Result<(StatusCode, Json<PhraseReply>), ApiError> {
    caller.must_be_staff()?;
    let new = new_phrase(fields)?;
    let actor = caller.actor.clone();
    let kept = state.with_records(move |records| Ok(records.keep_phrase(new, actor.as_ref())?)).await?;
    Ok((StatusCode::CREATED, Json(shown(&state, &caller, kept))))
}

#[utoipa::path(
    patch, path = "/api/v1/phrases/{id}", tag = "records", summary = "Change a wording, offer it, or approve it",
    description = "Who keeps it changes its words and offers it (`offered`) or takes the offer back (`own`); marketing \
                   and admins approve one (`shared`) or hand it back (`own`). A shared one whose words are changed is on offer again.",
    params(("id" = String, Path, description = "The wording's id")),
    request_body = PhraseChange,
    responses(
        (status = 200, description = "As it is now", body = PhraseReply),
        (status = 400, description = "The body is not a JSON object", body = ErrorBody),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller may not", body = ErrorBody),
        (status = 404, description = "There is none that this caller may see", body = ErrorBody),
        (status = 413, description = "The body is over 256 KiB", body = ErrorBody),
        (status = 415, description = "The body is not declared as JSON", body = ErrorBody),
        (status = 422, description = "A field has a value that it cannot have", body = ErrorBody),
    )
)]
pub(crate) async fn change(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id,
    fields: Fields,
) -> Result<Json<PhraseReply>, ApiError> {
    caller.must_be_staff()?;
    let PhraseChange { text, state: wanted } = PhraseChange::from_fields(fields)?;
    let asking = caller.clone();
    let changed = state.with_records(move |records| {
        let mut phrase = visible(records.phrase(&id)?, &asking)?;
        let is_own = is_own(&phrase, &asking);
        let may =
            |allowed: bool, message: &str| allowed.then_some(()).ok_or_else(|| ApiError::forbidden(message));
        let gone = || ApiError::not_found("there is no such wording");
        if let Some(text) = text {
            may(is_own, "only who keeps a wording may change its words")?;
            phrase = records.reword_phrase(&id, &text)?.ok_or_else(gone)?;
        }
        if let Some(wanted) = wanted.filter(|wanted| *wanted != phrase.state) {
            match wanted {
                PhraseState::Shared => asking.must_be_curator()?,
                PhraseState::Offered => may(is_own, "only who keeps a wording may offer it")?,
                PhraseState::Own => {
                    may(is_own || asking.is_curator(), "this wording is not yours to take back")?;
                }
            }
            phrase = records.set_phrase_state(&id, wanted, asking.actor.as_ref())?.ok_or_else(gone)?;
        }
        Ok(phrase)
    });
    Ok(Json(shown(&state, &caller, changed.await?)))
}

#[utoipa::path(
    delete, path = "/api/v1/phrases/{id}", tag = "records", summary = "Forget a wording",
    description = "One's own; marketing and admins also what is shared or on offer.",
    params(("id" = String, Path, description = "The wording's id")),
    responses(
        (status = 204, description = "Done"),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorBody),
        (status = 403, description = "This caller may not", body = ErrorBody),
        (status = 404, description = "There is none that this caller may see", body = ErrorBody),
    )
)]
pub(crate) async fn forget(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id,
) -> Result<StatusCode, ApiError> {
    caller.must_be_staff()?;
    let forgotten = state.with_records(move |records| {
        let phrase = visible(records.phrase(&id)?, &caller)?;
        if !is_own(&phrase, &caller) {
            caller.must_be_curator()?;
        }
        Ok(records.delete_phrase(&id, caller.actor.as_ref())?)
    });
    forgotten.await?;
    Ok(StatusCode::NO_CONTENT)
}

fn is_own(phrase: &Phrase, caller: &Caller) -> bool {
    phrase.owner == caller.owner().unwrap_or_default()
}

/// The wording, where the caller may know of it.
fn visible(phrase: Option<Phrase>, caller: &Caller) -> Result<Phrase, ApiError> {
    let is_visible = |phrase: &Phrase| match phrase.state {
        PhraseState::Shared => true,
        PhraseState::Offered => is_own(phrase, caller) || caller.is_curator(),
        PhraseState::Own => is_own(phrase, caller),
    };
    phrase.filter(is_visible).ok_or_else(|| ApiError::not_found("there is no such wording"))
}

/// The wording with who may read what it stands on today.
fn shown(state: &AppState, caller: &Caller, phrase: Phrase) -> PhraseReply {
    let day = jiff::Zoned::now().date();
    let index = state.engine().ok().map(|(_, index)| index);
    let is_for_customers = |id: &String| {
        index.as_ref().is_some_and(|index| index.document(id, Audience::Customer, day).is_some())
    };
    let may_leave = !phrase.documents.is_empty() && phrase.documents.iter().all(is_for_customers);
    let audience = if may_leave { Audience::Customer } else { Audience::Internal };
    let mine = is_own(&phrase, caller);
    PhraseReply::new(phrase, audience, mine)
}
