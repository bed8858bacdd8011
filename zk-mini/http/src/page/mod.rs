//! The page: one screen for people. Its files are part of the program; it asks for everything else through `/v1`.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::LazyLock;

use axum::Router;
use axum::extract::Path;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
    X_CONTENT_TYPE_OPTIONS,
};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;

/// Whatever a node holds, the browser runs nothing but the page's own files, and asks nobody but this server.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'";

/// A file of the page.
struct File {
    name: &'static str,
    text: &'static str,
}

/// Lists files of the page.
macro_rules! files {
    ($($name:literal)*) => { &[$(File { name: $name, text: include_str!($name) }),*] };
}

const FILES: &[File] = files!(
    "index.html" "page.css" "icon.svg" "api.js" "clock-view.js" "data-view.js" "dialog.js" "diff-view.js" "dom.js" "edit.js"
    "faults-view.js" "format.js" "history-ring.js" "keys.js" "live.js" "log-view.js" "main.js" "node-view.js" "route.js"
    "servers-view.js" "session-view.js" "state.js" "stream.js" "tell.js" "timeline.js" "tree-model.js" "tree-view.js" "virtual-list.js"
    "welcome.js"
);

/// Version of the files: another build of the program has another one.
static TAG: LazyLock<String> = LazyLock::new(|| {
    let mut hasher = DefaultHasher::new();
    for file in FILES {
        (file.name, file.text).hash(&mut hasher);
    }
    format!("\"{:016x}\"", hasher.finish())
});

impl File {
    fn content_type(&self) -> &'static str {
        match self.name.rsplit('.').next() {
            Some("html") => "text/html; charset=utf-8",
            Some("css") => "text/css; charset=utf-8",
            Some("svg") => "image/svg+xml",
            _ => "text/javascript; charset=utf-8",
        }
    }
}

/// Returns the routes of the page.
pub(crate) fn router() -> Router {
    Router::new().route("/", get(|headers: HeaderMap| async move { answer("index.html", &headers) })).route(
        "/page/{name}",
        get(|Path(name): Path<String>, headers: HeaderMap| async move { answer(&name, &headers) }),
    )
}

fn answer(name: &str, headers: &HeaderMap) -> Response {
    let Some(file) = FILES.iter().find(|file| file.name == name) else {
        return (StatusCode::NOT_FOUND, "the page has no such file; it is at /\n").into_response();
    };
    let common = [
        (ETAG, TAG.as_str()),
        // A browser asks each time, and a new program shows its own page at once.
        (CACHE_CONTROL, "no-cache"),
        (CONTENT_SECURITY_POLICY, POLICY),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (REFERRER_POLICY, "no-referrer"),
    ];
    if headers.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == TAG.as_bytes()) {
        return (StatusCode::NOT_MODIFIED, common).into_response();
    }
    (common, [(CONTENT_TYPE, file.content_type())], file.text).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_is_small() {
        let size: usize = FILES.iter().map(|file| file.text.len()).sum();
        assert!(size < 150_000, "{size} bytes");
    }

    #[test]
    fn every_file_that_is_named_is_served() {
        let imported = FILES.iter().flat_map(|file| file.text.split(['\'', '"']));
        for name in
            imported.filter_map(|text| text.strip_prefix("./").or_else(|| text.strip_prefix("/page/")))
        {
            assert!(FILES.iter().any(|file| file.name == name), "{name} is imported, and not served");
        }
    }

    #[test]
    fn the_page_names_no_other_host_and_runs_no_text() {
        for file in FILES {
            let text = file.text.replace("http://www.w3.org/2000/svg", "");
            for bad in [
                "http://",
                "https://",
                "innerHTML",
                "outerHTML",
                "insertAdjacentHTML",
                "document.write",
                "eval(",
                "new Function",
            ] {
                assert!(!text.contains(bad), "{} has {bad}", file.name);
            }
        }
    }
}
