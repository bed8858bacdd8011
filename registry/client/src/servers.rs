//! The connect string: `host:port,host:port/chroot`, with options for TLS.

use zk_wire::path::{self, PathError};

use crate::tls_files::{BadOptions, TlsFiles};

/// Port of an entry without one.
pub const DEFAULT_PORT: u16 = 2181;

/// Reason why a connect string is invalid.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ServersError {
    /// There is no server.
    #[error("the list of servers {text:?} is empty; write host:port, or several with commas between them")]
    Empty {
        /// Connect string as given.
        text: String,
    },
    /// There is no server before the chroot.
    #[error("no server is named before the chroot in {text:?}; write host:port/chroot")]
    OnlyChroot {
        /// Connect string as given.
        text: String,
    },
    /// There is a scheme, as in a URL.
    #[error("the list of servers {text:?} has a scheme; write host:port without one")]
    Scheme {
        /// Connect string as given.
        text: String,
    },
    /// There is a chroot after a server that is not the last, or the chroot contains a comma.
    #[error(
        "the chroot {chroot:?} after the list of servers has a comma; write it once, after the last server, as in \
         host,host/chroot (for a chroot with a comma in its name use `Builder::chroot`)"
    )]
    ChrootWithComma {
        /// Chroot as given.
        chroot: String,
    },
    /// A name in the chroot begins or ends with white space.
    #[error(
        "the chroot {chroot:?} after the list of servers has white space at the beginning or the end of a name, which makes \
         it another node; remove it (for such a chroot use `Builder::chroot`)"
    )]
    ChrootWithBlank {
        /// Chroot as given.
        chroot: String,
    },
    /// There is something else than options behind the question mark.
    #[error(
        "the option {option:?} after the list of servers is unknown; the options are ca, certfile, keyfile and server_name, \
         each with a value, as in host:port/chroot?ca=FILE (for a chroot with a question mark in its name use \
         `Builder::chroot`)"
    )]
    UnknownOption {
        /// Option as given.
        option: String,
    },
    /// The options are not complete.
    #[error(
        "the options after the list of servers name no {missing}; write host:port/chroot?ca=FILE&certfile=FILE&keyfile=FILE"
    )]
    MissingOption {
        /// Option that the others need.
        missing: &'static str,
    },
    /// An entry has a port but no host.
    #[error("an entry of the list of servers {text:?} has no host; write host:port")]
    NoHost {
        /// Connect string as given.
        text: String,
    },
    /// The port of an entry is invalid.
    #[error(
        "{entry:?} in the list of servers has no valid port; write host:port with a port from 1 to 65535"
    )]
    BadPort {
        /// Entry as given.
        entry: String,
    },
    /// There is an IPv6 address without brackets, or with only one.
    #[error("{entry:?} in the list of servers is ambiguous; write an IPv6 address as [::1]:2181")]
    BadAddress {
        /// Entry as given.
        entry: String,
    },
    /// An entry has white space or another character that is not allowed in a host.
    #[error(
        "{entry:?} in the list of servers has a character that is not allowed in a host; write host:port, with commas \
         between entries"
    )]
    BadHost {
        /// Entry as given.
        entry: String,
    },
    /// The chroot is not a valid path.
    #[error("the chroot {chroot:?} after the list of servers: {source}")]
    BadChroot {
        /// Chroot as given.
        chroot: String,
        /// Rule that the chroot breaks.
        source: PathError,
    },
}

/// Parsed connect string.
///
/// ```
/// use zk_client::ConnectString;
///
/// let list = ConnectString::parse("zk1,zk2:2182/app").unwrap();
/// assert_eq!((list.servers, list.chroot), (vec!["zk1:2181".into(), "zk2:2182".into()], "/app".into()));
/// ```
#[derive(Clone, Debug, Eq, PartialEq)]
#[non_exhaustive]
pub struct ConnectString {
    /// Servers, each as `host:port`.
    pub servers: Vec<String>,
    /// Chroot without a slash at its end: empty for the root.
    pub chroot: String,
    /// Files for TLS; `None` for connections without it.
    pub tls: Option<TlsFiles>,
}

