//! Bad days of a process that registers an instance.

use std::time::Duration;

use nix::sys::signal::Signal;
use zk_mini::{Jump, On, Then};
use zk_wire::ErrorCode;

use crate::day::{Day, Severity};
use crate::role::Role;
use crate::stage::{PATH, PATIENCE, SESSION_TIMEOUT, Stage, TICK};
use crate::trouble::Trouble;

const HOUR: Duration = Duration::from_secs(3_600);

const ROW: Day = Day::of(Role::Register, |stage| Box::pin(good_day(stage)));

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
    Day {
        name: "node-deleted-by-hand",
        plays: "the node of a registered process is deleted, as by zkCli.sh",
        requires: "it registers again",
        why: "people tidy up, and scripts that delete dead instances err. The usual mistake is not to watch one's own \
              node: the process serves, and nobody finds it until it is restarted",
        run: |stage| Box::pin(node_deleted_by_hand(stage)),
        ..ROW
    },
    Day {
        name: "parent-removed",
        plays: "the node of the service is deleted with all instances below it",
        requires: "a registered process makes the node of the service again, and registers",
        why: "\"deleteall\" on the wrong path, or a container that goes with its last child. The usual mistake is to make \
              the parent at the start only: each create then fails with \"no node\"",
        run: |stage| Box::pin(parent_removed(stage)),
        ..ROW
    },
    Day {
        name: "wall-clock-jumps",
        plays: "the wall clock of the server jumps an hour ahead, and then two hours back",
        requires: "the node stays, untouched",
        why: "clocks are set. A session must not depend on it, on either side",
        run: |stage| Box::pin(wall_clock_jumps(stage)),
        ..ROW
    },
    Day {
        name: "connection-lost-before-create",
        plays: "the connection breaks when the create of its node arrives, and the create is not applied",
        requires: "it registers, once",
        why: "servers restart. The usual mistake is to end, or to go on unregistered, at the first \"connection loss\"",
        run: |stage| Box::pin(trouble_at_create(stage, Then::disconnect())),
        ..ROW
    },
    Day {
        name: "reply-lost-after-create",
        plays: "the create of its node is applied, and the connection breaks before the reply",
        requires: "it is registered, once",
        why: "a server dies between the two, or a network does. The usual mistakes are to repeat the create, which makes \
              two sequential nodes that live as long as the session, and to take \"node exists\" for a stranger",
        run: |stage| Box::pin(trouble_at_create(stage, Then::apply_and_lose_reply())),
        ..ROW
    },
    Day {
        name: "session-moved",
        severity: Severity::Advice,
        plays: "the create of its node is answered with \"session moved\", code -118, and is not applied",
        requires: "it registers, once",
        why: "in an ensemble, a client that has just gone over to another server meets it. It is rare, so few clients \
              try again",
        run: |stage| Box::pin(trouble_at_create(stage, Then::fail(ErrorCode::SESSION_MOVED))),
        ..ROW
    },
    Day {
        name: "server-throttles",
        severity: Severity::Advice,
        plays: "the create of its node is answered with \"throttled\", code -127, and is not applied",
        requires: "it registers, once",
        why: "ZooKeeper 3.7 and later sheds load so. Older clients do not know the code",
        run: |stage| Box::pin(trouble_at_create(stage, Then::fail(ErrorCode::THROTTLED_OP))),
        ..ROW
    },
    Day {
        name: "server-restarts",
        plays: "the server restarts, and keeps its data and sessions",
        requires: "the node stays, untouched, and no second one appears",
        why: "upgrades. The client reconnects within its session; the usual mistake is to register at each connect, which \
              makes a second node, or makes the instance flap for every subscriber",
        run: |stage| Box::pin(server_restarts(stage)),
        ..ROW
    },
    Day {
        name: "server-loses-its-data",
        plays: "the server restarts empty",
        requires: "a registered process makes the node of the service again, and registers",
        why: "a development server, a lost disk, a new ensemble at the old address. The usual mistakes are to take a \
              reconnect for the old session, and to make the parent at the start only",
        run: |stage| Box::pin(server_loses_its_data(stage)),
        ..ROW
    },
    Day {
        name: "snapshot-restored",
        plays: "the server goes back to a snapshot from before the registration",
        requires: "it registers again",
        why: "an operator restores a backup: zxids go on, sessions do not. The client is told that its session has expired",
        run: |stage| Box::pin(snapshot_restored(stage)),
        ..ROW
    },
    Day {
        name: "expiry-while-connected",
        plays: "the session of a registered process expires on the server, and the connection is closed",
        requires: "it registers again",
        why: "a stalled server, a busy process, a network that loses pings. The library reconnects with a new session by \
              itself; the usual mistake is to register once, at the start",
        run: |stage| Box::pin(expiry_while_connected(stage)),
        ..ROW
    },
    Day {
        name: "expiry-while-disconnected",
        plays: "the server goes away, the session expires, and the server is back",
        requires: "it registers again",
        why: "a network that is down for longer than the session timeout. The client hears of the expiry when it is back",
        run: |stage| Box::pin(expiry_while_disconnected(stage)),
        ..ROW
    },
    Day {
        name: "partition",
        plays: "nothing passes between a registered process and the server until its session has expired; then all does",
        requires: "it registers again",
        why: "switches fail without closing a connection. The client has to find out by itself that nobody answers",
        run: |stage| Box::pin(partition(stage)),
        ..ROW
    },
    Day {
        name: "reconnect-within-the-session",
        plays: "the connection breaks, and the session lives",
        requires: "the node stays, untouched, and no second one appears",
        why: "connections break every day. The usual mistake is to register at each connect",
        run: |stage| Box::pin(reconnect_within_the_session(stage)),
        ..ROW
    },
    Day {
        name: "server-stalls",
        plays: "the server does nothing for four fifths of the session timeout, then goes on",
        requires: "the node stays, untouched, and no second one appears",
        why: "garbage collection, a slow disk. After two thirds of the timeout clients look for another server; the \
              session lives all the while",
        run: |stage| Box::pin(server_stalls(stage)),
        ..ROW
    },
    Day {
        name: "server-away-for-long",
        plays: "the server goes away for one and a half session timeouts, and keeps its data and sessions",
        requires: "in the end it is registered, once",
        why: "maintenance. An ensemble without a leader ends no session, so the old node is still there when the client, \
              by its own clock, has given up its session",
        run: |stage| Box::pin(server_away_for_long(stage)),
        ..ROW
    },
    Day {
        name: "server-away-at-the-start",
        severity: Severity::Advice,
        plays: "no server listens for a second and a half after the start of the process",
        requires: "it registers as soon as there is one",
        why: "a whole system starts at once. To end and be started again by a supervisor works, too",
        run: |stage| Box::pin(server_away_at_the_start(stage)),
        ..ROW
    },
    Day {
        name: "re-attach-refused",
        plays: "the connection breaks, and the client is told that its session has expired, which lives on by itself",
        requires: "when the old session has ended, the instance is registered, once",
        why: "a server that lags behind, or lost its memory of the session. For a time there are two nodes; the usual \
              mistakes are to take the old one for one's own, and not to register again",
        run: |stage| Box::pin(re_attach_refused(stage)),
        ..ROW
    },
    Day {
        name: "reply-late-after-create",
        plays: "the create of its node is applied, and the reply comes after four fifths of the session timeout",
        requires: "it is registered, once",
        why: "a slow disk, a stalled server. A client that hears nothing looks for another server after two thirds of the \
              timeout, and cannot know what has become of its create",
        run: |stage| Box::pin(trouble_at_create(stage, Then::apply_and_delay_reply(SESSION_TIMEOUT * 4 / 5))),
        ..ROW
    },
    Day {
        name: "slow-server",
        plays: "each request waits for a quarter of a second",
        requires: "it is registered, once",
        why: "a busy server, a long line. The usual mistake is a timeout for requests that is shorter than that, with a \
              second create",
        run: |stage| Box::pin(slow_server(stage)),
        ..ROW
    },
    Day {
        name: "old-node-outlives-its-session",
        plays: "the session expires, and its node stays for a second longer",
        requires: "in the end the instance is registered, by the new session",
        why: "between the end of a session and that of its nodes lies a transaction, which a busy ensemble takes its time \
              for. The usual mistake is to find one's node \"still there\" in the new session, and to be content",
        run: |stage| Box::pin(old_node_outlives_its_session(stage)),
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
    stage.until_ended(node.owner).await?;
    stage.registered_once(&second, PATIENCE).await
}

