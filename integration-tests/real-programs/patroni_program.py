"""Patroni with PostgreSQL: two nodes; the leader's machine dies, and comes back; the server restarts; a leader's session expires."""

import json
import os
import pwd
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import psycopg2
from servers import Missing, free_port

BINARIES = Path("/usr/lib/postgresql/15/bin")
USER = "postgres"
SCOPE = "shop"
NODES = f"/service/{SCOPE}"
SETTINGS = """\
scope: {scope}
name: {name}
restapi: {{listen: "127.0.0.1:{rest}", connect_address: "127.0.0.1:{rest}"}}
zookeeper: {{hosts: ["{hosts}"]}}
bootstrap:
  dcs:
    ttl: 8
    loop_wait: 1
    retry_timeout: 3
    maximum_lag_on_failover: 1048576
    postgresql:
      use_pg_rewind: true
      parameters: {{shared_buffers: 16MB, max_connections: 20, wal_keep_size: 64MB, fsync: "off"}}
  initdb: [{{encoding: UTF8}}, data-checksums, no-sync]
postgresql:
  listen: "127.0.0.1:{sql}"
  connect_address: "127.0.0.1:{sql}"
  data_dir: {folder}/{name}/data
  bin_dir: {binaries}
  pgpass: {folder}/{name}/pgpass
  parameters: {{unix_socket_directories: "{folder}/{name}"}}
  pg_hba: [local all all trust, host all all 127.0.0.1/32 trust, host replication all 127.0.0.1/32 trust]
  authentication:
    superuser: {{username: postgres, password: p}}
    replication: {{username: copier, password: p}}
    rewind: {{username: rewinder, password: p}}
"""


def install(_cache):
    """Checks that PostgreSQL is there; Patroni is in requirements.txt."""
    if not (BINARIES / "initdb").is_file():
        raise Missing(f"{BINARIES}/initdb is missing: apt-get install postgresql-15")
    python = Path(sys.executable)
    options = {"user": USER, "group": USER} if os.geteuid() == 0 else {}
    if subprocess.run([python, "-c", "import patroni"], cwd="/", stderr=subprocess.DEVNULL, **options).returncode:
        raise Missing(f"the user {USER} cannot run {python.resolve()}: PostgreSQL does not run as root; use a Python that all may read")


class Node:
    """A machine with Patroni and PostgreSQL."""

    def __init__(self, stage, name):
        self.stage, self.name = stage, name
        self.rest, self.sql = free_port(), free_port()
        stage.name_port(self.rest, f"REST port of {name}")
        stage.name_port(self.sql, f"SQL port of {name}")
        folder = stage.folder / name
        folder.mkdir()
        if os.geteuid() == 0:
            user = pwd.getpwnam(USER)
            os.chown(folder, user.pw_uid, user.pw_gid)
        words = {"hosts": stage.server.hosts, "folder": stage.folder, "binaries": BINARIES, "scope": SCOPE}
        self.config = stage.folder / f"{name}.yml"
        self.config.write_text(SETTINGS.format(name=name, rest=self.rest, sql=self.sql, **words))
        self.process = None

    def start(self):
        """Starts Patroni, which starts PostgreSQL."""
        options = {"user": USER, "group": USER, "extra_groups": []} if os.geteuid() == 0 else {}
        patroni = Path(sys.executable).with_name("patroni")
        self.process = self.stage.start([patroni, self.config], self.name, cwd="/", **options)

    def lose_power(self):
        """Kills Patroni and PostgreSQL at once, without a word to anybody."""
        pid_file = self.stage.folder / self.name / "data/postmaster.pid"
        postmaster = int(pid_file.read_text().splitlines()[0])
        self.stage.freeze(self.process)
        # PostgreSQL is a daemon in a session of its own, and its children end when the postmaster is gone.
        self.stage.kill_group(postmaster)
        self.stage.kill(self.process)

    def state(self):
        """Returns what Patroni says of this node, or nothing."""
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.rest}/patroni", timeout=3) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            return json.load(error)
        except (OSError, ValueError):
            return {}

    def is_in(self, role):
        """Tells if the node runs in this role."""
        state = self.state()
        return state.get("state") == "running" and state.get("role") in role

    def query(self, text):
        """Returns the first column, or nothing while the node does not answer."""
        try:
            connection = psycopg2.connect(
                host="127.0.0.1", port=self.sql, user="postgres", password="p", dbname="postgres", connect_timeout=3
            )
            try:
                connection.autocommit = True
                with connection.cursor() as cursor:
                    cursor.execute(text)
                    return [row[0] for row in cursor.fetchall()] if cursor.description else []
            finally:
                connection.close()
        except psycopg2.Error:
            return None


