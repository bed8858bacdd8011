//! `GET /v1/openapi.json`, compared with what is served.

use std::collections::BTreeSet;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use zk_client::{Client, CreateMode};
use zk_mini::ZkMini;

use crate::support::{self, LIMIT, start};

/// Calls that clients are built on.
const CONTRACT: [(&str, &str); 27] = [
    ("get", "/v1/status"),
    ("get", "/v1/tree"),
    ("put", "/v1/nodes/{path}"),
    ("delete", "/v1/nodes/{path}"),
    ("get", "/v1/sessions"),
    ("post", "/v1/sessions/expire"),
    ("post", "/v1/sessions/{id}/expire"),
    ("post", "/v1/sessions/{id}/disconnect"),
    ("post", "/v1/sessions/{id}/freeze"),
    ("post", "/v1/sessions/{id}/thaw"),
    ("get", "/v1/connections"),
    ("get", "/v1/clock"),
    ("post", "/v1/clock"),
    ("get", "/v1/faults"),
    ("post", "/v1/faults"),
    ("delete", "/v1/faults"),
    ("delete", "/v1/faults/{id}"),
    ("get", "/v1/explain"),
    ("get", "/v1/history"),
    ("get", "/v1/events"),
    ("post", "/v1/restart"),
    ("post", "/v1/reset"),
    ("post", "/v1/freeze"),
    ("post", "/v1/thaw"),
    ("get", "/v1/snapshot"),
    ("post", "/v1/restore"),
    ("get", "/v1/openapi.json"),
];

const METHODS: [&str; 4] = ["get", "put", "post", "delete"];

#[tokio::test]
async fn the_description_has_every_call_of_the_contract() {
    let (_zk, http) = start(ZkMini::builder()).await;
    let api = http.get("/v1/openapi.json").await.json(200);
    assert!(api["openapi"].as_str().unwrap().starts_with("3."), "{}", api["openapi"]);
    for (method, path) in CONTRACT {
        assert!(api["paths"][path][method].is_object(), "{method} {path} is not described");
    }
}

#[tokio::test]
async fn a_client_can_be_generated_from_the_description() {
    let (_zk, http) = start(ZkMini::builder()).await;
    let api = http.get("/v1/openapi.json").await.json(200);
    let items = api["paths"].as_object().unwrap().values();
    let calls: Vec<_> = items.flat_map(|item| METHODS.map(|method| &item[method])).collect();
    let names: Vec<_> = calls.iter().filter_map(|call| call["operationId"].as_str()).collect();
    assert!(names.len() >= CONTRACT.len());
    assert_eq!(
        names.len(),
        names.iter().collect::<BTreeSet<_>>().len(),
        "each has a name of its own: {names:?}"
    );
    for call in calls.iter().filter(|call| call.is_object()) {
        for status in ["400", "401", "403"] {
            assert!(call["responses"][status].is_object(), "{call}");
        }
    }
    assert_eq!(api["security"], json!([{}, {"token": []}]));
    assert_eq!(api["components"]["securitySchemes"]["token"], json!({"type": "http", "scheme": "bearer"}));
}

#[tokio::test]
async fn every_call_that_is_described_is_served_and_no_other_method() {
    let (_zk, http) = start(ZkMini::builder()).await;
    let api = http.get("/v1/openapi.json").await.json(200);
    for (template, item) in api["paths"].as_object().unwrap() {
        assert!(!template.contains('*'), "{template} has a wildcard");
        let path = filled(template);
        for method in METHODS {
            let (status, message) = outcome(&http, method, &path).await;
            let is_described = item.get(method).is_some();
            let is_served = status != 405 && !message.contains("there is no call");
            assert_eq!(is_served, is_described, "{method} {path}: {status} {message}");
            if status >= 400 {
                let body: Value =
                    serde_json::from_str(&message).unwrap_or_else(|_| panic!("{path}: {message}"));
                assert!(body["error"]["message"].is_string(), "{method} {path}: {message}");
            }
        }
    }
}

#[tokio::test]
async fn every_call_refuses_what_it_does_not_take() {
    let (zk, http) = start(ZkMini::builder()).await;
    let rule = json!({"when": {"connect": true, "nth": 9}, "then": {"refuse": true}});
    http.post("/v1/faults", rule).await.json(200);
    let api = http.get("/v1/openapi.json").await.json(200);
    for (template, item) in api["paths"].as_object().unwrap() {
        let path = filled(template);
        for (method, operation) in item.as_object().unwrap() {
            let method = method.to_uppercase();
            let answer = http.send(&method, &format!("{path}?no_such=1"), &[], b"").await;
            assert!(answer.error(400).contains("no_such"), "{method} {path}: {}", answer.text());
            if operation.get("requestBody").is_none() {
                for body in [&br#"{"all":true}"#[..], b"[]", &[b' '; 1 << 16]] {
                    let answer = http.send(&method, &path, &[], body).await;
                    assert!(answer.error(400).contains("takes no body"), "{}", answer.text());
                }
            }
            assert!(operation["responses"]["400"].is_object(), "{method} {path}");
        }
    }
    let status = http.get("/v1/status").await.json(200);
    assert_eq!((&status["frozen"], zk.faults().len()), (&json!(false), 1), "nothing was done");
    http.post("/v1/reset", json!({})).await.json(200);
    let remedy = http.post("/v1/reset", json!({"all": true})).await.error(400);
    assert!(remedy.contains("/v1/reset?all=…"), "{remedy}");
}

