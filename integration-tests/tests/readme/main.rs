//! The test on the front page, run as it stands there.

mod a_service_is_found;

#[test]
fn the_front_page_shows_this_test() {
    let readme = include_str!("../../../README.md");
    assert!(readme.contains(include_str!("a_service_is_found.rs")), "the test and the README differ");
}
