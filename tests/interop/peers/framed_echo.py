"""Frames as courses write them: struct.pack('i', n), then n bytes. usage: framed_echo.py client PORT TEXT... | server PORT"""
import socket
import struct
import sys

role, port, texts = sys.argv[1], int(sys.argv[2]), sys.argv[3:]


def receive(sock, size):
    data = b""
    while len(data) < size:
        chunk = sock.recv(min(1024, size - len(data)))
        if not chunk:
            break
        data += chunk
    return data


def receive_frame(sock):
    header = receive(sock, 4)
    return receive(sock, struct.unpack("i", header)[0]) if header else None


def send_frame(sock, payload):
    sock.sendall(struct.pack("i", len(payload)) + payload)


def client():
    sock = socket.create_connection(("127.0.0.1", port))
    for text in texts:
        send_frame(sock, text.encode())
        print(receive_frame(sock).decode())


def server():
    listener = socket.create_server(("127.0.0.1", port))
    print(listener.getsockname()[1], flush=True)
    sock, _ = listener.accept()
    while (payload := receive_frame(sock)) is not None:
        send_frame(sock, payload)


client() if role == "client" else server()
