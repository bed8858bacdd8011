//! A hermetic test of code that calls a service: the registry runs in this process, so nothing has to be installed or cleaned
//! up, and tests can run at the same time.
//!
//! `cargo run -p zk-registry --features embedded --example service_test`

use std::error::Error;

use registry::{Instance, Registry};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    let registry = Registry::embedded().await?;

    let page = front_page(&registry).await?;
    assert_eq!(page, "no shop is open");

    let _first = registry.register("shop", Instance::new("10.0.0.1", 80).with("open", false)).await?;
    assert_eq!(front_page(&registry).await?, "no shop is open");

    let _second = registry.register("shop", Instance::new("10.0.0.2", 80).with("open", true)).await?;
    assert_eq!(front_page(&registry).await?, "visit 10.0.0.2:80");
    println!("{page}, then: {}", front_page(&registry).await?);

    // The server can be inspected, too: this test leaves two instances behind, and they end with it.
    let server = registry.server().ok_or("the registry is embedded")?;
    assert_eq!(server.children("/shop").map(|nodes| nodes.len()), Some(2));
    Ok(())
}

/// The code under test. In production its registry comes from `Registry::connect`.
async fn front_page(registry: &Registry) -> Result<String, registry::Error> {
    let shops = registry.discover("shop").await?;
    let mut open = shops.instances.values().filter(|shop| shop.get("open") == Some(&true.into()));
    Ok(open.next().map_or("no shop is open".into(), |shop| format!("visit {}", shop.addr())))
}
