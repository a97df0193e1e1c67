"""A secure channel with XX and ChaCha20-Poly1305, from docs/protocols/secure_channel.md and Python's standard library alone.
usage: secure_channel.py client PORT | server. Slow, and not for secrets."""
import hashlib
import hmac
import os
import socket
import struct
import sys

NAME = b"Noise_XX_25519_ChaChaPoly_SHA256"
APPLICATION = b"echo/1"
PREAMBLE = b"NPS1" + bytes([len(NAME)]) + NAME
DATA, CLOSE, PADDING = 0, 1, 2


# --- X25519 (RFC 7748) ----------------------------------------------------------------------------------------------
P = 2**255 - 19


def x25519(private, public):
    k = int.from_bytes(private, "little") & (1 << 254) - 8 | 1 << 254
    x1 = int.from_bytes(public, "little") & (1 << 255) - 1
    x2, z2, x3, z3, swap = 1, 0, x1, 1, 0
    for t in range(254, -1, -1):
        if swap != k >> t & 1:
            x2, z2, x3, z3, swap = x3, z3, x2, z2, k >> t & 1
        a, b, c, d = x2 + z2, x2 - z2, x3 + z3, x3 - z3
        da, cb, aa, bb = d * a % P, c * b % P, a * a % P, b * b % P
        x3, z3 = (da + cb) ** 2 % P, x1 * (da - cb) ** 2 % P
        x2, z2 = aa * bb % P, (aa - bb) * (aa + 121665 * (aa - bb)) % P
    if swap:
        x2, z2 = x3, z3
    return (x2 * pow(z2, P - 2, P) % P).to_bytes(32, "little")


# --- ChaCha20-Poly1305 (RFC 8439) -----------------------------------------------------------------------------------
def rotate(x, n):
    return (x << n | x >> 32 - n) & 0xFFFFFFFF


def quarter(s, a, b, c, d):
    for x, y, z, n in ((a, b, d, 16), (c, d, b, 12), (a, b, d, 8), (c, d, b, 7)):
        s[x] = s[x] + s[y] & 0xFFFFFFFF
        s[z] = rotate(s[z] ^ s[x], n)


def block(key, number, nonce):
    start = list(struct.unpack("<16I", b"expand 32-byte k" + key + struct.pack("<I", number) + nonce))
    s = start[:]
    for _ in range(10):
        for i in range(4):
            quarter(s, i, i + 4, i + 8, i + 12)
        for i in range(4):
            quarter(s, i, 4 + (i + 1) % 4, 8 + (i + 2) % 4, 12 + (i + 3) % 4)
    return struct.pack("<16I", *(a + b & 0xFFFFFFFF for a, b in zip(s, start)))


