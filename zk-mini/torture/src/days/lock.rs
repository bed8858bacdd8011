//! Bad days of a process that holds a lock, or leads.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::day::{Day, Severity};
use crate::role::Role;
use crate::stage::{PATIENCE, SESSION_TIMEOUT, Stage, holds};
use crate::trouble::Trouble;

const ROW: Day = Day {
    name: "",
    role: Role::Lock,
    severity: Severity::Bug,
    plays: "",
    requires: "",
    why: "",
    run: |stage| Box::pin(good_day(stage)),
};

pub(super) static DAYS: &[Day] = &[
    Day {
        name: "lock-good-day",
        plays: "a second process waits for the lock, and the holder gets SIGTERM",
        requires: "one holds the lock, then the other",
        why: "without this no bad day says anything",
        run: |stage| Box::pin(good_day(stage)),
        ..ROW
    },
    Day {
        name: "killed-holder",
        plays: "SIGKILL to the holder of the lock, while another waits",
        requires: "the other has it after the session timeout",
        why: "crashes give no warning. The usual mistake is a lock node that is not ephemeral",
        run: |stage| Box::pin(killed_holder(stage)),
        ..ROW
    },
    Day {
        name: "waiter-in-the-middle-dies",
        plays: "one process holds, two wait, and the first that waits is killed",
        requires: "the second that waits does not take its predecessor's end for its turn",
        why: "processes die in the queue, too. The usual mistake is to take the end of the watched node for one's turn, \
              without a look at the queue",
        run: |stage| Box::pin(waiter_in_the_middle_dies(stage)),
        ..ROW
    },
];

async fn good_day(stage: &mut Stage) -> Result<(), Trouble> {
    let first = stage.holder("alpha").await?;
    let second = stage.waiter("bravo").await?;
    if holds(&second) {
        return Err(Trouble::NotReady("bravo believes that it holds the lock, which alpha holds".into()));
    }
    stage.terminate(&first).await?;
    stage.held_by(&second, PATIENCE).await
}

async fn killed_holder(stage: &mut Stage) -> Result<(), Trouble> {
    let first = stage.holder("alpha").await?;
    let second = stage.waiter("bravo").await?;
    first.signal(Signal::SIGKILL);
    stage.tell("alpha gets SIGKILL");
    stage.held_by(&second, SESSION_TIMEOUT + PATIENCE).await
}

async fn waiter_in_the_middle_dies(stage: &mut Stage) -> Result<(), Trouble> {
    let first = stage.holder("alpha").await?;
    let middle = stage.waiter("bravo").await?;
    let last = stage.waiter("charlie").await?;
    middle.signal(Signal::SIGKILL);
    stage.tell("bravo gets SIGKILL");
    let sessions = stage.zk.sessions().len();
    stage.until(SESSION_TIMEOUT + PATIENCE, || (stage.zk.sessions().len() < sessions).then_some(())).await;
    stage.tell("the session of bravo has ended");
    let no_turn = || match holds(&first) && holds(&last) {
        true => Err("charlie believes that it holds the lock, and so does alpha".into()),
        false => Ok(()),
    };
    stage.settled(Duration::ZERO, no_turn).await?;
    stage.terminate(&first).await?;
    stage.held_by(&last, PATIENCE).await
}
