//! All routes.

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{Method, StatusCode, Uri};
use axum::routing::any;

use crate::face::Face;
use crate::{admin, controller, metrics, page, v1};

/// Returns the routes of a face.
pub(crate) fn of(face: &Face) -> Router {
    let router = match face {
        Face::Full => {
            // A nested router does not get its own path with a slash at the end.
            let v1 = Router::new().nest("/v1", v1::router()).route("/v1/", any(v1::unknown_path));
            let control = page::router().merge(v1).merge(controller::router());
            let router = control.merge(admin::routes()).merge(metrics::routes()).fallback(nothing_there);
            router.method_not_allowed_fallback(wrong_method)
        }
        Face::Admin { metrics, .. } => {
            let commands = face.commands().map(admin::routes_at);
            let router = commands.unwrap_or_else(|| Router::new().fallback(nothing_there));
            if *metrics { router.merge(metrics::routes()) } else { router }
        }
    };
    // Connections bound all bodies, by the settings.
    router.layer(DefaultBodyLimit::disable())
}

async fn wrong_method(method: Method, uri: Uri) -> (StatusCode, String) {
    let text = format!("{} has no {method}; the header Allow lists its methods\n", uri.path());
    (StatusCode::METHOD_NOT_ALLOWED, text)
}

async fn nothing_there(uri: Uri) -> (StatusCode, String) {
    (StatusCode::NOT_FOUND, format!("there is nothing at {}\n", uri.path()))
}
