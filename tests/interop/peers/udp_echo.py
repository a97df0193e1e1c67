"""UDP echo as courses write it: one recvfrom(1024) is one message. usage: udp_echo.py client PORT TEXT... | server PORT COUNT"""
import socket
import sys

role, port, *rest = sys.argv[1:]
sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)


def client():
    for text in rest:
        sock.sendto(text.encode(), ("127.0.0.1", int(port)))
        reply, _ = sock.recvfrom(1024)
        print(reply.decode())


def server():
    sock.bind(("127.0.0.1", int(port)))
    print(sock.getsockname()[1], flush=True)
    for _ in range(int(rest[0])):
        message, peer = sock.recvfrom(1024)
        print(message.decode(), flush=True)
        sock.sendto(message.upper(), peer)


client() if role == "client" else server()
