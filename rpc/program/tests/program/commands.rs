use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};

use crate::scene::Scene;

fn parsed(text: &str) -> Value {
    serde_json::from_str(text).unwrap()
}

#[tokio::test]
async fn services_and_their_instances_are_listed() {
    let scene = Scene::start().await;
    let services = scene.run(&["list"]).await.ok();
    assert_eq!(services, "SERVICE  INSTANCES  UP\nshop     1          1\n");
    let json_line = parsed(&scene.run(&["list", "--json"]).await.ok());
    assert_eq!(json_line, json!([{"service": "shop", "instances": 1, "up": 1}]));

    let instances = scene.run(&["list", "shop"]).await.ok();
    assert!(
        instances.contains(&scene.addr.to_string()) && instances.contains("version=\"1.2\""),
        "{instances}"
    );
    let listed = &parsed(&scene.run(&["list", "shop", "--json"]).await.ok())[0];
    assert_eq!((&listed["addr"], &listed["status"]), (&json!(scene.addr.to_string()), &json!("up")));
}

#[tokio::test]
async fn a_call_prints_its_result_or_says_why_there_is_none() {
    let scene = Scene::start().await;
    assert_eq!(scene.run(&["call", "shop", "price", "\"tea\""]).await.ok(), "3\n");
    let addr = scene.addr.to_string();
    assert_eq!(scene.run(&["call", "--addr", &addr, "shop", "price", "\"tea\""]).await.ok(), "3\n");
    assert_eq!(scene.run_with_input(&["call", "shop", "price", "-"], "\"tea\"").await.ok(), "3\n");
    let tenant = scene.run(&["call", "shop", "tenant", "-m", "tenant=blue", "--json"]).await;
    assert_eq!(tenant.ok(), "\"blue\"\n");

    let failed = scene.run(&["call", "shop", "price", "\"coffee\""]).await;
    assert_eq!((failed.code, failed.stdout.as_str()), (Some(1), ""));
    assert_eq!(failed.stderr, "rpc: shop.price: NOT_FOUND: no coffee here\n");
}

#[tokio::test]
async fn a_program_reads_failures_as_json() {
    let scene = Scene::start().await;
    let failed = scene.run(&["call", "shop", "price", "\"coffee\"", "--json"]).await;
    assert_eq!((failed.code, failed.stdout.as_str()), (Some(1), ""));
    let expected = json!({
        "error": "shop.price: NOT_FOUND: no coffee here",
        "code": "NOT_FOUND",
        "details": ["coffee"],
        "retryable": false,
        "may_have_been_applied": true,
    });
    assert_eq!(parsed(&failed.stderr), expected);
    let nothing = scene.run(&["list", "shap", "--json"]).await;
    assert_eq!((nothing.code, nothing.stderr.lines().count()), (Some(1), 1));
    assert!(parsed(&nothing.stderr)["error"].as_str().unwrap().contains("not in the registry"));
}

#[tokio::test]
async fn mistakes_are_explained() {
    let scene = Scene::start().await;
    let no_json = scene.run(&["call", "shop", "price", "tea"]).await;
    assert_eq!(no_json.code, Some(2));
    assert!(no_json.stderr.contains("needs quotes"), "{}", no_json.stderr);
    let nobody = scene.run(&["call", "shap", "price"]).await;
    assert_eq!(nobody.code, Some(1));
    assert!(nobody.stderr.contains("shap is not in the registry"), "{}", nobody.stderr);
    for (wrong, hint) in
        [("prise", "`rpc describe shop` prints its methods"), ("price", "`rpc describe shop price`")]
    {
        let run = scene.run(&["call", "shop", wrong, "7"]).await;
        assert!(run.code == Some(1) && run.stderr.contains(hint), "{}", run.stderr);
    }
    let nothing = scene.run(&["list", "shap"]).await;
    assert_eq!(
        (nothing.code, nothing.stderr.as_str()),
        (Some(1), "rpc: shap is not in the registry; `rpc list` prints what is\n")
    );
    let away = scene.run(&["list", "-s", "127.0.0.1:1", "--timeout", "0.2"]).await;
    assert_eq!(away.code, Some(1));
    assert!(away.stderr.contains("127.0.0.1:1"), "{}", away.stderr);
    for option in ["-m", "-d", "--timeout", "-r"] {
        let value = if option == "-m" { "rpc.caller=me" } else { "-1e19" };
        let wrong = scene.run(&["load", "shop", "price", &format!("{option}={value}")]).await;
        assert_eq!(wrong.code, Some(2), "{wrong:?}");
        assert!(wrong.stderr.contains(option) && wrong.stderr.contains("--help"), "{}", wrong.stderr);
    }
    let unary = scene.run(&["stream", "shop", "price", "\"tea\""]).await;
    assert_eq!(
        (unary.code, unary.stderr.as_str()),
        (Some(2), "rpc: shop.price is no stream; use `rpc call`\n")
    );
}

