//! Answers of commands.

use std::borrow::Cow;

use axum::body::Body;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::Response;
use serde::ser::{Serialize, SerializeMap, Serializer};

use super::pretty;

/// Fields of an answer without fields of its own.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub(super) struct NoFields {}

/// Fields of an answer, in order.
#[derive(Debug, Default)]
pub(super) struct Fields(pub(super) Vec<(Cow<'static, str>, serde_json::Value)>);

impl Fields {
    pub(super) fn put(&mut self, name: impl Into<Cow<'static, str>>, value: impl Into<serde_json::Value>) {
        self.0.push((name.into(), value.into()));
    }
}

impl Serialize for Fields {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.0.len()))?;
        for (name, value) in &self.0 {
            map.serialize_entry(name, value)?;
        }
        map.end()
    }
}

#[derive(serde::Serialize)]
struct Answer<'a, F> {
    #[serde(flatten)]
    fields: F,
    command: &'a str,
    error: Option<&'a str>,
}

/// Answers a command with fields.
pub(super) fn fields(command: &str, fields: impl Serialize) -> Response {
    json(StatusCode::OK, &Answer { fields, command, error: None })
}

/// Answers a command that has failed.
pub(super) fn error(status: StatusCode, command: &str, error: &str) -> Response {
    json(status, &Answer { fields: NoFields {}, command, error: Some(error) })
}

fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let (status, body) = match pretty::to_vec(value) {
        Ok(body) => (status, body),
        Err(_) => (
            StatusCode::INTERNAL_SERVER_ERROR,
            br#"{ "command" : null, "error" : "the answer is no JSON" }"#.to_vec(),
        ),
    };
    of(status, "application/json", body)
}

/// Answers with text for a browser.
pub(super) fn html(text: String) -> Response {
    of(StatusCode::OK, "text/html; charset=utf-8", text.into_bytes())
}

/// Answers with a body of a type.
pub(super) fn of(status: StatusCode, content_type: &'static str, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}
