"""Modules of a crate and the imports between them, read from the code with regular expressions.

A name is followed through re-exports to the module that defines it. `mod child;` and a re-export that the file does not use
itself are no imports. Modules of tests do not count.
"""

import re
from pathlib import PurePosixPath

PATH = re.compile(r"(?<![\w:.$'])(?:::)?(?=[A-Za-z_]\w*\s*::)")
TOKEN = re.compile(r"\s*(?:(::)|([A-Za-z_]\w*)|([{},*]))")
USE = re.compile(r"(?P<public>\bpub(?:\s*\([^)]*\))?\s+)?\buse\s+(?:::)?\s*$")
INLINE_TESTS = re.compile(r"#\[cfg\(test\)\]\s*(?:pub(?:\s*\([^)]*\))?\s+)?mod\s+\w+\s*\{")


class Path:
    """A path in the code: where it begins, its names, and how it is imported."""

    def __init__(self, at, names, alias=None, imported=None):
        self.at, self.names, self.imported = at, names, imported
        self.name = alias or names[-1]


def paths(code):
    """Yields each path with `::` in it, the branches of a `use` tree one by one."""
    end = 0
    for match in PATH.finditer(code):
        if match.start() < end:
            continue
        use = USE.search(code, max(0, match.start() - 60), match.end())
        imported = use and ("public" if use["public"] else "private")
        found, end = [], match.end()
        end = tree(code, match.end(), [], imported, found)
        yield from found


def tree(code, at, prefix, imported, found):
    """Reads a path, which in a `use` may be a tree. Returns its end."""
    names, begin, alias = list(prefix), at, None
    while True:
        token = TOKEN.match(code, at)
        separator, name, mark = token.groups() if token else (None, None, None)
        if name == "as" and names:
            aliased = TOKEN.match(code, token.end())
            alias, at = aliased.group(2), aliased.end()
        elif name and (len(names) == len(prefix) or code[:at].rstrip().endswith("::")):
            names.append(name)
            at = token.end()
        elif separator:
            at = token.end()
        elif mark == "*" and code[:at].rstrip().endswith("::"):
            names.append("*")
            at = token.end()
        elif mark == "{" and imported and (not names or code[:at].rstrip().endswith("::")):
            at = token.end()
            while True:
                at = tree(code, at, names, imported, found)
                token = TOKEN.match(code, at)
                if not token or token.group(3) != ",":
                    return token.end() if token else at
                at = token.end()
                if (closing := TOKEN.match(code, at)) and closing.group(3) == "}":
                    return closing.end()
        else:
            break
    if len(names) > len(prefix):
        if names[-1] == "self" and len(names) > 1:
            names.pop()
        found.append(Path(begin + len(code[begin:]) - len(code[begin:].lstrip()), names, alias, imported))
    return at


def without_inline_tests(code):
    """Returns the code with `#[cfg(test)] mod … { … }` left blank."""
    while match := INLINE_TESTS.search(code):
        depth, at = 1, match.end()
        while depth and at < len(code):
            depth += {"{": 1, "}": -1}.get(code[at], 0)
            at += 1
        code = code[: match.start()] + re.sub(r"[^\n]", " ", code[match.start() : at]) + code[at:]
    return code


def is_test(name):
    parts = PurePosixPath(name).with_suffix("").parts
    return "tests" in parts


class Modules:
    """The modules of one crate, from its root file: `a::b` is the tuple of its names."""

    def __init__(self, root, code):
        folder = str(PurePosixPath(root).parent) + "/"
        self.files = {}
        for name in code:
            if name.startswith(folder) and not name.startswith(folder + "bin/") and not is_test(name[len(folder) :]):
                parts = PurePosixPath(name[len(folder) :]).with_suffix("").parts
                module = () if name == root else parts[:-1] if parts[-1] == "mod" else parts
                self.files[module] = name
        self.code = {module: without_inline_tests(code[name]) for module, name in self.files.items()}
        self.paths = {module: list(paths(text)) for module, text in self.code.items()}
        self.names = {
            module: {path.name: path.names for path in found if path.imported and path.names[-1] != "*"}
            for module, found in self.paths.items()
        }
        self.imports = {module: self.imported(module) for module in self.files}

    def imported(self, module):
        """Modules that a module imports something from, with where it does so."""
        found = {}
        body = re.sub(r"\buse\s[^;]*;", "", self.code[module])
        for path in self.paths[module]:
            if path.imported == "public" and not re.search(rf"\b{re.escape(path.name)}\b", body):
                continue
            target = self.resolve(module, path.names)
            if target is not None and target != module:
                found.setdefault(target, path.at)
        return found

    def resolve(self, module, names, seen=()):
        """Returns the module that defines what a path in `module` names; `None` if it is of another crate."""
        first, *rest = names
        if (module, tuple(names)) in seen:
            return None
        seen = (*seen, (module, tuple(names)))
        if first == "crate":
            return self.walk((), rest, seen)
        if first == "self":
            return self.walk(module, rest, seen)
        if first == "super":
            return self.resolve(module[:-1], ["self", *rest], seen) if rest[:1] != ["super"] else self.resolve(module[:-1], rest, seen)
        if (*module, first) in self.files:
            return self.walk((*module, first), rest, seen)
        if first in self.names[module] and self.names[module][first] != names:
            return self.resolve(module, [*self.names[module][first], *rest], seen)
        return None

    def walk(self, module, names, seen):
        for index, name in enumerate(names):
            if (*module, name) in self.files:
                module = (*module, name)
            elif name in self.names[module]:
                return self.resolve(module, [*self.names[module][name], *names[index + 1 :]], seen)
            else:
                break
        return module

    def chain(self, module, is_end):
        """Returns the shortest chain of imports from a module to one for which `is_end` holds."""
        chains, seen = [[module]], {module}
        for chain in chains:
            if is_end(chain[-1]):
                return chain
            for target in sorted(self.imports[chain[-1]]):
                if target not in seen:
                    seen.add(target)
                    chains.append([*chain, target])
        return None

    def circles(self):
        """Yields the sets of modules that import each other, however far around. Imports between a module and its own
        submodules do not count: they are one family."""
        edges = {module: [t for t in targets if not is_family(module, t)] for module, targets in self.imports.items()}
        reached = {module: reach(edges, module) for module in edges}
        found = {frozenset({m, *(t for t in reached[m] if m in reached[t])}) for m in edges if m in reached[m]}
        yield from sorted(sorted(circle) for circle in found)


def is_family(one, other):
    return one[: len(other)] == other or other[: len(one)] == one


def reach(edges, start):
    found, rest = set(), list(edges[start])
    while rest:
        module = rest.pop()
        if module not in found:
            found.add(module)
            rest += edges[module]
    return found