impl ConnectString {
    /// Parses `host[:port][,host[:port]]…[/chroot][?options]`, as Java's client does but for the options: white space around
    /// entries and empty entries are ignored, a chroot of `/` is no chroot. A slash at the end of the chroot is ignored, too.
    /// Probable mistakes are errors.
    ///
    /// The options ask for [TLS](TlsFiles), by kazoo's names, with `&` between them: `ca=FILE`, which is needed,
    /// `certfile=FILE`, `keyfile=FILE` and `server_name=NAME`. A value ends at the next `&`, and is taken as it stands.
    ///
    /// # Errors
    /// [`ServersError`] with the reason.
    pub fn parse(text: &str) -> Result<Self, ServersError> {
        let text_owned = || text.to_owned();
        if text.contains("://") {
            return Err(ServersError::Scheme { text: text_owned() });
        }
        let (text, options) = match text.split_once('?') {
            Some((text, options)) => (text, Some(options.trim_end())),
            None => (text, None),
        };
        let (list, chroot) = text.find('/').map_or((text, ""), |at| text.split_at(at));
        let entries = list.split(',').map(str::trim).filter(|entry| !entry.is_empty());
        let servers: Vec<_> = entries.map(|entry| parse_server(entry, text)).collect::<Result<_, _>>()?;
        if servers.is_empty() {
            return Err(match chroot {
                "" => ServersError::Empty { text: text_owned() },
                _ => ServersError::OnlyChroot { text: text_owned() },
            });
        }
        if chroot.contains(',') {
            return Err(ServersError::ChrootWithComma { chroot: chroot.to_owned() });
        }
        if chroot.split('/').any(|name| name.trim() != name) {
            return Err(ServersError::ChrootWithBlank { chroot: chroot.to_owned() });
        }
        let tls = options.map(TlsFiles::parse).transpose().map_err(|bad| match bad {
            BadOptions::Unknown(option) => ServersError::UnknownOption { option },
            BadOptions::Missing(missing) => ServersError::MissingOption { missing },
        })?;
        Ok(Self { servers, chroot: parse_chroot(chroot)?, tls })
    }
}

/// Checks a connect string without connecting, so that a program can report a mistake when it starts.
///
/// # Errors
/// [`ServersError`] with the reason.
pub fn check_servers(servers: &str) -> Result<(), ServersError> {
    ConnectString::parse(servers).map(|_| ())
}

/// Checks a chroot and removes a slash at its end; `/` and the empty string are no chroot.
pub(crate) fn parse_chroot(chroot: &str) -> Result<String, ServersError> {
    let checked = match chroot.strip_suffix('/').unwrap_or(chroot) {
        "" => return Ok(String::new()),
        // The chroot was "//", which is not the root.
        "/" => Err(PathError::EmptyComponent),
        path => path::validate(path).map(|()| path.to_owned()),
    };
    checked.map_err(|source| ServersError::BadChroot { chroot: chroot.to_owned(), source })
}

fn parse_server(entry: &str, text: &str) -> Result<String, ServersError> {
    let (host, port) = match entry.strip_prefix('[') {
        Some(rest) => {
            let (address, rest) =
                rest.split_once(']').ok_or_else(|| ServersError::BadAddress { entry: entry.to_owned() })?;
            if address.parse::<std::net::Ipv6Addr>().is_err() {
                return Err(ServersError::BadAddress { entry: entry.to_owned() });
            }
            match rest.strip_prefix(':') {
                Some(port) => (format!("[{address}]"), Some(port)),
                None if rest.is_empty() => (format!("[{address}]"), None),
                None => return Err(ServersError::BadAddress { entry: entry.to_owned() }),
            }
        }
        None => match entry.split_once(':') {
            Some((_, port)) if port.contains(':') => {
                let entry = entry.to_owned();
                let is_address = !entry.contains(|c| c != ':' && c != '%' && is_in_no_host(c));
                return Err(if is_address {
                    ServersError::BadAddress { entry }
                } else {
                    ServersError::BadHost { entry }
                });
            }
            Some((host, port)) => (host.to_owned(), Some(port)),
            None => (entry.to_owned(), None),
        },
    };
    if host.is_empty() {
        return Err(ServersError::NoHost { text: text.to_owned() });
    }
    if !host.starts_with('[') && host.contains(is_in_no_host) {
        return Err(ServersError::BadHost { entry: entry.to_owned() });
    }
    let port = match port {
        None => DEFAULT_PORT,
        // `parse` alone would take "+2181".
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => match digits.parse() {
            Ok(0) | Err(_) => return Err(ServersError::BadPort { entry: entry.to_owned() }),
            Ok(port) => port,
        },
        Some(_) => return Err(ServersError::BadPort { entry: entry.to_owned() }),
    };
    Ok(format!("{host}:{port}"))
}

