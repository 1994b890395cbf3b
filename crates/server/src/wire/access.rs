//! Who may call, on the wire: keys, and reps that another program vouches for.

use std::num::NonZeroU32;

use flightdeck_corpus::Audience;
use flightdeck_records::{Key, KeyLimits, KeyRole, NewKey, SignIn, origin};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa::openapi::schema::{Object, Type};

use super::{AUDIENCES, names};
use crate::error::ApiError;
use crate::fields::Fields;

const MAX_NAME_CHARS: usize = 200;
const MAX_ORIGIN_CHARS: usize = 300;
const MAX_TOKEN_CHARS: usize = 4096;
const ROLES: [(&str, KeyRole); 4] = [
    ("admin", KeyRole::Admin),
    ("marketing", KeyRole::Marketing),
    ("rep", KeyRole::Rep),
    ("bot", KeyRole::Bot),
];

/// A token to be taken.
#[derive(Debug, ToSchema)]
pub(crate) struct SignInRequest {
    /// A JSON Web Token under HS256, made with a signing key: `kid` in its header; `aud` (`flightdeck`), `sub`, `iat`,
    /// `exp`, `jti` and perhaps `name` in its claims.
    #[schema(min_length = 1, max_length = 4096)]
    pub token: String,
}

impl SignInRequest {
    pub fn from_fields(mut fields: Fields) -> Result<Self, ApiError> {
        let request = Self { token: fields.text("token", MAX_TOKEN_CHARS)? };
        fields.finish()?;
        Ok(request)
    }
}

/// A rep was signed in.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SignInReply {
    /// To be shown as a key, by the rep's page alone.
    #[schema(example = "fdrep_…")]
    pub key: String,
    /// The rep, as the token names them.
    pub rep: RepReply,
    #[schema(schema_with = role_schema)]
    pub role: KeyRole,
    #[schema(format = DateTime)]
    pub expires_at: String,
}

/// A rep of another program.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct RepReply {
    pub id: String,
    pub name: String,
}

impl From<SignIn> for SignInReply {
    fn from(signed_in: SignIn) -> Self {
        let SignIn { secret, holder, expires_at } = signed_in;
        let actor = holder.actor();
        let id = holder.rep.map_or(actor.id, |rep| rep.id);
        Self {
            key: secret,
            rep: RepReply { id, name: actor.name },
            role: holder.key.role,
            expires_at: expires_at.to_string(),
        }
    }
}

/// The caller.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct MeReply {
    /// The key's or the rep's name; null for this machine while there are no keys.
    pub name: Option<String>,
    #[schema(schema_with = role_schema)]
    pub role: KeyRole,
    /// Whether nothing internal is shown, whatever the role.
    pub customer_only: bool,
    /// Whether this is somebody who looks after the knowledge.
    pub curates: bool,
}

/// A key to be made.
#[derive(ToSchema)]
#[allow(dead_code, reason = "describes the wire; the records' own type holds the values")]
pub(crate) struct NewKeyRequest {
    /// Who or what it is for.
    #[schema(min_length = 1, max_length = 200, example = "CRM")]
    name: String,
    #[schema(schema_with = role_schema)]
    role: KeyRole,
    /// What its holder may see at most; a request can only narrow it.
    #[schema(required = false, schema_with = audience_schema)]
    audience: Audience,
    /// Requests a minute; as many as the server can do where nothing is said.
    #[schema(minimum = 1)]
    per_minute: Option<u32>,
    /// Whose pages may use it.
    #[schema(required = false, example = json!(["https://crm.example.com"]))]
    origins: Vec<String>,
    /// Whether another program signs its reps' tokens with it; for the role `rep`.
    #[schema(required = false, default = false)]
    signs: bool,
}

pub(crate) fn new_key(mut fields: Fields) -> Result<NewKey, ApiError> {
    let name = fields.text("name", MAX_NAME_CHARS)?;
    let role = fields.choice("role", &ROLES)?.ok_or_else(|| ApiError::invalid("role", "is required"))?;
    let audience = fields.choice("audience", &AUDIENCES)?.unwrap_or(Audience::Internal);
    let per_minute = fields.integer("per_minute", 1..=u64::from(u32::MAX))?;
    let given = fields.texts("origins", MAX_ORIGIN_CHARS)?;
    let signs = fields.flag("signs")?;
    fields.finish()?;
    let origins = given.iter().enumerate().map(|(idx, text)| {
        let message = "must be an origin as https://crm.example.com, with nothing behind the host";
        origin(text).ok_or_else(|| ApiError::invalid(format!("origins[{idx}]"), message))
    });
    let origins = origins.collect::<Result<_, _>>()?;
    if signs && role != KeyRole::Rep {
        return Err(ApiError::invalid("signs", "a key that signs is one of the role rep"));
    }
    let limits = KeyLimits {
        customer_only: audience == Audience::Customer,
        per_minute: per_minute.and_then(|n| u32::try_from(n).ok()).and_then(NonZeroU32::new),
    };
    Ok(NewKey { name, role, limits, origins, signs })
}

/// A key, without its secret.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeyReply {
    pub id: String,
    pub name: String,
    #[schema(schema_with = role_schema)]
    pub role: KeyRole,
    /// What its holder may see at most.
    #[schema(schema_with = audience_schema)]
    pub audience: Audience,
    /// Requests a minute.
    pub per_minute: Option<u32>,
    /// Whose pages may use it; empty where nothing is said.
    pub origins: Vec<String>,
    /// Whether another program signs tokens with it.
    pub signs: bool,
    #[schema(format = DateTime)]
    pub created_at: String,
    /// Since when it opens nothing any more.
    #[schema(format = DateTime)]
    pub revoked_at: Option<String>,
}

impl From<Key> for KeyReply {
    fn from(key: Key) -> Self {
        let customer_only = key.role == KeyRole::Bot || key.limits.customer_only;
        Self {
            id: key.id,
            name: key.name,
            role: key.role,
            audience: if customer_only { Audience::Customer } else { Audience::Internal },
            per_minute: key.limits.per_minute.map(NonZeroU32::get),
            origins: key.origins,
            signs: key.signs,
            created_at: key.created_at.to_string(),
            revoked_at: key.revoked_at.map(|at| at.to_string()),
        }
    }
}

/// Keys, oldest first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct KeyList {
    pub keys: Vec<KeyReply>,
}

/// A key that was just made.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct NewKeyReply {
    pub key: KeyReply,
    /// Shown only here: `fd_…`, or `fdsign_…` for a key that signs.
    pub secret: String,
}

fn role_schema() -> Object {
    names([Type::String], ROLES.map(|(name, _)| name)).build()
}

fn audience_schema() -> Object {
    super::audience_schema()
}
