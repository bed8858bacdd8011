//! `rpc describe`: the methods of a service.

use clap::Args;
use rpc_wire::{MethodDescriptor, MethodKind, ServiceDescriptor};

use crate::error::CliError;
use crate::output::{Json, Output, shown};
use crate::reflect;
use crate::service::{ServiceArgs, block_on};

/// Print the methods of a service, as one of its instances describes them
#[derive(Args, Debug)]
pub(crate) struct DescribeArgs {
    /// The service
    #[arg(value_name = "SERVICE")]
    name: String,

    /// A method; all of them without it
    method: Option<String>,

    #[command(flatten)]
    pub(crate) service: ServiceArgs,
}

pub(crate) fn run(args: &DescribeArgs) -> Result<(), CliError> {
    let mut out = Output::new(args.service.registry.json);
    let mut descriptor = block_on(args.service.with_client(
        &args.name,
        |builder| builder,
        async |client| Ok(reflect::describe(&client, &args.name).await?),
    ))?;
    if let Some(method) = &args.method {
        let known: Vec<_> = descriptor.methods.iter().map(|known| known.name.clone()).collect();
        descriptor.methods.retain(|known| known.name == *method);
        if descriptor.methods.is_empty() {
            let (service, method, known) = (args.name.clone(), method.clone(), shown(&known.join(", ")));
            return Err(CliError::NoMethod { service, method, known });
        }
    }
    if out.json { out.line(Json(&descriptor)) } else { out.line(text(&descriptor)) }
}

/// Returns the description in the syntax of the macro for services.
fn text(descriptor: &ServiceDescriptor) -> String {
    let mut lines: Vec<_> =
        descriptor.docs.lines().map(|line| format!("/// {}", shown(line.trim()))).collect();
    lines.push(format!("service {}", shown(&descriptor.name)));
    for method in &descriptor.methods {
        let docs = method.docs.lines();
        lines.extend(docs.map(|line| format!("  /// {}", shown(line.trim()))));
        lines.push(format!("  {}", signature(method)));
    }
    lines.join("\n")
}

fn signature(method: &MethodDescriptor) -> String {
    let (argument, result) = (shown(&method.argument), shown(&method.result));
    let stream = |of: &str| format!("stream of {of}");
    let (takes, gives) = match method.kind {
        MethodKind::Unary => (argument, result),
        MethodKind::ServerStream => (argument, stream(&result)),
        MethodKind::ClientStream => (stream(&argument), result),
        MethodKind::BidiStream => (stream(&argument), stream(&result)),
    };
    format!("{}({takes}) -> {gives}", shown(&method.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_described_as_a_signature_with_its_docs() {
        let method = MethodDescriptor {
            name: "orders".to_owned(),
            kind: MethodKind::ServerStream,
            argument: "String".to_owned(),
            result: "Order".to_owned(),
            docs: " Orders of a day.\n New ones, too.".to_owned(),
        };
        let descriptor =
            ServiceDescriptor { name: "shop".to_owned(), docs: "Sells.".to_owned(), methods: vec![method] };
        let expected = "/// Sells.\nservice shop\n  /// Orders of a day.\n  /// New ones, too.\n  orders(String) -> stream of Order";
        assert_eq!(text(&descriptor), expected);
    }
}
