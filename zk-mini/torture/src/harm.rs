//! Harm that days do to the server, to sessions and to requests, told as it is done.

use std::time::Duration;

use zk_mini::{Fault, On, Rule, Session, Then};
use zk_wire::SessionId;

use crate::actor::Actor;
use crate::stage::{PATIENCE, SESSION_TIMEOUT, Stage};
use crate::trouble::Trouble;

impl Stage {
    /// Adds a fault rule, until it is dropped.
    pub(crate) fn fault(&mut self, on: On, then: Then) -> Result<Fault, Trouble> {
        self.tell(format!("from now on: {on}: {then}"));
        // The client has named the nodes, so a glob with their names may be none.
        let fault = Rule::new(on, then).and_then(|rule| self.zk.try_fault(rule));
        fault.map_err(|error| Trouble::NotReady(format!("the day could not be played: {error}")))
    }

    /// Waits until a rule has fired, by the deeds of a process.
    pub(crate) async fn fired(&mut self, actor: &Actor, fault: &Fault) -> Result<(), Trouble> {
        let fired = self.until(PATIENCE, || {
            (fault.fired() > 0).then_some(Ok(())).or_else(|| actor.is_alive().err().map(Err))
        });
        match fired.await {
            Some(Ok(())) => {}
            Some(Err(casualty)) => return Err(Trouble::NotReady(casualty)),
            None => {
                return Err(Trouble::NotPlayed(
                    "the client has not sent the request that the day is about".into(),
                ));
            }
        }
        self.tell(format!("the rule has hit {}", actor.name));
        Ok(())
    }

    /// Returns the oldest session: that of the process that was started first, and lives.
    pub(crate) fn first_session(&self) -> SessionId {
        let sessions = self.zk.sessions();
        sessions.iter().map(|session| session.id).min().unwrap_or(SessionId::NONE)
    }

    /// Lets a session expire, now.
    pub(crate) async fn expire(&mut self, session: SessionId) {
        if let Some(session) = self.zk.session(session) {
            session.expire().await;
        }
        self.tell(format!("session {session} expires"));
    }

    /// Closes the connection of a session.
    pub(crate) async fn disconnect(&mut self, session: SessionId) {
        if let Some(session) = self.zk.session(session) {
            session.disconnect().await;
        }
        self.tell(format!("the connection of session {session} is closed"));
    }

    /// Lets nothing pass between the server and the client of a session.
    pub(crate) fn freeze(&mut self, session: SessionId) -> Option<Session> {
        let frozen = self.zk.session(session);
        if let Some(session) = &frozen {
            session.freeze();
        }
        self.tell(format!("nothing passes on the connections of session {session}"));
        frozen
    }

    /// Lets everything pass again.
    pub(crate) async fn thaw(&mut self, frozen: Option<Session>) {
        if let Some(session) = frozen {
            session.thaw().await;
            self.tell(format!("all passes on the connections of session {}", session.id()));
        }
    }

    /// Waits until a session has ended, by its timeout or by its client.
    pub(crate) async fn until_ended(&mut self, session: SessionId) -> Result<(), Trouble> {
        let limit = SESSION_TIMEOUT + PATIENCE;
        if self.until(limit, || self.zk.session(session).is_none().then_some(())).await.is_none() {
            let what = format!(
                "session {session} has not ended {limit:?} later: is its timeout {SESSION_TIMEOUT:?}?"
            );
            return Err(Trouble::Failed(what));
        }
        self.tell(format!("session {session} has ended"));
        Ok(())
    }

    /// Lets the server do nothing for longer than two thirds of the session timeout, and for less than all of it.
    pub(crate) async fn stall(&mut self) {
        self.zk.freeze();
        self.tell("the server stalls");
        self.pass(SESSION_TIMEOUT * 4 / 5).await;
        self.zk.thaw().await;
        self.tell("the server goes on");
    }

    /// Takes the server away: nobody listens.
    pub(crate) async fn take_down(&mut self) {
        self.zk.take_down().await;
        self.tell("the server is away; its port refuses connections");
    }

    /// Brings the server back.
    pub(crate) async fn bring_up(&mut self) -> Result<(), Trouble> {
        self.zk.bring_up().await.map_err(|error| Trouble::NotReady(error.to_string()))?;
        self.tell("the server is back");
        Ok(())
    }

    /// Lets time pass: for days that are about the length of a time.
    pub(crate) async fn pass(&self, time: Duration) {
        self.until(time, || None::<()>).await;
    }
}
