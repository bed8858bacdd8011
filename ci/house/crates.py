"""Rules about crates and whole files."""

import re

MAX_LINES, WARN_LINES = 600, 500


def imports(house):
    """Crates depend on each other from the top to the bottom of the design's list only."""
    design = house.design
    for name, package in house.packages.items():
        if name not in design.imports:
            yield f"{name}: the design does not know this crate; add it to ARCHITECTURE.md and to ci/house/design.py"
            continue
        for dependency in package["dependencies"]:
            other, kind = dependency["name"], dependency["kind"] or "normal"
            allowed = design.imports[name]
            if other not in house.packages or allowed is None:
                continue
            if kind == "dev":
                allowed = allowed | design.test_imports.get(name, set())
            if other not in allowed:
                yield f"{name} may not depend on {other} ({kind} dependency)"
            elif kind == "normal" and (name, other) in design.optional_imports and not dependency["optional"]:
                yield f'{name} may depend on {other} only by its feature "{design.optional_imports[name, other]}"'


def rpc_does_not_name_zookeeper(house):
    """RPC knows the registry, not the crates below it (not even re-exported). The tests of the program start a server for it."""
    for place in house.found(r"\bzk_(wire|client|mini)\b", house.code, under="rpc/"):
        if str(place).startswith("rpc/program/tests/"):
            continue
        yield f"{place}: rpc crates never name zk crates; go through `registry`"


def streams_are_named_once(house):
    """RPC speaks over any stream; on each side one file names `TcpStream`, to connect or to accept."""
    for folder in house.design.stream_folders:
        places = sorted(house.found(r"\bTcpStream\b", house.code, folder))
        files = sorted({place.split(":")[0] for place in places if "/tests" not in place})
        if len(files) > 1:
            yield f"{', '.join(files)}: only one file of a side names TcpStream"


def unsafe_lives_in_prefork(house):
    """`unsafe` stays in rpc-prefork and in the tutorial; every other crate root forbids it."""
    for place in house.found(r"\bunsafe\b", house.code):
        if not place.startswith(house.design.unsafe):
            yield f"{place}: unsafe belongs to rpc/prefork"
    for package in house.packages.values():
        for target in package["targets"]:
            path = house.relative(target["src_path"])
            is_root = {"lib", "bin"} & set(target["kind"])
            if is_root and not path.startswith(house.design.unsafe) and "#![forbid(unsafe_code)]" not in house.code.get(path, ""):
                yield f"{path}: lacks #![forbid(unsafe_code)]"


def clocks_are_read_in_one_place(house):
    """A shell reads the time in its clock.rs; tests read it where they wait with a bound."""
    for place in house.found(r"\bclippy::disallowed_methods\b", house.code):
        if "/clock.rs:" not in place and "/tests/" not in place and not place.startswith("integration-tests/src/wait.rs:"):
            yield f"{place}: only a shell's clock.rs reads the clock"


def files_are_short(house):
    """A file does one job: 500 lines, never over 600."""
    for name in house.files:
        if name.endswith((".rs", ".py", ".java", ".sh", ".toml")) or name.startswith("ci/") and not name.endswith(".lock"):
            lines = house.text(name).count("\n")
            if lines > MAX_LINES:
                yield f"{name}: {lines} lines; at most {MAX_LINES}: split it by noun"


def long_files(house):
    """Yields files that are near the limit."""
    for name in house.files:
        if name.endswith((".rs", ".py")) and house.text(name).count("\n") > WARN_LINES:
            yield f"{name}: over {WARN_LINES} lines"


def top_level_is_fixed(house):
    """The top-level folders are the design's."""
    folders = {name.split("/")[0] for name in house.files if "/" in name}
    for folder in sorted(folders - house.design.folders):
        if not folder.startswith("."):
            yield f"{folder}/: not a top-level folder of the design"


def nothing_is_left_open(house):
    """No skipped test, no stub, no note to self."""
    for place in house.found(r"#\[ignore\b|\b(todo|unimplemented)!", house.code):
        yield f"{place}: no ignored tests, no stubs"
    for place in house.found(r"\b(TODO|FIXME|XXX)\b", house.rust):
        yield f"{place}: do it, or open an issue"


def folders_have_one_form(house):
    """A module with submodules is `foo/mod.rs`, an integration test `tests/NAME/main.rs`."""
    files = set(house.files)
    for name in house.rust:
        folder = name.removesuffix(".rs")
        if "/src/" in name and any(other.startswith(folder + "/") and other.endswith(".rs") for other in files):
            yield f"{name}: a module with submodules is {folder}/mod.rs"
        if re.search(r"(^|/)tests/[^/]+\.rs$", name) and "/src/" not in name:
            yield f"{name}: an integration test is {folder}/main.rs"
