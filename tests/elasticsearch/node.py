"""A real Elasticsearch node without a container: the server's own jars from Maven Central, as a child process.

    python tests/elasticsearch/node.py start     # in the background; prints ELASTICSEARCH_URL=http://127.0.0.1:…
    python tests/elasticsearch/node.py stop

The jars are fetched once by `pom.xml`, checked against `jars.sha256` and kept under ``~/.cache`` by content. A
node lives in a folder of its own, on free ports. Java 17 and Maven come from Debian.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
HOW = "as root: apt-get install -y openjdk-17-jdk-headless maven"
NETTY_MODULE = "transport-netty4"
START_SECONDS = 90.0


class NodeError(RuntimeError):
    """The node cannot be had, or did not start; the text says why."""


@dataclass
class Node:
    """A running node."""

    url: str
    home: Path
    process: subprocess.Popen[bytes]

    def stop(self) -> None:
        self.process.terminate()
        try:
            self.process.wait(20)
        except subprocess.TimeoutExpired:
            self.kill()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()


def lacking() -> str:
    """What this machine lacks for a node, or nothing."""
    return ", ".join(tool for tool in ("java", "mvn") if shutil.which(tool) is None)


def jars() -> Path:
    """The folder of checked jars, fetched when it is not there yet."""
    listed = (HERE / "jars.sha256").read_text("utf-8")
    name = hashlib.sha256((HERE / "pom.xml").read_bytes() + listed.encode()).hexdigest()[:16]
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    folder = cache / "thapcanh" / f"elasticsearch-{name}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(tempfile.mkdtemp(dir=folder.parent))
    fetched = subprocess.run(
        ["mvn", "-q", "-B", "-C", "-f", str(HERE / "pom.xml"), "dependency:copy-dependencies",
         f"-DoutputDirectory={fresh}", "-DincludeScope=runtime"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    if fetched.returncode:
        raise NodeError(f"Maven could not fetch the jars: {fetched.stdout[-500:]}")
    wanted = dict(reversed(line.split("  ", 1)) for line in listed.splitlines())
    found = {jar.name: hashlib.sha256(jar.read_bytes()).hexdigest() for jar in fresh.iterdir()}
    if found != wanted:
        odd = sorted(
            name for name in wanted.keys() | found.keys() if wanted.get(name) != found.get(name)
        )
        raise NodeError(f"these jars are not those of jars.sha256: {', '.join(odd)}")
    try:
        fresh.rename(folder)
    except OSError:  # another process was first
        shutil.rmtree(fresh)
    return folder


def lay_out(home: Path) -> None:
    """A home: `lib` on the module path, the netty module with its descriptor, folders to write to."""
    module = home / "modules" / NETTY_MODULE
    for folder in (home / "lib", module, home / "config", home / "data", home / "logs"):
        folder.mkdir(parents=True, exist_ok=True)
    for jar in jars().iterdir():
        netty = jar.name.startswith(("netty-", NETTY_MODULE))
        target = (module if netty else home / "lib") / jar.name
        if not target.exists():
            target.symlink_to(jar)
        if jar.name.startswith(NETTY_MODULE):
            with zipfile.ZipFile(jar) as packed:
                inside = f"META-INF/es-plugins/{NETTY_MODULE}/plugin-descriptor.properties"
                (module / "plugin-descriptor.properties").write_bytes(packed.read(inside))
    (home / "config" / "log4j2.properties").write_text(
        "rootLogger.level = warn\nrootLogger.appenderRef.file.ref = file\n"
        "appender.file.type = File\nappender.file.name = file\n"
        f"appender.file.fileName = {home / 'logs' / 'node.log'}\n"
        "appender.file.layout.type = PatternLayout\n"
        "appender.file.layout.pattern = %d %-5p %c %m%n%throwable\n"
    )


def start(
    home: Path, *, heap: str = "1g", settings: Mapping[str, str] | None = None, port: int = 0
) -> Node:
    """Start a node and wait until it answers. NodeError when it does not, with the end of its log."""
    if what := lacking():
        raise NodeError(f"needs {what}: {HOW}")
    lay_out(home)
    (home / "started").unlink(missing_ok=True)
    port = port or _free_port()
    given = {
        "discovery.type": "single-node",
        "http.port": str(port),
        "transport.port": str(_free_port()),
        "path.data": str(home / "data"),
        "path.logs": str(home / "logs"),
        **(settings or {}),
    }
    if "discovery.seed_hosts" in given:
        del given["discovery.type"]
    command = [
        "java", f"-Xms{heap}", f"-Xmx{heap}", "-Djava.awt.headless=true", "-Dlog4j2.disable.jmx=true",
        "--module-path", str(home / "lib"), "--add-modules=ALL-MODULE-PATH",
        str(HERE / "Launcher.java"), str(home), *(f"{name}={value}" for name, value in given.items()),
    ]  # fmt: skip
    with (home / "logs" / "process.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    node = Node(f"http://127.0.0.1:{port}", home, process)
    limit = time.monotonic() + START_SECONDS
    while not _answers(node.url):
        if process.poll() is not None or time.monotonic() > limit:
            node.kill()
            raise NodeError(f"the node did not start: {_tail(home)}")
        time.sleep(0.2)
    return node


def version(url: str) -> str:
    """The node's version (this core node has no `GET /`)."""
    with urllib.request.urlopen(
        f"{url}/_nodes/_local?filter_path=nodes.*.version", timeout=10
    ) as answer:
        return str(next(iter(json.load(answer)["nodes"].values()))["version"])


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/_cluster/health?timeout=1s", timeout=3) as answer:
            return json.load(answer)["status"] in ("green", "yellow")
    except OSError:
        return False


def _tail(home: Path) -> str:
    texts = [
        path.read_text("utf-8", "replace")[-1500:] for path in sorted((home / "logs").glob("*.log"))
    ]
    return "\n".join(texts) or "it said nothing"


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])


def _end(process: int) -> None:
    try:
        os.killpg(process, signal.SIGTERM)
        for _ in range(100):
            os.killpg(process, 0)
            time.sleep(0.2)
        os.killpg(process, signal.SIGKILL)
    except ProcessLookupError:
        return


def _background() -> Path:
    return Path(tempfile.gettempdir()) / f"thapcanh-elasticsearch-{os.getuid()}.json"


def main(words: list[str]) -> int:
    mark = _background()
    if words == ["stop"]:
        if mark.exists():
            kept = json.loads(mark.read_text("utf-8"))
            _end(kept["pid"])
            shutil.rmtree(kept["home"], ignore_errors=True)
            mark.unlink()
        return 0
    if words != ["start"]:
        sys.stderr.write("say start or stop\n")
        return 2
    if mark.exists() and _answers(json.loads(mark.read_text("utf-8"))["url"]):
        sys.stdout.write(f"ELASTICSEARCH_URL={json.loads(mark.read_text('utf-8'))['url']}\n")
        return 0
    try:
        node = start(Path(tempfile.mkdtemp(prefix="thapcanh-elasticsearch-")))
    except NodeError as error:
        sys.stderr.write(f"{error}\n")
        return 4
    mark.write_text(json.dumps({"pid": node.process.pid, "home": str(node.home), "url": node.url}))
    sys.stdout.write(f"ELASTICSEARCH_URL={node.url}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