async fn paused_process(stage: &mut Stage) -> Result<(), Trouble> {
    let (actor, node) = stage.registrant("alpha").await?;
    actor.signal(Signal::SIGSTOP);
    stage.tell("alpha gets SIGSTOP");
    stage.until_ended(node.owner).await?;
    actor.signal(Signal::SIGCONT);
    stage.tell("alpha gets SIGCONT");
    stage.registered_once(&actor, PATIENCE).await
}

async fn node_deleted_by_hand(stage: &mut Stage) -> Result<(), Trouble> {
    let (actor, node) = stage.registrant("alpha").await?;
    stage.zk.delete(&node.path).await?;
    stage.tell(format!("{} is deleted", node.path));
    stage.registered_once(&actor, PATIENCE).await
}

async fn parent_removed(stage: &mut Stage) -> Result<(), Trouble> {
    let (actor, _) = stage.registrant("alpha").await?;
    stage.zk.delete_recursive(PATH).await?;
    stage.tell(format!("{PATH} is deleted, with everything below"));
    stage.registered_once(&actor, PATIENCE).await
}

async fn wall_clock_jumps(stage: &mut Stage) -> Result<(), Trouble> {
    let (actor, node) = stage.registrant("alpha").await?;
    for jump in [Jump::Forward(HOUR), Jump::Back(2 * HOUR)] {
        stage.zk.jump_wall_clock(jump);
        stage.tell(format!("the wall clock jumps: {jump:?}"));
        stage.untouched(&actor, &node).await?;
    }
    Ok(())
}