LEADS, FOLLOWS = ("primary", "master"), ("replica",)


def run(stage, _cache):
    """Tells the story of nodes a and b."""
    stage.same(r"\b7\d{18}\b", "the cluster's id")
    # The positions in the log of PostgreSQL depend on its own timing.
    stage.same(r'"(xlog_location|replay_lsn|receive_lsn|replayed_location|received_location)":\d+,?', "")
    a, b = Node(stage, "a"), Node(stage, "b")

    def role(node):
        """Returns the role that a node has announced."""
        return json.loads(stage.get(f"{NODES}/members/{node.name}") or b"{}").get("role")

    def wait_for(leader, standby=None, rows=None):
        stage.until(f"{leader.name} to lead", lambda: leader.is_in(LEADS), 120)
        stage.until(f"{leader.name} in the leader's node", lambda: stage.get(f"{NODES}/leader") == leader.name.encode(), 30)
        if standby:
            stage.until(f"{standby.name} to follow", lambda: standby.is_in(FOLLOWS), 120)
        stage.until("the announced roles", lambda: role(leader) == "primary" and (not standby or role(standby) == "replica"))
        written = {"status", "history"} if leader is b else {"status"}
        stage.until(f"the nodes {written}", lambda: written <= set(stage.children(NODES)))
        if rows is not None:
            stage.until("the rows", lambda: standby.query("SELECT item FROM orders ORDER BY id") == rows, 60)
        return tree(stage)

    a.start()
    stage.note("a leads alone", wait_for(a))
    b.start()
    wait_for(a, b)
    stage.watch(f"{NODES}/leader")
    a.query("CREATE TABLE orders (id serial, item text)")
    a.query("INSERT INTO orders (item) VALUES ('tea')")
    stage.note("b follows", wait_for(a, b, ["tea"]))

    a.lose_power()
    stage.note("a is dead, b leads", wait_for(b))
    stage.note("the leader's node", stage.events(r"^created .*/leader"))
    b.query("INSERT INTO orders (item) VALUES ('milk')")
    a.start()
    stage.note("a is back, and follows", wait_for(b, a, ["tea", "milk"]))

    stage.server.restart()
    b.query("INSERT INTO orders (item) VALUES ('sugar')")
    stage.note("after a restart of the server", wait_for(b, a, ["tea", "milk", "sugar"]))
    stage.note("b's timeline", b.query("SELECT timeline_id FROM pg_control_checkpoint()"))

    if hasattr(stage.server, "expire"):
        stage.server.expire(f"{NODES}/leader")
        name = stage.until("a leader's node again", lambda: stage.get(f"{NODES}/leader"), 120)
        leads, other = (a, b) if name == b"a" else (b, a)
        wait_for(leads, other)
        leads.query("INSERT INTO orders (item) VALUES ('bread')")
        wait_for(leads, other, ["tea", "milk", "sugar", "bread"])
    for node in (a, b):
        node.process.terminate()
        node.process.wait(60)
    stage.until("the end of both", lambda: not stage.children(f"{NODES}/members"))


def tree(stage):
    """Returns Patroni's nodes; of the long data only what is the same in two runs."""
    lines = []
    for line in stage.tree("/service", data=False):
        path = line.split()[0]
        if path.endswith("/leader"):
            line += " " + stage.get(path).decode()
        elif "/members/" in path:
            member = json.loads(stage.get(path))
            kept = ("conn_url", "api_url", "role")
            line += " " + json.dumps({key: member.get(key) for key in kept})
        lines.append(line)
    return lines
