//! Parts of the server, and who may use them on which port.

use axum::http::Method;

use crate::app::App;
use crate::face::Face;

/// Part of what is served.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Part {
    /// Files of the page. They hold nothing of the server, and ask for the token that the rest needs.
    Page,
    /// `/metrics`.
    Metrics,
    /// Commands of the AdminServer.
    Commands,
    /// Everything else.
    Control,
}

impl Part {
    /// Returns the part that a path belongs to. A path that is not known to be harmless is control.
    pub(super) fn of(method: &Method, path: &str, face: &Face) -> Self {
        let commands = face.commands();
        let is_below =
            |root: &str| path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
        if is_below("/metrics") {
            Self::Metrics
        } else if commands.is_some_and(|root| is_below(&root)) {
            Self::Commands
        } else if is_below("/v1") || is_below("/command") {
            Self::Control
        } else if (method == Method::GET || method == Method::HEAD) && is_file(path) {
            Self::Page
        } else {
            Self::Control
        }
    }
}

fn is_file(path: &str) -> bool {
    path == "/" || path == "/favicon.ico" || path.starts_with("/page/")
}

/// Returns true if only programs of this machine, or this process, can have opened the connection.
pub(super) fn is_local(app: &App) -> bool {
    let addr = app.listener.or(app.peer);
    addr.is_none_or(|addr| addr.ip().to_canonical().is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_path_belongs_to_a_part() {
        let part = |path| Part::of(&Method::GET, path, &Face::Full);
        for (path, expected) in [
            ("/", Part::Page),
            ("/page/page.css", Part::Page),
            ("/favicon.ico", Part::Page),
            ("/metrics", Part::Metrics),
            ("/metricsx", Part::Control),
            ("/commands", Part::Commands),
            ("/commands/ruok", Part::Commands),
            ("/command/PING", Part::Control),
            ("/command/x.js", Part::Control),
            ("/v1", Part::Control),
            ("/v1/nodes/main.js", Part::Control),
            ("/anything", Part::Control),
        ] {
            assert_eq!(part(path), expected, "{path}");
        }
        assert_eq!(Part::of(&Method::POST, "/", &Face::Full), Part::Control);
    }

    #[test]
    fn commands_are_where_the_admin_port_has_them() {
        let face = Face::Admin { commands: Some("admin/".into()), metrics: true };
        assert_eq!(Part::of(&Method::GET, "/admin/mntr", &face), Part::Commands);
        assert_eq!(Part::of(&Method::GET, "/commands/mntr", &face), Part::Control);
    }
}
