"""TCP echo on Python's socketserver, one thread a connection."""

import socket
import socketserver

READ_SIZE = 64 * 1024


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while message := self.request.recv(READ_SIZE):
                self.request.sendall(message)
        except ConnectionError:
            pass


class Server(socketserver.ThreadingTCPServer):
    daemon_threads = True
    request_queue_size = 4096


with Server(("127.0.0.1", 0), Echo) as server:
    print(f"listening on tcp://127.0.0.1:{server.server_address[1]}", flush=True)
    server.serve_forever()
