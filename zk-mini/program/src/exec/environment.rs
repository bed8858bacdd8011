//! Environment of a command: the variables that name the server.

use std::net::SocketAddr;

use clap::Args;

/// Variable with the URL of the server's HTTP side.
const HTTP: &str = "ZK_MINI_HTTP";

/// Placeholders of a template, in messages.
const KNOWN: &str = "{hosts}, {host}, {port} and {http}";

/// Options of `exec` for the environment.
#[derive(Args, Debug)]
pub(crate) struct EnvironmentArgs {
    /// Further environment variable for the command; may be repeated
    ///
    /// In the template {hosts} stands for HOST:PORT, {host} and {port} for its two
    /// parts, {http} for http://HOST:PORT; write {{ and }} for braces. Examples:
    /// --env SPRING_CLOUD_ZOOKEEPER_CONNECT_STRING={hosts}
    /// --env KAFKA_ZOOKEEPER_CONNECT={hosts}/kafka
    #[arg(long = "env", value_name = "NAME=TEMPLATE", value_parser = variable, verbatim_doc_comment)]
    variables: Vec<Variable>,

    /// Short for --env NAME={port}; may be repeated
    #[arg(long, value_name = "NAME", value_parser = port_variable)]
    port_env: Vec<Variable>,
}

/// Variable, and what it is set to.
#[derive(Clone, Debug, Eq, PartialEq)]
struct Variable {
    name: String,
    /// Template as it was given.
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, Eq, PartialEq)]
enum Part {
    Text(String),
    Hosts,
    Host,
    Port,
    Http,
}

/// Template that asks for something that is not there.
#[derive(Debug, thiserror::Error)]
#[error("--env {name}={text}: there is no {{http}} with --http off; leave one of the two out")]
pub(crate) struct NoHttp {
    name: String,
    text: String,
}

impl EnvironmentArgs {
    /// Checks that everything that the templates name will be there.
    pub(crate) fn check(&self, has_http: bool) -> Result<(), NoHttp> {
        match self.variables.iter().find(|variable| variable.parts.contains(&Part::Http)) {
            Some(Variable { name, text, .. }) if !has_http => {
                Err(NoHttp { name: name.clone(), text: text.clone() })
            }
            _ => Ok(()),
        }
    }

    /// Returns the variables to set, in order: of two values for a name the last counts. Those without a value are to be
    /// removed: around this program there may be another server, which is not meant.
    pub(crate) fn variables(
        &self,
        first: SocketAddr,
        servers: &[SocketAddr],
        http: Option<&str>,
    ) -> Vec<(String, Option<String>)> {
        let hosts = servers.iter().map(ToString::to_string).collect::<Vec<_>>().join(",");
        let (host, port) = (first.ip().to_string(), first.port().to_string());
        let usual = [("ZK_HOSTS", &hosts), ("ZK_HOST", &host), ("ZK_PORT", &port)];
        let usual = usual.into_iter().map(|(name, value)| (name.to_owned(), Some(value.clone())));
        let http_variable = std::iter::once((HTTP.to_owned(), http.map(str::to_owned)));
        let value = |part: &Part| match part {
            Part::Text(text) => text.clone(),
            Part::Hosts => hosts.clone(),
            Part::Host => host.clone(),
            Part::Port => port.clone(),
            Part::Http => http.unwrap_or_default().to_owned(),
        };
        let wanted = self.port_env.iter().chain(&self.variables);
        let wanted =
            wanted.map(|wanted| (wanted.name.clone(), Some(wanted.parts.iter().map(value).collect())));
        usual.chain(http_variable).chain(wanted).collect()
    }
}

fn variable(argument: &str) -> Result<Variable, String> {
    let Some((name, text)) = argument.split_once('=') else {
        return Err(format!("{argument:?} is not NAME=TEMPLATE, as in ZK={{hosts}}"));
    };
    check_name(name)?;
    Ok(Variable { name: name.into(), text: text.into(), parts: parts(text)? })
}

fn port_variable(name: &str) -> Result<Variable, String> {
    check_name(name)?;
    Ok(Variable { name: name.into(), text: "{port}".into(), parts: vec![Part::Port] })
}

