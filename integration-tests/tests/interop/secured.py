"""TLS with kazoo; `ZK_HOSTS` is the address of the server, `CERTIFICATES` the directory with the certificates."""

import os
import unittest

from kazoo.client import KazooClient
from kazoo.exceptions import NoAuthError
from kazoo.handlers.threading import KazooTimeoutError
from kazoo.security import make_acl

PATIENCE = 10


def path(name):
    return os.path.join(os.environ["CERTIFICATES"], name)


class Secured(unittest.TestCase):
    def connect(self, patience=PATIENCE, **options):
        zk = KazooClient(hosts=os.environ["ZK_HOSTS"], use_ssl=True, ca=path("ca.pem"), **options)
        self.addCleanup(zk.close)
        self.addCleanup(zk.stop)
        zk.start(timeout=patience)
        return zk

    def test_a_certificate_opens_a_node_that_is_for_it_alone(self):
        client = self.connect(certfile=path("client.pem"), keyfile=path("client.pem"))
        other = self.connect(certfile=path("odd.pem"), keyfile=path("odd.pem"))
        client.create("/mine", b"one", acl=[make_acl("x509", "CN=client", all=True)])
        self.assertEqual(client.get("/mine")[0], b"one")
        with self.assertRaises(NoAuthError):
            other.get("/mine")
        large = b"x" * 1_000_000
        client.set("/mine", large)
        self.assertEqual(client.get("/mine")[0], large)

    def test_a_client_without_a_certificate_is_refused(self):
        with self.assertRaises(KazooTimeoutError):
            self.connect(patience=1)


if __name__ == "__main__":
    unittest.main()
