//! Bad days of a process that holds a lock, or leads.

use std::collections::BTreeSet;
use std::time::Duration;

use nix::sys::signal::Signal;
use zk_mini::history::Entry;
use zk_mini::{On, Then};
use zk_wire::SessionId;

use crate::day::{Day, Severity};
use crate::role::Role;
use crate::stage::{PATH, PATIENCE, SESSION_TIMEOUT, Stage, holds};
use crate::trouble::Trouble;

const ROW: Day = Day::of(Role::Lock, |stage| Box::pin(good_day(stage)));

pub(super) static DAYS: &[Day] = &[
    Day {
        name: "lock-good-day",
        plays: "nothing; a second process waits for the lock",
        requires: "the first holds the lock, the second does not",
        why: "without this no bad day says anything",
        run: |stage| Box::pin(good_day(stage)),
        ..ROW
    },
    Day {
        name: "sigterm-releases",
        plays: "SIGTERM to the holder of the lock, while another waits",
        requires: "the other has it before the session timeout of the first",
        why: "each deployment does this, and each time the work stands still. The usual mistake is to end without \
              closing the session",
        run: |stage| Box::pin(sigterm_releases(stage)),
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
    Day {
        name: "paused-holder",
        plays: "SIGSTOP to the holder until another has the lock, then SIGCONT",
        requires: "the first says that it holds the lock no longer",
        why: "a long collection of garbage, a paused virtual machine. Nothing can warn it in time, so its writes need a \
              fencing token; but afterwards it must stop. The usual mistake is to believe for ever",
        run: |stage| Box::pin(paused_holder(stage)),
        ..ROW
    },
    Day {
        name: "lock-node-deleted-by-hand",
        severity: Severity::Advice,
        plays: "the node of the holder is deleted, as by zkCli.sh, while another waits",
        requires: "the other has the lock, and the first says that it holds it no longer",
        why: "people delete the node of a leader that hangs. A holder that does not watch its node is one of two; \
              libraries with a lock as plain as kazoo's leave that to their users",
        run: |stage| Box::pin(lock_node_deleted_by_hand(stage)),
        ..ROW
    },
    Day {
        name: "lock-reply-lost-after-create",
        plays: "the create of its node in the queue is applied, and the connection breaks before the reply",
        requires: "it gets the lock, which nobody else wants",
        why: "a server dies between the two, or a network does. The usual mistake is to queue again: its first node, which \
              it does not know, is ahead of it and lives as long as its own session, so it waits for itself",
        run: |stage| Box::pin(reply_lost_after_create(stage)),
        ..ROW
    },
    Day {
        name: "holder-across-a-restart",
        plays: "the server restarts, and keeps its data and sessions, while one process holds and one waits",
        requires: "the holder holds the lock, the other does not",
        why: "upgrades. The node of the holder is still there, so it has the lock; the usual mistake is a holder that stops \
              at the first lost connection and never begins again: nobody works",
        run: |stage| Box::pin(holder_across_a_restart(stage)),
        ..ROW
    },
    Day {
        name: "lock-lost-with-the-data",
        plays: "the server restarts empty, while one process holds and one waits",
        requires: "exactly one of them holds the lock",
        why: "a development server, a lost disk. The usual mistakes are to believe for ever, and to wait for a node that \
              is gone with all others",
        run: |stage| Box::pin(lock_lost_with_the_data(stage)),
        ..ROW
    },
    Day {
        name: "frozen-holder",
        plays: "nothing passes between the holder and the server until another has the lock; then all does",
        requires: "the first says that it holds the lock no longer before the other says that it does",
        why: "switches fail, hosts hang. The holder cannot hear that its session has expired, so it must count the time \
              since it has heard from a server. The usual mistake is to believe for ever: two leaders at once",
        run: |stage| Box::pin(frozen_holder(stage)),
        ..ROW
    },
    Day {
        name: "holder-session-expires",
        plays: "the session of the holder expires, while another waits",
        requires: "the other has the lock, and the first says that it holds it no longer",
        why: "a stalled server, a busy process. The library reconnects with a new session by itself; the usual mistake is \
              not to notice that it is a new one",
        run: |stage| Box::pin(holder_session_expires(stage)),
        ..ROW
    },
    Day {
        name: "herd-at-a-lock",
        severity: Severity::Advice,
        plays: "one process holds, three wait, and the holder ends",
        requires: "only the one whose turn it is reads anything",
        why: "if all that wait watch the same node, each release wakes all of them: with a hundred, a hundred lists of a \
              hundred names. It is correct, and it does not scale",
        run: |stage| Box::pin(herd_at_a_lock(stage)),
        ..ROW
    },
];

async fn good_day(stage: &mut Stage) -> Result<(), Trouble> {
    let first = stage.holder("alpha").await?;
    let second = stage.waiter("bravo").await?;
    let one = || match holds(&first) && !holds(&second) {
        true => Ok(()),
        false => Err("alpha does not hold the lock alone".into()),
    };
    stage.settled(Duration::ZERO, one).await
}

async fn sigterm_releases(stage: &mut Stage) -> Result<(), Trouble> {
    let first = stage.holder("alpha").await?;
    let second = stage.waiter("bravo").await?;
    stage.terminate(&first).await?;
    stage.held_by(&second, SESSION_TIMEOUT / 2).await
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

async fn paused_holder(stage: &mut Stage) -> Result<(), Trouble> {
    let first = stage.holder("alpha").await?;
    let second = stage.waiter("bravo").await?;
    first.signal(Signal::SIGSTOP);
    stage.tell("alpha gets SIGSTOP");
    let held = stage.held_by(&second, SESSION_TIMEOUT + PATIENCE).await;
    first.signal(Signal::SIGCONT);
    stage.tell("alpha gets SIGCONT");
    held?;
    stage.held_only_by(&second, &first, PATIENCE).await
}

async fn lock_node_deleted_by_hand(stage: &mut Stage) -> Result<(), Trouble> {
    let first = stage.holder("alpha").await?;
    let nodes = stage.all_nodes();
    let second = stage.waiter("bravo").await?;
    for node in nodes.iter().rev().filter(|node| node.owner != SessionId::NONE) {
        stage.zk.delete(&node.path).await?;
        stage.tell(format!("{} is deleted", node.path));
    }
    stage.held_only_by(&second, &first, PATIENCE).await
}

async fn reply_lost_after_create(stage: &mut Stage) -> Result<(), Trouble> {
    // The first process makes the parents, so that the next create is that of the queue.
    let first = stage.holder("alpha").await?;
    stage.terminate(&first).await?;
    let fault = stage.fault(On::create(format!("{PATH}/**")).nth(1), Then::apply_and_lose_reply())?;
    let second = stage.start(Role::Lock, "bravo")?;
    stage.fired(&second, &fault).await?;
    stage.held_by(&second, PATIENCE).await
}

async fn holder_across_a_restart(stage: &mut Stage) -> Result<(), Trouble> {
    let first = stage.holder("alpha").await?;
    let second = stage.waiter("bravo").await?;
    stage.zk.restart().await;
    stage.tell("the server restarts");
    let all_back = || stage.zk.sessions().iter().all(|session| session.conn.is_some()).then_some(());
    stage.until(PATIENCE, all_back).await;
    stage.held_only_by(&first, &second, PATIENCE).await
}

async fn lock_lost_with_the_data(stage: &mut Stage) -> Result<(), Trouble> {
    let first = stage.holder("alpha").await?;
    let second = stage.waiter("bravo").await?;
    stage.zk.reset().await?;
    stage.tell("the server restarts, and is empty");
    stage.until(PATIENCE, || (stage.zk.sessions().len() >= 2).then_some(())).await;
    let one = || match (holds(&first), holds(&second)) {
        (true, true) => Err("alpha and bravo believe that they hold the lock".into()),
        (false, false) => Err("nobody holds the lock".into()),
        _ => Ok(()),
    };
    stage.settled(PATIENCE, one).await
}

async fn frozen_holder(stage: &mut Stage) -> Result<(), Trouble> {
    let first = stage.holder("alpha").await?;
    let session = stage.first_session();
    let second = stage.waiter("bravo").await?;
    let frozen = stage.freeze(session);
    let held = stage.until(SESSION_TIMEOUT + PATIENCE, || holds(&second).then(|| holds(&first))).await;
    match held {
        Some(false) => stage.tell("bravo holds the lock, and alpha has said before that it does not"),
        Some(true) => {
            return Err(Trouble::Failed(
                "bravo says that it holds the lock, and alpha has not taken it back".into(),
            ));
        }
        None => return Err(Trouble::Failed("bravo never gets the lock".into())),
    }
    stage.thaw(frozen).await;
    stage.held_only_by(&second, &first, PATIENCE).await
}

async fn holder_session_expires(stage: &mut Stage) -> Result<(), Trouble> {
    let first = stage.holder("alpha").await?;
    let session = stage.first_session();
    let second = stage.waiter("bravo").await?;
    stage.expire(session).await;
    stage.held_only_by(&second, &first, PATIENCE).await
}

async fn herd_at_a_lock(stage: &mut Stage) -> Result<(), Trouble> {
    let first = stage.holder("alpha").await?;
    let holder = stage.first_session();
    let mut waiting = Vec::new();
    for name in ["bravo", "charlie", "delta"] {
        waiting.push(stage.waiter(name).await?);
    }
    // One that is ready may still look for the node that it has to watch.
    stage.quiet().await;
    let before = stage.zk.mark();
    stage.terminate(&first).await?;
    let one = || waiting.iter().any(|actor| holds(actor)).then_some(()).ok_or("nobody gets the lock".into());
    stage.settled(SESSION_TIMEOUT + PATIENCE, one).await?;
    let reads = stage.zk.history().since(before).filter(Entry::is_read);
    let readers: BTreeSet<_> =
        reads.iter().filter_map(|entry| entry.session).filter(|id| *id != holder).collect();
    if readers.len() <= 1 {
        return Ok(());
    }
    let (count, reads) = (readers.len(), reads.len());
    Err(Trouble::Failed(format!("{count} of the 3 that wait send reads at one release, {reads} together")))
}