fn check_name(name: &str) -> Result<(), String> {
    let is_odd = |char: char| char.is_whitespace() || char.is_control() || "={}$\"'".contains(char);
    if name.is_empty() || name.starts_with(|char: char| char.is_ascii_digit()) || name.contains(is_odd) {
        return Err(format!("{name:?} is not the name of an environment variable, such as ZK_SERVERS"));
    }
    Ok(())
}

/// Reads a template.
fn parts(text: &str) -> Result<Vec<Part>, String> {
    let (mut parts, mut plain, mut rest) = (Vec::new(), String::new(), text);
    while let Some(at) = rest.find(['{', '}']) {
        let (before, from) = rest.split_at(at);
        plain.push_str(before);
        if let Some(after) = from.strip_prefix("{{").or_else(|| from.strip_prefix("}}")) {
            plain.push_str(&from[..1]);
            rest = after;
            continue;
        }
        let Some((name, after)) = from.strip_prefix('{').and_then(|name| name.split_once('}')) else {
            let (brace, twice) = (&from[..1], from[..1].repeat(2));
            return Err(format!(
                "in the template {text:?} a {brace} stands alone: write {twice} for a brace"
            ));
        };
        let part = match name {
            "hosts" => Part::Hosts,
            "host" => Part::Host,
            "port" => Part::Port,
            "http" => Part::Http,
            _ => {
                return Err(format!(
                    "in the template {text:?} there is {{{name}}}, which stands for nothing: there are {KNOWN}; \
                     write {{{{ for a brace"
                ));
            }
        };
        if !plain.is_empty() {
            parts.push(Part::Text(std::mem::take(&mut plain)));
        }
        parts.push(part);
        rest = after;
    }
    plain.push_str(rest);
    if !plain.is_empty() {
        parts.push(Part::Text(plain));
    }
    Ok(parts)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(argument: &str) -> String {
        let args = EnvironmentArgs { variables: vec![variable(argument).unwrap()], port_env: Vec::new() };
        let addr = "127.0.0.1:40123".parse().unwrap();
        args.variables(addr, &[addr], Some("http://127.0.0.1:40123")).pop().unwrap().1.unwrap()
    }

    #[test]
    fn placeholders_stand_for_the_parts_of_the_address() {
        for (argument, expected) in [
            ("A={hosts}", "127.0.0.1:40123"),
            ("A=zk://{host}:{port}/app", "zk://127.0.0.1:40123/app"),
            ("A={http}/v1", "http://127.0.0.1:40123/v1"),
            ("A=", ""),
            ("A=x=y", "x=y"),
            (r#"A={{"zk": "{hosts}"}}"#, r#"{"zk": "127.0.0.1:40123"}"#),
            ("A={{hosts}}", "{hosts}"),
            ("A={{{port}}}", "{40123}"),
            ("A=é{port}日", "é40123日"),
        ] {
            assert_eq!(value(argument), expected, "{argument}");
        }
    }

    #[test]
    fn a_bad_template_or_name_is_named() {
        for (argument, said) in [
            ("A={host", "\"{host\" a { stands alone: write {{"),
            ("A=host}", "\"host}\" a } stands alone: write }}"),
            ("A={}", "\"{}\" there is {}, which"),
            (
                "A={Hosts}",
                "\"{Hosts}\" there is {Hosts}, which stands for nothing: there are {hosts}, {host}",
            ),
            ("A={{{nope}}}", "there is {nope}"),
            ("A", "\"A\" is not NAME=TEMPLATE"),
            ("={port}", "\"\" is not the name"),
            ("A B={port}", "\"A B\" is not the name"),
            ("1={port}", "\"1\" is not the name"),
            ("{port}=A", "\"{port}\" is not the name"),
        ] {
            let error = variable(argument).unwrap_err();
            assert!(error.contains(said), "{argument}: {error}");
        }
        assert!(port_variable("A=B").is_err());
    }

    #[test]
    fn http_is_there_or_refused() {
        let args = |text| EnvironmentArgs { variables: vec![variable(text).unwrap()], port_env: Vec::new() };
        let error = args("A=x{http}").check(false).unwrap_err().to_string();
        assert!(error.starts_with("--env A=x{http}: there is no {http} with --http off"), "{error}");
        assert!(args("A={http}").check(true).is_ok() && args("A={{http}}").check(false).is_ok());
    }
}
