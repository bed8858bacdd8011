"""Runs a test suite whose harness starts servers of Apache ZooKeeper with zk-mini in their place; standard library only.

usage: with_servers.py COMMAND [ARGUMENT...]

The harness starts a process for each server: `java` or `zkServer.sh` beside this file, first on the PATH of the command. The
servers of one ensemble are those of one `zk-mini serve --servers N`, in ZK_MINI. The first process of an ensemble starts it, and the
end of a process stops its server; after the last one there is no zk-mini any more. When the command ends, or this program is killed,
so is everything that they have started.

ZOOKEEPER_PORT_OFFSET is set to the first of a block of free ports. The file WITH_SERVERS_LOG gets the states of the servers, each as
soon as it is known: `start`, then `ready` or `failed`.
"""

import asyncio
import collections
import contextlib
import ctypes
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

from ports import reserved

# Ports of an ensemble of three, of which kazoo's harness takes ten a server.
PORTS = 30

# Maximum wait for a server to start, in seconds.
PATIENCE = 30

WITHOUT_PROXY = urllib.request.build_opener(urllib.request.ProxyHandler({}))

# Maximum wait of the first server for the others, in seconds: those that come later join an epoch that has begun.
ELECTION = 2

# Maximum wait for clients to notice the end of a server, in seconds: about what Apache ZooKeeper takes to come back. zk-mini is back
# within milliseconds, and a client that has not noticed yet would send its next request into the old connection.
NOTICE = 1

# State of a socket whose other end is closed, and that is not closed itself, in proc(5)'s tables.
CLOSE_WAIT = "08"

# Maximum length of the message of a process, in bytes.
LONGEST = 1 << 16

# Settings that are properties of Java without `zookeeper.`, and that zk-mini has in its zoo.cfg, too.
JAVA_ONLY = {"jute.maxbuffer", "znode.container.checkIntervalMs"}

# prctl(2): signal that a process gets when its parent ends.
PR_SET_PDEATHSIG = 1


class Config:
    """A server's zoo.cfg, with the properties of Java, which are also entries."""

    def __init__(self, file, properties, compat):
        self.compat = compat
        prefix = "zookeeper."
        names = {key: key.removeprefix(prefix) for key in properties if key.startswith(prefix) or key in JAVA_ONLY}
        lines = pathlib.Path(file).read_text(encoding="utf-8").splitlines()
        lines += [f"{name}={properties[key]}" for key, name in names.items()]
        self.text = "".join(line + "\n" for line in lines)
        self.entries = dict(line.strip().partition("=")[::2] for line in lines if not line.startswith("#"))
        jaas = pathlib.Path(properties.get("java.security.auth.login.config", os.devnull))
        # A harness may write the file in any case. Without the section, Java has no SASL.
        self.jaas = jaas if re.search(r"^Server\b", jaas.read_text(encoding="utf-8"), re.MULTILINE) else None
        numbers = sorted(int(key.removeprefix("server.")) for key in self.entries if re.fullmatch(r"server\.\d+", key))
        self.size = max(1, len(numbers))
        if self.size > 1 and numbers != list(range(1, self.size + 1)):
            raise ValueError(f"the servers have the numbers {numbers}, not 1 to {self.size}")
        watching = [number for number in numbers if ":observer" in self.entries[f"server.{number}"]]
        self.observers = len(watching)
        if watching != numbers[self.size - self.observers :]:
            raise ValueError(f"the observers are {watching}, and not the last servers")
        self.number = 1
        if self.size > 1:
            self.number = int(pathlib.Path(self.entries["dataDir"], "myid").read_text(encoding="utf-8"))

    def ports(self, key):
        """Returns the port of each server by this key; none if it has none.

        It is as far from the port for peers as this server's own, or the one behind the semicolon of the server's line.
        """
        lines = [self.entries.get(f"server.{number}", "") for number in range(1, self.size + 1)]
        if key in self.entries:
            own = int(self.entries[key])
            if self.size == 1:
                return [own]
            peers = [int(line.split(":")[1]) for line in lines]
            return [port + own - peers[self.number - 1] for port in peers]
        if key == "clientPort" and all(";" in line for line in lines):
            return [int(line.rpartition(";")[2].rpartition(":")[2]) for line in lines]
        return []

    def identity(self):
        """Returns the same for all servers of one ensemble. One alone with port 0 is an ensemble of its own."""
        ports = self.ports("clientPort") or self.ports("secureClientPort")
        if not ports:
            raise ValueError("no port for clients")
        return tuple(ports) if any(ports) else object()


