//! Reads what a `reconfig` asks for, as Apache ZooKeeper does: Java's way to split texts and to read numbers is a part of which
//! error a client gets.

use std::collections::BTreeMap;
use std::str::FromStr;

use zk_wire::ErrorCode;

use super::MAX_SERVERS;
use super::members::{HostPort, Member, Members, QuorumAddr};
use crate::core::access::address;

/// Answer to a configuration that is refused for what it says.
const WRONG: ErrorCode = ErrorCode::BAD_ARGUMENTS;

/// Answer to a text on which the real server fails: a number that is none, or a port that cannot be one.
const UNREADABLE: ErrorCode = ErrorCode::MARSHALLING_ERROR;

impl Members {
    /// Returns the members after servers have left and others have joined.
    pub(super) fn changed(
        &self,
        leaving: Option<&str>,
        joining: Option<&str>,
    ) -> Result<BTreeMap<i64, Member>, ErrorCode> {
        let mut next = self.by_id.clone();
        for leaver in items(leaving.unwrap_or_default(), ',') {
            next.remove(&id(leaver)?);
        }
        let joiners = items(joining.unwrap_or_default(), ',');
        if joiners.len() > MAX_SERVERS {
            // Each is compared with all others.
            return Err(WRONG);
        }
        for joiner in joiners {
            let [name, spec] = items(joiner, '=')[..] else { return Err(WRONG) };
            let id = id(name.rsplit('.').next().unwrap_or(name))?;
            let member = member(spec)?;
            let is_taken = |(other, taken): (&i64, &Member)| *other != id && member.collides_with(taken);
            if member.client.is_none() || next.iter().any(is_taken) {
                return Err(WRONG);
            }
            next.insert(id, member);
        }
        Ok(next)
    }
}

/// Text that is no [`QuorumAddr`].
#[derive(Clone, Copy, Debug, Eq, PartialEq, thiserror::Error)]
#[error("expected HOST:PORT:PORT: a host, the port for transactions, and another one for elections")]
pub struct QuorumAddrError;

impl FromStr for QuorumAddr {
    type Err = QuorumAddrError;

    /// Reads `HOST:PORT:PORT`. A role may follow, as in a `zoo.cfg`, and is not kept, and an address for clients behind a
    /// semicolon; of several addresses of one server, the first one is kept. Semicolons with nothing behind them do not count.
    fn from_str(text: &str) -> Result<Self, QuorumAddrError> {
        let text = trim(text).trim_end_matches(';');
        let (servers, client) =
            text.split_once(';').map_or((text, None), |(servers, client)| (servers, Some(client.trim())));
        let server = servers.split('|').next().unwrap_or_default();
        let mut addr = member(server.trim()).map_err(|_| QuorumAddrError)?.quorum;
        addr.client = client.map(client_place).transpose().map_err(|_| QuorumAddrError)?;
        let host = &addr.transactions.host;
        if host.is_empty() || host.contains(|c: char| c.is_whitespace() || c.is_control() || c == ',') {
            return Err(QuorumAddrError);
        }
        Ok(addr)
    }
}

/// Reads all members of a configuration.
pub(super) fn members(text: &str) -> Result<BTreeMap<i64, Member>, ErrorCode> {
    let properties = properties(&text.replace(',', "\n"));
    let is_weighted = |key: &String| key.starts_with("group") || key.starts_with("weight");
    let is_known = |key: &String| key.starts_with("server.") || key == "version" || is_weighted(key);
    if !properties.keys().all(is_known) {
        return Err(WRONG);
    }
    if properties.keys().any(is_weighted) {
        // Votes with weights are not simulated.
        return Err(ErrorCode::UNIMPLEMENTED);
    }
    let mut members = BTreeMap::new();
    for (key, value) in &properties {
        match key.strip_prefix("server.") {
            Some(name) => {
                members.insert(id(name)?, member(value)?);
            }
            None => {
                i64::from_str_radix(value, 16).map_err(|_| UNREADABLE)?;
            }
        }
    }
    let voters = members.values().filter(|member| !member.is_observer).count();
    if voters < 2 && voters < members.len() {
        // Observers beside fewer than two participants.
        return Err(UNREADABLE);
    }
    Ok(members)
}

