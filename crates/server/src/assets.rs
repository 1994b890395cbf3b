//! The pages, carried inside the binary.
//!
//! Names have no version in them, so a browser asks again each time and is answered with 304 as long as the content
//! has its old hash. The policy lets nothing in but what this server sends: no inline script, no other host.
//!
//! The widget is two of them: `widget.js`, which any page may load and which makes a launcher and a frame, and the
//! chat page again under `/widget`, which only pages of the allowed origins may show in that frame. All that is said
//! happens inside the frame, on this server's own origin, so no other origin is ever let into the API.

use axum::Router;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::get;
use rust_embed::{EmbeddedFile, RustEmbed};

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
pub(crate) fn routes(widget_origins: &[String]) -> Router<AppState> {
    let mut router = Router::new();
    for path in Web::iter() {
        let (Some(content_type), Some(file)) = (content_type(&path), Web::get(&path)) else { continue };
        let asset = Asset { for_all: path == "widget.js", ..Asset::new(file, content_type) };
        if path == "index.html" {
            router = router.route("/", serve(asset.clone()));
            let ancestors = [&["'self'".to_owned()], widget_origins].concat().join(" ");
            let framed = Asset { policy: policy(&ancestors), ..asset.clone() };
            router = router.route("/widget", serve(framed));
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
        let tag =
            HeaderValue::try_from(format!("\"{digits:032x}\"")).expect("digits in quotes are a header value");
        Self {
            content: file.data.into_owned().into(),
            content_type,
            tag,
            policy: policy("'none'"),
            for_all: false,
        }
    }

    fn respond(&self, request: &HeaderMap) -> Response {
        let headers = [
            (header::ETAG, self.tag.clone()),
            (header::CACHE_CONTROL, HeaderValue::from_static("no-cache")),
            (header::CONTENT_SECURITY_POLICY, self.policy.clone()),
            (
                HeaderName::from_static("cross-origin-resource-policy"),
                HeaderValue::from_static(if self.for_all { "cross-origin" } else { "same-origin" }),
            ),
        ];
        if self.is_known_to(request) {
            return (StatusCode::NOT_MODIFIED, headers).into_response();
        }
        let content_type = [(header::CONTENT_TYPE, HeaderValue::from_static(self.content_type))];
        (headers, content_type, self.content.clone()).into_response()
    }

    /// Whether the browser has it already.
    fn is_known_to(&self, request: &HeaderMap) -> bool {
        let tags = request.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        tags.flat_map(|value| value.split(','))
            .map(|tag| tag.trim().trim_start_matches("W/"))
            .any(|tag| tag == "*" || tag.as_bytes() == self.tag.as_bytes())
    }
}
