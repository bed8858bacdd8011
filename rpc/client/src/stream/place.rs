//! The place of a stream: another one comes there while nothing of it has run.

use std::mem;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};

use super::active::ActiveStream;
use super::opening::{Opened, Opening};
use crate::error::Error;
use crate::link::StreamWaker;
use crate::session::{Ended, Unsent};

/// The stream that its halves have, and all that it takes to open it once more: elsewhere, if a server has refused it before
/// any message went either way. A message that was sent is not kept, so from then on there is no other.
pub(super) struct StreamPlace {
    next: Mutex<Next>,
    current: Mutex<Arc<ActiveStream>>,
    /// A message was taken, a half was dropped, or there will be no other stream.
    is_settled: AtomicBool,
    /// A message was sent, or is being sent.
    has_sent: AtomicBool,
    /// The client sends no message, or no more.
    is_finished: AtomicBool,
}

/// The stream after the current one.
enum Next {
    /// It can be opened.
    Possible(Box<Opening>),
    /// It is being opened, as far as a half polls it.
    Reopening(Reopening),
    /// There is none.
    Nothing,
}

type Reopening = Pin<Box<dyn Future<Output = (Box<Opening>, Result<ActiveStream, Error>)> + Send>>;

impl StreamPlace {
    /// Returns the place of a stream, and the stream.
    pub(super) fn new(Opened { opening, stream }: Opened) -> (Arc<Self>, Arc<ActiveStream>) {
        let stream = Arc::new(stream);
        let place = Self {
            next: Mutex::new(Next::Possible(Box::new(opening))),
            current: Mutex::new(Arc::clone(&stream)),
            is_settled: AtomicBool::new(false),
            has_sent: AtomicBool::new(false),
            is_finished: AtomicBool::new(false),
        };
        (Arc::new(place), stream)
    }

    /// Notes that no other stream may come here.
    pub(super) fn settle(&self) {
        self.is_settled.store(true, Ordering::SeqCst);
        self.drop_opening();
    }

    /// Frees what it takes to open another stream: the argument may be long, and the stream may stay open for days.
    fn drop_opening(&self) {
        // Whoever has the lock opens another stream, or has just found that there is none.
        let Ok(mut next) = self.next.try_lock() else { return };
        if let Next::Possible(_) = *next {
            let opening = mem::replace(&mut *next, Next::Nothing);
            drop(next);
            drop(opening);
        }
    }

    /// Sends a first message by `send`, unless that finds no room or no stream.
    pub(super) fn poll_first(
        &self,
        send: impl FnOnce() -> Poll<Result<(), Unsent>>,
    ) -> Poll<Result<(), Unsent>> {
        // Before, so that no other stream comes at the same moment, which would lack the message.
        self.has_sent.store(true, Ordering::SeqCst);
        let sent = send();
        if matches!(sent, Poll::Ready(Ok(()))) {
            self.drop_opening();
        } else {
            self.has_sent.store(false, Ordering::SeqCst);
        }
        sent
    }

    /// Returns true if another stream may come here.
    fn is_open(&self) -> bool {
        !self.is_settled.load(Ordering::SeqCst) && !self.has_sent.load(Ordering::SeqCst)
    }

    /// Tells the server that no more messages follow; that of a later stream, too.
    pub(super) fn finish(&self) {
        self.is_finished.store(true, Ordering::SeqCst);
        self.current().finish();
    }

    /// Cancels the stream, because one of its halves was dropped.
    pub(super) fn cancel(&self) {
        self.settle();
        self.current().cancel();
    }

    /// Returns the stream that has come in place of one that has ended in this way before the half that asks, whose `waker` this
    /// is, has sent or taken a message. The error is the end of that one if there is no other.
    ///
    /// The halves open it together: it goes on whichever of them is polled, and it is begun once, even if both of them ask or one
    /// asks again.
    pub(super) fn poll_replace(
        &self,
        cx: &Context<'_>,
        waker: &StreamWaker,
        old: &Arc<ActiveStream>,
        ended: &Ended,
    ) -> Poll<Result<Arc<ActiveStream>, Error>> {
        // Before, because the other half may have the next stream at any moment.
        waker.register(cx);
        let mut next = self.next.lock().unwrap_or_else(PoisonError::into_inner);
        let current = self.current();
        if !Arc::ptr_eq(&current, old) {
            return Poll::Ready(Ok(current));
        }
        let mut reopening = match mem::replace(&mut *next, Next::Nothing) {
            Next::Reopening(reopening) => reopening,
            Next::Possible(mut opening) => {
                if !self.is_open() || !opening.may_retry(old, ended) {
                    return self.fail(old, ended);
                }
                Box::pin(async move {
                    let opened = opening.open().await;
                    (opening, opened)
                })
            }
            Next::Nothing => return self.fail(old, ended),
        };
        let both = Waker::from(Arc::clone(old.wakers()));
        let Poll::Ready((opening, opened)) = reopening.as_mut().poll(&mut Context::from_waker(&both)) else {
            *next = Next::Reopening(reopening);
            return Poll::Pending;
        };
        let replaced = opened.map(Arc::new).inspect_err(|_| self.settle());
        if let Ok(stream) = &replaced {
            *next = Next::Possible(opening);
            self.place(stream);
        }
        drop(next);
        both.wake();
        Poll::Ready(replaced)
    }

    /// Returns the error of a stream that has ended in this way, which is the last one.
    fn fail<T>(&self, old: &ActiveStream, ended: &Ended) -> Poll<Result<T, Error>> {
        self.settle();
        Poll::Ready(Err(old.error(ended.clone(), 0)))
    }

    /// Puts a stream in the place of the last one.
    fn place(&self, stream: &Arc<ActiveStream>) {
        *self.current.lock().unwrap_or_else(PoisonError::into_inner) = Arc::clone(stream);
        // What the other half has done meanwhile, it has done to the old one.
        if self.is_finished.load(Ordering::SeqCst) {
            stream.finish();
        }
        if self.is_settled.load(Ordering::SeqCst) {
            stream.cancel();
        }
    }

    fn current(&self) -> Arc<ActiveStream> {
        Arc::clone(&self.current.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