/// Reads `host:port:port[:role][;[host:]port]`.
fn member(text: &str) -> Result<Member, ErrorCode> {
    let parts = split(text, ';');
    let server = parts.first().ok_or(UNREADABLE)?;
    let client = if let [_, client] = parts[..] { Some(client_place(client)?) } else { None };
    let [server] = split(server, '|')[..] else { return Err(WRONG) };
    let fields = host_and_ports(server)?;
    let (host, quorum, election, role) = match fields[..] {
        _ if parts.len() > 2 => return Err(WRONG),
        [host, quorum, election] => (host, quorum, election, None),
        [host, quorum, election, role] => (host, quorum, election, Some(role)),
        _ => return Err(WRONG),
    };
    let quorum =
        QuorumAddr { transactions: place(host, port(quorum)?), election: port(election)?, client: None };
    let is_observer = match role.map(|role| trim(role).to_lowercase()).as_deref() {
        _ if quorum.transactions.port == quorum.election => return Err(WRONG),
        None | Some("participant") => false,
        Some("observer") => true,
        Some(_) => return Err(WRONG),
    };
    Ok(Member { quorum, is_observer, client })
}

/// Reads `[host:]port`.
fn client_place(text: &str) -> Result<HostPort, ErrorCode> {
    match host_and_ports(text)?[..] {
        [] => Err(UNREADABLE),
        [number] => Ok(place("0.0.0.0", port(number)?)),
        [host, number] => Ok(place(host, port(number)?)),
        _ => Err(WRONG),
    }
}

fn place(host: &str, port: u16) -> HostPort {
    let host = address::parse(host, true).map_or_else(|| host.into(), address::to_java_string);
    HostPort { host, port }
}

/// Splits at colons, behind an address in brackets.
fn host_and_ports(text: &str) -> Result<Vec<&str>, ErrorCode> {
    let Some(inner) = text.strip_prefix('[') else { return Ok(split(text, ':')) };
    let (host, rest) = inner.split_once(']').ok_or(WRONG)?;
    let mut rest = rest.chars();
    match (rest.next(), rest.as_str()) {
        (None, _) => Ok(vec![host]),
        (Some(_), "") => Err(WRONG),
        (Some(_), ports) => Ok([vec![host], split(ports, ':')].concat()),
    }
}

fn port(text: &str) -> Result<u16, ErrorCode> {
    let number: i32 = text.parse().map_err(|_| WRONG)?;
    u16::try_from(number).map_err(|_| UNREADABLE)
}

fn id(text: &str) -> Result<i64, ErrorCode> {
    text.parse().map_err(|_| UNREADABLE)
}

/// Splits as Java does: without empty parts at the end.
fn split(text: &str, at: char) -> Vec<&str> {
    let mut parts: Vec<_> = text.split(at).collect();
    if parts.len() > 1 {
        while parts.last().is_some_and(|part| part.is_empty()) {
            parts.pop();
        }
    }
    parts
}

/// Splits into trimmed parts that are not empty.
fn items(text: &str, at: char) -> Vec<&str> {
    text.split(at).map(trim).filter(|part| !part.is_empty()).collect()
}

fn trim(text: &str) -> &str {
    text.trim_matches(|c| c <= ' ')
}

/// Reads lines of keys and values. Of lines with the same key the last one counts.
fn properties(text: &str) -> BTreeMap<String, String> {
    let blank = |c| matches!(c, ' ' | '\t' | '\x0c');
    let property = |line: &str| {
        let line = line.trim_start_matches(blank);
        if line.is_empty() || line.starts_with(['#', '!']) {
            return None;
        }
        let end = line.find(|c| matches!(c, '=' | ':') || blank(c)).unwrap_or(line.len());
        let (key, rest) = line.split_at(end);
        let rest = rest.trim_start_matches(blank);
        let value = rest.strip_prefix(['=', ':']).unwrap_or(rest).trim_start_matches(blank);
        Some((key.to_owned(), value.to_owned()))
    };
    text.split(['\n', '\r']).filter_map(property).collect()
}

#[cfg(test)]
mod tests {
    use zk_wire::Zxid;

    use super::*;
    use crate::core::ensemble::ServerSetup;

    fn one(text: &str) -> Result<String, ErrorCode> {
        member(text).map(|member| member.to_string())
    }

    #[test]
    fn a_server_is_read_as_zookeeper_reads_it() {
        let ok = |text, written: &str| assert_eq!(one(text), Ok(written.to_owned()), "{text}");
        ok("zk1:2888:3888", "zk1:2888:3888:participant");
        ok("zk1:2888:3888: Observer ;2181", "zk1:2888:3888:observer;0.0.0.0:2181");
        ok("[::1]:1:2;[fe80::1]:3", "[0:0:0:0:0:0:0:1]:1:2:participant;[fe80:0:0:0:0:0:0:1]:3");
        ok("a:+1:2:participant;b:3;", "a:1:2:participant;b:3");
        for text in [
            "",
            "a",
            "a:1",
            "a:1:1",
            "a:x:2",
            "a:1:2:boss",
            "a:1:2:observer:x",
            "a:1:2;3;4",
            "a:1:2;x",
            "a:1:2;b:3:4",
            "a:1:2|b:1:2;3",
            "[::1:1:2",
            "[::1]:",
        ] {
            assert_eq!(one(text), Err(WRONG), "{text}");
        }
        for text in ["a:99999:2", "a:1:-2", "a:1:2;65536", ";", "a:1:2;:"] {
            assert_eq!(one(text), Err(UNREADABLE), "{text}");
        }
    }

