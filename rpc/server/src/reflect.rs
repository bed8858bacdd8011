//! The built-in service `rpc.reflect`: what a server offers.

use std::sync::Arc;

use rpc_wire::{ServiceDescriptor, Status};
use serde::Deserialize;

use crate::context::Context;
use crate::service::Service;

/// Argument of `rpc.reflect/describe`.
#[derive(Debug, Deserialize)]
struct DescribeRequest {
    service: String,
}

/// Returns the service that describes these and itself.
pub(crate) fn service(services: &[Service]) -> Service {
    let mut descriptors: Vec<_> = services.iter().map(Service::descriptor).collect();
    descriptors.push(describing(Arc::default()).descriptor());
    describing(descriptors.into())
}

fn describing(services: Arc<[ServiceDescriptor]>) -> Service {
    let names: Arc<[String]> = services.iter().map(|service| service.name.clone()).collect();
    let list = move |(): (), _: Context| {
        let names = names.to_vec();
        async move { Ok::<_, Status>(names) }
    };
    let describe = move |request: DescribeRequest, _: Context| {
        let found = services.iter().find(|service| service.name == request.service).cloned();
        async move { found.ok_or_else(|| Status::not_found(format!("no service {} here", request.service))) }
    };
    Service::builder("rpc.reflect")
        .docs("Describes the services of this server.")
        .method("list", list)
        .describe("list", "Returns the names of the services.")
        .method("describe", describe)
        .describe("describe", "Returns name, docs and methods of a service.")
        .build()
}
