//! Leader election: one of three leads. Its session expires, it stops, and the next one leads.
//!
//! `cargo run -p zk-recipes --example leader_election`

use std::error::Error;

use tokio::sync::mpsc;
use tokio::task::JoinSet;
use zk_client::{Client, Zxid};
use zk_mini::ZkMini;
use zk_recipes::Election;

type AnyError = Box<dyn Error + Send + Sync>;

/// News of a candidate.
#[derive(Debug)]
enum Term {
    Begins { name: &'static str, token: Zxid, client: Client },
    Ends { name: &'static str },
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), AnyError> {
    let zk = ZkMini::start().await?;
    let (terms, mut news) = mpsc::unbounded_channel();
    let mut candidates = JoinSet::new();
    for name in ["ada", "bob", "cyd"] {
        candidates.spawn(stand(zk.connect_string(), name, terms.clone()));
    }

    let mut highest = Zxid(0);
    for _ in 0..3 {
        let Some(Term::Begins { name: leader, token, client }) = news.recv().await else {
            return Err("nobody leads".into());
        };
        println!("{leader} leads, with the token {token}");
        assert!(token > highest, "later leaders have higher tokens");
        highest = token;

        // A long pause, or a partition: the server ends the session.
        let credentials = client.credentials().ok_or("the leader has a session")?;
        zk.session(credentials.id).ok_or("the server knows it")?.expire().await;
        // The next one may begin before the news of the end is here; never before the session is over.
        let mut begun = None;
        loop {
            match news.recv().await {
                Some(Term::Ends { name }) if name == leader => break,
                other => begun = other,
            }
        }
        println!("{leader} has stopped, and stands again");
        if let Some(term) = begun {
            terms.send(term)?;
        }
    }
    candidates.shutdown().await;
    Ok(())
}

/// Stands until the program ends.
async fn stand(
    servers: String,
    name: &'static str,
    terms: mpsc::UnboundedSender<Term>,
) -> Result<(), AnyError> {
    let client = Client::connect(&servers).await?;
    let mut candidate = Election::new(&client, "/election").identity(name).stand();
    loop {
        let token = candidate.lead().await?;
        terms.send(Term::Begins { name, token, client: client.clone() })?;
        // The work of a leader goes here, beside this.
        candidate.lost().await;
        terms.send(Term::Ends { name })?;
    }
}
