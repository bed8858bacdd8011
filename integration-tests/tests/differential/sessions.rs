//! Random stories of sessions, told to Apache ZooKeeper: the model that zk-mini is tested with says what the real server does.
//! All stories are told at the same time, so that they share the time that has to pass.

use std::time::Duration;

use integration_tests::ensemble::{RealZooKeeper, Release};
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::TestRunner;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;

use crate::session_stories::{Step, Story, public_stories};
use crate::session_wire::{Audience, Restart, Told, tell};

const TICK: Duration = Duration::from_millis(200);

const STORIES: usize = 120;

const STEPS: usize = 40;

fn random_stories() -> Vec<Story> {
    let mut runner = TestRunner::default();
    let tick = u64::try_from(TICK.as_millis()).unwrap();
    let stories = public_stories(tick, STEPS).prop_map(|mut story| {
        // All stories share one restart.
        let mut is_first = true;
        story.steps.retain(|step| !matches!(step, Step::Restart) || std::mem::take(&mut is_first));
        story
    });
    (0..STORIES).map(|_| stories.new_tree(&mut runner).unwrap().current()).collect()
}

async fn assert_told(release: Release) {
    let mut zk = RealZooKeeper::builder().release(release).tick(TICK).start().unwrap();
    let (arrival, mut arrivals) = mpsc::channel(1);
    let (restarted, is_over) = watch::channel(false);
    let mut tellers = JoinSet::new();
    for (n, story) in random_stories().into_iter().enumerate() {
        let audience = Audience::Real {
            addr: zk.addr(0),
            restart: Restart { arrival: Some(arrival.clone()), is_over: is_over.clone() },
        };
        tellers.spawn(async move {
            let told = tokio::spawn({
                let story = story.clone();
                async move { tell(&story, audience, &format!("story{n}")).await }
            });
            told.await.map_err(|_| story)
        });
    }
    drop(arrival);
    // Until every story waits for the restart, or has ended.
    while arrivals.recv().await.is_some() {}
    tokio::task::block_in_place(|| {
        zk.kill(0);
        zk.restart(0)
    })
    .unwrap();
    restarted.send_replace(true);
    let told = tellers.join_all().await;
    let failed: Vec<_> = told.iter().filter_map(|told| told.as_ref().err()).collect();
    assert!(failed.is_empty(), "{} of {STORIES} stories end otherwise: {failed:#?}", failed.len());
    let given_up = told.iter().filter(|told| matches!(told, Ok(Told::GivenUp))).count();
    assert!(given_up <= STORIES / 2, "{given_up} stories were given up: this machine is too slow");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_of_apache_zookeeper_3_8_do_what_the_model_says() {
    assert_told(Release::V3_8).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sessions_of_apache_zookeeper_3_9_do_what_the_model_says() {
    assert_told(Release::V3_9).await;
}
