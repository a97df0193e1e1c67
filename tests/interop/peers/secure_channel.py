"""A secure channel with XX, from docs/protocols/secure_channel.md and Python's standard library alone; AES-256-GCM takes OpenSSL's
libcrypto as well. usage: secure_channel.py client PORT AESGCM|ChaChaPoly | server. Slow, and not for secrets."""
import base64
import ctypes
import ctypes.util
import hashlib
import hmac
import os
import socket
import struct
import sys

APPLICATION = b"echo/1"
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


class ChaChaPoly:
    @staticmethod
    def seal(key, counter, ad, text):
        nonce = struct.pack("<4xQ", counter)
        sealed = crypt(key, nonce, text)
        return sealed + tag_of(key, nonce, ad, sealed)

    @staticmethod
    def open(key, counter, ad, sealed):
        nonce = struct.pack("<4xQ", counter)
        if not hmac.compare_digest(tag_of(key, nonce, ad, sealed[:-16]), sealed[-16:]):
            sys.exit("wrong tag")
        return crypt(key, nonce, sealed[:-16])


# --- AES-256-GCM (NIST SP 800-38D), by libcrypto --------------------------------------------------------------------
class AESGCM:
    def __init__(self):
        self.lib = ctypes.CDLL(ctypes.util.find_library("crypto"))
        self.lib.EVP_CIPHER_CTX_new.restype = self.lib.EVP_aes_256_gcm.restype = ctypes.c_void_p
        self.context = ctypes.c_void_p(self.lib.EVP_CIPHER_CTX_new())
        self.cipher = ctypes.c_void_p(self.lib.EVP_aes_256_gcm())
        self.length = ctypes.byref(ctypes.c_int())
        self.tag = ctypes.create_string_buffer(16)

    def crypt(self, sealing, key, counter, ad, text):
        out = ctypes.create_string_buffer(len(text) + 16)
        nonce = struct.pack(">4xQ", counter)
        self.lib.EVP_CipherInit_ex(self.context, self.cipher, None, key, nonce, sealing)
        if ad:
            self.lib.EVP_CipherUpdate(self.context, None, self.length, ad, len(ad))
        if text:
            self.lib.EVP_CipherUpdate(self.context, out, self.length, text, len(text))
        return out.raw[: len(text)]

    def seal(self, key, counter, ad, text):
        sealed = self.crypt(1, key, counter, ad, text)
        self.lib.EVP_CipherFinal_ex(self.context, self.tag, self.length)
        self.lib.EVP_CIPHER_CTX_ctrl(self.context, 0x10, 16, self.tag)
        return sealed + self.tag.raw

    def open(self, key, counter, ad, sealed):
        text = self.crypt(0, key, counter, ad, sealed[:-16])
        self.lib.EVP_CIPHER_CTX_ctrl(self.context, 0x11, 16, sealed[-16:])
        if self.lib.EVP_CipherFinal_ex(self.context, self.tag, self.length) != 1:
            sys.exit("wrong tag")
        return text


# --- the handshake --------------------------------------------------------------------------------------------------
def mac(key, text):
    return hmac.new(key, text, hashlib.sha256).digest()


class Key:
    def __init__(self):
        self.private = os.urandom(32)
        self.public = x25519(self.private, bytes([9]) + bytes(31))


def fingerprint(public):
    return "SHA256:" + base64.b64encode(hashlib.sha256(b"np-x25519" + public).digest()).decode().rstrip("=")


def preamble_of(suite):
    name = b"Noise_XX_25519_" + suite.encode() + b"_SHA256"
    return b"NPS1" + bytes([len(name)]) + name


class Handshake:
    def __init__(self, initiator, suite):
        self.initiator, self.e, self.s = initiator, Key(), Key()
        self.aead = AESGCM() if suite == "AESGCM" else ChaChaPoly
        preamble = preamble_of(suite)
        self.h = self.ck = preamble[5:].ljust(32, b"\0")  # the name, as long as a hash
        self.key, self.counter = None, 0
        self.mix_hash(preamble + bytes([len(APPLICATION)]) + APPLICATION)

    def mix_hash(self, text):
        self.h = hashlib.sha256(self.h + text).digest()

    def derive(self, material):
        secret = mac(self.ck, material)
        first = mac(secret, b"\1")
        return first, mac(secret, first + b"\2")

    def crypt(self, operation, text):
        result = operation(self.key, self.counter, self.h, text) if self.key else text
        self.counter += 1
        self.mix_hash(text if operation == self.aead.open else result)
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
                message += self.crypt(self.aead.seal, self.s.public)
            else:
                self.mix(token)
        return message + self.crypt(self.aead.seal, b"")

    def read(self, tokens, message):
        self.rs = getattr(self, "rs", None)
        for token in tokens.split():
            if token == "e":
                self.re, message = message[:32], message[32:]
                self.mix_hash(self.re)
            elif token == "s":
                self.rs, message = self.crypt(self.aead.open, message[:48]), message[48:]
            else:
                self.mix(token)
        self.crypt(self.aead.open, message)


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
        self.sock, self.aead = sock, handshake.aead
        self.out, self.into = keys if handshake.initiator else keys[::-1]
        self.sent = self.received = 0

    def key_for(self, number, key):
        return self.aead.seal(key, 2**64 - 1, b"", bytes(32))[:32] if number > 0 and number % 65536 == 0 else key

    def write(self, kind, data=b"", padding=0):
        plain = struct.pack(">BH", kind, len(data)) + data + bytes(padding)
        self.out = self.key_for(self.sent, self.out)
        send(self.sock, self.aead.seal(self.out, self.sent, b"", plain))
        self.sent += 1

    def read(self):
        self.into = self.key_for(self.received, self.into)
        plain = self.aead.open(self.into, self.received, b"", receive(self.sock))
        self.received += 1
        kind, length = struct.unpack(">BH", plain[:3])
        if any(plain[3 + length :]):
            sys.exit("padding")
        return kind, plain[3 : 3 + length]


def client(port, suite):
    sock = socket.create_connection(("127.0.0.1", port))
    handshake = Handshake(True, suite)
    send(sock, handshake.write("e"), preamble_of(suite))
    handshake.read("e ee s es", receive(sock))
    send(sock, handshake.write("s se"))
    channel = Channel(sock, handshake)
    if channel.read() != (PADDING, b""):
        sys.exit("no confirmation")
    print("hash", handshake.h.hex())
    print("server", fingerprint(handshake.rs))
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
    preamble = read(sock, 5)
    preamble += read(sock, preamble[4])
    suites = [suite for suite in ("AESGCM", "ChaChaPoly") if preamble == preamble_of(suite)]
    if not suites:
        sys.exit("wrong preamble")
    handshake = Handshake(False, suites[0])
    handshake.read("e", receive(sock))
    send(sock, handshake.write("e ee s es"))
    handshake.read("s se", receive(sock))
    channel = Channel(sock, handshake)
    channel.write(PADDING)
    print("client", fingerprint(handshake.rs), flush=True)
    kind, text = channel.read()
    while kind != CLOSE:
        channel.write(kind, text, padding=50)
        channel.write(PADDING)
        kind, text = channel.read()
    channel.write(CLOSE)
    print("closed", flush=True)


client(int(sys.argv[2]), sys.argv[3]) if sys.argv[1] == "client" else server()
