//! `snapshot` and `restore`, and who may ask for them.

use std::net::{IpAddr, Ipv4Addr};

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::Response;
use zk_mini::{AccessError, Credentials, Handle, Snapshot};
use zk_wire::Perms;

use super::reply::{self, Fields, NoFields};
use crate::app::App;
use crate::blocking::completely;
use crate::error::ApiError;
use crate::upload::upload;

const LAST_ZXID: HeaderName = HeaderName::from_static("last_zxid");
const SNAPSHOT_SIZE: HeaderName = HeaderName::from_static("snapshot_size");

/// Refuses a request without credentials that have all permissions on the root: the header Authorization has a scheme and, behind
/// a space, what a client would send by `auth`.
pub(super) fn authorize(app: &App, headers: &HeaderMap) -> Result<(), (StatusCode, String)> {
    let refused = |status, text: &str| Err((status, text.to_owned()));
    // The other one is for the guard of all of HTTP.
    let is_token = |value: &&HeaderValue| value.as_bytes().to_ascii_lowercase().starts_with(b"bearer ");
    let mut given = headers.get_all(header::AUTHORIZATION).iter().filter(|value| !is_token(value));
    let Some(given) = given.next() else {
        let text = "the header Authorization is missing; give it as: digest USER:PASSWORD";
        return refused(StatusCode::UNAUTHORIZED, text);
    };
    let ip = app.peer.map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), |peer| peer.ip());
    let credentials = credentials(given.as_bytes());
    let access = credentials.map_or(Err(AccessError::NotAuthenticated), |credentials| {
        app.server.authorize(ip, credentials, "/", Perms::ALL)
    });
    match access {
        Ok(()) => Ok(()),
        Err(error @ AccessError::NotAuthenticated) => refused(StatusCode::UNAUTHORIZED, &error.to_string()),
        Err(AccessError::NotAuthorized) => {
            refused(StatusCode::FORBIDDEN, "the ACL of / does not give this identity all permissions")
        }
        Err(error) => refused(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

/// Reads a scheme and, behind a space, a secret without spaces.
fn credentials(header: &[u8]) -> Option<Credentials<'_>> {
    let mut words = header.split(|byte| *byte == b' ');
    let (scheme, secret) = (words.next()?, words.next());
    let scheme = str::from_utf8(scheme).ok()?;
    words.next().is_none().then_some(Credentials { scheme, secret })
}

/// Answers with a snapshot in the body, or about it in the headers alone.
pub(super) fn snapshot(command: &str, server: &Handle, with_body: bool) -> Response {
    let snapshot = server.snapshot();
    let bytes = match snapshot.to_bytes() {
        Ok(bytes) => bytes,
        Err(error) => return reply::error(StatusCode::INTERNAL_SERVER_ERROR, command, &error.to_string()),
    };
    let size = bytes.len();
    let mut response = if with_body {
        reply::of(StatusCode::OK, "application/octet-stream", Body::from(bytes))
    } else {
        reply::fields(command, NoFields {})
    };
    let zxid = format!("{:#x}", snapshot.last_zxid().0);
    for (name, value) in [(LAST_ZXID, zxid), (SNAPSHOT_SIZE, size.to_string())] {
        if let Ok(value) = HeaderValue::from_str(&value) {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Restores the snapshot in a body. Nothing has changed unless the answer is 200.
pub(super) async fn restore(command: &'static str, app: App, request: Request) -> Response {
    let refused = |status, text: &str| reply::error(status, command, text);
    let max = app.shared.settings.max_restore;
    let turn = app.shared.restore_turn().await;
    let bytes = match upload(request, max).await {
        Ok(Some(bytes)) => bytes,
        Ok(None) => {
            let text = format!("the snapshot has more than {max} bytes");
            return refused(StatusCode::PAYLOAD_TOO_LARGE, &text);
        }
        Err(error) => return refused(error.status, &error.message),
    };
    let server = app.server;
    let restored = completely(async move {
        let _turn = turn;
        // As the real server: whatever is wrong with a snapshot is an error of the server.
        let snapshot = Snapshot::from_bytes(bytes).map_err(|error| ApiError::internal(error.to_string()))?;
        server.restore(&snapshot).await.map_err(|error| ApiError::internal(error.to_string()))?;
        Ok(server.last_zxid())
    });
    match restored.await {
        Ok(last_zxid) => {
            let mut fields = Fields::default();
            fields.put("last_zxid", last_zxid.0);
            reply::fields(command, fields)
        }
        Err(error) => refused(error.status, &error.message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authorization_has_one_or_two_words() {
        let of = |header: &'static [u8]| credentials(header).map(|given| (given.scheme, given.secret));
        assert_eq!(of(b"digest root:x"), Some(("digest", Some(&b"root:x"[..]))));
        assert_eq!(of(b"ip"), Some(("ip", None)));
        assert_eq!(of(b"digest root:x y"), None);
        assert_eq!(of(b"\xff x"), None);
    }
}
