#[tokio::test]
async fn a_service_is_found() -> Result<(), registry::Error> {
    let registry = registry::Registry::embedded().await?; // zk-mini inside; Registry::connect("zk1,zk2") in production
    let _service = registry.register("demo", registry::Instance::new("127.0.0.1", 8080)).await?;
    assert_eq!(registry.discover("demo").await?.len(), 1);
    Ok(())
}
