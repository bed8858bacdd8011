//! Parameters and bodies of calls, by their description. A call that takes no parameters refuses them, and one that takes no body
//! refuses that: what was meant for another call, such as the id of a rule to remove, would do something else than was asked for.

use std::collections::HashMap;
use std::sync::Arc;

use axum::Extension;
use axum::body::{Body, HttpBody};
use axum::extract::{MatchedPath, OriginalUri, Request};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use utoipa::openapi::OpenApi;
use utoipa::openapi::path::{Operation, ParameterIn};

use crate::error::ApiError;
use crate::upload::upload;

/// Path of the routes; the description has it without.
const BASE: &str = "/v1";

/// Maximum length of a body that has no content.
const LONGEST_NOTHING: usize = 64;

/// Parameters and bodies of all calls, by method and route.
#[derive(Clone, Debug)]
pub(super) struct Declared(Arc<HashMap<(Method, String), Taken>>);

/// Parameters and body of a call.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Taken {
    /// Names of the parameters behind the `?`.
    parameters: Vec<String>,
    body: bool,
}

impl Declared {
    pub(super) fn of(api: &OpenApi) -> Self {
        let operations = api.paths.paths.iter().flat_map(|(path, item)| {
            let methods = [
                (Method::GET, &item.get),
                (Method::POST, &item.post),
                (Method::PUT, &item.put),
                (Method::DELETE, &item.delete),
            ];
            methods.into_iter().filter_map(move |(method, operation)| {
                Some(((method, format!("{BASE}{path}")), Taken::by(operation.as_ref()?)))
            })
        });
        Self(Arc::new(operations.collect()))
    }

    fn find(&self, method: &Method, route: &str) -> Option<&Taken> {
        let method = if method == Method::HEAD { Method::GET } else { method.clone() };
        self.0.get(&(method, route.to_owned()))
    }
}

impl Taken {
    fn by(operation: &Operation) -> Self {
        let all = operation.parameters.iter().flatten();
        let in_query = all.filter(|parameter| parameter.parameter_in == ParameterIn::Query);
        Self {
            parameters: in_query.map(|parameter| parameter.name.clone()).collect(),
            body: operation.request_body.is_some(),
        }
    }
}

/// Refuses parameters and bodies of calls that take none. An empty object is no body: some clients send it with every request.
///
/// # Errors
/// 400, with what the call takes instead; what reading the body fails with.
pub(super) async fn check(
    Extension(declared): Extension<Declared>,
    route: Option<MatchedPath>,
    OriginalUri(uri): OriginalUri,
    request: Request,
    next: Next,
) -> Result<Response, ApiError> {
    let route = route.as_ref().map_or("", MatchedPath::as_str);
    let Some(taken) = declared.find(request.method(), route) else { return Ok(next.run(request).await) };
    let call = format!("{} {}", request.method(), uri.path());
    if let (true, Some(query)) = (taken.parameters.is_empty(), uri.query().filter(|query| !query.is_empty()))
    {
        let name = query.split(['=', '&']).next().unwrap_or_default();
        return Err(ApiError::bad_request(format!(
            "{call} takes no parameters, and `{name}` is one; GET /v1/openapi.json has all calls with what they take"
        )));
    }
    if taken.body || request.body().is_end_stream() {
        return Ok(next.run(request).await);
    }
    let (parts, body) = request.into_parts();
    let sent = upload(Request::new(body), LONGEST_NOTHING).await?;
    if !sent.is_some_and(|sent| is_nothing(&sent)) {
        let instead = match taken.parameters.first() {
            Some(name) => format!("its parameters stand in the address: {}?{name}=…", uri.path()),
            None => "GET /v1/openapi.json has all calls with what they take".to_owned(),
        };
        return Err(ApiError::bad_request(format!("{call} takes no body; {instead}")));
    }
    Ok(next.run(Request::from_parts(parts, Body::empty())).await)
}

/// Returns true for a body without content: empty, or an empty object.
fn is_nothing(body: &[u8]) -> bool {
    let mut rest = body.iter().filter(|byte| !byte.is_ascii_whitespace());
    matches!((rest.next(), rest.next(), rest.next()), (None, ..) | (Some(b'{'), Some(b'}'), None))
}
