#!/usr/bin/env python3
"""Makes envelope-vectors.json: envelopes of version 1, written from their description alone.

Needs the package `cryptography`. Deterministic: prints the same each time.
"""
import base64
import hashlib
import json
import struct

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.kbkdf import KBKDFHMAC, CounterLocation, Mode


def canonical(pairs):
    parts = [part.encode() for key in sorted(pairs, key=str.encode) for part in (key, pairs[key])]
    return b"".join(struct.pack(">I", len(part)) + part for part in parts)


def derive(key, fixed, length):
    return KBKDFHMAC(
        algorithm=hashes.SHA256(), mode=Mode.CounterMode, length=length, rlen=4, llen=None,
        location=CounterLocation.BeforeFixed, label=None, context=None,
        fixed=fixed + struct.pack(">I", 8 * length),
    ).derive(key)


def header(data_key, wrapped, context, kind, frame, message_id):
    prelude = bytes([1, kind, 1, frame]) + message_id
    context_key = derive(data_key, b"custom-key-store context v1\0" + canonical(context), 32)
    derived = derive(context_key, b"message v1\0" + prelude, 64)
    head = prelude + derived[32:] + struct.pack(">H", len(wrapped)) + wrapped
    return head, AESGCM(derived[:32])


def record(data_key, wrapped, context, message_id, plaintext):
    head, cipher = header(data_key, wrapped, context, 1, 0, message_id)
    return head + cipher.encrypt(bytes(12), plaintext, None)


def stream(data_key, wrapped, context, message_id, log2, plaintext):
    head, cipher = header(data_key, wrapped, context, 2, log2, message_id)
    size = 1 << log2
    pieces = [plaintext[at:at + size] for at in range(0, len(plaintext), size)] or [b""]
    for number, piece in enumerate(pieces):
        last = number == len(pieces) - 1
        head += struct.pack(">I", len(piece) | (last << 31))
        head += cipher.encrypt(bytes(7) + bytes([last]) + struct.pack(">I", number), piece, None)
    return head


def counting(seed, length):
    return hashlib.shake_256(seed.encode()).digest(length)


def text(value):
    return base64.b64encode(value).decode()


contexts = [{}, {"tenant": "blue", "table": "patients", "ä": "ö"}]
vectors = []
for number, (kind, length, log2) in enumerate(
    [(1, 0, 0), (1, 1, 0), (1, 100, 0), (2, 0, 12), (2, 4096, 12), (2, 4097, 12), (2, 9000, 12), (2, 100, 16)]
):
    context = contexts[number % 2]
    data_key, message_id = counting(f"key {number}", 32), counting(f"id {number}", 32)
    wrapped, plaintext = counting(f"wrapped {number}", 1 + 40 * number), counting(f"plaintext {number}", length)
    if kind == 1:
        sealed = record(data_key, wrapped, context, message_id, plaintext)
    else:
        sealed = stream(data_key, wrapped, context, message_id, log2, plaintext)
    vectors.append({
        "kind": "record" if kind == 1 else "stream", "data_key": text(data_key), "wrapped": text(wrapped),
        "context": context, "plaintext": text(plaintext), "sealed": text(sealed),
    })
about = "Envelopes of version 1, made by envelope-vectors.py. Keys are synthetic."
print(json.dumps({"about": about, "vectors": vectors}, indent=1, ensure_ascii=False))