#[tokio::test]
async fn a_service_is_described() {
    let scene = Scene::start().await;
    let described = scene.run(&["describe", "shop"]).await.ok();
    assert!(described.starts_with("service shop\n"), "{described}");
    assert!(described.contains("count(u32) -> stream of "), "{described}");
    let one = parsed(&scene.run(&["describe", "shop", "sum", "--json"]).await.ok());
    assert_eq!((&one["name"], &one["methods"][0]["kind"]), (&json!("shop"), &json!("client_stream")));
    let unknown = scene.run(&["describe", "shop", "prise"]).await;
    assert!(
        unknown.stderr.contains("has no method prise; it has brew, count, double, first, price"),
        "{}",
        unknown.stderr
    );
}

#[tokio::test]
async fn the_health_of_each_instance_is_printed() {
    let scene = Scene::start().await;
    let health = scene.run(&["health", "shop"]).await.ok();
    let addr = scene.addr.to_string();
    assert_eq!(health, format!("ADDRESS          INSTANCES  STATUS\n{addr:<15}  1          SERVING\n"));
    // Two that share an address, and nobody is there.
    let nobody = || scene.registry.register("shop", registry::Instance::new("127.0.0.1", 1));
    let _both = (nobody().await.unwrap(), nobody().await.unwrap());
    let failing = scene.run(&["health", "shop", "--json", "--timeout", "1"]).await;
    assert_eq!(failing.code, Some(1));
    let answers = parsed(&failing.stdout);
    let [nobody, serving] = answers.as_array().unwrap().as_slice() else { panic!("{answers}") };
    assert_eq!((&serving["status"], &serving["error"]), (&json!("SERVING"), &json!(null)));
    assert_eq!((&nobody["status"], &nobody["code"]), (&json!(null), &json!("UNAVAILABLE")));
    assert!(nobody["error"].as_str().unwrap().contains("127.0.0.1:1"), "{nobody}");
    assert_eq!(nobody["instances"].as_array().unwrap().len(), 2);
    let error = &parsed(&failing.stderr)["error"];
    assert_eq!(error, "1 of 2 addresses of shop do not serve");
}

#[tokio::test]
async fn instances_that_come_and_go_are_printed_as_they_do() {
    let scene = Scene::start().await;
    let mut watching = scene.command(&["watch", "shop", "-n", "2"]).spawn().unwrap();
    let mut lines = BufReader::new(watching.stdout.take().unwrap()).lines();
    let first = lines.next_line().await.unwrap().unwrap();
    assert!(first.starts_with("+ ") && first.contains(&scene.addr.to_string()), "{first}");
    scene.registration.withdraw().await.unwrap();
    let second = lines.next_line().await.unwrap().unwrap();
    assert!(second.starts_with("- "), "{second}");
    assert!(watching.wait().await.unwrap().success());
}

#[tokio::test]
async fn completions_and_manual_pages_are_written() {
    let scene = Scene::start().await;
    assert!(scene.run(&["completions", "bash"]).await.ok().contains("_rpc"));
    let dir = tempfile::tempdir().unwrap();
    scene.run(&["man", dir.path().to_str().unwrap()]).await.ok();
    assert!(dir.path().join("rpc-call.1").exists() && dir.path().join("rpc.1").exists());
}