def is_noticed(port):
    """Returns whether no client of a server that has ended at this port has its connection still open."""
    for table in "tcp", "tcp6":
        for line in pathlib.Path("/proc/net", table).read_text(encoding="ascii").splitlines()[1:]:
            _, _, remote, state, *_ = line.split()
            if state == CLOSE_WAIT and int(remote.rpartition(":")[2], 16) == port:
                return False
    return True


async def noticed(addresses):
    """Waits until the clients of servers that have ended have noticed it, at most for `NOTICE`."""
    ports = [int(address.rpartition(":")[2]) for address in addresses]
    end = time.monotonic() + NOTICE
    while not all(is_noticed(port) for port in ports) and time.monotonic() < end:
        await asyncio.sleep(0.001)


class Ensemble:
    """The servers of one ensemble, in one zk-mini."""

    def __init__(self, folder):
        self.folder = folder
        self.changes = asyncio.Condition()
        # Numbers of the servers that have a process.
        self.present = set()
        # Those of them that have been started in zk-mini.
        self.running = set()
        self.is_starting = False
        self.process = None
        self.url = None
        # Address of each server.
        self.addresses = []

    async def start(self, config):
        """Starts a server, and returns its address. Raises if it does not serve."""
        async with self.changes:
            # Its last process may have ended just now.
            await self.changes.wait_for(lambda: config.number not in self.present)
            self.present.add(config.number)
            self.changes.notify_all()
            if self.process is None and not self.is_starting:
                await self.begin(config)
            await self.changes.wait_for(lambda: not self.is_starting)
            if self.process is None:
                raise OSError("the ensemble has not started")
            if config.number not in self.running:
                self.running.add(config.number)
                await self.order(config.number, "start")
            return self.addresses[config.number - 1]

    async def begin(self, config):
        """Starts the ensemble with the servers that come in time, as with an election."""
        self.is_starting = True
        try:
            all_present = self.changes.wait_for(lambda: len(self.present) == config.size)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(all_present, ELECTION)
            await self.launch(config)
            self.running = set(self.present)
            for other in set(range(1, config.size + 1)) - self.present:
                await self.order(other, "stop")
        finally:
            self.is_starting = False
            self.changes.notify_all()

    async def stop(self, config):
        """Stops a server, and the whole if it was the last one."""
        async with self.changes:
            await self.changes.wait_for(lambda: not self.is_starting)
            self.present.discard(config.number)
            if not self.present:
                await self.end()
            elif config.number in self.running:
                self.running.discard(config.number)
                await self.order(config.number, "stop")
                await noticed([self.addresses[config.number - 1]])
            self.changes.notify_all()

    async def launch(self, config):
        file = self.folder / f"{id(self)}.cfg"
        file.write_text(config.text, encoding="utf-8")
        options = ["--compat", config.compat, "--config", file, "--sync", "none", "--ready", "json", "--stop-on-eof", "--http", "127.0.0.1:0"]
        options += ["--jaas", config.jaas] if config.jaas else []
        if config.size > 1:
            options.append(f"--servers={config.size - config.observers}")
        if config.observers:
            options.append(f"--observers={config.observers}")
        for key, option in ("clientPort", "--listen"), ("secureClientPort", "--tls-listen"):
            options += [f"{option}={port}" for port in config.ports(key)]
        self.process = await asyncio.create_subprocess_exec(
            os.environ["ZK_MINI"], "serve", *options, stdin=subprocess.PIPE, stdout=subprocess.PIPE
        )
        lines = [await asyncio.wait_for(self.process.stdout.readline(), PATIENCE) for _ in range(config.size)]
        if not all(lines):
            await self.end()
            raise OSError("zk-mini has not started")
        ready = [json.loads(line) for line in lines]
        self.url = f"http://{ready[0]['http_on'][0]}"
        self.addresses = [(server["listen"] or server["tls"])[0] for server in ready]

    async def order(self, server, action):
        request = urllib.request.Request(f"{self.url}/v1/servers/{server}/{action}", method="POST")
        await asyncio.to_thread(lambda: WITHOUT_PROXY.open(request, timeout=PATIENCE).close())

    async def end(self):
        if self.process:
            self.process.stdin.close()
            await self.process.wait()
            await noticed(self.addresses)
            self.process = None
            self.running = set()


