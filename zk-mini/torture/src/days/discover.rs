//! Bad days of a process that follows the instances of a service.

use zk_mini::history::Entry;
use zk_mini::{On, Then};
use zk_wire::ErrorCode;

use crate::day::{Day, Severity};
use crate::role::Role;
use crate::stage::{PATH, PATIENCE, SESSION_TIMEOUT, Stage};
use crate::trouble::Trouble;

/// Reads of a subscriber for one change: a list, the new instance, and as much again.
const READS_OF_A_CHANGE: usize = 4;

const ROW: Day = Day::of(Role::Discover, |stage| Box::pin(good_day(stage)));

pub(super) static DAYS: &[Day] = &[
    Day {
        name: "discover-good-day",
        plays: "an instance comes, another comes, the first ends",
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
    Day {
        name: "foreign-children",
        plays: "beside the instances, a child with no data appears, and one whose data is no instance",
        requires: "a subscriber knows the instances, those from before and those that come afterwards",
        why: "another version of the software, a node made by hand, a half-written instance. The usual mistake is an \
              exception while reading one child that ends the whole subscription",
        run: |stage| Box::pin(foreign_children(stage)),
        ..ROW
    },
    Day {
        name: "many-changes",
        plays: "thirty instances come and go, one right after the other",
        requires: "a subscriber ends with the right ones",
        why: "deployments. A one-shot watch tells of the first change only; the usual mistakes are a watch that is set \
              after the list was read, and a list of changes instead of the present state",
        run: |stage| Box::pin(many_changes(stage)),
        ..ROW
    },
    Day {
        name: "service-removed-and-made-again",
        plays: "the node of the service is deleted with all instances, and made again with a new one",
        requires: "a subscriber knows the new instance",
        why: "\"deleteall\" on the wrong path, or a container that goes with its last child. The usual mistake is to stop \
              looking when the list of children fails with \"no node\"",
        run: |stage| Box::pin(service_removed_and_made_again(stage)),
        ..ROW
    },
    Day {
        name: "data-changes",
        severity: Severity::Advice,
        plays: "an instance gets new data, in the same node",
        requires: "a subscriber knows the new data",
        why: "weights, versions and addresses change. A watch on the list of children does not tell of it; some registries \
              never change an instance in place, and need not care",
        run: |stage| Box::pin(data_changes(stage)),
        ..ROW
    },
    Day {
        name: "child-gone-between-list-and-read",
        plays: "an instance comes, and goes again after a subscriber has listed it, before it reads it",
        requires: "the subscriber knows the others, and those that come afterwards",
        why: "deployments. The usual mistake is to let \"no node\" end the subscription",
        run: |stage| Box::pin(child_gone_between_list_and_read(stage)),
        ..ROW
    },
    Day {
        name: "connection-lost-between-event-and-re-arm",
        plays: "an instance comes; when the subscriber has got the event and lists again, the connection breaks",
        requires: "it knows the new instance, and those that come afterwards",
        why: "servers restart. The watch is used up and no new one is set; the usual mistake is an exception in the \
              callback of the watch, after which nothing ever calls it again",
        run: |stage| Box::pin(connection_lost_between_event_and_re_arm(stage)),
        ..ROW
    },
    Day {
        name: "change-across-a-restart",
        plays: "the server restarts, and keeps its data and sessions; an instance comes before the subscriber is back",
        requires: "it knows the new instance",
        why: "upgrades. A client must set its watches again, with the last zxid that it has seen, or read again. The usual \
              mistake is to trust in a watch that went with the connection",
        run: |stage| Box::pin(change_across_a_restart(stage)),
        ..ROW
    },
    Day {
        name: "service-loses-its-data",
        plays: "the server restarts empty, and a new instance comes",
        requires: "a subscriber knows the new instance, and not the old one",
        why: "a development server, a lost disk, a new ensemble at the old address. The session is gone, and its watches \
              with it; the usual mistake is to set them once",
        run: |stage| Box::pin(service_loses_its_data(stage)),
        ..ROW
    },
    Day {
        name: "restored-under-a-subscriber",
        plays: "the server goes back to a snapshot in which one instance is missing",
        requires: "a subscriber, whose session is in the snapshot, does not believe in that instance any more",
        why: "an operator restores a backup. Nothing was deleted; the difference shows only to those who set their watches \
              again after the reconnect",
        run: |stage| Box::pin(restored_under_a_subscriber(stage)),
        ..ROW
    },
    Day {
        name: "subscriber-session-expires",
        plays: "the session of a subscriber expires, and an instance comes afterwards",
        requires: "it knows the new instance",
        why: "a stalled server, a busy process. The watches went with the session; the usual mistake is to set them once",
        run: |stage| Box::pin(subscriber_session_expires(stage)),
        ..ROW
    },
    Day {
        name: "expiry-in-an-outage",
        plays: "the server goes away; the session of a subscriber expires, and an instance comes; the server is back",
        requires: "it knows the new instance",
        why: "a network that is down for longer than the session timeout",
        run: |stage| Box::pin(expiry_in_an_outage(stage)),
        ..ROW
    },
    Day {
        name: "outage",
        severity: Severity::Advice,
        plays: "the server goes away for one and a half session timeouts; the instances live",
        requires: "a subscriber goes on to believe in them",
        why: "the registry is away, the services are not: a subscriber that drops them makes an outage of everything. Some \
              prefer to call nobody rather than somebody who may have gone",
        run: |stage| Box::pin(outage(stage)),
        ..ROW
    },
    Day {
        name: "event-lost-with-the-connection",
        plays: "an instance comes, and the connection breaks before the event is sent",
        requires: "the subscriber knows the new instance",
        why: "servers restart. The watch is used up on the server; a client finds out by setting its watches again with \
              the last zxid that it has seen, or by reading again",
        run: |stage| Box::pin(event_lost_with_the_connection(stage)),
        ..ROW
    },
    Day {
        name: "change-in-a-stall",
        plays: "the server does nothing for four fifths of the session timeout; then an instance comes",
        requires: "a subscriber knows the new instance",
        why: "garbage collection, a slow disk. After two thirds of the timeout clients look for another server, in the \
              same session, and must not lose their watches",
        run: |stage| Box::pin(change_in_a_stall(stage)),
        ..ROW
    },
    Day {
        name: "herd-of-100",
        severity: Severity::Advice,
        plays: "twenty instances are there, and one more comes",
        requires: "a subscriber sends at most four reads for the change",
        why: "with a hundred subscribers each read comes a hundred times, at the same moment. The usual mistake is to read \
              every child again for each change: it is correct, and it does not scale",
        run: |stage| Box::pin(herd_of_100(stage)),
        ..ROW
    },
    Day {
        name: "change-between-event-and-re-arm",
        plays: "an instance comes; while the subscriber lists again, which takes a third of a second, another comes",
        requires: "it knows both",
        why: "deployments. A list must set the watch in the same request; the usual mistake is to list, and to set the \
              watch afterwards: what happens in between is never seen",
        run: |stage| Box::pin(change_between_event_and_re_arm(stage)),
        ..ROW
    },
    Day {
        name: "event-delayed",
        plays: "an instance comes, and the event is late by half a second; meanwhile another comes",
        requires: "the subscriber knows both",
        why: "a busy server. There is one event for the two; the usual mistake is to take it for one change",
        run: |stage| Box::pin(event_delayed(stage)),
        ..ROW
    },
];

async fn good_day(stage: &mut Stage) -> Result<(), Trouble> {
    let (first, _) = stage.registrant("alpha").await?;
    let subscriber = stage.subscriber("watcher", &["alpha"]).await?;
    stage.registrant("bravo").await?;
    stage.knows(&subscriber, &["alpha", "bravo"], PATIENCE).await?;
    stage.terminate(&first).await?;
    stage.knows(&subscriber, &["bravo"], SESSION_TIMEOUT + PATIENCE).await
}

async fn service_of_the_future(stage: &mut Stage) -> Result<(), Trouble> {
    let subscriber = stage.early_subscriber("watcher").await?;
    stage.registrant("alpha").await?;
    stage.knows(&subscriber, &["alpha"], PATIENCE).await
}

async fn foreign_children(stage: &mut Stage) -> Result<(), Trouble> {
    let pattern = stage.pattern().await?;
    stage.appear(&pattern, "alpha").await?;
    let subscriber = stage.subscriber("watcher", &["alpha"]).await?;
    for (name, data) in [("empty", ""), ("foreign", "no instance, {")] {
        stage.zk.create(&format!("{}/{name}", pattern.parent()), data).await?;
        stage.tell(format!("the child {name:?} appears, with the data {data:?}"));
    }
    stage.appear(&pattern, "bravo").await?;
    stage.knows(&subscriber, &["alpha", "bravo"], PATIENCE).await
}

async fn many_changes(stage: &mut Stage) -> Result<(), Trouble> {
    let pattern = stage.pattern().await?;
    stage.appear(&pattern, "alpha").await?;
    let subscriber = stage.subscriber("watcher", &["alpha"]).await?;
    for number in 0..30 {
        let name = format!("passing-{number}");
        stage.appear(&pattern, &name).await?;
        stage.vanish(&pattern, &name).await?;
    }
    stage.vanish(&pattern, "alpha").await?;
    stage.appear(&pattern, "bravo").await?;
    stage.knows(&subscriber, &["bravo"], PATIENCE).await
}

async fn service_removed_and_made_again(stage: &mut Stage) -> Result<(), Trouble> {
    let pattern = stage.pattern().await?;
    stage.appear(&pattern, "alpha").await?;
    let subscriber = stage.subscriber("watcher", &["alpha"]).await?;
    stage.zk.delete_recursive(PATH).await?;
    stage.tell(format!("{PATH} is deleted, with everything below"));
    stage.knows(&subscriber, &[], PATIENCE).await?;
    stage.appear(&pattern, "bravo").await?;
    stage.knows(&subscriber, &["bravo"], PATIENCE).await
}

async fn data_changes(stage: &mut Stage) -> Result<(), Trouble> {
    let pattern = stage.pattern().await?;
    stage.appear(&pattern, "alpha").await?;
    let subscriber = stage.subscriber("watcher", &["alpha"]).await?;
    for ((path, _), (_, data)) in pattern.of("alpha").into_iter().zip(pattern.of("delta")) {
        stage.zk.set(&path, data).await?;
        stage.tell(format!("{path} gets the data of delta"));
    }
    stage.knows(&subscriber, &["delta"], PATIENCE).await
}

async fn child_gone_between_list_and_read(stage: &mut Stage) -> Result<(), Trouble> {
    let pattern = stage.pattern().await?;
    stage.appear(&pattern, "alpha").await?;
    let subscriber = stage.subscriber("watcher", &["alpha"]).await?;
    let Some((path, _)) = pattern.of("bravo").pop() else { return Ok(()) };
    let fault = stage.fault(On::get_data(path).nth(1), Then::fail(ErrorCode::NO_NODE))?;
    stage.appear(&pattern, "bravo").await?;
    stage.fired(&subscriber, &fault).await?;
    stage.vanish(&pattern, "bravo").await?;
    stage.appear(&pattern, "charlie").await?;
    stage.knows(&subscriber, &["alpha", "charlie"], PATIENCE).await
}

async fn connection_lost_between_event_and_re_arm(stage: &mut Stage) -> Result<(), Trouble> {
    let pattern = stage.pattern().await?;
    stage.appear(&pattern, "alpha").await?;
    let subscriber = stage.subscriber("watcher", &["alpha"]).await?;
    let fault = stage.fault(On::get_children(pattern.parent()).nth(1), Then::disconnect())?;
    stage.appear(&pattern, "bravo").await?;
    stage.fired(&subscriber, &fault).await?;
    stage.knows(&subscriber, &["alpha", "bravo"], PATIENCE).await?;
    stage.appear(&pattern, "charlie").await?;
    stage.knows(&subscriber, &["alpha", "bravo", "charlie"], PATIENCE).await
}

async fn change_across_a_restart(stage: &mut Stage) -> Result<(), Trouble> {
    let pattern = stage.pattern().await?;
    stage.appear(&pattern, "alpha").await?;
    let subscriber = stage.subscriber("watcher", &["alpha"]).await?;
    stage.zk.restart().await;
    stage.tell("the server restarts");
    stage.appear(&pattern, "bravo").await?;
    stage.knows(&subscriber, &["alpha", "bravo"], PATIENCE).await
}

async fn service_loses_its_data(stage: &mut Stage) -> Result<(), Trouble> {
    let pattern = stage.pattern().await?;
    stage.appear(&pattern, "alpha").await?;
    let subscriber = stage.subscriber("watcher", &["alpha"]).await?;
    stage.zk.reset().await?;
    stage.tell("the server restarts, and is empty");
    stage.appear(&pattern, "bravo").await?;
    stage.knows(&subscriber, &["bravo"], PATIENCE).await
}

async fn restored_under_a_subscriber(stage: &mut Stage) -> Result<(), Trouble> {
    let pattern = stage.pattern().await?;
    stage.appear(&pattern, "alpha").await?;
    let subscriber = stage.subscriber("watcher", &["alpha"]).await?;
    let snapshot = stage.zk.snapshot();
    stage.appear(&pattern, "bravo").await?;
    stage.knows(&subscriber, &["alpha", "bravo"], PATIENCE).await?;
    stage.zk.restore(&snapshot).await?;
    stage.tell("the server goes back to a snapshot without bravo");
    stage.knows(&subscriber, &["alpha"], PATIENCE).await
}

async fn subscriber_session_expires(stage: &mut Stage) -> Result<(), Trouble> {
    let pattern = stage.pattern().await?;
    stage.appear(&pattern, "alpha").await?;
    let subscriber = stage.subscriber("watcher", &["alpha"]).await?;
    stage.expire(stage.first_session()).await;
    stage.appear(&pattern, "bravo").await?;
    stage.knows(&subscriber, &["alpha", "bravo"], PATIENCE).await
}

async fn expiry_in_an_outage(stage: &mut Stage) -> Result<(), Trouble> {
    let pattern = stage.pattern().await?;
    stage.appear(&pattern, "alpha").await?;
    let subscriber = stage.subscriber("watcher", &["alpha"]).await?;
    stage.take_down().await;
    stage.expire(stage.first_session()).await;
    stage.appear(&pattern, "bravo").await?;
    stage.bring_up().await?;
    stage.knows(&subscriber, &["alpha", "bravo"], PATIENCE).await
}

async fn outage(stage: &mut Stage) -> Result<(), Trouble> {
    let pattern = stage.pattern().await?;
    stage.appear(&pattern, "alpha").await?;
    let subscriber = stage.subscriber("watcher", &["alpha"]).await?;
    let begin = stage.now();
    stage.take_down().await;
    stage.pass(SESSION_TIMEOUT * 3 / 2).await;
    stage.bring_up().await?;
    stage.knows(&subscriber, &["alpha"], PATIENCE).await?;
    let claims = subscriber.claims_since(begin);
    match claims.iter().find(|(_, claim)| claim.members().is_some_and(|members| !members.contains("alpha"))) {
        Some((at, claim)) => {
            Err(Trouble::Failed(format!("at {:.3} s watcher said: {claim}", at.0 as f64 / 1_000.0)))
        }
        None => Ok(()),
    }
}

async fn event_lost_with_the_connection(stage: &mut Stage) -> Result<(), Trouble> {
    let pattern = stage.pattern().await?;
    stage.appear(&pattern, "alpha").await?;
    let subscriber = stage.subscriber("watcher", &["alpha"]).await?;
    let fault = stage.fault(On::any_event("/**").nth(1), Then::drop_event())?;
    stage.appear(&pattern, "bravo").await?;
    stage.fired(&subscriber, &fault).await?;
    stage.disconnect(stage.first_session()).await;
    stage.knows(&subscriber, &["alpha", "bravo"], PATIENCE).await
}

async fn change_in_a_stall(stage: &mut Stage) -> Result<(), Trouble> {
    let pattern = stage.pattern().await?;
    stage.appear(&pattern, "alpha").await?;
    let subscriber = stage.subscriber("watcher", &["alpha"]).await?;
    stage.stall().await;
    stage.appear(&pattern, "bravo").await?;
    stage.knows(&subscriber, &["alpha", "bravo"], PATIENCE).await
}

async fn herd_of_100(stage: &mut Stage) -> Result<(), Trouble> {
    let pattern = stage.pattern().await?;
    let names: Vec<_> = (0..20).map(|number| format!("many-{number}")).collect();
    for name in &names {
        stage.appear(&pattern, name).await?;
    }
    let mut members: Vec<_> = names.iter().map(String::as_str).collect();
    let subscriber = stage.subscriber("watcher", &members).await?;
    stage.quiet().await;
    let before = stage.zk.mark();
    stage.appear(&pattern, "alpha").await?;
    members.push("alpha");
    stage.knows(&subscriber, &members, PATIENCE).await?;
    let reads = stage.zk.history().since(before).filter(Entry::is_read).len();
    if reads <= READS_OF_A_CHANGE {
        return Ok(());
    }
    Err(Trouble::Failed(format!(
        "watcher sends {reads} reads for one change; a hundred send {}",
        100 * reads
    )))
}

async fn change_between_event_and_re_arm(stage: &mut Stage) -> Result<(), Trouble> {
    let pattern = stage.pattern().await?;
    stage.appear(&pattern, "alpha").await?;
    let subscriber = stage.subscriber("watcher", &["alpha"]).await?;
    let late = Then::apply_and_delay_reply(SESSION_TIMEOUT / 6);
    let fault = stage.fault(On::get_children(pattern.parent()).nth(1), late)?;
    stage.appear(&pattern, "bravo").await?;
    stage.fired(&subscriber, &fault).await?;
    stage.appear(&pattern, "charlie").await?;
    stage.knows(&subscriber, &["alpha", "bravo", "charlie"], PATIENCE).await
}

async fn event_delayed(stage: &mut Stage) -> Result<(), Trouble> {
    let pattern = stage.pattern().await?;
    stage.appear(&pattern, "alpha").await?;
    let subscriber = stage.subscriber("watcher", &["alpha"]).await?;
    let _fault = stage.fault(On::any_event("/**").nth(1), Then::delay(SESSION_TIMEOUT / 4))?;
    stage.appear(&pattern, "bravo").await?;
    stage.appear(&pattern, "charlie").await?;
    stage.knows(&subscriber, &["alpha", "bravo", "charlie"], PATIENCE).await
}