#[tokio::test]
async fn answers_are_as_the_description_says() {
    let (zk, http) = start(ZkMini::builder()).await;
    let client = Client::connect(&zk.connect_string()).await.unwrap();
    client.create("/leader", "me", CreateMode::Ephemeral).await.unwrap();
    zk.create("/binary", vec![0xff]).await.unwrap();
    zk.load(&zk_mini::TreeFile::parse("/null: {data: null}").unwrap()).await.unwrap();
    let api = http.get("/v1/openapi.json").await.json(200);
    let yaml = [("content-type", "application/yaml")];
    let answers = [
        ("get", "/v1/status", http.get("/v1/status").await),
        ("get", "/v1/tree", http.get("/v1/tree?depth=3").await),
        ("get", "/v1/tree", http.get("/v1/tree?path=/no").await),
        ("get", "/v1/tree", http.get("/v1/tree?path=no").await),
        ("put", "/v1/nodes/{path}", http.put("/v1/nodes/a/b", "").await),
        ("put", "/v1/nodes/{path}", http.put("/v1/nodes/a/b", "").await),
        ("put", "/v1/nodes/{path}", http.put("/v1/nodes/a//b", "").await),
        ("get", "/v1/sessions", http.get("/v1/sessions").await),
        ("get", "/v1/connections", http.get("/v1/connections").await),
        ("get", "/v1/watches", http.get("/v1/watches").await),
        ("get", "/v1/clock", http.get("/v1/clock").await),
        ("post", "/v1/clock", http.post("/v1/clock", json!({"advance_ms": 1})).await),
        ("post", "/v1/clock", http.post("/v1/clock", json!({"mode": "manual"})).await),
        (
            "post",
            "/v1/faults",
            http.post("/v1/faults", json!({"when": {"connect": true, "nth": 9}, "then": {"refuse": true}}))
                .await,
        ),
        (
            "post",
            "/v1/faults",
            http.post("/v1/faults", json!({"when": {"op": "create"}, "then": {"fail": "NONODE"}})).await,
        ),
        ("post", "/v1/faults", http.post("/v1/faults", json!({})).await),
        ("get", "/v1/faults", http.get("/v1/faults").await),
        ("delete", "/v1/faults/{id}", http.delete("/v1/faults/77").await),
        ("delete", "/v1/faults", http.delete("/v1/faults").await),
        ("get", "/v1/explain", http.get("/v1/explain?path=/leader").await),
        ("get", "/v1/explain", http.get("/v1/explain?path=leader").await),
        ("get", "/v1/history", http.get("/v1/history").await),
        (
            "post",
            "/v1/sessions/expire",
            http.post("/v1/sessions/expire", json!({"owner_of": "/leader"})).await,
        ),
        (
            "post",
            "/v1/sessions/expire",
            http.post("/v1/sessions/expire", json!({"owner_of": "/leader"})).await,
        ),
        ("post", "/v1/sessions/{id}/freeze", http.post("/v1/sessions/0xdead/freeze", Value::Null).await),
        ("delete", "/v1/nodes/{path}", http.delete("/v1/nodes/a").await),
        ("delete", "/v1/nodes/{path}", http.delete("/v1/nodes/a/b").await),
        ("post", "/v1/freeze", http.post("/v1/freeze", Value::Null).await),
        ("post", "/v1/thaw", http.post("/v1/thaw", Value::Null).await),
        ("post", "/v1/restart", http.post("/v1/restart", Value::Null).await),
        (
            "get",
            "/v1/snapshot",
            http.send("GET", "/v1/snapshot", &[("accept", "application/json")], b"").await,
        ),
        ("post", "/v1/restore", http.send("POST", "/v1/restore", &yaml, b"/a: {}").await),
        ("post", "/v1/restore", http.send("POST", "/v1/restore", &yaml, b"- a").await),
        ("post", "/v1/reset", http.post("/v1/reset", Value::Null).await),
        ("get", "/v1/openapi.json", http.get("/v1/openapi.json").await),
    ];
    for (method, path, answer) in answers {
        let described = &api["paths"][path][method]["responses"][answer.status.to_string()];
        let schema = &described["content"]["application/json"]["schema"];
        assert!(schema.is_object(), "{method} {path}: {} is not described: {described}", answer.status);
        let body = answer.json(answer.status);
        let faults = faults(&api, schema, &body, "body");
        assert!(faults.is_empty(), "{method} {path}: {faults:#?}\n{body}");
    }
    drop(client);
}