class Keeper:
    """All ensembles, by the ports of their servers."""

    def __init__(self, folder, log):
        self.log = log
        self.ensembles = collections.defaultdict(lambda: Ensemble(folder))

    def note(self, state, server):
        with open(self.log, "a", encoding="utf-8") as log:
            print(state, server, file=log)

    async def listen(self, listener):
        """Serves processes for ever."""
        attending = set()
        while True:
            connection, _ = await asyncio.get_running_loop().sock_accept(listener)
            attending.add(asyncio.create_task(self.attend(connection)))

    async def attend(self, connection):
        """Serves the process of one server, from its start to its end, and holds its outputs meanwhile."""
        connection.setblocking(True)
        start, outputs, _, _ = await asyncio.to_thread(socket.recv_fds, connection, LONGEST, 2)
        reader, writer = await asyncio.open_connection(sock=connection)
        try:
            if start:
                await self.keep(json.loads(start), reader, writer)
        except ConnectionError:
            pass
        finally:
            for output in outputs:
                os.close(output)
            writer.close()

    async def keep(self, start, reader, writer):
        try:
            config = Config(start["config"], start["properties"], start["compat"])
            ensemble = self.ensembles[config.identity()]
        except (KeyError, OSError, ValueError) as error:
            print(f"with_servers: {start['config']}: {error!r}", file=sys.stderr)
            self.note("failed", f"pid {start['pid']} with {start['config']}")
            return
        server = f"pid {start['pid']}, server {config.number}"
        self.note("start", server)
        try:
            address = await ensemble.start(config)
            self.note("ready", server)
            writer.write(f"listening on {address}\n".encode())
            await reader.read()
        except (OSError, TimeoutError, ValueError) as error:
            print(f"with_servers: {server}: {error}", file=sys.stderr)
            self.note("failed", server)
        finally:
            await ensemble.stop(config)

    async def end(self):
        for ensemble in self.ensembles.values():
            await ensemble.end()


def end_with_parent():
    """Lets this process end when its parent does."""
    ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGTERM)


async def run(command, folder):
    keeper = Keeper(folder, os.environ.get("WITH_SERVERS_LOG", os.devnull))
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(folder / "keeper"))
    listener.listen()
    listener.setblocking(False)
    with reserved(PORTS) as first:
        here = pathlib.Path(__file__).resolve().parent
        environment = {
            **os.environ,
            "PATH": f"{here}{os.pathsep}{os.environ['PATH']}",
            "WITH_SERVERS": str(folder / "keeper"),
            "ZOOKEEPER_PORT_OFFSET": str(first),
        }
        listening = asyncio.create_task(keeper.listen(listener))
        suite = await asyncio.create_subprocess_exec(*command, env=environment, preexec_fn=end_with_parent)
        ended = asyncio.create_task(suite.wait())
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, suite.kill)
        status = await ended
        listening.cancel()
        await keeper.end()
        return status if status >= 0 else 128 - status


def main():
    end_with_parent()
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(asyncio.run(run(sys.argv[1:], pathlib.Path(folder))))


main()
