"""TCP echo on Python's selectors, one thread: the shape of the example in its documentation, with partial sends kept."""

import selectors
import socket

READ_SIZE = 64 * 1024

selector = selectors.DefaultSelector()
unsent: dict[socket.socket, bytes] = {}


def accept(listener: socket.socket, _events: int) -> None:
    connection, _peer = listener.accept()
    connection.setblocking(False)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    selector.register(connection, selectors.EVENT_READ, echo)


def echo(connection: socket.socket, events: int) -> None:
    try:
        if events & selectors.EVENT_WRITE:
            send(connection, unsent.pop(connection))
        elif message := connection.recv(READ_SIZE):
            send(connection, message)
        else:
            close(connection)
    except ConnectionError:
        close(connection)


def send(connection: socket.socket, message: bytes) -> None:
    """A peer that is slow to read is not read from until its output has drained."""
    try:
        sent = connection.send(message)
    except BlockingIOError:
        sent = 0
    if sent < len(message):
        unsent[connection] = message[sent:]
        selector.modify(connection, selectors.EVENT_WRITE, echo)
    elif selector.get_key(connection).events != selectors.EVENT_READ:
        selector.modify(connection, selectors.EVENT_READ, echo)


def close(connection: socket.socket) -> None:
    unsent.pop(connection, None)
    selector.unregister(connection)
    connection.close()


with socket.create_server(("127.0.0.1", 0), backlog=4096) as listener:
    listener.setblocking(False)
    selector.register(listener, selectors.EVENT_READ, accept)
    print(f"listening on tcp://127.0.0.1:{listener.getsockname()[1]}", flush=True)
    while True:
        for key, events in selector.select():
            key.data(key.fileobj, events)
