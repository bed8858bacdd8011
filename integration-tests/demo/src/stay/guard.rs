//! Admission of requests: local programs may everything, web pages of others nothing. A browser tells where a request comes
//! from by `Host`, `Origin` and `Sec-Fetch-Site`, which pages cannot forge.

use std::net::SocketAddr;

use axum::http::header::{CONTENT_TYPE, HOST, HeaderName, ORIGIN};
use axum::http::{HeaderMap, Method, StatusCode};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Checks a request to the page at an address of loopback.
///
/// # Errors
/// The answer for a request that is refused.
pub(super) fn check(
    method: &Method,
    headers: &HeaderMap,
    addr: SocketAddr,
) -> Result<(), (StatusCode, String)> {
    let forbidden = |why: String| Err((StatusCode::FORBIDDEN, why));
    let all = |name: HeaderName| headers.get_all(name).into_iter().map(|value| value.to_str().unwrap_or("?"));
    let (address, name) = (addr.to_string(), format!("localhost:{}", addr.port()));
    // A page that lets its own name resolve to loopback still sends its own name.
    let hosts: Vec<_> = all(HOST).collect();
    let host = match hosts[..] {
        [host] if host.eq_ignore_ascii_case(&address) || host.eq_ignore_ascii_case(&name) => host,
        _ => {
            return forbidden(format!(
                "the page is http://{address}/ or http://{name}/, and is called nothing else"
            ));
        }
    };
    let own = format!("http://{host}");
    if let Some(origin) = all(ORIGIN).find(|origin| !origin.eq_ignore_ascii_case(&own)) {
        return forbidden(format!(
            "the request comes from a page of {origin}; only pages of {own} may send it"
        ));
    }
    if all(SEC_FETCH_SITE).any(|site| !matches!(site, "same-origin" | "none")) {
        return forbidden("the request comes from a web page of another site".into());
    }
    if !matches!(*method, Method::GET | Method::HEAD | Method::POST) {
        return Err((StatusCode::METHOD_NOT_ALLOWED, "only GET and POST are known".into()));
    }
    // A form of any page could send these types, without being asked.
    if *method == Method::POST && all(CONTENT_TYPE).next().is_some() {
        return Err((
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "a POST has no body here, and no Content-Type".into(),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn status(method: &Method, headers: &[(&'static str, &'static str)]) -> u16 {
        let pairs = headers.iter();
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, HeaderValue::from_static(value));
        }
        let checked = check(method, &map, SocketAddr::from(([127, 0, 0, 1], 4000)));
        checked.map_or_else(|(status, _)| status.as_u16(), |()| 200)
    }

    #[test]
    fn the_page_itself_and_local_programs_are_served() {
        for host in ["127.0.0.1:4000", "localhost:4000", "LocalHost:4000"] {
            assert_eq!(status(&Method::GET, &[("host", host)]), 200);
            assert_eq!(status(&Method::POST, &[("host", host), ("sec-fetch-site", "none")]), 200);
        }
        let own = [
            ("host", "127.0.0.1:4000"),
            ("origin", "http://127.0.0.1:4000"),
            ("sec-fetch-site", "same-origin"),
        ];
        assert_eq!(status(&Method::POST, &own), 200);
    }

    #[test]
    fn pages_of_others_are_refused() {
        let with = |more: &[(&'static str, &'static str)]| [&[("host", "127.0.0.1:4000")], more].concat();
        for headers in [
            vec![],
            vec![("host", "evil.example:4000")],
            vec![("host", "127.0.0.1:4001")],
            with(&[("host", "127.0.0.1:4000")]),
            with(&[("origin", "http://evil.example")]),
            with(&[("origin", "null")]),
            with(&[("origin", "http://localhost:4000")]),
            with(&[("origin", "http://127.0.0.1:4000"), ("origin", "http://evil.example")]),
            with(&[("sec-fetch-site", "cross-site")]),
            with(&[("sec-fetch-site", "same-site")]),
        ] {
            assert_eq!(status(&Method::POST, &headers), 403, "{headers:?}");
            assert_eq!(status(&Method::GET, &headers), 403, "{headers:?}");
        }
        assert_eq!(status(&Method::OPTIONS, &with(&[])), 405);
        assert_eq!(status(&Method::POST, &with(&[("content-type", "text/plain")])), 415);
    }
}
