//! Bad days of a process that registers an instance.

use std::time::Duration;

use nix::sys::signal::Signal;

use crate::day::{Day, Severity};
use crate::role::Role;
use crate::stage::{PATIENCE, SESSION_TIMEOUT, Stage, TICK};
use crate::trouble::Trouble;

const ROW: Day = Day {
    name: "",
    role: Role::Register,
    severity: Severity::Bug,
    plays: "",
    requires: "",
    why: "",
    run: |stage| Box::pin(good_day(stage)),
};

pub(super) static DAYS: &[Day] = &[
    Day {
        name: "register-good-day",
        plays: "nothing",
        requires: "the instance is registered once, as long as the process lives",
        why: "without this no bad day says anything",
        run: |stage| Box::pin(good_day(stage)),
        ..ROW
    },
    Day {
        name: "sigterm-withdraws",
        plays: "SIGTERM to a registered process",
        requires: "it ends, and its node is gone by then",
        why: "each deployment does this; a node that stays sends callers to a closed port for a session timeout. \
              The usual mistake is to end without closing the session",
        run: |stage| Box::pin(sigterm_withdraws(stage)),
        ..ROW
    },
    Day {
        name: "kill-is-noticed",
        plays: "SIGKILL to a registered process",
        requires: "its node is gone after the session timeout and a tick",
        why: "crashes and the OOM killer give no warning. The usual mistakes are a node that is not ephemeral, and a \
              session timeout of the library's instead of one's own",
        run: |stage| Box::pin(kill_is_noticed(stage)),
        ..ROW
    },
    Day {
        name: "restart-before-the-old-session-ends",
        plays: "SIGKILL to a registered process, and at once a new one with the same name",
        requires: "the new one is registered, and still is when the old session has ended",
        why: "a supervisor restarts a crashed process within the session timeout. The usual mistake is to take \
              \"node exists\" for success: the node goes with the old session, and nobody makes it again",
        run: |stage| Box::pin(restart_before_the_old_session_ends(stage)),
        ..ROW
    },
    Day {
        name: "paused-process",
        plays: "SIGSTOP to a registered process until its session has expired, then SIGCONT",
        requires: "it registers again",
        why: "a paused virtual machine, a long collection of garbage, a suspended laptop. The usual mistake is not to \
              act on an expired session",
        run: |stage| Box::pin(paused_process(stage)),
        ..ROW
    },
];

async fn good_day(stage: &mut Stage) -> Result<(), Trouble> {
    let (actor, _) = stage.registrant("alpha").await?;
    stage.registered_once(&actor, Duration::ZERO).await
}

async fn sigterm_withdraws(stage: &mut Stage) -> Result<(), Trouble> {
    let (actor, node) = stage.registrant("alpha").await?;
    stage.terminate(&actor).await?;
    match stage.nodes("alpha").is_empty() {
        true => Ok(()),
        false => Err(Trouble::Failed(format!("alpha has ended, and {} is still there", node.path))),
    }
}

async fn kill_is_noticed(stage: &mut Stage) -> Result<(), Trouble> {
    let (actor, node) = stage.registrant("alpha").await?;
    actor.signal(Signal::SIGKILL);
    stage.tell("alpha gets SIGKILL");
    let limit = SESSION_TIMEOUT + 3 * TICK;
    let gone = stage.until(limit, || stage.nodes("alpha").is_empty().then_some(())).await;
    gone.ok_or_else(|| {
        Trouble::Failed(format!("{} is still there {limit:?} after the death of alpha", node.path))
    })
}

async fn restart_before_the_old_session_ends(stage: &mut Stage) -> Result<(), Trouble> {
    let (first, node) = stage.registrant("alpha").await?;
    first.signal(Signal::SIGKILL);
    stage.tell("alpha gets SIGKILL, and is started again");
    let second = stage.start(Role::Register, "alpha")?;
    let old_gone = || stage.zk.sessions().iter().all(|session| session.id != node.owner).then_some(());
    stage.until(SESSION_TIMEOUT + PATIENCE, old_gone).await;
    stage.tell(format!("the old session {} has ended", node.owner));
    stage.registered_once(&second, PATIENCE).await
}

async fn paused_process(stage: &mut Stage) -> Result<(), Trouble> {
    let (actor, node) = stage.registrant("alpha").await?;
    actor.signal(Signal::SIGSTOP);
    stage.tell("alpha gets SIGSTOP");
    let gone = || stage.zk.sessions().iter().all(|session| session.id != node.owner).then_some(());
    let gone = stage.until(SESSION_TIMEOUT + PATIENCE, gone).await;
    actor.signal(Signal::SIGCONT);
    stage.tell("alpha gets SIGCONT");
    gone.ok_or_else(|| Trouble::Failed("the session of a stopped process has not expired".into()))?;
    stage.registered_once(&actor, PATIENCE).await
}
