"""SolrCloud: two nodes and a collection; the overseer's node is killed and comes back; the server restarts; a node's session expires."""

import io
import json
import urllib.error
import urllib.parse
import urllib.request
import zipfile

from jars import HEAP, installed
from servers import free_port

SOLR = """\
<solr>
  <solrcloud>
    <str name="host">127.0.0.1</str>
    <int name="hostPort">${hostPort:0}</int>
    <str name="hostContext">${hostContext:solr}</str>
    <int name="zkClientTimeout">5000</int>
  </solrcloud>
</solr>
"""
CONFIG = """\
<config>
  <luceneMatchVersion>9.12</luceneMatchVersion>
  <schemaFactory class="ClassicIndexSchemaFactory"/>
  <updateHandler class="solr.DirectUpdateHandler2"><updateLog/></updateHandler>
  <requestHandler name="/select" class="solr.SearchHandler"/>
</config>
"""
SCHEMA = """\
<schema name="shop" version="1.6">
  <fieldType name="string" class="solr.StrField" docValues="true"/>
  <fieldType name="long" class="solr.LongPointField" docValues="true"/>
  <field name="id" type="string" indexed="true" stored="true" required="true"/>
  <field name="_version_" type="long" indexed="false" stored="false"/>
  <uniqueKey>id</uniqueKey>
</schema>
"""


def install(cache):
    """Fetches Solr."""
    installed(cache, "solr", "Node.java")


class Node:
    """A Solr node."""

    def __init__(self, stage, cache, name, port):
        self.stage, self.name, self.port = stage, name, port
        self.classes = installed(cache, "solr", "Node.java")
        self.home = stage.folder / name
        self.home.mkdir()
        (self.home / "solr.xml").write_text(SOLR)
        stage.name_port(port, f"port of {name}")
        # An underscore is no border of a word.
        stage.same(rf":{port}_solr", f":port of {name}_solr")
        self.process = None

    def start(self):
        """Starts it. Returns when it is one of the live nodes."""
        settings = [f"-DzkHost={self.stage.server.hosts}", f"-Dsolr.log.dir={self.home}", "-Dsolr.install.dir=" + str(self.home)]
        command = ["java", "-Xmx256m", *HEAP, *settings, "-cp", self.classes, "Node", self.home, self.port]
        self.process = self.stage.start(command, self.name)
        live = f"127.0.0.1:{self.port}_solr"
        self.stage.until(
            f"{self.name} to be live", lambda: self.process.poll() is not None or live in self.stage.children("/live_nodes"), 120
        )
        if self.process.poll() is not None:
            raise AssertionError(f"Solr's node {self.name} has ended, see its log")

    def ask(self, path, body=None, kind="application/json", **words):
        """Returns the answer as JSON; nothing if it is refused or the node is not there."""
        url = f"http://127.0.0.1:{self.port}/solr/{path}?{urllib.parse.urlencode({'wt': 'json', **words})}"
        request = urllib.request.Request(url, body, {"Content-Type": kind} if body else {})
        try:
            with urllib.request.urlopen(request, timeout=120) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            self.stage.refused = error.read().decode(errors="replace")[:500]
            return None
        except OSError:
            return None

    def ids(self):
        """Returns the ids of all documents that this node finds."""
        said = self.ask("orders/select", q="*:*", sort="id asc", fl="id", rows="100")
        return [found["id"] for found in said["response"]["docs"]] if said else None

    def add(self, name):
        """Adds a document as soon as the collection takes it."""
        body = json.dumps([{"id": name}]).encode()
        self.stage.until(f"{self.name} to take {name}", lambda: self.ask("orders/update", body, commit="true"), 120)


def run(stage, cache):
    """Tells the story of nodes a and b."""
    # Solr places replicas in the order of the nodes' names.
    ports = sorted(free_port() for _ in range(2))
    a, b = (Node(stage, cache, name, port) for name, port in zip("ab", ports))
    stage.same(r"\b\d{17,20}-", "SESSION-")
    # Both replicas run for the leader of the shard at the same time: either may be the first.
    stage.same(r"core_node\d+-n_\d+", "core_nodeN-n_NUMBER")

    def overseer():
        leader = json.loads(stage.get("/overseer_elect/leader") or b"{}").get("id", "")
        return next((node.name for node in (a, b) if f":{node.port}_solr" in leader), None)

    def wait_for(*ids):
        for node in (a, b):
            stage.until(f"{node.name} to find {ids}; refused: {getattr(stage, 'refused', '')}", lambda: node.ids() == list(ids), 120)
        return list(ids)

    def states(collection):
        state = json.loads(stage.get(f"/collections/{collection}/state.json"))[collection]
        replicas = [replica for shard in state["shards"].values() for replica in shard["replicas"].values()]
        return sorted(f"{replica['type']} {replica['state']} {replica.get('leader', '')}" for replica in replicas)

    def tree():
        """Returns the nodes that stay: the queues are empty by and by."""
        lines = stage.tree("/", data=False)
        return [line.split(" of session")[0] for line in lines if not line.startswith(("/overseer/", "/terms"))]

    a.start()
    stage.note("overseer", stage.until("an overseer", overseer))
    b.start()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("solrconfig.xml", CONFIG)
        archive.writestr("schema.xml", SCHEMA)
    made = a.ask("admin/configs", packed.getvalue(), "application/octet-stream", action="UPLOAD", name="shop")
    stage.note("configuration", made and made["responseHeader"]["status"])
    words = {"action": "CREATE", "numShards": "1", "collection.configName": "shop"}
    made = a.ask("admin/collections", name="orders", replicationFactor="2", **words)
    stage.note("collection", made and made["responseHeader"]["status"])
    stage.until("active replicas", lambda: states("orders") == ["NRT active ", "NRT active true"])
    a.add("tea")
    b.add("milk")
    stage.note("both find", wait_for("milk", "tea"))
    stage.note("the tree", tree())

    stage.watch("/overseer_elect/leader")
    stage.kill(a.process)
    stage.note("overseer when a is dead", stage.until("b as overseer", lambda: overseer() == "b" and "b", 120))
    stage.note("events", stage.events("created .*leader"))
    b.add("sugar")
    stage.note("b finds", stage.until("all of b", lambda: b.ids() == ["milk", "sugar", "tea"] and b.ids()))
    made = b.ask("admin/collections", name="carts", replicationFactor="1", **words)
    stage.note("a collection by the new overseer", made and made["responseHeader"]["status"])
    a.start()
    stage.note("a is back, and finds what it missed", wait_for("milk", "sugar", "tea"))
    stage.until("active replicas", lambda: states("orders") == ["NRT active ", "NRT active true"], 120)

    stage.server.restart()
    b.add("bread")
    stage.note("after a restart of the server", wait_for("bread", "milk", "sugar", "tea"))
    stage.note("overseer", stage.until("an overseer", overseer))

    if hasattr(stage.server, "expire"):
        stage.server.expire(f"/live_nodes/127.0.0.1:{b.port}_solr")
        stage.until("a as overseer", lambda: overseer() == "a", 120)
        stage.until("both live", lambda: len(stage.children("/live_nodes")) == 2, 120)
        b.add("butter")
        wait_for("bread", "butter", "milk", "sugar", "tea")
