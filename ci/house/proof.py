"""Proves that each rule can fail: a sound miniature workspace passes, with each of the changes below it does not."""

import subprocess
import tempfile
from pathlib import Path

from .design import Design
from .workspace import House

DESIGN = Design(
    pure=("zk-mini/src/core/", "zk-mini/wire/src/", "registry/src/retry"),
    circles=frozenset({("zk-mini", "builder", "server")}),
)
FORBID = "#![forbid(unsafe_code)]\n"
SOUND = {
    "Cargo.toml": '[workspace]\nresolver = "3"\nmembers = ["zk-mini", "zk-mini/wire", "registry", "rpc/client", "rpc/prefork"]\n',
    "zk-mini/Cargo.toml": '[package]\nname = "zk-mini"\n[dependencies]\nzk-wire = { path = "wire" }\n',
    "zk-mini/src/lib.rs": FORBID + "use tokio::net; // a shell may\npub use engine::Engine;\n",
    "zk-mini/src/builder.rs": "use crate::server::Server;\n",
    "zk-mini/src/server.rs": "use crate::{builder::Builder, report::Words};\npub struct Connection;\n",
    "zk-mini/src/clock.rs": '#[expect(clippy::disallowed_methods, reason = "the clock")]\n',
    "zk-mini/src/engine.rs": "use tokio::net::TcpListener;\n#[cfg(test)]\nmod tests {\n    use crate::report::Words;\n}\n",
    "zk-mini/src/report.rs": "use crate::Engine;\n",
    "zk-mini/src/core/mod.rs": '//! Not `tokio::spawn`.\nconst A: &str = "SystemTime"; const Q: char = \'"\';\nuse std::{fmt, io, net::{IpAddr, SocketAddr}};\n',
    "zk-mini/src/core/tests/mod.rs": "use crate::Engine;\n",
    "zk-mini/tests/core/main.rs": "//! The core by itself.\n/// Whatever.\n//// What a line of signs.\n",
    "zk-mini/wire/Cargo.toml": '[package]\nname = "zk-wire"\n',
    "zk-mini/wire/src/lib.rs": FORBID + "use std::collections::BTreeMap;\n",
    "registry/Cargo.toml": '[package]\nname = "zk-registry"\n[dependencies]\nzk-mini = { path = "../zk-mini", optional = true }\n',
    "registry/src/lib.rs": FORBID,
    "registry/src/retry.rs": "use common::{Backoff, Millis};\n",
    "rpc/client/Cargo.toml": '[package]\nname = "rpc-client"\n[dependencies]\nzk-registry = { path = "../../registry" }\n',
    "rpc/client/src/lib.rs": FORBID + "//! Not even zk_client.\n",
    "rpc/client/src/connector.rs": "use tokio::net::TcpStream;\n",
    "rpc/prefork/Cargo.toml": '[package]\nname = "rpc-prefork"\n',
    "rpc/prefork/src/lib.rs": "unsafe fn fork() {}\n",
    "docs/code/src/bin/fork.rs": "unsafe fn fork() {}\n",
    "docs/en/src/bugs.md": "`some_field` is held by `it_is_what_it_is`.\n",
    "registry/tests/registry/main.rs": "#[test]\nfn it_is_what_it_is() {}\n",
}

