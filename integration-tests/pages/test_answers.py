"""Comparison of the answers on a page with those that came."""

import json
import unittest

from answers import Names, answer_of, differs


class Comparison(unittest.TestCase):
    def test_times_and_addresses_may_vary_and_nothing_else(self):
        names = Names()
        shown = '{"ctime": 1790000000000, "client": "127.0.0.1:50000", "version": 1}'
        self.assertIsNone(differs(shown, '{"ctime":1790000000001,"client":"127.0.0.1:4711","version":1}', names))
        self.assertIn('"version":2', differs(shown, '{"ctime":1790000000001,"client":"127.0.0.1:4711","version":2}', names))
        self.assertTrue(differs(shown, '{"ctime":1790000000001,"client":"127.0.0.1:4711"}', names))
        self.assertIsNone(differs("created: ephemeral, 87 bytes", "created: ephemeral, 85 bytes", names))
        self.assertTrue(differs("created: ephemeral, 87 bytes", "created: 85 bytes", names))

    def test_a_session_on_the_page_is_the_same_everywhere(self):
        names = Names()
        self.assertIsNone(differs('["0x100000000000001"]', '["0x2000000000000aa"]', names))
        self.assertEqual(names.actual("/sessions/0x100000000000001/expire"), "/sessions/0x2000000000000aa/expire")
        self.assertIsNone(differs("0x100000000000001 ended", "0x2000000000000aa ended", names))
        self.assertTrue(differs("0x100000000000001 ended", "0x2000000000000bb ended", names))
        self.assertTrue(differs("0x100000000000002 ended", "0x2000000000000aa ended", names))

    def test_a_process_of_an_instance_is_the_same_everywhere(self):
        names = Names()
        self.assertIsNone(differs('up  100  instance="1234-661624a7dc1b3"', 'up  100  instance="56-77aa"', names))
        self.assertIsNone(differs('{"instance": "1234-661624a7dc1b3"}', '{"instance":"56-77aa"}', names))
        self.assertTrue(differs('{"instance": "1234-661624a7dc1b3"}', '{"instance":"57-77aa"}', names))

    def test_long_json_is_laid_out_in_lines(self):
        value = {"path": "/a", "children": [{"path": f"/a/{number}", "data": "x" * 30} for number in range(3)], "n": 1}
        text = answer_of(json.dumps(value))
        self.assertEqual(json.loads(text), value)
        self.assertLessEqual(max(map(len, text.splitlines())), 111)


if __name__ == "__main__":
    unittest.main()
