use registry::{Instance, Registry};
use zk_mini::{On, Then, ZkMini};

#[tokio::test]
async fn an_instance_outlives_a_lost_reply_and_an_expiry() -> Result<(), Box<dyn std::error::Error>> {
    let zk = ZkMini::start().await?;
    let registry = Registry::connect(&zk.connect_string()).await?;
    zk.create("/demo", "").await?; // the service is known: the first create below it will succeed
    let lost = zk.fault(On::create("/demo/**").nth(1), Then::apply_and_lose_reply());
    let demo = registry.register("demo", Instance::new("127.0.0.1", 8080)).await?; // retried inside
    assert_eq!(lost.fired(), 1);
    assert_eq!(zk.children("/demo").unwrap().len(), 1); // and not two

    let node = demo.path().unwrap();
    zk.session_of(&node).unwrap().expire().await; // now, on the server
    zk.wait_for(|z| z.children("/demo").unwrap().len() == 1, std::time::Duration::from_secs(5)).await?; // it came back
    println!("{}", zk.explain(&node)); // created by …, deleted by the end of session 0x…: expired by the test
    Ok(())
}