CORE = "zk-mini/src/core/mod.rs"
# (rule, file, text that is added to it, part of the complaint); no text takes the file away.
BREAKS = [
    ("imports", "zk-mini/wire/Cargo.toml", '[dependencies]\nzk-registry = { path = "../../registry" }\n', "zk-wire may not"),
    ("imports", "rpc/client/Cargo.toml", 'zk-mini = { path = "../../zk-mini" }\n', "rpc-client may not"),
    ("imports", "zk-mini/Cargo.toml", '[dev-dependencies]\nrpc-client = { path = "../rpc/client" }\n', "(dev dependency)"),
    ("imports", "registry/Cargo.toml", 'zk-mini = { path = "../zk-mini" }\n', "only by its feature"),
    ("imports", "zk-mini/wire/Cargo.toml", 'name = "zk-extra"\n', "does not know"),
    ("rpc_does_not_name_zookeeper", "rpc/client/src/lib.rs", "use registry::zk_client;\n", "never name"),
    ("streams_are_named_once", "rpc/client/src/lib.rs", "fn f(stream: tokio::net::TcpStream) {}\n", "connector.rs, rpc/client/src/lib.rs"),
    ("cores_are_pure", CORE, "use tokio::sync::mpsc;\n", "mod.rs:4: a core may not name a runtime"),
    ("cores_are_pure", CORE, "fn f(a: std::net::TcpStream) {}\n", "outside world"),
    ("cores_are_pure", CORE, "use std::net;\n", "outside world"),
    ("cores_are_pure", CORE, "use std::net::{\n    SocketAddr,\n    ToSocketAddrs,\n};\n", "mod.rs:6: a core may not name the outside world"),
    ("cores_are_pure", CORE, "use std::{\n    fmt::Debug,\n    fs::{self, File},\n};\n", "outside world"),
    ("cores_are_pure", CORE, "fn f(now: Instant) {}\n", "a clock"),
    ("cores_are_pure", CORE, "use common::{Backoff, Clock};\n", "a clock"),
    ("cores_are_pure", CORE, "fn f() { let now = SystemTime::now(); }\n", "a clock"),
    ("cores_are_pure", CORE, "async fn f() {}\n", "async"),
    ("cores_are_pure", CORE, "fn f() -> u8 { fastrand::u8(..) }\n", "randomness"),
    ("cores_are_pure", CORE, "fn f() { fastrand::Rng::new(); }\n", "randomness"),
    ("cores_are_pure", CORE, "fn f(hasher: RandomState) {}\n", "randomness"),
    ("cores_are_pure", "zk-mini/wire/src/lib.rs", "use rand::Rng;\n", "randomness"),
    ("cores_are_pure", "registry/src/retry.rs", None, "registry/src/retry: no such file"),
    ("cores_reach_nothing_impure", CORE, "use crate::engine::Engine;\n", "mod.rs:4: a core may not reach zk-mini/src/engine.rs"),
    ("cores_reach_nothing_impure", CORE, "use super::Engine;\n", "core -> engine"),
    ("cores_reach_nothing_impure", CORE, "fn f(words: &crate::report::Words) {}\n", "core -> report -> engine"),
    ("cores_reach_nothing_impure", "zk-mini/src/core/tree.rs", "use crate::{builder::Seed, report::{self, Words as W}};\n", "core::tree -> report"),
    ("modules_do_not_go_in_circles", "zk-mini/src/engine.rs", "use super::report::Words;\n", "engine, report import each other"),
    ("modules_do_not_go_in_circles", "zk-mini/src/engine.rs", "use crate::builder::A;\n", "builder, engine, report, server import"),
    ("modules_do_not_go_in_circles", "zk-mini/src/builder.rs", None, "builder, server do not import each other"),
    ("unsafe_lives_in_prefork", "registry/src/lib.rs", "unsafe fn f() {}\n", "belongs to rpc/prefork"),
    ("unsafe_lives_in_prefork", "zk-mini/src/main.rs", "fn main() {}\n", "lacks #![forbid"),
    ("clocks_are_read_in_one_place", CORE, "#[allow(clippy::disallowed_methods)]\n", "clock.rs"),
    ("files_are_short", "registry/src/long.rs", "\n" * 601, "601 lines"),
    ("top_level_is_fixed", "utils/src/lib.rs", "\n", "utils/"),
    ("nothing_is_left_open", "registry/src/lib.rs", "#[test]\n#[ignore]\nfn f() {}\n", "no ignored tests"),
    ("nothing_is_left_open", "registry/src/lib.rs", 'fn f() { todo!("later") }\n', "no stubs"),
    ("nothing_is_left_open", "registry/src/lib.rs", "// FIXME\n", "open an issue"),
    ("folders_have_one_form", "zk-mini/src/core.rs", "\n", "core/mod.rs"),
    ("folders_have_one_form", "registry/tests/all.rs", "\n", "registry/tests/all/main.rs"),
    ("names_are_exact", "registry/src/lib.rs", "pub(crate) enum Connection { A }\n", "types named Connection"),
    ("names_are_exact", "rpc/client/src/manager.rs", "\n", "manager.rs"),
    ("doc_comments_open_with_a_noun_or_verb", "registry/src/lib.rs", "/// How many there are.\n", "% of 5 doc comments"),
    ("doc_comments_open_with_a_noun_or_verb", "registry/src/lib.rs", "//!\n//! When it is\n", "lib.rs:2"),
    ("named_tests_exist", "docs/en/src/bugs.md", "`a_test_that_is_gone`\n", "bugs.md:2: no test is named a_test_that_is_gone"),
]


def complaints(rules, file=None, addition=None):
    with tempfile.TemporaryDirectory() as root:
        files = dict(SOUND)
        if addition:
            files[file] = changed(files.get(file, ""), addition)
        elif file:
            del files[file]
        for name, text in files.items():
            path = Path(root, name)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        subprocess.run(["git", "init", "--quiet"], cwd=root, check=True)
        house = House(root, DESIGN)
        return {rule.__name__: list(rule(house)) for rule in rules}


def changed(text, addition):
    """Adds to a text; a TOML key that it has already is replaced, since it may stand there only once."""
    key = addition.split("=")[0] + "="
    lines = [line for line in text.splitlines(keepends=True) if "=" not in addition or not line.startswith(key)]
    return "".join(lines) + addition


def prove(rules):
    found = complaints(rules)
    assert not any(found.values()), f"the sound workspace is not: {found}"
    for rule, file, addition, mention in BREAKS:
        found = complaints(rules, file, addition)[rule]
        assert any(mention in complaint for complaint in found), f"{rule} accepts {addition!r} in {file}: {found}"
    unproved = {rule.__name__ for rule in rules} - {rule for rule, *_ in BREAKS}
    assert not unproved, f"rules without a proof that they can fail: {unproved}"
