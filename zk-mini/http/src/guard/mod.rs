//! Admission of requests. Local programs may everything, web pages of others nothing, other machines what a token or the settings
//! allow.
//!
//! A browser lets every page send requests to this machine. It tells where a request comes from by `Host`, `Origin` and
//! `Sec-Fetch-Site`, which pages cannot forge, and asks by `OPTIONS` before a request that no HTML form could send.

mod access;
mod content_type;
mod head;
mod host;
mod origin;
mod token;

use axum::http::header::{CONTENT_TYPE, HOST, HeaderName, ORIGIN, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::app::App;
use crate::error::ApiError;
use crate::face::Face;

use access::Part;
use host::Host;
pub use token::InvalidToken;
pub(crate) use token::Token;

const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Checks a request before anything of it is done.
///
/// # Errors
/// The answer for a request that is refused.
pub(crate) fn check(parts: &Parts, app: &App) -> Result<(), Box<Response>> {
    let path = parts.uri.path();
    judge(parts, app).map_err(|error| {
        let status = error.status;
        let mut response = answer(error, path);
        if status == StatusCode::UNAUTHORIZED {
            let challenge = HeaderValue::from_static("Bearer realm=\"zk-mini\"");
            response.headers_mut().insert(WWW_AUTHENTICATE, challenge);
        }
        Box::new(response)
    })
}

/// Returns an error as the callers of a path expect it: JSON for control, a line of text for others.
pub(crate) fn answer(error: ApiError, path: &str) -> Response {
    let is_control = path.strip_prefix("/v1").is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if is_control { error.into_response() } else { (error.status, error.message + "\n").into_response() }
}

fn judge(parts: &Parts, app: &App) -> Result<(), ApiError> {
    head::check(parts)?;
    let host = only_host(&parts.headers)?;
    let is_local = access::is_local(app);
    let is_loopback = |text: &str| Host::parse(text).map(Host::is_loopback);
    let is_named_loopback = match parts.uri.authority() {
        // Both are given: RFC 9112 prefers the target, but a cautious server believes neither alone.
        Some(authority) => is_loopback(authority.as_str()).zip(is_loopback(host)).map(|(a, b)| a && b),
        None => is_loopback(host),
    };
    match is_named_loopback {
        None => return Err(ApiError::bad_request(format!("`{host}` is not HOST or HOST:PORT"))),
        // A token proves more than a name, and other machines call this one by names that it does not know. The page asks for it.
        Some(false) if is_local && !may_call_by_any_name(parts, app) => {
            let foreign = parts.uri.authority().map_or(host, |authority| authority.as_str());
            return Err(forbidden(format!(
                "the server is not called `{foreign}`; use localhost, 127.0.0.1 or [::1] (this keeps web pages of others out)"
            )));
        }
        Some(_) => {}
    }
    check_page(parts, host, &app.face)?;
    if parts.method == Method::OPTIONS {
        return Err(forbidden("no web page of another origin may send requests here"));
    }
    check_access(parts, app, is_local)?;
    if parts.method == Method::POST { check_type(&parts.headers) } else { Ok(()) }
}

/// Returns true for a request with the token, and for the files of the page if there is one.
fn may_call_by_any_name(parts: &Parts, app: &App) -> bool {
    let token = app.shared.settings.token.as_ref();
    let is_page = Part::of(&parts.method, parts.uri.path(), &app.face) == Part::Page;
    token.is_some_and(|token| is_page || token.is_in(&parts.headers))
}

/// Returns the one `Host`.
fn only_host(headers: &HeaderMap) -> Result<&str, ApiError> {
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) => {
            host.to_str().map_err(|_| ApiError::bad_request("the header Host is not HOST or HOST:PORT"))
        }
        (None, _) => Err(ApiError::bad_request("the header Host is missing")),
        (Some(_), Some(_)) => Err(ApiError::bad_request("there are several headers Host; one is allowed")),
    }
}

/// Checks that no page but the server's own has sent the request. Any may have a link to the page.
fn check_page(parts: &Parts, host: &str, face: &Face) -> Result<(), ApiError> {
    let headers = &parts.headers;
    let is_own = |name: HeaderName, accepts: &dyn Fn(&str) -> bool| {
        headers.get_all(name).iter().all(|value| value.to_str().is_ok_and(accepts))
    };
    if !is_own(ORIGIN, &|origin| origin::is_same(origin, host)) || headers.get_all(ORIGIN).iter().count() > 1
    {
        return Err(forbidden(format!(
            "the request comes from a web page of another origin; only pages of http://{host} may send requests here"
        )));
    }
    let is_link = Part::of(&parts.method, parts.uri.path(), face) == Part::Page && follows_link(headers);
    if !is_link && !is_own(SEC_FETCH_SITE, &origin::is_same_site) {
        return Err(forbidden(
            "the request comes from a web page of another site (Sec-Fetch-Site); only same-origin and none are allowed",
        ));
    }
    Ok(())
}

/// Returns true if a browser asks for a page to show in a tab of its own: the page that has the link cannot read it.
fn follows_link(headers: &HeaderMap) -> bool {
    let is = |name: HeaderName, expected: &str| {
        let mut values = headers.get_all(name).iter();
        values.next().is_some_and(|value| value == expected) && values.next().is_none()
    };
    is(SEC_FETCH_MODE, "navigate") && is(SEC_FETCH_DEST, "document")
}

/// Checks that the part is open on the port, or the token is given.
fn check_access(parts: &Parts, app: &App, is_local: bool) -> Result<(), ApiError> {
    let settings = &app.shared.settings;
    let part = Part::of(&parts.method, parts.uri.path(), &app.face);
    let is_open = match part {
        Part::Page => settings.token.is_some(),
        Part::Metrics => settings.is_metrics_open,
        // A command that changes something is posted.
        Part::Commands => settings.is_commands_open && parts.method != Method::POST,
        Part::Control => false,
    };
    match &settings.token {
        _ if is_open => Ok(()),
        None if is_local => Ok(()),
        None => Err(forbidden(
            "HTTP is off at this address, since other machines can reach it: listen on 127.0.0.1, or set a token \
             (--http-token-file FILE, in a library Settings::token), or open parts (--http-open metrics,commands)",
        )),
        Some(token) if token.is_in(&parts.headers) => Ok(()),
        Some(_) => Err(ApiError::new(
            StatusCode::UNAUTHORIZED,
            "the token is missing or wrong: send the header `Authorization: Bearer TOKEN`",
        )),
    }
}

/// Checks that the body of a POST is not one that a form of any web page could send.
fn check_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let types = headers.get_all(CONTENT_TYPE).iter().map(HeaderValue::as_bytes);
    match types.filter_map(content_type::form_type).next() {
        None => Ok(()),
        Some(form) => Err(ApiError::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            format!(
                "{form} is what forms of web pages send; send application/json: `curl --json DATA` instead of `curl -d DATA`"
            ),
        )),
    }
}

fn forbidden(message: impl Into<String>) -> ApiError {
    ApiError::new(StatusCode::FORBIDDEN, message)
}
