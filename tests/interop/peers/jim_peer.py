"""What the JIM programs of courses have in common: one send is one object, one recv of 1024 bytes is one object too, and
whatever does not fit that is lost. The dialects are in jim_a.py, jim_b.py and jim_c.py. Objects that came by themselves,
while a busy machine kept the client from running, are not lost: the system counts what came.
usage: jim_X.py client PORT NAME (lines of stdin: "NAME text", or "q") | jim_X.py server (prints its port first)"""
import json
import select
import socket
import struct
import sys
import time

BUFFER = 1024
POLL = 0.2  # seconds between a server's looks at its sockets
SEGMENTS_WITH_DATA = 152  # where struct tcp_info of Linux counts those that have come
KEYBOARD = open(0, "rb", buffering=0)  # a buffer would hide lines from select


def say(text):
    print(text, flush=True)


def send(sock, obj):
    sock.sendall(json.dumps(obj).encode())


def receive(sock):
    """One recv is one object; None: the other side has left."""
    data = sock.recv(BUFFER)
    return json.loads(data.decode()) if data else None


def segments(sock):
    """How many segments with data have come; 0 where the system does not say it."""
    if sys.platform != "linux":
        return 0
    info = sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    return struct.unpack_from("=I", info, SEGMENTS_WITH_DATA)[0] if len(info) >= SEGMENTS_WITH_DATA + 4 else 0


class Ear:
    """What comes to a client. Two objects in one recv are an error if one write brought them, as every program of the
    courses would find; if each had a segment of its own, it is this program that came too late."""

    def __init__(self, sock):
        self.sock = sock
        self.taken = 0  # segments

    def receive(self):
        """The objects of one recv; none: the other side has left."""
        data = self.sock.recv(BUFFER)
        objects = split(data)
        while objects is None and segments(self.sock) > self.taken + 1:  # it was so late that a recv ends in an object
            data += self.sock.recv(BUFFER)
            objects = split(data)
        if objects is None or len(objects) > max(1, segments(self.sock) - self.taken):
            sys.exit("not one object: %r" % data)
        self.taken += len(objects)
        return objects


def split(data):
    """The objects in these bytes; None if they are not whole."""
    objects = []
    try:
        text = data.decode()
        while text:
            obj, end = json.JSONDecoder().raw_decode(text)
            objects.append(obj)
            text = text[end:].lstrip()
        return objects
    except ValueError:
        return None


def client(dialect, port, name):
    sock = socket.create_connection(("127.0.0.1", port))
    ear = Ear(sock)
    send(sock, dialect.presence(name))
    welcome, *early = ear.receive()
    if not dialect.welcome(welcome):
        sys.exit("refused")
    say("online")
    for obj in early:
        say(dialect.show(obj, name))
    while True:
        for ready in select.select([sock, KEYBOARD], [], [])[0]:
            if ready is sock:
                objects = ear.receive()
                if not objects:
                    return say("the server has left")
                for obj in objects:
                    say(dialect.show(obj, name))
                continue
            line = KEYBOARD.readline().decode().rstrip("\n")
            if line in ("", "q"):
                send(sock, dialect.goodbye(name))
                return
            to, text = line.split(" ", 1)
            send(sock, dialect.message(name, to, text))


def server(dialect):
    listener = socket.create_server(("127.0.0.1", 0))
    say(listener.getsockname()[1])
    names = {}  # by socket; None: not logged in
    while True:
        time.sleep(POLL)
        for sock in select.select([listener, *names], [], [], 0)[0]:
            if sock is listener:
                names[listener.accept()[0]] = None
                continue
            try:
                obj = receive(sock)
            except ValueError:  # two objects, a part of one, or no JSON: nothing that could be read
                say(f"{names[sock]} lost something")
                continue
            except OSError:
                obj = None
            if obj is None or not handle(dialect, sock, obj, names):
                say(f"{names.pop(sock)} left {'without a word' if obj is None else 'with a goodbye'}")
                sock.close()


def handle(dialect, sock, obj, names):
    """Whether the client stays."""
    name = dialect.who(obj)
    if name is not None:
        if name in names.values():
            send(sock, dialect.refusal(obj))
            return False
        names[sock] = name
        send(sock, dialect.greeting())
        say(f"{name} is here")
        return True
    if dialect.leaves(obj, names[sock]):
        return False
    to = dialect.addressee(obj, names[sock])
    for other in [other for other, owner in names.items() if owner == to]:
        send(other, obj)
    answer = dialect.receipt(to in names.values())
    if answer is not None:
        send(sock, answer)
    return True


def main(dialect):
    if sys.argv[1] == "client":
        client(dialect, int(sys.argv[2]), sys.argv[3])
    else:
        server(dialect)
