//! The pages, carried inside the binary.
//!
//! Names have no version in them, so a browser asks again each time and is answered with 304 as long as the content
//! has its old hash. The policy lets nothing in but what this server sends: no inline script, no other host.
//!
//! The widget is two of them: `widget.js`, which any page may load and which makes a launcher and a frame, and the
//! chat page again under `/widget`, which only pages of the allowed origins may show in that frame: those of the
//! settings, and those of any key. The launcher says which one its page is; where that is allowed, the policy names it
//! and no other, so that nobody reads from it who else has the widget. All that is said happens inside the frame, on
//! this server's own origin.

use std::io::Write as _;

use axum::Router;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use flate2::Compression;
use flate2::write::GzEncoder;
use rust_embed::{EmbeddedFile, RustEmbed};

use crate::error::ApiError;
use crate::parameters::Parameters;
use crate::state::AppState;

#[derive(RustEmbed)]
#[folder = "web/"]
struct Web;

/// Ends with whom it lets show the page in a frame.
const PAGE_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                           font-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'self'; \
                           frame-ancestors ";

fn policy(frame_ancestors: &str) -> HeaderValue {
    // Origins are checked where the settings are read; one that is no header value lets nobody in.
    HeaderValue::try_from(format!("{PAGE_POLICY}{frame_ancestors}"))
        .unwrap_or(HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'"))
}

/// `/`, `/widget`, `/admin`, and one route for each file of the folder that a browser may need.
pub(crate) fn routes() -> Router<AppState> {
    let mut router = Router::new();
    for path in Web::iter() {
        let (Some(content_type), Some(file)) = (content_type(&path), Web::get(&path)) else { continue };
        let asset = Asset { for_all: path == "widget.js", ..Asset::new(file, content_type) };
        if path == "index.html" {
            router = router.route("/", serve(asset.clone()));
            let framed = asset.clone();
            let frame =
                async move |State(state): State<AppState>, parameters: Parameters, headers: HeaderMap| {
                    Ok::<_, ApiError>(framed.framed(&frame_ancestors(&state, parameters).await?, &headers))
                };
            router = router.route("/widget", get(frame));
        }
        if path == "admin.html" {
            router = router.route("/admin", serve(asset.clone()));
            // The page's addresses are relative to where it is; the redirect too, so that a prefix works.
            router = router.route("/admin/", get(async || Redirect::permanent("../admin")));
        }
        router = router.route(&format!("/{path}"), serve(asset));
    }
    router
}

fn serve(asset: Asset) -> axum::routing::MethodRouter<AppState> {
    get(async move |headers: HeaderMap| asset.respond(&headers))
}

/// Whose pages may show the widget's page: the one that the launcher names, if it may at all; without a name those of
/// the settings.
async fn frame_ancestors(state: &AppState, mut parameters: Parameters) -> Result<String, ApiError> {
    const MAX_ORIGIN_CHARS: usize = 300;
    let named = parameters.text("origin", MAX_ORIGIN_CHARS)?;
    parameters.finish()?;
    let Some(named) = named else {
        return Ok([&["'self'".to_owned()], state.widget_origins()].concat().join(" "));
    };
    let is_usual = state.widget_origins().contains(&named);
    let is_allowed =
        is_usual || state.with_records(|records| Ok(records.key_origins()?)).await?.contains(&named);
    Ok(if is_allowed { format!("'self' {named}") } else { "'self'".to_owned() })
}

/// `None` for what is no part of a page: notes and tests beside it.
fn content_type(path: &str) -> Option<&'static str> {
    Some(match path.rsplit_once('.')?.1 {
        "html" => "text/html; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "webp" => "image/webp",
        "woff2" => "font/woff2",
        _ => return None,
    })
}

#[derive(Clone)]
struct Asset {
    content: axum::body::Bytes,
    /// The same under gzip; `None` where that is no shorter.
    packed: Option<axum::body::Bytes>,
    content_type: &'static str,
    tag: HeaderValue,
    policy: HeaderValue,
    /// Whether pages of other sites may load it.
    for_all: bool,
}

impl Asset {
    fn new(file: EmbeddedFile, content_type: &'static str) -> Self {
        let hash = file.metadata.sha256_hash();
        let (first_half, _) = hash.split_at(16);
        let digits = u128::from_be_bytes(first_half.try_into().expect("it has 16 bytes"));
        let tag = HeaderValue::try_from(format!("W/\"{digits:032x}\""))
            .expect("digits in quotes are a header value");
        let content: axum::body::Bytes = file.data.into_owned().into();
        Self {
            packed: packed(&content),
            content,
            content_type,
            tag,
            policy: policy("'none'"),
            for_all: false,
        }
    }

    /// The page for a frame in pages of these origins. It is never kept: who may show it can change.
    fn framed(&self, ancestors: &str, request: &HeaderMap) -> Response {
        let asset = Self { policy: policy(ancestors), ..self.clone() };
        let mut response = asset.whole(request);
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }

    fn respond(&self, request: &HeaderMap) -> Response {
        if self.is_known_to(request) {
            return (StatusCode::NOT_MODIFIED, self.headers()).into_response();
        }
        self.whole(request)
    }

    fn whole(&self, request: &HeaderMap) -> Response {
        let content_type = [(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type))];
        match &self.packed {
            Some(packed) if takes_gzip(request) => {
                let encoding = [(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"))];
                (self.headers(), content_type, encoding, packed.clone()).into_response()
            }
            _ => (self.headers(), content_type, self.content.clone()).into_response(),
        }
    }

    fn headers(&self) -> [(HeaderName, HeaderValue); 5] {
        [
            (header::ETAG, self.tag.clone()),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            (header::VARY, HeaderValue::from_static("accept-encoding")),
            (header::CONTENT_SECURITY_POLICY, self.policy.clone()),
            (
                HeaderName::from_static("cross-origin-resource-policy"),
                HeaderValue::from_static(if self.for_all { "cross-origin" } else { "same-origin" }),
            ),
        ]
    }

    /// Whether the browser has it already.
    fn is_known_to(&self, request: &HeaderMap) -> bool {
        let tags = request.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        tags.flat_map(|value| value.split(','))
            .map(|tag| tag.trim().trim_start_matches("W/"))
            .any(|tag| tag == "*" || self.tag.to_str().is_ok_and(|own| tag == own.trim_start_matches("W/")))
    }
}

/// Under gzip, packed once when the program starts.
fn packed(content: &[u8]) -> Option<axum::body::Bytes> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
    // Writing into memory cannot fail.
    encoder.write_all(content).ok()?;
    let packed = encoder.finish().ok()?;
    (packed.len() < content.len()).then(|| packed.into())
}

fn takes_gzip(request: &HeaderMap) -> bool {
    let accepted = request.get_all(header::ACCEPT_ENCODING).iter().filter_map(|value| value.to_str().ok());
    accepted.flat_map(|value| value.split(',')).any(|encoding| {
        let (name, quality) = encoding.split_once(';').unwrap_or((encoding, ""));
        name.trim().eq_ignore_ascii_case("gzip") && !matches!(quality.trim(), "q=0" | "q=0.0")
    })
}
