"""diffie_hellman in mode psk over ffdhe2048, from docs/protocols/diffie_hellman.md and Python's standard library alone.
usage: diffie_hellman.py client|server PORT (the key is 32 times 0xa5). Slow, and not for secrets."""
import hashlib
import hmac
import os
import socket
import struct
import sys
from fractions import Fraction

NAME = b"netlab diffie_hellman/1"
PSK = b"\xa5" * 32
FFDHE2048, MODE_PSK = 0x0100, 1


def ffdhe_prime(bits, x):  # RFC 7919 appendix A
    e, term = Fraction(0), Fraction(1)
    for k in range(1, 400):
        e += term
        term /= k
    return 2**bits - 2 ** (bits - 64) + (int(e * 2 ** (bits - 130)) + x) * 2**64 - 1


P = ffdhe_prime(2048, 560316)


# --- AES-256-GCM (FIPS 197, SP 800-38D) -----------------------------------------------------------------------------
def xtime(a):
    return (a << 1 ^ (0x1B if a & 0x80 else 0)) & 0xFF


def multiply(a, b):
    product = 0
    while b:
        if b & 1:
            product ^= a
        a, b = xtime(a), b >> 1
    return product


def substitute(a):
    inverse = next((b for b in range(256) if multiply(a, b) == 1), 0)
    result = 0x63
    for i in range(5):
        result ^= (inverse << i | inverse >> 8 - i) & 0xFF
    return result


SBOX = [substitute(a) for a in range(256)]


def expand(key):
    words, rcon = [list(key[i : i + 4]) for i in range(0, 32, 4)], 1
    for i in range(8, 60):
        word = words[i - 1]
        if i % 8 == 0:
            word = [SBOX[b] for b in word[1:] + word[:1]]
            word[0] ^= rcon
            rcon = xtime(rcon)
        elif i % 8 == 4:
            word = [SBOX[b] for b in word]
        words.append([a ^ b for a, b in zip(words[i - 8], word)])
    return [sum(words[i : i + 4], []) for i in range(0, 60, 4)]


def encrypt_block(keys, block):
    state = [a ^ b for a, b in zip(block, keys[0])]
    for number, key in enumerate(keys[1:], 1):
        state = [SBOX[state[(i + 4 * (i % 4)) % 16]] for i in range(16)]  # SubBytes and ShiftRows
        if number < 14:
            columns = [state[i : i + 4] for i in range(0, 16, 4)]
            state = [
                xtime(c[i]) ^ xtime(c[(i + 1) % 4]) ^ c[(i + 1) % 4] ^ c[(i + 2) % 4] ^ c[(i + 3) % 4]
                for c in columns
                for i in range(4)
            ]
        state = [a ^ b for a, b in zip(state, key)]
    return bytes(state)


def gcm(key, counter, text, decrypting):
    keys, nonce = expand(key), struct.pack(">4xQ", counter)
    h = int.from_bytes(encrypt_block(keys, bytes(16)), "big")
    stream = b"".join(encrypt_block(keys, nonce + struct.pack(">I", i + 2)) for i in range((len(text) + 15) // 16))
    other = bytes(a ^ b for a, b in zip(text, stream))
    ciphertext = text if decrypting else other
    y = 0
    padded = ciphertext + bytes(-len(ciphertext) % 16) + struct.pack(">QQ", 0, 8 * len(ciphertext))
    for i in range(0, len(padded), 16):
        x, v, y = y ^ int.from_bytes(padded[i : i + 16], "big"), h, 0
        for bit in range(127, -1, -1):
            if x >> bit & 1:
                y ^= v
            v = v >> 1 ^ (0xE1 << 120 if v & 1 else 0)
    mask = encrypt_block(keys, nonce + b"\0\0\0\1")
    return other, bytes(a ^ b for a, b in zip(y.to_bytes(16, "big"), mask))


def seal(key, counter, text):
    return b"".join(gcm(key, counter, text, False))


def open_sealed(key, counter, sealed):
    text, tag = gcm(key, counter, sealed[:-16], True)
    if not hmac.compare_digest(tag, sealed[-16:]):
        sys.exit("wrong tag")
    return text


# --- the protocol ---------------------------------------------------------------------------------------------------
def mac(key, text):
    return hmac.new(key, text, hashlib.sha256).digest()


class Schedule:
    def __init__(self, secret, *heard):
        self.secret = mac(mac(bytes(32), PSK), secret.to_bytes(256, "big"))
        self.heard = b""
        for text in heard:
            self.hear(text)

    def hear(self, text):
        self.heard += struct.pack(">H", len(text)) + text

    def hash(self):
        return hashlib.sha256(self.heard).digest()

    def derive(self, purpose):
        return mac(self.secret, NAME + b" " + purpose + b"\0" + self.hash() + b"\1")

    def prove(self, role):
        key, proof = self.derive(role + b" proof"), mac(self.derive(role + b" mac"), self.hash())
        self.hear(proof)
        return seal(key, 0, proof)

    def verify(self, role, sealed):
        key, proof = self.derive(role + b" proof"), mac(self.derive(role + b" mac"), self.hash())
        self.hear(proof)
        if not hmac.compare_digest(open_sealed(key, 0, sealed), proof):
            sys.exit("wrong proof")


def read(sock, length):
    text = b""
    while len(text) < length:
        chunk = sock.recv(length - len(text))
        if not chunk:
            sys.exit("cut")
        text += chunk
    return text


def receive(sock, head=">H"):
    (length,) = struct.unpack(head, read(sock, struct.calcsize(head)))
    return read(sock, length)


def send(sock, text, head=">H"):
    sock.sendall(struct.pack(head, len(text)) + text)


def check(value):
    y = int.from_bytes(value, "big")
    if len(value) != 256 or not 2 <= y <= P - 2 or pow(y, (P - 1) // 2, P) != 1:
        sys.exit("wrong public value")
    return y


x = int.from_bytes(os.urandom(32), "big") | 1 << 255
ours = os.urandom(32) + pow(2, x, P).to_bytes(256, "big")
head = NAME + struct.pack(">HB", FFDHE2048, MODE_PSK)


def client(port):
    sock = socket.create_connection(("127.0.0.1", port))
    send(sock, head + ours)
    answer = receive(sock)
    keys = Schedule(pow(check(answer[32:288]), x, P), head + ours, answer[:288])
    keys.verify(b"server", answer[288:])
    send(sock, keys.prove(b"client"))
    print("fingerprint", keys.derive(b"fingerprint")[:16].hex())
    for number, text in enumerate([b"hello", b"from Python"]):
        send(sock, seal(keys.derive(b"client messages"), number, text), ">I")
        print(open_sealed(keys.derive(b"server messages"), number, receive(sock, ">I")).decode())


def server():
    listener = socket.create_server(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    sock, _ = listener.accept()
    hello = receive(sock)
    if hello[:26] != head:
        sys.exit("wrong hello")
    keys = Schedule(pow(check(hello[58:]), x, P), hello, ours)
    send(sock, ours + keys.prove(b"server"))
    keys.verify(b"client", receive(sock))
    print("fingerprint", keys.derive(b"fingerprint")[:16].hex(), flush=True)
    text = open_sealed(keys.derive(b"client messages"), 0, receive(sock, ">I"))
    send(sock, seal(keys.derive(b"server messages"), 0, text), ">I")


client(int(sys.argv[2])) if sys.argv[1] == "client" else server()
