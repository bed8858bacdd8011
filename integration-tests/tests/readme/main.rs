//! The tests on the front page, run as they stand there.

mod a_leader_that_falls_silent_is_gone;
mod a_service_is_found;
mod an_instance_outlives_a_lost_reply_and_an_expiry;

#[test]
fn the_front_page_shows_these_tests() {
    let readme = include_str!("../../../README.md");
    for test in [
        include_str!("a_service_is_found.rs"),
        include_str!("a_leader_that_falls_silent_is_gone.rs"),
        include_str!("an_instance_outlives_a_lost_reply_and_an_expiry.rs"),
    ] {
        assert!(readme.contains(test), "this test is not in the README:\n{test}");
    }
}
