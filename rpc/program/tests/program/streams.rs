use crate::scene::Scene;

#[tokio::test]
async fn the_messages_of_a_stream_are_lines() {
    let scene = Scene::start().await;
    assert_eq!(scene.run(&["stream", "shop", "count", "3"]).await.ok(), "1\n2\n3\n");
    assert_eq!(scene.run(&["stream", "shop", "count", "1000000", "-n", "2"]).await.ok(), "1\n2\n");
}

#[tokio::test]
async fn lines_of_standard_input_are_messages() {
    let scene = Scene::start().await;
    assert_eq!(scene.run_with_input(&["stream", "shop", "sum"], "1\n2\n39\n").await.ok(), "42\n");
    assert_eq!(scene.run_with_input(&["stream", "shop", "double"], "1\n2\n").await.ok(), "2\n4\n");
    let broken = scene.run_with_input(&["stream", "shop", "sum"], "1\nno\n").await;
    assert_eq!(broken.code, Some(2), "{broken:?}");
    assert!(broken.stderr.contains("a line of standard input is no JSON"), "{}", broken.stderr);
}