#[test]
fn an_answer_that_is_not_as_described_is_found() {
    let api = json!({"components": {"schemas": {"Id": {"type": "string", "pattern": "^0x"}}}});
    let schema = json!({
        "type": "object", "required": ["id", "more"],
        "properties": {"id": {"$ref": "#/components/schemas/Id"}, "more": {"type": ["array", "null"], "items": {"type": "integer"}}},
    });
    let count = |body: Value| faults(&api, &schema, &body, "body").len();
    assert_eq!(count(json!({"id": "0x1", "more": [1, 2]})), 0);
    assert_eq!(count(json!({"id": "0x1", "more": null})), 0);
    assert_eq!(count(json!({"id": 1, "more": ["x"]})), 2);
    assert_eq!(count(json!({"id": "0x1"})), 1);
    assert_eq!(count(json!({"id": "0x1", "more": [], "unknown": 1})), 1);
    assert_eq!(count(json!([])), 1);
}

/// Gives each parameter of a path a value.
fn filled(template: &str) -> String {
    template
        .split('/')
        .map(|part| if part.starts_with('{') { "0x1" } else { part })
        .collect::<Vec<_>>()
        .join("/")
}

/// Returns the status of an answer, and its body if that is an error. A stream of events has no end.
async fn outcome(http: &support::Client, method: &str, path: &str) -> (u16, String) {
    let exchange = async {
        let mut stream = BufReader::new(TcpStream::connect(http.addr).await.unwrap());
        let head = format!(
            "{} {path} HTTP/1.1\r\nhost: {}\r\nconnection: close\r\ncontent-type: application/json\r\ncontent-length: 0\r\n\r\n",
            method.to_uppercase(),
            http.addr
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut line = String::new();
        stream.read_line(&mut line).await.unwrap();
        let status = line.split(' ').nth(1).unwrap().parse().unwrap();
        let mut rest = String::new();
        if status >= 400 {
            stream.read_to_string(&mut rest).await.unwrap();
        }
        (status, rest.split_once("\r\n\r\n").map_or_else(String::new, |(_, body)| body.to_owned()))
    };
    tokio::time::timeout(LIMIT, exchange).await.expect("an answer in time")
}

/// Returns what in a value is not as a schema of the description says.
fn faults(api: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    if let Some(reference) = schema["$ref"].as_str() {
        let schema = api.pointer(reference.trim_start_matches('#'));
        return faults(api, schema.unwrap_or_else(|| panic!("{reference} is missing")), value, at);
    }
    if let Some(all) = schema["allOf"].as_array() {
        let merged = merged(api, all);
        return faults(api, &merged, value, at);
    }
    if let Some(any) = schema["oneOf"].as_array().or(schema["anyOf"].as_array()) {
        let fits = any.iter().any(|schema| faults(api, schema, value, at).is_empty());
        return if fits { Vec::new() } else { vec![format!("{at} is none of {any:?}")] };
    }
    let types: Vec<_> = match &schema["type"] {
        Value::String(name) => vec![name.as_str()],
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        _ => return Vec::new(),
    };
    let name = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(number) if number.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    let fits = types.contains(&name) || name == "integer" && types.contains(&"number");
    if !fits {
        return vec![format!("{at} is {name}, not {types:?}")];
    }
    match value {
        Value::Array(items) => items
            .iter()
            .enumerate()
            .flat_map(|(n, item)| faults(api, &schema["items"], item, &format!("{at}[{n}]")))
            .collect(),
        Value::Object(fields) => {
            let required = schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str);
            let missing = required.filter(|name| !fields.contains_key(*name));
            let mut found: Vec<_> = missing.map(|name| format!("{at} has no {name}")).collect();
            let Some(known) = schema["properties"].as_object() else { return found };
            for (name, value) in fields {
                match known.get(name) {
                    Some(schema) => found.extend(faults(api, schema, value, &format!("{at}.{name}"))),
                    None => found.push(format!("{at}.{name} is not described")),
                }
            }
            found
        }
        _ => Vec::new(),
    }
}

/// Returns one schema of an object for several that all hold.
fn merged(api: &Value, all: &[Value]) -> Value {
    let (mut properties, mut required) = (serde_json::Map::new(), Vec::new());
    for schema in all {
        let schema = match schema["$ref"].as_str() {
            Some(reference) => api.pointer(reference.trim_start_matches('#')).expect("a schema"),
            None => schema,
        };
        properties.extend(schema["properties"].as_object().cloned().unwrap_or_default());
        required.extend(schema["required"].as_array().cloned().unwrap_or_default());
    }
    json!({"type": "object", "properties": properties, "required": required})
}
