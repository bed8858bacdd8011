"""Rules about modules: pure cores, and the ways between modules."""

import re

from .modules import paths
from .workspace import place

# Plain data about addresses, in a module that otherwise opens sockets.
ADDRESSES = {"IpAddr", "Ipv4Addr", "Ipv6Addr", "SocketAddr", "SocketAddrV4", "SocketAddrV6", "AddrParseError"}

RUNTIME = "a runtime or system calls"
IMPURE = {
    r"\b(Instant|SystemTime)\b": "a clock",
    r"\basync\s+(fn|move|\{)|\.await\b": "async",
    # A hash map is fine where nobody sees its order; that histories replay exactly is for the cores' tests to prove.
    r"\bRandomState\b|\bRng::new\b": "randomness that no seed decides",
}


def impure_path(names):
    """Returns what a path names that a core may not name, or None."""
    match names:
        case ["tokio" | "socket2" | "nix" | "libc", *_]:
            return RUNTIME
        case ["std", "net", name, *_] if name in ADDRESSES:
            return None
        case ["std", "net" | "fs" | "process" | "thread" | "env", *_]:
            return "the outside world"
        case ["common" | "zk_mini_common", "Clock", *_]:
            return "a clock"
        case ["rand" | "getrandom", *_]:
            return "randomness that no seed decides"
        case ["fastrand", name, *_] if name != "Rng":
            return "randomness that no seed decides"
    return None


def impurities(name, code):
    """Yields the places where a file names the outside world, and what that is."""
    for path in paths(code):
        if what := impure_path(path.names):
            yield place(name, code, path.at), what
    for pattern, what in IMPURE.items():
        for match in re.finditer(pattern, code):
            yield place(name, code, match.start()), what


def cores_are_pure(house):
    """A core names no runtime, socket, file, clock or source of randomness."""
    for begin in house.design.pure:
        files = [name for name in house.code if name.startswith(begin)]
        if not files:
            yield f"{begin}: no such file; the list of pure files is in ci/house/design.py"
        for name in files:
            for where, what in impurities(name, house.code[name]):
                yield f"{where}: a core may not name {what}; it comes in as input"


def cores_reach_nothing_impure(house):
    """A core imports nothing from a file that names a runtime or socket, through any chain of modules."""
    for modules in house.modules.values():
        files = modules.files
        impure = {module for module, name in files.items() if any(impurities(name, modules.code[module]))}
        for module in (module for module, name in files.items() if name.startswith(house.design.pure)):
            for target, at in modules.imports[module].items():
                # A core that imports another leaves it to that one.
                chain = not files[target].startswith(house.design.pure) and modules.chain(target, impure.__contains__)
                if chain:
                    ways = " -> ".join(shown(step) for step in (module, *chain))
                    where = place(files[module], modules.code[module], at)
                    yield f"{where}: a core may not reach {files[chain[-1]]}, which is not pure: {ways}"


def modules_do_not_go_in_circles(house):
    """Modules of a crate import each other in one direction, but for the idioms that the design names."""
    unused = set(house.design.circles)
    for package, modules in house.modules.items():
        for circle in modules.circles():
            names = tuple(shown(module) for module in circle)
            unused.discard((package, *names))
            if (package, *names) not in house.design.circles:
                ways = (
                    place(modules.files[module], modules.code[module], at)
                    for module in circle
                    for target, at in modules.imports[module].items()
                    if target in circle
                )
                yield f"{package}: {', '.join(names)} import each other: {', '.join(sorted(ways))}"
    for package, *names in sorted(unused):
        yield f"{package}: {', '.join(names)} do not import each other; take them out of ci/house/design.py"


def shown(module):
    return "::".join(module) or "crate"
