//! The page: the built web bundle, inside the binary.

use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use include_dir::{Dir, include_dir};

static BUNDLE: Dir<'_> = include_dir!("$CARGO_MANIFEST_DIR/../dashboards/web/dist");

/// Answers with a file of the bundle; any path without an extension is the page itself, which routes by its own address.
pub(crate) async fn serve(uri: Uri) -> Response {
    let path = uri.path().trim_start_matches('/');
    let (file, path) = match BUNDLE.get_file(path) {
        Some(file) => (file, path),
        None if !path.contains('.')
            && !path.starts_with("api/")
            && !path.starts_with("select/") =>
        {
            match BUNDLE.get_file("index.html") {
                Some(file) => (file, "index.html"),
                None => {
                    return (StatusCode::NOT_FOUND, "the binary was built without the page")
                        .into_response();
                }
            }
        }
        None => return (StatusCode::NOT_FOUND, "there is nothing here\n").into_response(),
    };
    // Names under assets/ hold a hash of their content.
    let cache = if path.starts_with("assets/") {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let headers = [
        (header::CONTENT_TYPE, content_type(path)),
        (header::CACHE_CONTROL, cache),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "no-referrer"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; frame-ancestors 'none'",
        ),
    ];
    (headers, file.contents()).into_response()
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit('.').next().unwrap_or("") {
        "html" => "text/html; charset=utf-8",
        "js" => "text/javascript; charset=utf-8",
        "css" => "text/css; charset=utf-8",
        "svg" => "image/svg+xml",
        "png" => "image/png",
        "ico" => "image/x-icon",
        "woff2" => "font/woff2",
        "json" => "application/json",
        _ => "application/octet-stream",
    }
}
