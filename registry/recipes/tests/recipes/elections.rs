//! Elections.

use zk_recipes::{Election, Naming, Standing};

use crate::support::{builder, client, count, elsewhere, quiet, soon, until, with_server};

const PATH: &str = "/election";

#[test]
fn the_one_that_stood_first_leads_and_the_next_one_after_it() {
    with_server(async |zk| {
        let (ada, bob) = (client(zk).await, client(zk).await);
        let election = Election::new(&ada, PATH).identity("ada");
        let mut first = election.stand();
        let token = soon(first.lead()).await.unwrap();
        let mut second = Election::new(&bob, PATH).identity("bob").stand();
        until(zk, |zk| count(zk, PATH) == 2).await;
        quiet().await;
        assert_eq!(election.candidates().await.unwrap(), ["ada", "bob"]);
        assert_eq!(election.leader().await.unwrap().as_deref(), Some("ada"));
        assert_eq!((first.standing(), second.standing()), (Standing::Leading, Standing::Waiting));
        soon(first.resign()).await.unwrap();
        assert!(soon(second.lead()).await.unwrap() > token);
        assert!(second.is_leader());
        assert_eq!(election.leader().await.unwrap().as_deref(), Some("bob"));
    });
}

#[test]
fn a_leader_that_loses_its_session_or_its_node_stands_again_behind_the_others() {
    with_server(async |zk| {
        let (ada, bob) = (client(zk).await, client(zk).await);
        let mut first = Election::new(&ada, PATH).identity("ada").stand();
        soon(first.lead()).await.unwrap();
        let mut second = Election::new(&bob, PATH).identity("bob").stand();
        until(zk, |zk| count(zk, PATH) == 2).await;
        quiet().await;

        zk.session(ada.credentials().unwrap().id).unwrap().expire().await;
        soon(first.lost()).await;
        soon(second.lead()).await.unwrap();
        until(zk, |zk| count(zk, PATH) == 2).await;
        quiet().await;
        assert_eq!((first.is_leader(), second.is_leader()), (false, true));

        let names = zk.children(PATH).unwrap();
        let of_bob = |name: &&String| zk.get(&format!("{PATH}/{name}")).unwrap().0 == "bob";
        let leader = names.iter().find(of_bob).unwrap();
        zk.delete(&format!("{PATH}/{leader}")).await.unwrap();
        soon(first.lead()).await.unwrap();
        quiet().await;
        assert_eq!((first.is_leader(), second.is_leader()), (true, false));
        assert_eq!(count(zk, PATH), 2);
    });
}

#[test]
fn a_leader_without_a_connection_is_unsure_and_leads_on_when_it_is_back() {
    with_server(async |zk| {
        let ada = client(zk).await;
        let mut candidate = Election::new(&ada, PATH).stand();
        let token = soon(candidate.lead()).await.unwrap();
        zk.take_down().await;
        soon(candidate.lost()).await;
        assert_eq!(candidate.standing(), Standing::Unsure);
        zk.bring_up().await.unwrap();
        assert_eq!(soon(candidate.lead()).await.unwrap(), token, "the same turn");
    });
}

#[test]
fn a_term_that_ended_while_nobody_looked_is_lost_although_the_candidate_leads_again() {
    with_server(async |zk| {
        let (ada, bob) = (client(zk).await, client(zk).await);
        let mut first = Election::new(&ada, PATH).stand();
        let early = soon(first.lead()).await.unwrap();
        // One that never calls `lead`: its term is that in which the wait began.
        let other = Election::new(&client(zk).await, "/other").stand();
        until(zk, |zk| count(zk, "/other") == 1).await;
        quiet().await;
        let mut lost = Box::pin(other.lost());
        std::future::poll_fn(|cx| {
            assert!(lost.as_mut().poll(cx).is_pending());
            std::task::Poll::Ready(())
        })
        .await;

        let mut second = Election::new(&bob, PATH).stand();
        until(zk, |zk| count(zk, PATH) == 2).await;
        quiet().await;
        zk.session(ada.credentials().unwrap().id).unwrap().expire().await;
        zk.session_of(&format!("/other/{}", zk.children("/other").unwrap()[0])).unwrap().expire().await;
        soon(second.lead()).await.unwrap();
        until(zk, |zk| count(zk, PATH) == 2).await;
        soon(second.resign()).await.unwrap();
        until(zk, |zk| count(zk, "/other") == 1).await;
        quiet().await;
        assert_eq!((first.standing(), other.standing()), (Standing::Leading, Standing::Leading));

        assert!(!first.is_leader(), "in another term");
        assert!(other.is_leader());
        soon(first.lost()).await;
        soon(lost).await;
        assert!(soon(first.lead()).await.unwrap() > early);
        assert!(first.is_leader());
    });
}

#[test]
fn an_observer_hears_of_each_leader_and_of_none() {
    with_server(async |zk| {
        let (ada, bob, cyd) = (client(zk).await, client(zk).await, client(zk).await);
        let mut watch = Election::new(&cyd, PATH).watch();
        assert_eq!(soon(watch.changed()).await.unwrap(), None, "the node is missing, too");
        let mut first = Election::new(&ada, PATH).identity("ada").stand();
        assert_eq!(soon(watch.changed()).await.unwrap().as_deref(), Some("ada"));
        soon(first.lead()).await.unwrap();

        let reads = |zk: &zk_mini::Handle, mark| {
            let observer = cyd.credentials().unwrap().id;
            zk.history().since(mark).session(observer).iter().filter(|entry| entry.is_read()).count()
        };
        let mark = zk.mark();
        let second = Election::new(&bob, PATH).identity("bob").stand();
        until(zk, |zk| count(zk, PATH) == 2).await;
        quiet().await;
        assert_eq!(reads(zk, &mark), 0, "candidates cost an observer nothing");
        soon(first.resign()).await.unwrap();
        assert_eq!(soon(watch.changed()).await.unwrap().as_deref(), Some("bob"));
        drop(second);
        assert_eq!(soon(watch.changed()).await.unwrap(), None);
        let _third = Election::new(&ada, PATH).identity("ada").stand();
        assert_eq!(soon(watch.changed()).await.unwrap().as_deref(), Some("ada"));
        cyd.close().await.unwrap();
        assert!(soon(watch.changed()).await.unwrap_err().is_session_over());
    });
}

#[test]
fn candidates_of_a_leader_latch_have_its_names() {
    with_server(async |zk| {
        let ada = client(zk).await;
        let mut candidate = Election::new(&ada, PATH).naming(Naming::LeaderLatch).stand();
        soon(candidate.lead()).await.unwrap();
        let names = zk.children(PATH).unwrap();
        assert!(names[0].starts_with("_c_") && names[0].contains("-latch-0"), "{names:?}");
    });
}

#[test]
fn a_candidate_does_not_lead_after_the_runtime_of_its_client() {
    with_server(async |zk| {
        let builder = builder(zk);
        let leading = async move {
            let mut candidate = Election::new(&builder.connect().await.unwrap(), PATH).stand();
            candidate.lead().await.unwrap();
            candidate
        };
        let mut candidate = elsewhere(leading).await;
        soon(candidate.lost()).await;
        assert_eq!(candidate.standing(), Standing::Closed);
        assert!(soon(candidate.lead()).await.unwrap_err().is_session_over());
    });
}