/// Lets the first create of the instance's node meet with an effect.
async fn trouble_at_create(stage: &mut Stage, then: Then) -> Result<(), Trouble> {
    // The first process makes the parents, so that the next create is that of the instance.
    let pattern = stage.pattern().await?;
    let fault = stage.fault(On::create(pattern.glob()).nth(1), then)?;
    let actor = stage.start(Role::Register, "bravo")?;
    stage.fired(&actor, &fault).await?;
    stage.registered_once(&actor, PATIENCE).await
}

async fn server_restarts(stage: &mut Stage) -> Result<(), Trouble> {
    let (actor, node) = stage.registrant("alpha").await?;
    stage.zk.restart().await;
    stage.tell("the server restarts");
    stage.reconnected(&actor, node.owner).await?;
    stage.untouched(&actor, &node).await
}

async fn server_loses_its_data(stage: &mut Stage) -> Result<(), Trouble> {
    let (actor, _) = stage.registrant("alpha").await?;
    stage.zk.reset().await?;
    stage.tell("the server restarts, and is empty");
    stage.registered_once(&actor, PATIENCE).await
}

async fn snapshot_restored(stage: &mut Stage) -> Result<(), Trouble> {
    let snapshot = stage.zk.snapshot();
    let (actor, _) = stage.registrant("alpha").await?;
    stage.zk.restore(&snapshot).await?;
    stage.tell("the server goes back to a snapshot from before the registration");
    stage.registered_once(&actor, PATIENCE).await
}

async fn expiry_while_connected(stage: &mut Stage) -> Result<(), Trouble> {
    let (actor, node) = stage.registrant("alpha").await?;
    stage.expire(node.owner).await;
    stage.registered_once(&actor, PATIENCE).await
}

async fn expiry_while_disconnected(stage: &mut Stage) -> Result<(), Trouble> {
    let (actor, node) = stage.registrant("alpha").await?;
    stage.take_down().await;
    stage.expire(node.owner).await;
    stage.bring_up().await?;
    stage.registered_once(&actor, PATIENCE).await
}

async fn partition(stage: &mut Stage) -> Result<(), Trouble> {
    let (actor, node) = stage.registrant("alpha").await?;
    let thaw = stage.freeze(node.owner);
    stage.until_ended(node.owner).await?;
    stage.thaw(thaw).await;
    stage.registered_once(&actor, PATIENCE).await
}

async fn reconnect_within_the_session(stage: &mut Stage) -> Result<(), Trouble> {
    let (actor, node) = stage.registrant("alpha").await?;
    stage.disconnect(node.owner).await;
    stage.reconnected(&actor, node.owner).await?;
    stage.untouched(&actor, &node).await
}

async fn server_stalls(stage: &mut Stage) -> Result<(), Trouble> {
    let (actor, node) = stage.registrant("alpha").await?;
    stage.stall().await;
    stage.reconnected(&actor, node.owner).await?;
    stage.untouched(&actor, &node).await
}

async fn server_away_for_long(stage: &mut Stage) -> Result<(), Trouble> {
    let (actor, _) = stage.registrant("alpha").await?;
    stage.take_down().await;
    stage.pass(SESSION_TIMEOUT * 3 / 2).await;
    stage.bring_up().await?;
    stage.registered_once(&actor, SESSION_TIMEOUT + PATIENCE).await
}

async fn server_away_at_the_start(stage: &mut Stage) -> Result<(), Trouble> {
    stage.take_down().await;
    let actor = stage.start(Role::Register, "alpha")?;
    stage.pass(SESSION_TIMEOUT * 3 / 4).await;
    stage.bring_up().await?;
    stage.registered_once(&actor, 2 * PATIENCE).await
}

async fn re_attach_refused(stage: &mut Stage) -> Result<(), Trouble> {
    let (actor, node) = stage.registrant("alpha").await?;
    let _fault = stage.fault(On::reattach().session(node.owner), Then::refuse())?;
    stage.disconnect(node.owner).await;
    stage.until_ended(node.owner).await?;
    stage.registered_once(&actor, PATIENCE).await
}

async fn slow_server(stage: &mut Stage) -> Result<(), Trouble> {
    let _fault = stage.fault(On::any(), Then::delay(SESSION_TIMEOUT / 8))?;
    let actor = stage.start(Role::Register, "alpha")?;
    stage.registered_once(&actor, 2 * PATIENCE).await
}

async fn old_node_outlives_its_session(stage: &mut Stage) -> Result<(), Trouble> {
    let (actor, node) = stage.registrant("alpha").await?;
    let _fault = stage.fault(On::expiry().session(node.owner), Then::hold_ephemerals(SESSION_TIMEOUT / 2))?;
    stage.expire(node.owner).await;
    let gone = || stage.nodes("alpha").iter().all(|now| now.owner != node.owner).then_some(());
    stage.until(SESSION_TIMEOUT, gone).await;
    stage.tell(format!("{} is gone", node.path));
    stage.registered_once(&actor, PATIENCE).await
}
