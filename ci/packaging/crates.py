"""The crates: each can be published, and what is in the packages compiles.

The packages compile together in a workspace of their own, each with the packages of its siblings in place of those on
crates.io. (`cargo package` alone would build each against a registry of its own; but that keeps the first package that it sees
of a version, so a second run would check old files.)
"""

import json
import shutil
import subprocess
import tarfile
from pathlib import Path

from .complaint import Complaint

NEEDED = {"Cargo.toml", "README.md", "LICENSE-APACHE", "LICENSE-MIT"}
ALLOWED = {"src", "examples", "Cargo.toml.orig", "Cargo.lock", ".cargo_vcs_info.json", "PROTOCOL.md", "API.md", "dashboard.json"} | NEEDED
MAX_BYTES = 416 << 10
METADATA = ("description", "keywords", "categories", "license", "readme", "rust_version")


def complaints(package, crate):
    """Returns the defects of one package."""
    yield from (f"no {field}" for field in METADATA if not package[field])
    yield from (f"may not have a {field}" for field in ("repository", "homepage") if package[field])
    if len(package["keywords"]) > 5 or len(package["categories"]) > 5:
        yield "at most 5 keywords and 5 categories"
    if crate.stat().st_size > MAX_BYTES:
        yield f"{crate.stat().st_size} bytes; at most {MAX_BYTES}"
    with tarfile.open(crate) as archive:
        names = {member.name.split("/", 1)[1]: member for member in archive.getmembers() if not member.isdir()}
    yield from (f"lacks {name}" for name in sorted(NEEDED - set(names)))
    yield from (f"has {name}" for name in sorted(names) if name.split("/")[0] not in ALLOWED)
    yield from (f"{name} is no regular file" for name, member in names.items() if not member.isreg())


def unpack(crate, folder):
    with tarfile.open(crate) as archive:
        for member in archive.getmembers():
            if member.isreg():
                path = folder / member.name
                path.parent.mkdir(parents=True, exist_ok=True)
                # With the time of now: all files of a package have the same, by which cargo would not see a change.
                path.write_bytes(archive.extractfile(member).read())


def profile():
    """Returns the lines of the workspace's manifest that say how the crates of others are compiled."""
    lines = Path("Cargo.toml").read_text(encoding="utf-8").splitlines()
    begin = lines.index("[profile.dev]")
    assert not [line for line in lines[begin:] if line.startswith("[") and not line.startswith("[profile.dev")]
    return lines[begin:]


def compile_together(packages, folder, target):
    """Compiles the packages in `folder` against each other, with the crates of others as `ci/docs` has compiled them."""
    names = ["{name}-{version}".format(**package) for package in packages]
    patches = [f'{package["name"]} = {{ path = "{name}" }}' for package, name in zip(packages, names)]
    workspace = ["[workspace]", 'resolver = "3"', f"members = {json.dumps(names)}", "[patch.crates-io]", *patches, *profile()]
    (folder / "Cargo.toml").write_text("\n".join(workspace) + "\n", encoding="utf-8")
    shutil.copy("Cargo.lock", folder)
    manifest = ["--manifest-path", str(folder / "Cargo.toml")]
    subprocess.run(["cargo", "check", *manifest, "--target-dir", str(target), "--all-features"], check=True)


def check():
    metadata = ["cargo", "metadata", "--no-deps", "--format-version", "1"]
    metadata = json.loads(subprocess.run(metadata, check=True, stdout=subprocess.PIPE).stdout)
    # `publish = false` is an empty list of registries.
    published = [package for package in metadata["packages"] if package["publish"] != []]
    others = [package["name"] for package in metadata["packages"] if package["publish"] == []]

    excluded = [option for name in others for option in ("--exclude", name)]
    command = ["cargo", "package", "--workspace", *excluded, "--locked", "--allow-dirty", "--no-verify"]
    subprocess.run(command, check=True)

    packed = Path(metadata["target_directory"], "package")
    folder = packed / "together"
    for stale in folder.glob("*/Cargo.toml"):
        shutil.rmtree(stale.parent)
    found = []
    for package in published:
        crate = packed / "{name}-{version}.crate".format(**package)
        found += [f"{package['name']}: {complaint}" for complaint in complaints(package, crate)]
        unpack(crate, folder)
        print(f"{package['name']}: {crate.stat().st_size >> 10} KiB", flush=True)
    compile_together(published, folder, metadata["target_directory"])
    if found:
        raise Complaint("\n".join(found))
    print(f"{len(published)} packages compile together", flush=True)