def crypt(key, nonce, text):
    stream = b"".join(block(key, i + 1, nonce) for i in range((len(text) + 63) // 64))
    return bytes(a ^ b for a, b in zip(text, stream))


def tag_of(key, nonce, ad, sealed):
    once = block(key, 0, nonce)
    r, s = int.from_bytes(once[:16], "little") & 0x0FFFFFFC0FFFFFFC0FFFFFFC0FFFFFFF, int.from_bytes(once[16:32], "little")
    padded = ad + bytes(-len(ad) % 16) + sealed + bytes(-len(sealed) % 16) + struct.pack("<QQ", len(ad), len(sealed))
    y = 0
    for i in range(0, len(padded), 16):
        y = (y + int.from_bytes(padded[i : i + 16] + b"\1", "little")) * r % (2**130 - 5)
    return (y + s & 2**128 - 1).to_bytes(16, "little")


def seal(key, counter, ad, text):
    nonce = struct.pack("<4xQ", counter)
    sealed = crypt(key, nonce, text)
    return sealed + tag_of(key, nonce, ad, sealed)


def open_sealed(key, counter, ad, sealed):
    nonce = struct.pack("<4xQ", counter)
    if not hmac.compare_digest(tag_of(key, nonce, ad, sealed[:-16]), sealed[-16:]):
        sys.exit("wrong tag")
    return crypt(key, nonce, sealed[:-16])


# --- the handshake --------------------------------------------------------------------------------------------------
def mac(key, text):
    return hmac.new(key, text, hashlib.sha256).digest()


class Key:
    def __init__(self):
        self.private = os.urandom(32)
        self.public = x25519(self.private, bytes([9]) + bytes(31))


class Handshake:
    def __init__(self, initiator):
        self.initiator, self.e, self.s = initiator, Key(), Key()
        self.h = self.ck = NAME  # 32 bytes, as many as a hash
        self.key, self.counter = None, 0
        self.mix_hash(PREAMBLE + bytes([len(APPLICATION)]) + APPLICATION)

    def mix_hash(self, text):
        self.h = hashlib.sha256(self.h + text).digest()

    def derive(self, material):
        secret = mac(self.ck, material)
        first = mac(secret, b"\1")
        return first, mac(secret, first + b"\2")

    def crypt(self, operation, text):
        result = operation(self.key, self.counter, self.h, text) if self.key else text
        self.counter += 1
        self.mix_hash(text if operation is open_sealed else result)
        return result

    def mix_key(self, ours, theirs):
        secret = x25519(ours.private, theirs)
        if secret == bytes(32):
            sys.exit("void key")
        self.ck, self.key = self.derive(secret)
        self.counter = 0

    def mix(self, token):
        pair = {"ee": (self.e, self.re), "es": (self.e, self.rs), "se": (self.s, self.re)}
        if not self.initiator:
            pair = {"ee": (self.e, self.re), "es": (self.s, self.re), "se": (self.e, self.rs)}
        self.mix_key(*pair[token])

    def write(self, tokens):
        message = b""
        for token in tokens.split():
            if token == "e":
                self.mix_hash(self.e.public)
                message += self.e.public
            elif token == "s":
                message += self.crypt(seal, self.s.public)
            else:
                self.mix(token)
        return message + self.crypt(seal, b"")

    def read(self, tokens, message):
        self.rs = getattr(self, "rs", None)
        for token in tokens.split():
            if token == "e":
                self.re, message = message[:32], message[32:]
                self.mix_hash(self.re)
            elif token == "s":
                self.rs, message = self.crypt(open_sealed, message[:48]), message[48:]
            else:
                self.mix(token)
        self.crypt(open_sealed, message)


# --- records --------------------------------------------------------------------------------------------------------
def read(sock, length):
    text = b""
    while len(text) < length:
        chunk = sock.recv(length - len(text))
        if not chunk:
            sys.exit("cut")
        text += chunk
    return text


def receive(sock):
    return read(sock, int.from_bytes(read(sock, 2), "big"))


def send(sock, message, before=b""):
    sock.sendall(before + struct.pack(">H", len(message)) + message)


class Channel:
    def __init__(self, sock, handshake):
        keys = handshake.derive(b"")
        self.sock = sock
        self.out, self.into = keys if handshake.initiator else keys[::-1]
        self.sent = self.received = 0

    def write(self, kind, data=b"", padding=0):
        plain = struct.pack(">BH", kind, len(data)) + data + bytes(padding)
        send(self.sock, seal(self.out, self.sent, b"", plain))
        self.sent += 1

    def read(self):
        plain = open_sealed(self.into, self.received, b"", receive(self.sock))
        self.received += 1
        kind, length = struct.unpack(">BH", plain[:3])
        if any(plain[3 + length :]):
            sys.exit("padding")
        return kind, plain[3 : 3 + length]


def client(port):
    sock = socket.create_connection(("127.0.0.1", port))
    handshake = Handshake(True)
    send(sock, handshake.write("e"), PREAMBLE)
    handshake.read("e ee s es", receive(sock))
    send(sock, handshake.write("s se"))
    channel = Channel(sock, handshake)
    if channel.read() != (PADDING, b""):
        sys.exit("no confirmation")
    print("hash", handshake.h.hex())
    print("server", handshake.rs.hex())
    for padding, text in ((0, b"hello"), (100, b"from Python")):
        channel.write(DATA, text, padding)
        print(channel.read()[1].decode())
    channel.write(CLOSE)
    if channel.read() != (CLOSE, b"") or sock.recv(1) != b"":
        sys.exit("no end")
    print("closed")


def server():
    listener = socket.create_server(("127.0.0.1", 0))
    print("listening on tcp://127.0.0.1:%d" % listener.getsockname()[1], flush=True)
    sock, _ = listener.accept()
    if read(sock, len(PREAMBLE)) != PREAMBLE:
        sys.exit("wrong preamble")
    handshake = Handshake(False)
    handshake.read("e", receive(sock))
    send(sock, handshake.write("e ee s es"))
    handshake.read("s se", receive(sock))
    channel = Channel(sock, handshake)
    channel.write(PADDING)
    print("client", handshake.rs.hex(), flush=True)
    kind, text = channel.read()
    while kind != CLOSE:
        channel.write(kind, text, padding=50)
        channel.write(PADDING)
        kind, text = channel.read()
    channel.write(CLOSE)
    print("closed", flush=True)


client(int(sys.argv[2])) if sys.argv[1] == "client" else server()