    #[test]
    fn servers_leave_before_others_join() {
        let by_id = members("server.1=a:1:2;10.0.0.1:3\nserver.2=b:1:2;10.0.0.2:3").unwrap();
        let members = Members { by_id, version: Zxid(1) };
        let ids = |leaving, joining| {
            members.changed(leaving, joining).map(|next| next.keys().copied().collect::<Vec<_>>())
        };
        assert_eq!(ids(None, None), Ok(vec![1, 2]));
        assert_eq!(ids(Some(" 1 ,, 77"), Some("server.3=c:1:2;10.0.0.1:3")), Ok(vec![2, 3]));
        assert_eq!(ids(None, Some("server.3=c:1:2;10.0.0.1:3")), Err(WRONG), "the address is taken");
        assert_eq!(ids(None, Some("server.1=a:1:2;10.0.0.1:3")), Ok(vec![1, 2]), "but not by another one");
        assert_eq!(ids(None, Some("3=c:1:2;3,any.4=d:1:2;3")), Ok(vec![1, 2, 3, 4]));
        assert_eq!(ids(None, Some("server.3=c:1:2")), Err(WRONG), "without an address for clients");
        for (leaving, joining) in [(Some("x"), None), (None, Some("server.x=c:1:2;3"))] {
            assert_eq!(ids(leaving, joining), Err(UNREADABLE));
        }
        assert_eq!(ids(None, Some("some thing")), Err(WRONG));
    }

    #[test]
    fn a_whole_configuration_is_read_from_lines_or_with_commas() {
        let ids = |text| members(text).map(|members| members.into_keys().collect::<Vec<_>>());
        assert_eq!(ids("# two\nserver.1=a:1:2;3\r\n server.5 : b:1:2,version=1f"), Ok(vec![1, 5]));
        assert_eq!(ids(""), Ok(vec![]));
        assert_eq!(ids("server.1=a:1:2\nserver.2=b:1:2\nserver.3=c:1:2:observer"), Ok(vec![1, 2, 3]));
        for text in ["x=y", "server.1=a:1:2\nclientPort=1", "server.1=a"] {
            assert_eq!(ids(text), Err(WRONG), "{text}");
        }
        for text in [
            "server.x=a:1:2",
            "version=x",
            "server.1=a:1:2:observer",
            "server.1=a:1:2,server.2=b:1:2:observer",
        ] {
            assert_eq!(ids(text), Err(UNREADABLE), "{text}");
        }
        assert_eq!(ids("server.1=a:1:2\ngroup.1=1"), Err(ErrorCode::UNIMPLEMENTED));
    }

    #[test]
    fn a_quorum_address_is_read_as_a_zoo_cfg_has_it() {
        for (text, shown) in [
            ("zk1:2888:3888", "zk1:2888:3888"),
            (" zk1:2888:3888:observer;0.0.0.0:2181 ", "zk1:2888:3888"),
            ("zk1:2888:3888|zk2:2889:3889;2181", "zk1:2888:3888"),
            ("zk1:2888:3888;", "zk1:2888:3888"),
            ("zk1:2888:3888:participant;; ", "zk1:2888:3888"),
            ("[::1]:1:2", "[0:0:0:0:0:0:0:1]:1:2"),
        ] {
            let addr: QuorumAddr = text.parse().unwrap();
            assert_eq!(addr.to_string(), shown);
            let quorum = Some(addr);
            let member = Member::new(9, &ServerSetup { quorum, ..ServerSetup::default() });
            assert_eq!(member.to_string(), format!("{shown}:participant"));
        }
        for text in [
            "",
            "zk1",
            "zk1:2888",
            "zk1:1:1",
            ":1:2",
            "a b:1:2",
            "zk1:70000:2",
            "zk1:1:2:boss",
            "zk1:1:2:observer:3",
            "zk1:1:2;x",
            "zk1:1:2;;3",
            ";",
        ] {
            assert_eq!(text.parse::<QuorumAddr>(), Err(QuorumAddrError), "{text}");
        }
    }
}
