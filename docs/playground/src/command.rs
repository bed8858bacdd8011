//! Commands of the page, as JSON, and their answers.

use bytes::Bytes;
use serde_json::{Value, json};
use zk_wire::{
    Acl, ByteString, Create2, CreateMode, Delete, ErrorCode, Exists, Expected, GetChildren2, GetData, Millis,
    SetData, UnixMillis,
};

use crate::world::World;

/// Maximum time that one command moves the clock by: an hour.
const MAX_ADVANCE: u64 = 3_600_000;

/// Carries out a command. The answer has the state, what clients saw, and an error if there was one.
pub(crate) fn run(world: &mut Option<World>, command: &[u8]) -> Value {
    let outcome = serde_json::from_slice(command)
        .map_err(|error| format!("the command is not JSON: {error}"))
        .and_then(|command| perform(world, &command));
    let (error, answer) = match outcome {
        Ok(answer) => (None, answer),
        Err(error) => (Some(error), Value::Null),
    };
    let seen = world.as_mut().map(World::take_seen);
    json!({ "error": error, "answer": answer, "seen": seen, "state": world.as_ref().map(World::state) })
}

fn perform(world: &mut Option<World>, command: &Value) -> Result<Value, String> {
    let what = text(command, "do")?;
    if what == "begin" {
        let wall = command["wall"].as_i64().ok_or("\"wall\" is to be milliseconds since 1970")?;
        *world = Some(World::new(UnixMillis(wall)));
        return Ok(Value::Null);
    }
    let world = world.as_mut().ok_or("the first command is \"begin\"")?;
    match what {
        "open" => {
            let timeout = number(command, "timeout")?.try_into().unwrap_or(i32::MAX);
            world.open(timeout, flag(command, "pings"))?;
        }
        "pings" => world.set_pings(number(command, "client")?, flag(command, "pings"))?,
        "close" => world.close(number(command, "client")?)?,
        "expire" => world.expire(number(command, "client")?)?,
        "advance" => match number(command, "ms")? {
            ms if ms <= MAX_ADVANCE => world.advance(Millis(ms)),
            _ => return Err("the clock moves by at most an hour at once".into()),
        },
        "explain" => return Ok(world.core.explain(text(command, "path")?).to_string().into()),
        _ => request(world, what, command)?,
    }
    Ok(Value::Null)
}

/// Sends a request of a client, and notes what came of it.
fn request(world: &mut World, what: &str, command: &Value) -> Result<(), String> {
    let client = number(command, "client")?;
    let path = ByteString::from(text(command, "path")?);
    let watch = flag(command, "watch");
    let data = || Some(Bytes::from(command["data"].as_str().unwrap_or_default().to_owned()));
    let outcome = match what {
        "create" => {
            let flags = mode(text(command, "mode")?)?.flags();
            let create = Create2 { path: path.clone(), data: data(), acl: Some(vec![Acl::open()]), flags };
            world.ask(client, &create).map(|created| json!(&*created.path))
        }
        "set" => {
            let set = SetData { path: Some(path.clone()), data: data(), version: Expected::Any };
            world.ask(client, &set).map(|set| json!(set.stat.version.0))
        }
        "delete" => {
            world.ask(client, &Delete { path: path.clone(), version: Expected::Any }).map(|()| Value::Null)
        }
        "get" => world
            .ask(client, &GetData { path: path.clone(), watch })
            .map(|node| json!(String::from_utf8_lossy(node.data.as_deref().unwrap_or_default()))),
        "exists" => match world.ask(client, &Exists { path: path.clone(), watch }) {
            Err(ErrorCode::NO_NODE) => Ok(json!(false)),
            other => other.map(|_| json!(true)),
        },
        "children" => world
            .ask(client, &GetChildren2 { path: path.clone(), watch })
            .map(|node| node.children.iter().map(|name| json!(&**name)).collect()),
        other => return Err(format!("no command \"{other}\"")),
    };
    let (answer, error) = match outcome {
        Ok(answer) => (answer, None),
        Err(code) => (Value::Null, Some((code.name(), code.to_string()))),
    };
    let (error, message) = error.unzip();
    world.see(
        client,
        "request",
        json!({ "op": what, "path": &*path, "watch": watch, "answer": answer, "error": error, "message": message }),
    );
    Ok(())
}

fn mode(name: &str) -> Result<CreateMode, String> {
    match name {
        "persistent" => Ok(CreateMode::Persistent),
        "ephemeral" => Ok(CreateMode::Ephemeral),
        "persistent-sequential" => Ok(CreateMode::PersistentSequential),
        "ephemeral-sequential" => Ok(CreateMode::EphemeralSequential),
        _ => Err(format!("no mode \"{name}\"")),
    }
}

fn text<'a>(command: &'a Value, field: &str) -> Result<&'a str, String> {
    command[field].as_str().ok_or_else(|| format!("\"{field}\" is to be a text"))
}

fn number(command: &Value, field: &str) -> Result<u64, String> {
    command[field].as_u64().ok_or_else(|| format!("\"{field}\" is to be a number"))
}

