//! The JSON of what is said about a file.

use flightdeck_corpus::{Audience, Kind};
use jiff::civil::Date;
use serde::Serialize;
use utoipa::ToSchema;

use super::{audience_schema, kind_schema};

/// What is said about a file, and what could be.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct AboutReply {
    pub said: SaidView,
    /// What nobody has said yet.
    pub proposals: Vec<ProposalView>,
}

/// What holds of a file, whether it, the sidecar beside it or its folder says so, or nobody.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct SaidView {
    pub title: String,
    #[schema(schema_with = kind_schema)]
    pub kind: Kind,
    #[schema(schema_with = audience_schema)]
    pub audience: Audience,
    pub industry: Vec<String>,
    pub product: Vec<String>,
    pub scenario: Vec<String>,
    pub company_size: Option<String>,
    pub region: Option<String>,
    pub tags: Vec<String>,
    pub keywords: Vec<String>,
    #[schema(value_type = Option<String>, format = Date)]
    pub valid_from: Option<Date>,
    #[schema(value_type = Option<String>, format = Date)]
    pub valid_until: Option<Date>,
    pub owner: Option<String>,
    pub link: Option<String>,
}

/// Something that could be said of a file.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ProposalView {
    /// `title`, `kind`, `industry`, `product` or `keywords`.
    pub field: &'static str,
    /// One for `title` and `kind`, the likeliest first for the others.
    pub values: Vec<String>,
    /// Why.
    pub reason: String,
    pub reason_zh: String,
}

/// What shall be said: what is left out stays.
#[derive(Debug, ToSchema)]
#[allow(dead_code, reason = "only its description is used")]
pub(crate) struct AboutRequest {
    #[schema(example = "FX-9 灌装线安装要求")]
    pub title: Option<String>,
    #[schema(example = "service")]
    pub kind: Option<String>,
    /// `customer` or `internal`.
    pub audience: Option<String>,
    pub industry: Option<Vec<String>>,
    pub product: Option<Vec<String>>,
    pub scenario: Option<Vec<String>>,
    pub company_size: Option<String>,
    pub region: Option<String>,
    pub tags: Option<Vec<String>>,
    pub keywords: Option<Vec<String>>,
    pub valid_from: Option<String>,
    pub valid_until: Option<String>,
    pub owner: Option<String>,
    pub link: Option<String>,
}
