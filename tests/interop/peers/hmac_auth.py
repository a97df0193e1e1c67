"""Challenge-response as courses write it. usage: hmac_auth.py client|server PORT hmac-sha256|sha1 (the secret is "shared")"""
import hashlib
import hmac
import os
import socket
import sys

role, port, digest = sys.argv[1], int(sys.argv[2]), sys.argv[3]


def answer(challenge):
    if digest == "sha1":
        return hashlib.sha1(b"shared" + challenge).hexdigest().encode()
    return hmac.new(b"shared", challenge, hashlib.sha256).digest()


def client():
    sock = socket.create_connection(("127.0.0.1", port))
    sock.send(answer(sock.recv(1024)))
    print(sock.recv(1024).decode(), end="")
    sock.send(b"hello")
    print(sock.recv(1024).decode())


def server():
    listener = socket.create_server(("127.0.0.1", port))
    print(listener.getsockname()[1], flush=True)
    sock, _ = listener.accept()
    challenge = os.urandom(32)
    sock.send(challenge)
    if not hmac.compare_digest(sock.recv(1024), answer(challenge)):
        sys.exit(1)
    sock.send(b"welcome\n")
    sock.send(sock.recv(1024))


client() if role == "client" else server()
