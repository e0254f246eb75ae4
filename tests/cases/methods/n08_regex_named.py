# META {"args": ["ann@example.org, bob@test.net"], "expect": {"ann": "example.org", "bob": "test.net"}}
import re

def parse_addresses(self, text):
    pattern = re.compile(r"(?P<user>[\w.]+)@(?P<host>[\w.]+\w)", re.IGNORECASE)
    return {m["user"]: m["host"] for m in pattern.finditer(text)}
