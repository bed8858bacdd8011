"""ClickHouse: two replicas of a ReplicatedMergeTree; the leader is killed and comes back; the server restarts; a session expires."""

import os
import urllib.error
import urllib.request

from debian import unpacked
from servers import free_port

VERSION = "18.16.1+ds-7.3+b2"
# With the libraries that few machines have.
LIBRARIES = (
    "libboost-filesystem1.74.0 libboost-program-options1.74.0 libcapnp-0.9.2 libcctz2 libcpuinfo0 libdouble-conversion3 libfarmhash0 "
    "libicu72 libjemalloc2 libltdl7 libmariadb3 libmetrohash1 libodbc2 libpcre3 libpococrypto80 libpocodata80 libpocodataodbc80 libpocofoundation80 "
    "libpocojson80 libpocomongodb80 libpoconet80 libpoconetssl80 libpocoutil80 libpocoxml80 librdkafka1 libre2-9"
)
PACKAGES = {"clickhouse-server": VERSION, "clickhouse-common": VERSION, **dict.fromkeys(LIBRARIES.split())}
TABLE = "/clickhouse/tables/orders"
CONFIG = """\
<yandex>
  <logger><level>information</level><log>{folder}/server.log</log><errorlog>{folder}/error.log</errorlog></logger>
  <listen_host>127.0.0.1</listen_host>
  <http_port>{http}</http_port><tcp_port>{tcp}</tcp_port>
  <interserver_http_host>127.0.0.1</interserver_http_host><interserver_http_port>{interserver}</interserver_http_port>
  <path>{folder}/data/</path><tmp_path>{folder}/tmp/</tmp_path>
  <users_config>{folder}/users.xml</users_config><default_profile>default</default_profile><default_database>default</default_database>
  <mark_cache_size>5242880</mark_cache_size><uncompressed_cache_size>0</uncompressed_cache_size>
  <zookeeper><node index="1"><host>127.0.0.1</host><port>{zookeeper}</port></node><session_timeout_ms>4000</session_timeout_ms></zookeeper>
  <macros><replica>{name}</replica></macros>
</yandex>
"""
USERS = """\
<yandex>
  <profiles><default/></profiles><quotas><default/></quotas>
  <users><default><password></password><networks><ip>127.0.0.1</ip></networks><profile>default</profile><quota>default</quota></default></users>
</yandex>
"""


def install(cache):
    """Downloads ClickHouse."""
    unpacked(cache, PACKAGES)


class Replica:
    """A ClickHouse server."""

    def __init__(self, stage, cache, name):
        self.stage, self.name, self.files = stage, name, unpacked(cache, PACKAGES)
        self.http, interserver, tcp = free_port(), free_port(), free_port()
        self.folder = stage.folder / name
        self.folder.mkdir()
        words = {"zookeeper": stage.server.port, "http": self.http, "tcp": tcp, "interserver": interserver}
        (self.folder / "config.xml").write_text(CONFIG.format(folder=self.folder, name=name, **words))
        (self.folder / "users.xml").write_text(USERS)
        self.process = None

    def start(self):
        """Starts it. Returns when it answers."""
        libraries = [self.files / place / "x86_64-linux-gnu" for place in ("usr/lib", "lib")]
        environment = {**os.environ, "LD_LIBRARY_PATH": ":".join(map(str, libraries))}
        command = [self.files / "usr/sbin/clickhouse-server", f"--config-file={self.folder / 'config.xml'}"]
        self.process = self.stage.start(command, self.name, env=environment, cwd=self.folder)
        self.stage.until(f"{self.name} to answer", lambda: self.process.poll() is not None or self.query("SELECT 1") == ["1"])
        if self.process.poll() is not None:
            raise AssertionError(f"ClickHouse's replica {self.name} has ended, see its log")

    def query(self, text):
        """Returns the lines of the answer; nothing if it has failed or is not there."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.http}/", text.encode(), timeout=30) as answer:
                return answer.read().decode().splitlines()
        except urllib.error.HTTPError as error:
            return error.read().decode(errors="replace").splitlines()[:1] + ["FAILED"]
        except OSError:
            return None

    def add(self, number, item):
        """Adds a row, as soon as the table takes it."""
        self.stage.until(f"{self.name} to take {item}", lambda: self.query(f"INSERT INTO orders VALUES ({number}, '{item}')") == [])


def run(stage, cache):
    """Tells the story of replicas a and b."""
    a, b = Replica(stage, cache, "a"), Replica(stage, cache, "b")

    def same_rows(*items):
        for replica in (a, b):
            stage.until(f"{replica.name} to have {items}", lambda: replica.query("SELECT item FROM orders ORDER BY id") == list(items))
        return list(items)

    def leaders():
        answers = {replica.name: replica.query("SELECT is_leader FROM system.replicas") for replica in (a, b)}
        return [name for name, answer in answers.items() if answer == ["1"]]

    def tree():
        """Returns the nodes, when both replicas have done what is in their queues."""
        stage.until("empty queues", lambda: not any(stage.children(f"{TABLE}/replicas/{name}/queue") for name in "ab"))
        return [line for line in stage.tree(TABLE, data=False) if "/temp/" not in line]

    for replica in (a, b):
        replica.start()
        replica.query(f"CREATE TABLE orders (id UInt32, item String) ENGINE = ReplicatedMergeTree('{TABLE}', '{{replica}}') ORDER BY id")
        stage.until(f"{replica.name}'s node", lambda: f"{replica.name}" in stage.children(f"{TABLE}/replicas"))
        stage.until("a leader", lambda: leaders() == ["a"])
    stage.watch(f"{TABLE}/replicas/a/is_active")
    a.add(1, "tea")
    same_rows("tea")
    b.add(2, "milk")
    stage.note("the rows of both", same_rows("tea", "milk"))
    stage.note("the tree", tree())

    stage.kill(a.process)
    stage.until("b to lead", lambda: leaders() == ["b"], 90)
    stage.note("events", stage.events("deleted .*is_active"))
    b.add(3, "sugar")
    a.start()
    stage.note("a is back, and has what it missed", same_rows("tea", "milk", "sugar"))
    stage.note("leaders", leaders())

    stage.server.restart()
    a.add(4, "bread")
    b.add(5, "butter")
    stage.note("rows after a restart of the server", same_rows("tea", "milk", "sugar", "bread", "butter"))

    if hasattr(stage.server, "expire"):
        stage.server.expire(f"{TABLE}/replicas/b/is_active")
        b.add(6, "jam")
        same_rows("tea", "milk", "sugar", "bread", "butter", "jam")
    stage.until("both active", lambda: all(stage.children(f"{TABLE}/replicas/{name}").count("is_active") for name in "ab"))
    a.query("OPTIMIZE TABLE orders FINAL")
    b.query("DROP TABLE orders")
    a.query("DROP TABLE orders")
    stage.until("the end of the table's nodes", lambda: not stage.children(TABLE))