fn flag(command: &Value, field: &str) -> bool {
    command[field].as_bool().unwrap_or(false)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::run;
    use crate::world::World;

    struct Player(Option<World>);

    impl Player {
        fn begin() -> Self {
            let mut player = Self(None);
            player.play(&json!({ "do": "begin", "wall": 1_000_000 }));
            player
        }

        fn play(&mut self, command: &Value) -> Value {
            let answer = run(&mut self.0, command.to_string().as_bytes());
            assert_eq!(answer["error"], Value::Null, "{command}");
            answer
        }

        fn refused(&mut self, command: &Value) -> String {
            run(&mut self.0, command.to_string().as_bytes())["error"].as_str().expect("an error").to_owned()
        }

        fn open(&mut self, pings: bool) {
            self.play(&json!({ "do": "open", "timeout": 6_000, "pings": pings }));
        }

        fn create(&mut self, client: u64, path: &str, mode: &str) -> Value {
            self.play(&json!({ "do": "create", "client": client, "path": path, "data": "x", "mode": mode }))
        }
    }

    fn paths(answer: &Value) -> Vec<&str> {
        answer["state"]["nodes"]
            .as_array()
            .into_iter()
            .flatten()
            .filter_map(|node| node["path"].as_str())
            .collect()
    }

    #[test]
    fn a_silent_session_expires_and_who_watches_its_node_is_told() {
        let mut player = Player::begin();
        player.open(false);
        player.open(true);
        let created = player.create(1, "/leader", "ephemeral");
        assert_eq!(paths(&created), ["/", "/leader"]);
        assert_eq!(created["state"]["nodes"][1]["owner"], 1);
        let watched = player.play(&json!({ "do": "exists", "client": 2, "path": "/leader", "watch": true }));
        assert_eq!(watched["seen"][0]["answer"], true);
        assert_eq!(watched["state"]["clients"][1]["watches"][0]["path"], "/leader");

        let early = player.play(&json!({ "do": "advance", "ms": 5_000 }));
        assert_eq!(early["seen"], json!([]));
        let later = player.play(&json!({ "do": "advance", "ms": 10_000 }));
        let told = |seen: &Value| (seen["kind"].clone(), seen["client"].clone(), seen["event"].clone());
        let seen: Vec<_> = later["seen"].as_array().into_iter().flatten().map(told).collect();
        assert!(seen.contains(&(json!("event"), json!(2), json!("NodeDeleted"))), "{later}");
        assert!(seen.contains(&(json!("expired"), json!(1), Value::Null)), "{later}");
        assert_eq!(paths(&later), ["/"]);
        assert_eq!(later["state"]["clients"][0]["life"], "expired");
        assert_eq!(later["state"]["clients"][1]["life"], "open", "pings kept it");
        assert_eq!(later["state"]["clients"][1]["watches"], json!([]), "a watch tells once");

        let explained = player.play(&json!({ "do": "explain", "path": "/leader" }));
        let explained = explained["answer"].as_str().expect("a text");
        assert!(explained.contains("expired, last heard") && explained.contains("created by"), "{explained}");
    }

    #[test]
    fn an_hour_passes_for_a_client_that_pings() {
        let mut player = Player::begin();
        player.open(true);
        let later = player.play(&json!({ "do": "advance", "ms": 3_600_000 }));
        assert_eq!(later["state"]["time"], 3_600_000);
        assert_eq!(later["state"]["clients"][0]["life"], "open");
        assert!(player.refused(&json!({ "do": "advance", "ms": 3_600_001 })).contains("an hour"));
    }

    #[test]
    fn requests_are_answered_as_a_server_does() {
        let mut player = Player::begin();
        player.open(true);
        player.create(1, "/jobs", "persistent");
        let first = player.create(1, "/jobs/job-", "persistent-sequential");
        assert_eq!(first["seen"][0]["answer"], "/jobs/job-0000000000");
        let listed = player.play(&json!({ "do": "children", "client": 1, "path": "/jobs", "watch": true }));
        assert_eq!(listed["seen"][0]["answer"], json!(["job-0000000000"]));
        assert_eq!(listed["state"]["clients"][0]["watches"][0]["kind"], "children");
        let second = player.create(1, "/jobs/job-", "ephemeral-sequential");
        assert_eq!(second["seen"][0]["event"], "NodeChildrenChanged", "the event comes before the answer");
        let set =
            player.play(&json!({ "do": "set", "client": 1, "path": "/jobs/job-0000000000", "data": "你好" }));
        assert_eq!(set["seen"][0]["answer"], 1);
        let got = player.play(&json!({ "do": "get", "client": 1, "path": "/jobs/job-0000000000" }));
        assert_eq!(got["seen"][0]["answer"], "你好");
        let deleted = player.play(&json!({ "do": "delete", "client": 1, "path": "/jobs" }));
        assert_eq!(deleted["seen"][0]["error"], "NOTEMPTY");
        let bad = player.create(1, "no slash", "persistent");
        assert_eq!(bad["seen"][0]["error"], "BADARGUMENTS");
        let closed = player.play(&json!({ "do": "close", "client": 1 }));
        assert_eq!(closed["state"]["clients"][0]["life"], "closed");
        assert_eq!(paths(&closed), ["/", "/jobs", "/jobs/job-0000000000"]);
        assert!(player.refused(&json!({ "do": "expire", "client": 1 })).contains("has ended"));
    }

    #[test]
    fn what_is_not_a_command_is_refused_by_name() {
        let mut world = None;
        let early = run(&mut world, br#"{"do":"advance","ms":1}"#);
        assert_eq!(early["error"], "the first command is \"begin\"");
        assert!(run(&mut world, b"{").to_string().contains("not JSON"));
        let mut player = Player::begin();
        assert_eq!(player.refused(&json!({ "do": "pings", "client": 7 })), "there is no session 7");
        assert!(player.refused(&json!({ "do": "advance", "ms": -1 })).contains("\"ms\" is to be a number"));
        for _ in 0..20 {
            player.open(false);
        }
        assert_eq!(player.play(&json!({ "do": "advance", "ms": 1 }))["state"]["is_full"], true);
        let refused = player.refused(&json!({ "do": "open", "timeout": 6_000, "pings": true }));
        assert!(refused.contains("20 sessions"), "{refused}");
    }
}
