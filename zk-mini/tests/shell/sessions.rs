//! Random stories of sessions, told to a whole server by bytes.

use proptest::prelude::*;
use zk_mini::ZkMini;

use crate::session_stories::{Story, public_stories};
use crate::session_wire::{Audience, Told, tell};

const TICK: u64 = 2_000;

fn assert_told(story: &Story, in_memory: bool) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let told = runtime.block_on(async {
        let builder =
            ZkMini::builder().manual_clock().max_session_timeout(std::time::Duration::from_secs(60));
        let builder = if in_memory { builder.in_memory() } else { builder };
        let zk = builder.start().await.unwrap();
        let audience = Audience::Mini { zk: zk.clone(), in_memory };
        tell(story, audience, "story").await
    });
    assert_eq!(told, Told::ToTheEnd);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1_000))]

    #[test]
    fn sessions_in_memory_do_what_the_model_says(story in public_stories(TICK, 40)) {
        assert_told(&story, true);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn sessions_over_sockets_do_what_the_model_says(story in public_stories(TICK, 40)) {
        assert_told(&story, false);
    }
}
