"""A talk by turns as courses write it: text without an end, one recv a message, "q" ends.
usage: chat_peer.py client|server tcp|udp PORT (server: 0 takes any free port and prints it first)"""
import socket
import sys

role, transport, port = sys.argv[1], sys.argv[2], int(sys.argv[3])
kind = socket.SOCK_STREAM if transport == "tcp" else socket.SOCK_DGRAM
sock = socket.socket(socket.AF_INET, kind)
address = ("127.0.0.1", port)


def say():
    text = input()
    if transport == "tcp":
        sock.sendall(text.encode())
    else:
        sock.sendto(text.encode(), address)
    return text.lower() != "q"


def hear():
    global address
    if transport == "tcp":
        text = sock.recv(1024).decode()
    else:
        received, address = sock.recvfrom(1024)
        text = received.decode()
    if text.lower() in ("q", ""):
        return False
    print(text, flush=True)
    return True


if role == "client":
    if transport == "tcp":
        sock.connect(address)
    while say() and hear():
        pass
else:
    sock.bind(address)
    print(sock.getsockname()[1], flush=True)
    if transport == "tcp":
        sock.listen()
        sock, _ = sock.accept()
    while hear() and say():
        pass
sock.close()
