//! The pages: what `web/` was built to, from inside the binary (a debug build reads `web/dist` from disk).
//!
//! Cargo builds without them; until `make pages` has run, a plain page says so.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::response::{IntoResponse, Response};
use rust_embed::Embed;

use super::system::no_route;

#[derive(Embed)]
#[folder = "web/dist/"]
struct Files;

/// Where Vite puts what it names by its hash.
const HASHED: &str = "assets/";

/// Nothing from elsewhere, no script in the page. Ant Design writes its styles into the page as it runs.
const POLICY: &str = "default-src 'self'; script-src 'self'; style-src 'self' 'unsafe-inline'; \
     img-src 'self' data: blob:; media-src 'self' blob:; connect-src 'self'; object-src 'none'; \
     base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

const NOT_BUILT: &str = "<!doctype html><html lang=\"en\"><meta charset=\"utf-8\"><title>aftercall</title>\
     <p>The pages are not built into this aftercall. Cure: <code>make pages</code>, then build it again. \
     The API is there: <a href=\"/openapi.json\">/openapi.json</a>.</p></html>";

/// Answers what no route of the API took: a file of the pages, the page itself to a browser, else a problem.
pub async fn serve(request: Request) -> Response {
    let path = request.uri().path().trim_start_matches('/');
    let is_read = matches!(*request.method(), Method::GET | Method::HEAD);
    if !is_read || path == "api" || path.starts_with("api/") {
        return no_route().await.into_response();
    }
    if let Some(file) = file(path, request.headers()) {
        return file;
    }
    if accepts(request.headers(), header::ACCEPT, "text/html") && !path.starts_with(HASHED) {
        return file("index.html", request.headers())
            .unwrap_or_else(|| answer("index.html", NOT_BUILT.as_bytes().to_vec()));
    }
    no_route().await.into_response()
}

/// A file as it was built, or as it was packed beside it (`NAME.gz`) where the browser takes that.
fn file(path: &str, headers: &HeaderMap) -> Option<Response> {
    let kind = kind(path)?;
    if accepts(headers, header::ACCEPT_ENCODING, "gzip")
        && let Some(packed) = Files::get(&format!("{path}.gz"))
    {
        let mut response = answer(path, packed.data.into_owned());
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
        return Some(response);
    }
    Some(answer(path, Files::get(path)?.data.into_owned()))
}

fn answer(path: &str, bytes: Vec<u8>) -> Response {
    let cache = if path.starts_with(HASHED) {
        "public, max-age=31536000, immutable"
    } else {
        "no-store"
    };
    let headers: [(HeaderName, &str); 5] = [
        (
            header::CONTENT_TYPE,
            kind(path).unwrap_or("application/octet-stream"),
        ),
        (header::CACHE_CONTROL, cache),
        (header::VARY, "accept-encoding"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (headers, bytes).into_response()
}

/// The kinds of file that a build makes; nothing else is served.
fn kind(path: &str) -> Option<&'static str> {
    Some(match path.rsplit_once('.')?.1 {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "woff2" => "font/woff2",
        _ => return None,
    })
}

fn accepts(headers: &HeaderMap, name: HeaderName, what: &str) -> bool {
    let values = headers.get_all(name).into_iter();
    values
        .filter_map(|value| value.to_str().ok())
        .any(|value| value.contains(what))
}
