//! Mutual TLS: both sides have certificates of one authority, made here at the start, and the handler knows who calls.
//!
//! ```sh
//! cargo run -p rpc-server --features tls --example mutual_tls
//! ```

use std::error::Error;
use std::future::pending;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rpc_client::{Client, TlsConfig as ClientTlsConfig};
use rpc_server::{Context, Pem, Server, Service, Status, TlsConfig};
use tokio::net::TcpListener;

/// Issues a certificate for 127.0.0.1; returns it and its key. In earnest they are files: `Pem::file("server.pem")`.
fn issue(authority: &Issuer<'static, KeyPair>, name: &str) -> Result<(Pem, Pem), rcgen::Error> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(["127.0.0.1".to_owned()])?;
    params.distinguished_name.push(DnType::CommonName, name);
    let certificate = params.signed_by(&key, authority)?.pem();
    Ok((Pem::text(certificate), Pem::text(key.serialize_pem())))
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let key = KeyPair::generate()?;
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = Pem::text(params.self_signed(&key)?.pem());
    let authority = Issuer::new(params, key);

    // The server demands a certificate of each client.
    let whoami = |(): (), context: Context| async move {
        let identity = context.identity().ok_or_else(|| Status::unauthenticated("no certificate"))?;
        Ok::<_, Status>(identity.common_name.clone())
    };
    let service = Service::builder("names").method("whoami", whoami).build();
    let (certificate, key) = issue(&authority, "server")?;
    let tls = TlsConfig::new(certificate, key).client_ca(ca.clone()).load()?;
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let addr = listener.local_addr()?.to_string();
    tokio::spawn(Server::new(service).tls(tls).serve(listener, pending()));

    // The client trusts servers of the same authority, and shows who it is.
    let (certificate, key) = issue(&authority, "billing")?;
    let tls = ClientTlsConfig::new(ca).certificate(certificate, key).load()?;
    let client = Client::direct("names", [addr]).tls(tls).connect().await?;
    let name: Option<String> = client.call("whoami", &()).await?;
    println!("the server knows this client as {name:?}");
    assert_eq!(name.as_deref(), Some("billing"));
    Ok(())
}
