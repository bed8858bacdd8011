use crate::scene::Scene;

#[tokio::test]
async fn the_messages_of_a_stream_are_lines() {
    let scene = Scene::start().await;
    assert_eq!(scene.run(&["stream", "shop", "count", "3"]).await.ok(), "1\n2\n3\n");
    assert_eq!(scene.run(&["stream", "shop", "count", "1000000", "-n", "2"]).await.ok(), "1\n2\n");
}

#[tokio::test]
async fn a_command_ends_with_its_last_message_while_standard_input_is_open() {
    let scene = Scene::start().await;
    let counted = scene.run_on_terminal(&["stream", "shop", "double", "-n", "1"], "1\n").await;
    assert_eq!(counted.ok(), "2\n");
    // The server ends this one.
    assert_eq!(scene.run_on_terminal(&["stream", "shop", "first"], "7\n").await.ok(), "7\n");
    assert_eq!(scene.run_on_terminal(&["stream", "shop", "top"], "7\n").await.ok(), "7\n");
}

#[tokio::test]
async fn a_method_that_takes_messages_takes_no_argument() {
    let scene = Scene::start().await;
    for method in ["sum", "double"] {
        let run = scene.run(&["stream", "shop", method, "7"]).await;
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""));
        assert!(run.stderr.contains("give them as lines of standard input"), "{}", run.stderr);
    }
    assert_eq!(scene.run_with_input(&["stream", "shop", "sum", "-"], "1\n2\n").await.ok(), "3\n");
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
