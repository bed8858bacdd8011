//! Bad days of a process that follows the instances of a service.

use nix::sys::signal::Signal;

use crate::day::{Day, Severity};
use crate::role::Role;
use crate::stage::{PATIENCE, SESSION_TIMEOUT, Stage};
use crate::trouble::Trouble;

const ROW: Day = Day {
    name: "",
    role: Role::Discover,
    severity: Severity::Bug,
    plays: "",
    requires: "",
    why: "",
    run: |stage| Box::pin(good_day(stage)),
};

pub(super) static DAYS: &[Day] = &[
    Day {
        name: "discover-good-day",
        plays: "an instance comes, another comes, the first is killed",
        requires: "a subscriber knows of each change",
        why: "without this no bad day says anything",
        run: |stage| Box::pin(good_day(stage)),
        ..ROW
    },
    Day {
        name: "service-of-the-future",
        plays: "a subscriber starts before any instance has ever been registered",
        requires: "it starts, and hears of the first instance",
        why: "a whole system starts at once, in any order. The usual mistake is to list children of a node that is not \
              there, and to fail or never to look again",
        run: |stage| Box::pin(service_of_the_future(stage)),
        ..ROW
    },
];

async fn good_day(stage: &mut Stage) -> Result<(), Trouble> {
    let (first, _) = stage.registrant("alpha").await?;
    let subscriber = stage.subscriber("watcher", &["alpha"]).await?;
    stage.registrant("bravo").await?;
    stage.knows(&subscriber, &["alpha", "bravo"], PATIENCE).await?;
    first.signal(Signal::SIGKILL);
    stage.tell("alpha gets SIGKILL");
    stage.knows(&subscriber, &["bravo"], SESSION_TIMEOUT + PATIENCE).await
}

async fn service_of_the_future(stage: &mut Stage) -> Result<(), Trouble> {
    let subscriber = stage.early_subscriber("watcher").await?;
    stage.registrant("alpha").await?;
    stage.knows(&subscriber, &["alpha"], PATIENCE).await
}
