//! Connecting outside of a runtime.

use std::pin::pin;
use std::task::{Context, Poll, Waker};

use zk_client::{Client, Error};

#[test]
fn connecting_without_a_runtime_is_an_error_and_no_panic() {
    let mut connect = pin!(Client::builder().servers("127.0.0.1:1").connect());
    let connected = connect.as_mut().poll(&mut Context::from_waker(Waker::noop()));
    let Poll::Ready(Err(error)) = connected else { panic!("it waits or is connected") };
    assert!(matches!(error, Error::NoRuntime) && !error.is_retryable(), "{error}");
}
