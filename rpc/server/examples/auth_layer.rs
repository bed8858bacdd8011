//! Authentication by a layer of tower: it looks up a bearer token, refuses strangers before their call reaches a handler, and
//! hands the handler the user.
//!
//! ```sh
//! cargo run -p rpc-server --features tower --example auth_layer
//! ```

use std::collections::HashMap;
use std::error::Error;
use std::future::{Ready, pending, ready};
use std::sync::Arc;
use std::task::{self, Poll};

use futures_util::future::Either;
use rpc_client::Client;
use rpc_server::layer::{Request, Response};
use rpc_server::{Code, Context, Server, Service, Status};
use tokio::net::TcpListener;
use tower::Layer;

/// Caller.
#[derive(Clone, Debug)]
struct User(&'static str);

/// Layer that knows the users by their tokens.
#[derive(Clone)]
struct AuthLayer {
    users: Arc<HashMap<&'static str, User>>,
}

/// Service inside this layer.
#[derive(Clone)]
struct Auth<S> {
    users: Arc<HashMap<&'static str, User>>,
    inner: S,
}

impl<S> Layer<S> for AuthLayer {
    type Service = Auth<S>;

    fn layer(&self, inner: S) -> Auth<S> {
        Auth { users: Arc::clone(&self.users), inner }
    }
}

impl<S> tower::Service<Request> for Auth<S>
where
    S: tower::Service<Request, Response = Response, Error = Status>,
{
    type Response = Response;
    type Error = Status;
    type Future = Either<S::Future, Ready<Result<Response, Status>>>;

    fn poll_ready(&mut self, cx: &mut task::Context<'_>) -> Poll<Result<(), Status>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request) -> Self::Future {
        let token = request.context().metadata().get("authorization");
        let token = token.and_then(|value| value.strip_prefix("Bearer "));
        let Some(user) = token.and_then(|token| self.users.get(token)) else {
            return Either::Right(ready(Err(Status::unauthenticated("a bearer token is needed"))));
        };
        request.context().insert_extension(user.clone());
        Either::Left(self.inner.call(request))
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    // The handler finds the user in its context.
    let greet = |(): (), context: Context| async move {
        let user = context.extension::<User>().ok_or_else(|| Status::internal("no user"))?;
        Ok::<_, Status>(format!("hello, {}", user.0))
    };
    let users = Arc::new(HashMap::from([("4711", User("Ann")), ("4712", User("Bo"))]));
    let service = Service::builder("greeter").method("greet", greet).build().layer(AuthLayer { users });
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?.to_string();
    tokio::spawn(Server::new(service).serve(listener, pending()));

    let client = Client::direct("greeter", [addr]).connect().await?;
    let greeting: String = client.call("greet", &()).metadata("authorization", "Bearer 4711").await?;
    println!("with a token: {greeting}");
    assert_eq!(greeting, "hello, Ann");

    let refused = client.call::<_, String>("greet", &()).metadata("authorization", "Bearer 1").await;
    let error = refused.err().ok_or("a stranger was let in")?;
    println!("with another: {error}");
    assert_eq!(error.code(), Code::UNAUTHENTICATED);
    assert!(!error.may_have_been_applied());
    Ok(())
}
