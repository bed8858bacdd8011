//! The page, as a browser asks for it.

use zk_mini::ZkMini;

use crate::support::start;

#[tokio::test]
async fn the_page_is_at_the_root_and_trusts_nothing_but_its_own_files() {
    let (_zk, http) = start(ZkMini::builder()).await;
    let page = http.get("/").await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.starts_with("default-src 'none'; script-src 'self'; ") && !policy.contains("unsafe"),
        "{policy}"
    );
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    let script = http.get("/page/main.js").await;
    assert_eq!((script.status, script.header("content-type")), (200, Some("text/javascript; charset=utf-8")));
    assert_eq!(http.get("/page/icon.svg").await.header("content-type"), Some("image/svg+xml"));
    assert_eq!(http.get("/page/mod.rs").await.status, 404);
}

#[tokio::test]
async fn a_browser_that_has_the_page_is_not_sent_it_again() {
    let (_zk, http) = start(ZkMini::builder()).await;
    let first = http.get("/page/page.css").await;
    assert_eq!(first.header("cache-control"), Some("no-cache"));
    let tag = first.header("etag").unwrap();
    let again = http.send("GET", "/page/page.css", &[("if-none-match", tag)], b"").await;
    assert_eq!((again.status, again.body.len()), (304, 0));
    let other = http.send("GET", "/page/page.css", &[("if-none-match", "\"0\"")], b"").await;
    assert_eq!(other.body, first.body);
}
