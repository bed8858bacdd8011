//! The task that joins the views of several formats.

use std::future::poll_fn;
use std::task::Poll;

use tokio::sync::watch;

use super::view::View;

/// Runs until the last subscriber is gone or the client is closed.
pub(super) async fn merge(mut formats: Vec<watch::Receiver<View>>, views: watch::Sender<View>) {
    loop {
        let parts: Vec<_> = formats.iter_mut().map(|views| views.borrow_and_update().clone()).collect();
        views.send_replace(View::merged(&parts));
        tokio::select! {
            () = views.closed() => return,
            any = any_changed(&mut formats) => if !any { return },
        }
    }
}

/// Waits until one of the views has changed; returns false if none will any more.
async fn any_changed(views: &mut [watch::Receiver<View>]) -> bool {
    let mut changes: Vec<_> = views.iter_mut().map(|views| Box::pin(views.changed())).collect();
    poll_fn(|cx| {
        let mut any = false;
        changes.retain_mut(|change| match change.as_mut().poll(cx) {
            Poll::Pending => true,
            Poll::Ready(changed) => {
                any |= changed.is_ok();
                false
            }
        });
        if any || changes.is_empty() { Poll::Ready(any) } else { Poll::Pending }
    })
    .await
}