/// Returns true for characters that no name and no IPv4 address has: white space, other separators, quotes, parts of URLs.
/// A name may have letters of any script.
fn is_in_no_host(c: char) -> bool {
    c.is_whitespace() || c.is_control() || (c.is_ascii_punctuation() && !matches!(c, '-' | '.' | '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (Vec<String>, String) {
        let ConnectString { servers, chroot, .. } = ConnectString::parse(text).unwrap();
        (servers, chroot)
    }

    #[test]
    fn servers_ports_and_chroot_are_taken_apart() {
        assert_eq!(
            parse("h1:3000,h2, [::1]:2182 ,[::1]/a/b"),
            (
                ["h1:3000", "h2:2181", "[::1]:2182", "[::1]:2181"].map(str::to_owned).to_vec(),
                "/a/b".to_owned()
            )
        );
        assert_eq!(parse("h"), (vec!["h:2181".to_owned()], String::new()));
    }

    #[test]
    fn white_space_around_entries_and_empty_entries_are_ignored() {
        let two = || (vec!["h1:1".to_owned(), "h2:2181".to_owned()], String::new());
        for text in ["h1:1,h2", "h1:1,h2,", ",h1:1,,h2", " h1:1 , h2 ", "h1:1,h2\n", "h1:1,h2 /"] {
            assert_eq!(parse(text), two(), "{text:?}");
        }
        assert_eq!(parse("h1:1,"), (vec!["h1:1".to_owned()], String::new()));
        assert_eq!(parse("h1:1,/a"), (vec!["h1:1".to_owned()], "/a".to_owned()));
        assert_eq!(parse("h/a b/c").1, "/a b/c", "a space inside a name belongs to it");
    }

    #[test]
    fn a_slash_at_the_end_is_no_chroot() {
        assert_eq!(parse("h/").1, "");
        assert_eq!(parse("h/a/").1, "/a");
    }

    #[test]
    fn options_ask_for_tls_and_are_no_part_of_the_chroot() {
        let list = ConnectString::parse("h1,h2:1/a?ca=/x/ca.pem\n").unwrap();
        assert_eq!((list.servers.len(), list.chroot.as_str()), (2, "/a"));
        assert_eq!(list.tls.map(|files| files.ca), Some("/x/ca.pem".into()));
        assert_eq!(ConnectString::parse("h?ca=c").unwrap().servers, ["h:2181"]);
        assert_eq!(ConnectString::parse("h").unwrap().tls, None);
        for text in ["h/a?b", "h?", "h/a?"] {
            let error = ConnectString::parse(text).unwrap_err();
            assert!(matches!(error, ServersError::UnknownOption { .. }), "{text}: {error}");
            assert!(error.to_string().contains("the options are ca, certfile"), "{error}");
        }
        let error = ConnectString::parse("h?certfile=c").unwrap_err().to_string();
        assert!(error.contains("name no ca"), "{error}");
    }

    #[test]
    fn each_mistake_has_its_error() {
        let err = |text: &str| ConnectString::parse(text).unwrap_err();
        assert!(matches!(err(""), ServersError::Empty { .. }));
        for text in [" ", ",", " , "] {
            assert!(matches!(err(text), ServersError::Empty { .. }), "{text}");
        }
        for text in ["/a", "/zookeeper", "/", " /a", ",/a"] {
            assert!(matches!(err(text), ServersError::OnlyChroot { .. }), "{text}");
        }
        assert!(matches!(err(":2181"), ServersError::NoHost { .. }));
        for text in ["zk://a:1/b", "http://a", "a:1,zk://b"] {
            assert!(matches!(err(text), ServersError::Scheme { .. }), "{text}");
        }
        for text in ["h1/app,h2/app", "h1/app,h2:2181", "h1/a,", "h1/,h2/"] {
            assert!(matches!(err(text), ServersError::ChrootWithComma { .. }), "{text}");
        }
        for text in ["h/a ", "h/a\n", "h/ a", "h/a /b", "h/ ", "h/a\t"] {
            assert!(matches!(err(text), ServersError::ChrootWithBlank { .. }), "{text:?}");
        }
        for text in ["a:", "a:b", "a:0", "a:65536", "a:-1", "a:+1", "a: 1"] {
            assert!(matches!(err(text), ServersError::BadPort { .. }), "{text}");
        }
        for text in ["::1", "::1:2181", "[::1", "[::1]2181", "[h]:1"] {
            assert!(matches!(err(text), ServersError::BadAddress { .. }), "{text}");
        }
        for text in ["a b:1", "a;b", "a:1;b:1", "a:1 b:1", "me@a:1", "\"a\":1", "a\\b", "a=b", "a|b", "*"] {
            assert!(matches!(err(text), ServersError::BadHost { .. }), "{text}");
        }
        for text in ["a//b", "a//", "a///", "a/b//", "a/b/../c"] {
            assert!(matches!(err(text), ServersError::BadChroot { .. }), "{text}");
        }
        assert_eq!(
            err("a//").to_string(),
            "the chroot \"//\" after the list of servers: path has an empty component (\"//\")"
        );
        assert!(err("a:b").to_string().contains("a:b"));
        assert_eq!(
            err("h1/app,h2/app").to_string(),
            "the chroot \"/app,h2/app\" after the list of servers has a comma; write it once, after the last server, as in \
             host,host/chroot (for a chroot with a comma in its name use `Builder::chroot`)"
        );
    }
}
