//! What a model's name means here: who will read the answer and who words it, or which side of a search a vector is
//! for.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use flightdeck_corpus::Audience;
use serde_json::Value;

use crate::access::Caller;
use crate::answering::Wanted;
use crate::error::ApiError;
use crate::openai::bad;
use crate::openai::wire::{ErrorReply, Model, ModelList};
use crate::parameters::Id;
use crate::state::AppState;

/// A name under which the assistant answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct ChatModel {
    pub id: &'static str,
    pub audience: Audience,
    pub wanted: Wanted,
}

const CHAT_MODELS: [ChatModel; 4] = [
    ChatModel { id: "flightdeck-internal", audience: Audience::Internal, wanted: Wanted::Worded },
    ChatModel { id: "flightdeck-customer", audience: Audience::Customer, wanted: Wanted::Worded },
    ChatModel {
        id: "flightdeck-internal-extractive",
        audience: Audience::Internal,
        wanted: Wanted::Composed,
    },
    ChatModel {
        id: "flightdeck-customer-extractive",
        audience: Audience::Customer,
        wanted: Wanted::Composed,
    },
];

/// On which side of a search a text stands; a model that was trained so has another prefix for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Side {
    Query,
    Passage,
}

pub(super) const SIDES: [(&str, Side); 2] = [("query", Side::Query), ("passage", Side::Passage)];

impl ChatModel {
    /// The model of this name, where the caller may use it.
    ///
    /// # Errors
    /// `model_not_found`: whether there is one that the caller may not use is not told.
    pub fn named(id: &str, caller: &Caller) -> Result<Self, ApiError> {
        usable(caller).find(|model| model.id == id).ok_or_else(unknown)
    }
}

/// The side that an embedding model's name is for; `None` where it leaves that open.
///
/// # Errors
/// `model_not_found` for every other name.
pub(super) fn embedding_side(id: &str, model: &str) -> Result<Option<Side>, ApiError> {
    match id.strip_prefix(model) {
        Some("") => Ok(None),
        Some(rest) => {
            let side = SIDES.iter().find(|(name, _)| rest.strip_prefix('-') == Some(name));
            side.map(|(_, side)| Some(*side)).ok_or_else(unknown)
        }
        None => Err(unknown()),
    }
}

/// The name that a body asks for.
pub(super) fn asked(body: &serde_json::Map<String, Value>) -> Result<&str, ApiError> {
    match body.get("model") {
        Some(Value::String(model)) => Ok(model),
        None | Some(Value::Null) => Err(bad("model", "is required")),
        Some(_) => Err(bad("model", "must be a text")),
    }
}

fn usable(caller: &Caller) -> impl Iterator<Item = ChatModel> {
    CHAT_MODELS.into_iter().filter(|model| caller.audience(Some(model.audience)).is_ok())
}

fn unknown() -> ApiError {
    ApiError {
        status: StatusCode::NOT_FOUND,
        code: "model_not_found",
        ..ApiError::invalid("model", "there is no such model for this key; GET /v1/models lists them")
    }
}

fn all(state: &AppState, caller: &Caller) -> Vec<Model> {
    let mut ids: Vec<String> = usable(caller).map(|model| model.id.to_owned()).collect();
    // Before there is an index there is nothing to embed with either.
    if let Ok((engine, _)) = state.engine() {
        let model = engine.store.embedder().name();
        ids.push(model.to_owned());
        ids.extend(SIDES.map(|(side, _)| format!("{model}-{side}")));
    }
    ids.into_iter().map(Model::new).collect()
}

#[utoipa::path(
    get, path = "/v1/models", tag = "openai", summary = "The models that this key may use",
    responses(
        (status = 200, description = "The chat models, and those of `/v1/embeddings`", body = ModelList),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorReply),
    )
)]
pub(crate) async fn list(State(state): State<AppState>, caller: Caller) -> Json<ModelList> {
    Json(ModelList::new(all(&state, &caller)))
}

#[utoipa::path(
    get, path = "/v1/models/{id}", tag = "openai", summary = "One model",
    params(("id" = String, Path, description = "The model's name")),
    responses(
        (status = 200, description = "The model", body = Model),
        (status = 401, description = "The key is missing, unknown or revoked", body = ErrorReply),
        (status = 404, description = "There is none of this name for this key", body = ErrorReply),
    )
)]
pub(crate) async fn model(
    State(state): State<AppState>,
    caller: Caller,
    Id(id): Id,
) -> Result<Json<Model>, ApiError> {
    all(&state, &caller).into_iter().find(|model| model.id == id).map(Json).ok_or_else(unknown)
}

#[cfg(test)]
mod tests {
    use flightdeck_records::KeyRole;

    use super::*;

    fn caller(customer_only: bool) -> Caller {
        Caller { role: KeyRole::Rep, actor: None, customer_only, reader: None }
    }

    #[test]
    fn an_unknown_model_is_not_found_and_neither_is_one_that_the_key_may_not_use() {
        let error = ChatModel::named("gpt-4", &caller(false)).unwrap_err();
        assert_eq!((error.status.as_u16(), error.code), (404, "model_not_found"));
        let model = ChatModel::named("flightdeck-customer", &caller(true)).unwrap();
        assert_eq!((model.audience, model.wanted), (Audience::Customer, Wanted::Worded));
        for id in ["flightdeck-internal", "flightdeck-internal-extractive"] {
            assert_eq!(ChatModel::named(id, &caller(false)).unwrap().audience, Audience::Internal);
            assert_eq!(ChatModel::named(id, &caller(true)).unwrap_err(), error, "{id}");
        }
    }

    #[test]
    fn an_embedding_models_name_may_say_for_which_side() {
        let side = |id| embedding_side(id, "e5").map_err(|error| error.code);
        assert_eq!(side("e5"), Ok(None));
        assert_eq!(side("e5-query"), Ok(Some(Side::Query)));
        assert_eq!(side("e5-passage"), Ok(Some(Side::Passage)));
        for other in ["e", "e5-", "e5query", "e5-queries", "text-embedding-3-small", ""] {
            assert_eq!(side(other), Err("model_not_found"), "{other}");
        }
    }
}
