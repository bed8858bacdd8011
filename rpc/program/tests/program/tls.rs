//! Services that speak TLS.

use rpc_server::{Pem, TlsConfig};

use crate::certificates::Authority;
use crate::scene::Scene;

/// Starts a service that demands certificates of its clients, by the same authority.
async fn start(authority: &Authority) -> Scene {
    let (certificate, key) = authority.issue("server");
    let config = TlsConfig::new(Pem::file(certificate), Pem::file(key)).client_ca(Pem::file(&authority.ca));
    Scene::start_with(|server| server.tls(config.load().unwrap())).await
}

#[tokio::test]
async fn a_service_is_called_over_tls_in_both_directions_of_trust() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "ca");
    let scene = start(&authority).await;
    let (certificate, key) = authority.issue("client");
    let own = ["--ca", &authority.ca, "--cert", &certificate, "--key", &key];
    let price = ["call", "shop", "price", "\"tea\""];
    assert_eq!(scene.run(&[&price[..], &own].concat()).await.ok(), "3\n");
    for name in ["shop.test", "spiffe://test/shop"] {
        let named = ["--tls", "--server-name", name];
        assert_eq!(scene.run(&[&price[..], &own, &named].concat()).await.ok(), "3\n");
    }
    let addr = scene.addr.to_string();
    let counted = scene.run(&[&["stream", "shop", "count", "2", "--addr", &addr], &own[..]].concat()).await;
    assert_eq!(counted.ok(), "1\n2\n");
    assert!(scene.run(&[&["health", "shop"], &own[..]].concat()).await.ok().contains(" SERVING"));
    let load = ["load", "shop", "price", "\"tea\"", "-d", "0.1", "--warm-up", "0"];
    assert!(scene.run(&[&load[..], &own].concat()).await.ok().contains("p99"));
}

#[tokio::test]
async fn a_handshake_that_fails_is_explained() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "ca");
    let stranger = Authority::new(folder.path(), "stranger");
    let scene = start(&authority).await;
    let (certificate, key) = authority.issue("client");
    let own = ["--cert", &certificate, "--key", &key];
    let ca = ["--ca", &authority.ca];
    for (options, reason) in [
        (ca.to_vec(), "the server demands a certificate of this client"),
        ([&["--ca", &stranger.ca], &own[..]].concat(), "stranger.pem\n  see the options --ca, --cert"),
        ([&ca[..], &own, &["--server-name", "other.test"]].concat(), "not for other.test"),
        (vec![], ", or `--tls` of the command rpc\n  see the option --tls\n"),
    ] {
        let price = ["call", "shop", "price", "\"tea\"", "--timeout", "2"];
        let run = scene.run(&[&price[..], &options].concat()).await;
        assert_eq!(run.code, Some(1), "{run:?}");
        assert!(run.stderr.contains(reason), "{reason}: {}", run.stderr);
    }
}

#[tokio::test]
async fn a_file_of_tls_that_cannot_be_used_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let authority = Authority::new(folder.path(), "ca");
    let scene = Scene::start().await;
    let (certificate, key) = authority.issue("client");
    for (options, reason) in [
        (vec!["--ca", "/nowhere/ca.pem"], "rpc: /nowhere/ca.pem cannot be read: No such file"),
        (vec!["--ca", &key], "client.key has no certificate"),
        (
            vec!["--ca", &authority.ca, "--cert", &certificate, "--key", &certificate],
            "client.pem has no private key",
        ),
        (vec!["--ca", &authority.ca, "--cert", &certificate], "--key <FILE>"),
        (vec!["--ca", &authority.ca, "--server-name", "no name"], "neither a DNS name nor an IP address"),
    ] {
        let run = scene.run(&[&["call", "shop", "price", "\"tea\""], &options[..]].concat()).await;
        assert_eq!(run.code, Some(2), "{run:?}");
        assert!(run.stderr.contains(reason), "{reason}: {}", run.stderr);
    }
}
