"""A client of the file server, from docs/protocols/files.md and Python's standard library alone.

Usage: files.py PORT upload FILE NAME [--cut BYTES] | download NAME FILE [--cut BYTES] | say LINE...

Both transfers go on where an earlier one broke off; --cut breaks off after so many bytes of this attempt (exit code 75).
"""

import hashlib
import os
import socket
import sys


class Client:
    def __init__(self, port):
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self.stream = self.socket.makefile("rb")
        self.expect(self.reply(), 220)

    def send(self, line):
        self.socket.sendall(line.encode() + b"\r\n")

    def reply(self):
        """The next reply: its code, and its last line's text."""
        while True:
            line = self.stream.readline()
            if not line.endswith(b"\n"):
                raise EOFError("the server has closed the connection")
            code, mark, text = int(line[:3]), line[3:4], line[4:].decode().rstrip("\r\n")
            if mark == b"-":
                print(text)
            elif code not in (102, 110):
                return code, text

    def ask(self, line):
        self.send(line)
        return self.reply()

    @staticmethod
    def expect(reply, *codes):
        if reply[0] not in codes:
            raise SystemExit(f"{reply[0]} {reply[1]}")
        return reply


def values(text):
    return dict(word.split("=", 1) for word in text.split(" ") if "=" in word)


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def upload(client, path, name, cut):
    content = open(path, "rb").read()
    who = "TOKEN=" + sha256(os.path.abspath(path).encode())[:32]
    code, text = client.expect(client.ask(f'STAT "{name}" {len(content)} {who}'), 213, 350, 550)
    offset = 0
    if code == 350 and values(text)["prefix"] == sha256(content[: int(text.split(" ")[1])]):
        offset = int(text.split(" ")[1])
    prefix = f"PREFIX={sha256(content[:offset])}" if offset else ""
    line = f'UPLOAD "{name}" {len(content)} {offset} {prefix} {who} SHA256=AFTER WAIT'
    client.expect(client.ask(line), 150)
    print(f"from {offset}")
    if cut is not None:
        client.socket.sendall(content[offset : offset + cut])
        sys.exit(75)
    client.socket.sendall(content[offset:])
    code, text = client.expect(client.ask(sha256(content)), 226)
    assert values(text)["sha256"] == sha256(content)
    print("stored")


def download(client, name, path, cut):
    have = open(path, "rb").read() if os.path.exists(path) else b""
    prefix = f"PREFIX={sha256(have)}" if have else ""
    code, text = client.expect(client.ask(f'DOWNLOAD "{name}" {len(have)} {prefix}'), 150)
    count = int(text.split(" ")[0])
    print(f"from {len(have)}")
    with open(path, "ab") as file:
        if cut is not None:
            file.write(client.stream.read(cut))
            sys.exit(75)
        file.write(client.stream.read(count))
    code, text = client.expect(client.reply(), 226)
    assert values(text)["sha256"] == sha256(open(path, "rb").read())
    print("fetched")


def main():
    port, what, *rest = sys.argv[1:]
    cut = int(rest.pop()) if "--cut" in rest and rest.remove("--cut") is None else None
    client = Client(int(port))
    if what == "say":
        for line in rest:
            print("%d %s" % client.ask(line))
    else:
        {"upload": upload, "download": download}[what](client, *rest, cut)
        client.expect(client.ask("QUIT"), 221)


main()
