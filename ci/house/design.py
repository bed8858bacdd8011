"""The design, as far as the rules know it: names of crates, files and modules. A change of the design is a change here."""

from dataclasses import dataclass, field

# Crates of ours that each crate may depend on; `None` is all of them.
IMPORTS = {
    "zk-mini-common": set(),
    "zk-wire": {"zk-mini-common"},
    "zk-mini": {"zk-mini-common", "zk-wire"},
    "zk-mini-http": {"zk-mini-common", "zk-mini", "zk-wire"},
    "zk-mini-torture": {"zk-mini-common", "zk-mini", "zk-wire"},
    "zk-mini-server": {"zk-mini-common", "zk-mini", "zk-mini-http", "zk-mini-torture", "zk-client", "zk-wire"},
    "zk-client": {"zk-mini-common", "zk-wire"},
    "zk-registry": {"zk-mini-common", "zk-client", "zk-wire", "zk-mini"},
    "zk-recipes": {"zk-mini-common", "zk-client", "zk-wire"},
    "rpc-wire": {"zk-mini-common"},
    "rpc-prefork": {"zk-mini-common", "rpc-metrics"},
    "rpc-macros": set(),
    "rpc-metrics": set(),
    "rpc-server": {"zk-mini-common", "zk-registry", "rpc-wire", "rpc-prefork", "rpc-macros", "rpc-metrics"},
    "rpc-client": {"zk-mini-common", "zk-registry", "rpc-wire", "rpc-macros", "rpc-metrics"},
    "rpc-program": {"zk-mini-common", "zk-registry", "rpc-client", "rpc-wire"},
    "demo": None,
    "tutorial": {"zk-client", "zk-mini", "zk-registry", "rpc-server", "rpc-client"},
    "playground": {"zk-mini", "zk-wire"},
    "integration-tests": None,
}
# Further crates for tests: a client is tested against the server, but the server's own tests speak bytes (its examples do not).
TEST_IMPORTS = {
    "zk-mini": {"zk-client"},
    "zk-client": {"zk-mini"},
    "zk-recipes": {"zk-mini"},
    "zk-mini-http": {"zk-client"},
    "rpc-macros": {"rpc-server"},
    "rpc-server": {"rpc-client"},
    "rpc-client": {"rpc-server"},
    "rpc-program": {"rpc-server", "zk-mini"},
}
# Dependencies that exist only through a feature.
OPTIONAL_IMPORTS = {("zk-registry", "zk-mini"): "embedded"}

# Beginnings of paths of files that are plain data and methods: no socket, file, clock, thread, randomness or async.
PURE = (
    "zk-mini/common/src/backoff",
    "zk-mini/common/src/digest_md5/",
    "zk-mini/common/src/log/",
    "zk-mini/common/src/millis",
    "zk-mini/wire/src/",
    "zk-mini/src/core/",
    "zk-mini/src/report/",
    "zk-mini/src/shell/chunks",
    "zk-mini/src/shell/journal",
    "zk-mini/src/shell/opening",
    "zk-mini/src/storage/snapshot.rs",
    "zk-mini/src/storage/tail",
    "zk-mini/src/storage/txn",
    "zk-mini/torture/src/claim",
    "zk-mini/program/src/client/http/sse",
    "zk-mini/program/src/client/parse",
    "zk-mini/program/src/properties",
    "zk-mini/program/src/zoo_keys",
    "registry/client/src/chroot",
    "registry/client/src/servers",
    "registry/client/src/session/",
    "registry/recipes/src/contender/core/",
    "registry/recipes/src/guid",
    "registry/recipes/src/naming",
    "registry/recipes/src/node",
    "registry/recipes/src/patience",
    "registry/recipes/src/queue/candidates",
    "registry/recipes/src/queue/curator_items",
    "registry/recipes/src/queue/names",
    "registry/recipes/src/queue_entry",
    "registry/recipes/src/sequence",
    "registry/recipes/src/tree_cache/core/",
    "registry/recipes/src/tree_cache/edit",
    "registry/recipes/src/tree_cache/scope",
    "registry/recipes/src/tree_cache/tree",
    "registry/src/cache/fallback",
    "registry/src/cache/format",
    "registry/src/codec/",
    "registry/src/filter",
    "registry/src/hash",
    "registry/src/instance",
    "registry/src/list_state",
    "registry/src/members",
    "registry/src/merge",
    "registry/src/registration/core/",
    "registry/src/registration/options",
    "registry/src/retry",
    "registry/src/select/",
    "registry/src/service.rs",
    "registry/src/services/core/",
    "registry/src/status",
    "registry/src/subscription/core/",
    "registry/src/subscription/view",
    "registry/src/warm_up",
    "rpc/metrics/src/",
    "rpc/program/src/load/histogram",
    "rpc/program/src/load/plan",
    "rpc/wire/src/",
    "rpc/prefork/src/supervisor/",
    "rpc/server/src/limits",
    "rpc/server/src/load/adaptive",
    "rpc/server/src/load/queue",
    "rpc/server/src/session/",
    "rpc/client/src/pool/",
    "rpc/client/src/retry",
    "rpc/client/src/session/",
    "rpc/client/src/targets",
    "docs/playground/src/client",
    "docs/playground/src/command",
    "docs/playground/src/world",
)

# Modules that import each other by idiom: a handle's `builder()` gives the builder, whose last method gives the handle.
# `embedded` has further methods of both.
CIRCLES = {
    ("zk-client", "builder", "client"),
    ("zk-registry", "builder", "embedded", "registry"),
}

# Files of RPC that may name `TcpStream`: one a side.
STREAM_FOLDERS = ("rpc/client/src/", "rpc/server/src/")

# Beginnings of paths that may have `unsafe` code: the crate that forks; the tutorial, which teaches how that is done; and the
# names of the functions that the playground's page calls, which are an unsafe attribute.
UNSAFE = ("rpc/prefork/", "docs/code/", "docs/playground/src/lib.rs")

FOLDERS = {"registry", "zk-mini", "rpc", "packages", "docs", "integration-tests", "ci"}


@dataclass(frozen=True)
class Design:
    """What the rules compare a workspace with."""

    imports: dict = field(default_factory=lambda: IMPORTS)
    test_imports: dict = field(default_factory=lambda: TEST_IMPORTS)
    optional_imports: dict = field(default_factory=lambda: OPTIONAL_IMPORTS)
    pure: tuple = PURE
    circles: frozenset = frozenset(CIRCLES)
    stream_folders: tuple = STREAM_FOLDERS
    unsafe: tuple = UNSAFE
    folders: frozenset = frozenset(FOLDERS)
