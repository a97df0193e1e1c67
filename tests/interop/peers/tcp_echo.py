"""TCP echo as courses write it: one recv(1024) is one message. usage: tcp_echo.py client PORT [--greet] TEXT... | server PORT [--greet]"""
import socket
import sys

role, port, *texts = sys.argv[1:]
address = ("127.0.0.1", int(port))
greet = "--greet" in texts


def client():
    sock = socket.socket()
    sock.connect(address)
    if greet:
        print(sock.recv(1024).decode())
    for text in texts:
        if text != "--greet":
            sock.send(text.encode())
            print(sock.recv(1024).decode())
    sock.close()


def server():
    listener = socket.socket()
    listener.bind(address)
    listener.listen(5)
    print(listener.getsockname()[1], flush=True)
    sock, _ = listener.accept()
    if greet:
        sock.send(b"welcome")
    while data := sock.recv(1024):
        print(data.decode(), flush=True)
        sock.send(data.upper())


client() if role == "client" else server()
