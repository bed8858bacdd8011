"""Answers on a page and answers that came: their layout, and what may vary in them."""

import json
import re

WIDTH = 110

# Another run has others.
VARYING = re.compile(
    r"""
    (?P<connection> (?<={"id":")0x[0-9a-f]+(?=","client") )
  | (?P<count>     (?<="connection":")0x[0-9a-f]+ | (?<="connections":\[")0x[0-9a-f]+ | (?<="seq":)\d+ | (?<=^id:\ )\d+-[0-9a-f]+
                 | (?<="received":)\d+ | (?<="sent":)\d+ | (?<="xid":)\d+ | (?<="monotonic_ms":)\d+ | (?<="next_deadline_ms":)(?:\d+|null)
                 # The data of an instance name its process, whose number may have fewer digits.
                 | (?<=ephemeral,\ )\d+(?=\ bytes) )
  | (?P<time>      \b1[5-9]\d{11}\b | \b\d{4}-\d\d-\d\d[T\ ]\d\d:\d\d:\d\d(?:\.\d+)?(?:\ ?Z|\ UTC|[+-]\d\d:?\d\d)?
                 | (?<=date:\ )\w{3},\ \d\d\ \w{3}\ \d{4}\ [\d:]{8}\ GMT )
  | (?P<span>      (?<="since_ms":)\d+ | (?<="last_heard_ms":)\d+ | (?<="expires_in_ms":)-?\d+ | \b\d+(?:\.\d+)?\ ?(?:ms|s)\b )
  | (?P<node>      \b[0-9a-f]{32}-\d{10}\b )
  # A process id, and a number that tells processes with the same one apart.
  | (?P<process>   (?<=instance=")\d+-[0-9a-f]+ | (?<="instance":")\d+-[0-9a-f]+ )
  | (?P<id>        \b0x[0-9a-f]{9,16}\b )
  | (?P<address>   \b(?:127\.0\.0\.1|localhost|\[::1\]):\d{4,5}\b )
    """,
    re.X | re.M,
)
# The same one on the page stands for the same one in the answers.
NAMING = {"id", "node", "address", "connection", "process"}


class Names:
    """Names on the page and those that they stand for: session ids, addresses."""

    def __init__(self):
        self.by_page, self.ports = {}, {}

    def serves(self, port):
        self.ports = {f"{host}:{port}": f"{host}:2181" for host in ("localhost", "127.0.0.1", "[::1]")}
        self.by_page.update({of_page: actual for actual, of_page in self.ports.items()})

    def actual(self, text):
        """Returns a text of the page with the names of this run."""
        return replaced(text, self.by_page)

    def on_page(self, text):
        """Returns a text of this run with the names of the page."""
        return replaced(text, {actual: name for name, actual in self.by_page.items()})

    def with_port_of_page(self, text):
        """Returns a text of this run with the port of the page, and all other names as they are."""
        return replaced(text, self.ports)


def replaced(text, names):
    if not names:
        return text
    longest_first = sorted(names, key=len, reverse=True)
    pattern = "|".join(rf"{re.escape(name)}(?![0-9a-f])" for name in longest_first)
    return re.sub(pattern, lambda match: names[match.group()], text)


def differs(shown, printed, names):
    """Returns where an answer differs from the one on the page, or `None`."""
    shown, printed = compact(shown), compact(names.on_page(printed))
    wanted, came = shape(shown), shape(printed)
    if wanted != came:
        return difference(wanted, came)
    for one, other in zip(VARYING.finditer(shown), VARYING.finditer(printed)):
        name, actual = one.group(), names.actual(other.group())
        if one.lastgroup == "connection":
            # A small number, which stands for other things elsewhere.
            name, actual = f"/connections/{name}", f"/connections/{actual}"
        if one.lastgroup not in NAMING or names.by_page.get(name) == actual:
            continue
        if name in names.by_page or actual in names.by_page.values():
            return f"{name} on the page stood for another before"
        names.by_page[name] = actual
    return None


def shape(text):
    """Returns a text with a word for each part that varies."""
    return VARYING.sub(lambda match: f"<{match.lastgroup}>", text)


def difference(wanted, came):
    same = next((at for at, pair in enumerate(zip(wanted, came)) if pair[0] != pair[1]), min(len(wanted), len(came)))
    begin = max(0, same - 30)
    return f"the page has {wanted[begin : same + 50]!r}, the answer {came[begin : same + 50]!r}"


def parsed(text):
    try:
        value = json.loads(text)
    except ValueError:
        return None
    return value if isinstance(value, (dict, list)) else None


def compact(text):
    """Returns JSON without its layout, and other text without blanks at the ends of its lines."""
    value = parsed(text)
    if value is not None:
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return "\n".join(line.rstrip() for line in text.strip().splitlines())


def answer_of(text):
    """Returns an answer as a page shows it: JSON in lines of a readable length."""
    value = parsed(text)
    return compact(text) if value is None else laid_out(value, "")


def laid_out(value, indent):
    line = json.dumps(value, ensure_ascii=False)
    if len(indent) + len(line) <= WIDTH or not isinstance(value, (dict, list)) or not value:
        return line
    deeper = indent + "  "
    if isinstance(value, dict):
        parts = [f"{json.dumps(name, ensure_ascii=False)}: {laid_out(part, deeper)}" for name, part in value.items()]
    else:
        parts = [laid_out(part, deeper) for part in value]
    lines, brackets = [], "{}" if isinstance(value, dict) else "[]"
    for part in parts:
        if lines and "\n" not in part + lines[-1] and len(deeper) + len(lines[-1]) + len(part) + 3 <= WIDTH:
            lines[-1] += ", " + part
        else:
            lines.append(part)
    body = ",\n".join(deeper + line for line in lines)
    return f"{brackets[0]}\n{body}\n{indent}{brackets[1]}"
