//! The web page that a request comes from: a page of this server, or none.

/// Returns true if a page of this origin was served by this host: the origin is `http://` or `https://` and the host, with
/// the same port. Tunnels may add TLS.
pub(super) fn is_same(origin: &str, host: &str) -> bool {
    let rest = strip_prefix(origin, "http://").or_else(|| strip_prefix(origin, "https://"));
    rest.is_some_and(|rest| rest.eq_ignore_ascii_case(host))
}

/// Returns true for a value of `Sec-Fetch-Site` that a page of this server, or a person at the address bar, leads to.
pub(super) fn is_same_site(sec_fetch_site: &str) -> bool {
    matches!(sec_fetch_site, "same-origin" | "none")
}

fn strip_prefix<'a>(text: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = text.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_the_same_with_host_and_port() {
        for (origin, host) in [
            ("http://localhost:2181", "localhost:2181"),
            ("https://localhost:2181", "localhost:2181"),
            ("HTTP://LOCALHOST:2181", "localhost:2181"),
            ("http://[::1]:2181", "[::1]:2181"),
            ("http://localhost", "localhost"),
        ] {
            assert!(is_same(origin, host), "{origin} {host}");
        }
    }

    #[test]
    fn every_other_origin_is_foreign() {
        for origin in [
            "http://localhost:3000",
            "http://localhost",
            "http://127.0.0.1:2181",
            "http://evil.example",
            "http://localhost:2181.evil.example",
            "http://localhost:2181/",
            "http://user@localhost:2181",
            "chrome-extension://localhost:2181",
            "file://",
            "null",
            "",
            "localhost:2181",
            "http://",
            "httpß//localhost:2181",
        ] {
            assert!(!is_same(origin, "localhost:2181"), "{origin}");
        }
    }

    #[test]
    fn only_the_same_origin_and_the_address_bar_are_the_same_site() {
        assert!(is_same_site("same-origin") && is_same_site("none"));
        for value in ["same-site", "cross-site", "", "Same-Origin", "none, cross-site"] {
            assert!(!is_same_site(value), "{value}");
        }
    }
}
