//! ZooKeeper's AdminServer: `/commands` lists the commands, `/commands/NAME` runs one. The documentation of the crate has the
//! differences to the real one.

mod command;
mod ensemble;
mod lists;
mod pretty;
mod reply;
mod server;
mod snapshots;

use std::fmt::Write;
use std::sync::Arc;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use percent_encoding::percent_decode_str;
use serde_json::Value;
use zk_mini::Handle;
use zk_mini::figures::Mode;

use self::command::{Command, Entry, Work};
use self::reply::{Fields, NoFields};
use crate::app::App;
use crate::blocking::blocking;

/// Path of the commands, unless a configuration has another.
const COMMANDS: &str = "/commands";

/// Returns the routes of the commands at `/commands`.
pub(crate) fn routes() -> Router {
    let answer = || any(|app: App, request: Request| answer(COMMANDS.into(), app, request));
    [COMMANDS, "/commands/", "/commands/{*name}"]
        .into_iter()
        .fold(Router::new(), |router, path| router.route(path, answer()))
}

/// Returns routes with the commands at a path of a configuration, which has no slash at its end. Every other path is unknown.
pub(crate) fn routes_at(path: String) -> Router {
    let path: Arc<str> = path.into();
    Router::new().fallback(move |app: App, request: Request| answer(Arc::clone(&path), app, request))
}

async fn answer(path: Arc<str>, app: App, request: Request) -> Response {
    match request.uri().path().strip_prefix(&*path) {
        Some("" | "/") => list(&path, &app, request.method()),
        Some(name) if name.starts_with('/') => {
            let name = percent_decode_str(&name[1..]).decode_utf8_lossy().into_owned();
            run(name, app, request).await
        }
        _ => {
            let text = format!("there is nothing here; {path}/ lists the commands\n");
            (StatusCode::NOT_FOUND, text).into_response()
        }
    }
}

/// Answers with links to all commands.
fn list(path: &str, app: &App, method: &Method) -> Response {
    if method != Method::GET && method != Method::HEAD {
        return wrong_method("", &Method::GET);
    }
    let path = path.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;");
    let mut text = String::new();
    for Entry { name, .. } in command::all(app.server.status().compat) {
        // Writing to a string cannot fail.
        let _ = writeln!(text, "<a href=\"{path}/{name}\">{name}</a>\n<br/>");
    }
    reply::html(text)
}

async fn run(name: String, app: App, request: Request) -> Response {
    let status = app.server.status();
    let Some(entry) = command::named(&name, status.compat) else {
        return reply::error(StatusCode::OK, &name, &format!("there is no command {name}"));
    };
    let method = entry.method();
    let is_head = request.method() == Method::HEAD && method == Method::GET;
    if request.method() != method && !is_head {
        return wrong_method(entry.name, &method);
    }
    if !entry.always && (status.down || status.stopped) {
        return reply::error(StatusCode::OK, &name, "the server is down, and serves no requests");
    }
    if (!entry.always || entry.work == Work::Command(Command::Monitor)) && ensemble::is_apart(&app.server) {
        let text = "the server is cut off from the others of its ensemble, and serves no requests";
        return reply::error(StatusCode::OK, &name, text);
    }
    if entry.is_guarded
        && let Err((status, text)) = snapshots::authorize(&app, request.headers())
    {
        return reply::error(status, &name, &text);
    }
    let Work::Command(command) = entry.work else {
        return snapshots::restore(entry.name, app, request).await;
    };
    let parameters = Parameters::of(request.uri());
    // Long lists take a while, and so does the disk.
    let performed = blocking(move || Ok(perform(command, entry.name, &app.server, &parameters))).await;
    performed.unwrap_or_else(|error| reply::error(error.status, entry.name, &error.message))
}

fn wrong_method(command: &str, method: &Method) -> Response {
    let text = match (command, method) {
        ("", _) => "the list of commands is asked for by GET".to_owned(),
        (_, &Method::POST) => format!("{command} changes something, so it must be posted"),
        _ => format!("{command} is asked for by {method}"),
    };
    let mut response = reply::error(StatusCode::METHOD_NOT_ALLOWED, command, &text);
    let allowed = if method == Method::GET { "GET,HEAD" } else { "POST" };
    response.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allowed));
    response
}

/// Parameters behind the `?` of an address.
struct Parameters(Vec<(String, String)>);

impl Parameters {
    fn of(uri: &Uri) -> Self {
        let query = axum::extract::Query::try_from_uri(uri);
        Self(query.map(|axum::extract::Query(all)| all).unwrap_or_default())
    }

    fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }
}

fn perform(command: Command, name: &str, server: &Handle, parameters: &Parameters) -> Response {
    let one = |field: &'static str, value: Value| {
        let mut fields = Fields::default();
        fields.put(field, value);
        reply::fields(name, fields)
    };
    match command {
        Command::Configuration => server::configuration(name, server),
        Command::ConnectionStatReset => {
            server.reset_connection_figures();
            reply::fields(name, NoFields {})
        }
        Command::Connections => lists::connections(name, server),
        Command::Dirs => server::dirs(name, server),
        Command::Dump => lists::dump(name, server),
        Command::Environment => server::environment(name, server),
        Command::GetTraceMask => one("tracemask", server.figures().trace_mask.into()),
        // The real server has none either before its 128th transaction.
        Command::Hash => one("digests", Value::Array(Vec::new())),
        Command::InitialConfiguration => server::initial_configuration(name, server),
        Command::IsReadOnly => one("read_only", (server.figures().server.mode == Mode::ReadOnly).into()),
        Command::LastSnapshot => server::last_snapshot(name, server),
        Command::Leader => ensemble::leader(name, server),
        Command::Monitor => server::monitor(name, server),
        Command::ObserverConnectionStatReset | Command::Ruok => reply::fields(name, NoFields {}),
        Command::Observers => ensemble::observers(name, server),
        Command::ServerStats => reply::fields(name, server::stats(server)),
        Command::SetTraceMask => set_trace_mask(name, server, parameters),
        Command::Snapshot => {
            let with_body = parameters.get("streaming").is_none_or(|text| text.eq_ignore_ascii_case("true"));
            snapshots::snapshot(name, server, with_body)
        }
        Command::StatReset => {
            server.reset_figures();
            reply::fields(name, NoFields {})
        }
        Command::Stats => lists::stats(name, server),
        Command::SystemProperties => server::system_properties(name, server),
        Command::VotingView => ensemble::voting_view(name, server),
        Command::WatchSummary => lists::watch_summary(name, server),
        Command::Watches => lists::watches(name, server),
        Command::WatchesByPath => lists::watches_by_path(name, server),
        Command::Zabstate => ensemble::zabstate(name, server),
    }
}

fn set_trace_mask(name: &str, server: &Handle, parameters: &Parameters) -> Response {
    let Some(text) = parameters.get("traceMask") else {
        return reply::error(StatusCode::OK, name, "the parameter traceMask, a number, is missing");
    };
    let Ok(mask) = text.parse::<i64>() else {
        return reply::error(StatusCode::OK, name, &format!("the parameter traceMask is {text}, no number"));
    };
    server.set_trace_mask(mask);
    let mut fields = Fields::default();
    fields.put("tracemask", mask);
    reply::fields(name, fields)
}
