"""Java programs: jars from Maven Central, and our classes that start what is in them."""

import shutil
import subprocess
from pathlib import Path

from servers import Missing

FOLDER = Path(__file__).parent
HEAP = ["-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1"]


def installed(cache, name, source):
    """Fetches what NAME/pom.xml names, and compiles a source beside it. Returns the class path."""
    folder, pom = cache / name, FOLDER / name / "pom.xml"
    jars, classes, copy = folder / "jars", folder / "classes", folder / "pom.xml"
    if not copy.is_file() or copy.read_bytes() != pom.read_bytes():
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        command = ["mvn", "-q", "-B", "-f", pom, "dependency:copy-dependencies", f"-DoutputDirectory={jars}"]
        if shutil.which("mvn") is None or subprocess.run(command).returncode:
            raise Missing(f"Maven cannot fetch what {pom} names: see above (run ci/setup; Maven Central)")
        shutil.copy(pom, copy)
    classes.mkdir(exist_ok=True)
    if shutil.which("javac") is None:
        raise Missing("javac is missing: apt-get install openjdk-17-jdk-headless")
    subprocess.run(["javac", "-nowarn", "-parameters", "-cp", f"{jars}/*", "-d", classes, FOLDER / name / source], check=True)
    return f"{classes}:{jars}/*"
