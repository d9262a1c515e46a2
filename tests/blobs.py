#!/usr/bin/env python3
"""Reads ciphertext blobs by their description alone: an implementation apart from the crate's.

Takes tests/data/blobs.json, decrypts every blob in it, and sees that damage is found. Needs Python 3.8 and nothing else;
AES-GCM is here in its simplest form, which is slow and not safe against whoever can measure.
"""

import hashlib
import hmac
import json
import pathlib
import sys


def sbox():
    box, p, q = [0] * 256, 1, 1
    while True:
        p ^= (p << 1) & 0xFF ^ (0x1B if p & 0x80 else 0)
        for shift in (1, 2, 4):
            q ^= (q << shift) & 0xFF
        q ^= 0x09 if q & 0x80 else 0
        x = q
        for turn in range(1, 5):
            x ^= (q << turn | q >> (8 - turn)) & 0xFF
        box[p] = x ^ 0x63
        if p == 1:
            break
    box[0] = 0x63
    return box


SBOX = sbox()


def double(byte):
    return (byte << 1) & 0xFF ^ (0x1B if byte & 0x80 else 0)


def key_schedule(key):
    words, constant = [key[at : at + 4] for at in range(0, 32, 4)], 1
    for at in range(8, 60):
        word = words[-1]
        if at % 8 == 0:
            word = bytes(SBOX[byte] for byte in word[1:] + word[:1])
            word = bytes([word[0] ^ constant]) + word[1:]
            constant = double(constant)
        elif at % 8 == 4:
            word = bytes(SBOX[byte] for byte in word)
        words.append(bytes(a ^ b for a, b in zip(words[at - 8], word)))
    return [b"".join(words[at : at + 4]) for at in range(0, 60, 4)]


def aes_256(schedule, block):
    state = bytes(a ^ b for a, b in zip(block, schedule[0]))
    for turn in range(1, 15):
        state = bytes(SBOX[state[(at + 4 * (at % 4)) % 16]] for at in range(16))
        if turn < 14:
            mixed = []
            for at in range(0, 16, 4):
                column = state[at : at + 4]
                for row in range(4):
                    a, b, c, d = (column[(row + step) % 4] for step in range(4))
                    mixed.append(double(a) ^ double(b) ^ b ^ c ^ d)
            state = bytes(mixed)
        state = bytes(a ^ b for a, b in zip(state, schedule[turn]))
    return state


def times(x, y):
    product = 0
    for bit in range(127, -1, -1):
        if y >> bit & 1:
            product ^= x
        x = x >> 1 ^ (0xE1 << 120 if x & 1 else 0)
    return product


def aes_gcm_open(key, iv, aad, ciphertext, tag):
    schedule = key_schedule(key)
    h = int.from_bytes(aes_256(schedule, bytes(16)), "big")

    def ghash(*parts):
        value = 0
        for part in parts:
            for at in range(0, len(part), 16):
                value = times(value ^ int.from_bytes(part[at : at + 16].ljust(16, b"\0"), "big"), h)
        return value

    def lengths(a, b):
        return (8 * a).to_bytes(8, "big") + (8 * b).to_bytes(8, "big")

    if len(iv) == 12:
        first = int.from_bytes(iv + b"\0\0\0\1", "big")
    else:
        first = ghash(iv, lengths(0, len(iv)))
    counter = lambda at: (first >> 32 << 32 | (first + at) & 0xFFFFFFFF).to_bytes(16, "big")
    digest = ghash(aad, ciphertext, lengths(len(aad), len(ciphertext))).to_bytes(16, "big")
    expected = bytes(a ^ b for a, b in zip(digest, aes_256(schedule, counter(0))))
    if not hmac.compare_digest(expected, tag):
        raise ValueError("the tag is wrong")
    stream = b"".join(aes_256(schedule, counter(at + 1)) for at in range((len(ciphertext) + 15) // 16))
    return bytes(a ^ b for a, b in zip(ciphertext, stream))


def derive(key, label, context):
    """NIST SP 800-108 in counter mode with HMAC-SHA-256: one block is enough."""
    return hmac.new(key, b"\0\0\0\1" + label + b"\0" + context + (256).to_bytes(4, "big"), hashlib.sha256).digest()


def canonical(context):
    form = b""
    for key, value in sorted((key.encode(), value.encode()) for key, value in context):
        form += len(key).to_bytes(4, "big") + key + len(value).to_bytes(4, "big") + value
    return form


class Bytes:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, length):
        taken = self.data[self.at : self.at + length]
        if len(taken) != length:
            raise ValueError("cut short")
        self.at += length
        return taken


def decrypt(blob, context, backing_key, material):
    rest = Bytes(blob)
    version, origin = rest.take(2)
    if version != 1 or origin not in (1, 2):
        raise ValueError("unknown version or origin")
    external = origin == 1
    key_id, material_id = rest.take(16), rest.take(16)
    nonce = rest.take(32) if external else b""
    header = blob[: rest.at]
    iv = rest.take(rest.take(1)[0])
    metadata = rest.take(rest.take(1)[0])
    tag = rest.take(16)
    outer = rest.take(int.from_bytes(rest.take(2), "big"))
    committed = blob[: rest.at]
    commitment = rest.take(32) if external else b""
    if len(iv) not in (12, 16) or len(metadata) > 20 or rest.at != len(blob):
        raise ValueError("malformed")

    digest = hashlib.sha256(header + canonical(context)).digest()
    aad = b"custom-key-store blob v1" + digest
    if external:
        key = derive(material, b"custom-key-store commitment v1", key_id + material_id)
        if not hmac.compare_digest(hmac.new(key, committed + digest, hashlib.sha256).digest(), commitment):
            raise ValueError("the commitment is wrong")
    # The layout that the XKS specification recommends to key managers.
    authenticated = len(aad).to_bytes(2, "big") + aad + bytes([len(metadata)]) + metadata
    inner = aes_gcm_open(backing_key, iv, authenticated, outer, tag)
    if not external:
        return inner
    key = derive(material, b"custom-key-store inner v1", nonce + key_id + material_id)
    return aes_gcm_open(key, bytes(12), aad, inner[:-16], inner[-16:])


def main():
    vectors = json.loads((pathlib.Path(__file__).parent / "data" / "blobs.json").read_text())
    for vector in vectors:
        material = bytes.fromhex(vector["material"]) if vector["material"] else None
        arguments = vector["context"], bytes.fromhex(vector["backing_key"]), material
        blob = bytes.fromhex(vector["blob"])
        if decrypt(blob, *arguments) != bytes.fromhex(vector["plaintext"]):
            sys.exit("tests/blobs.py: a blob decrypts to something else")
        for at in range(0, len(blob), max(1, len(blob) // 40)):
            damaged = blob[:at] + bytes([blob[at] ^ 1]) + blob[at + 1 :]
            try:
                decrypt(damaged, *arguments)
            except ValueError:
                continue
            sys.exit(f"tests/blobs.py: damage at byte {at} was not found")
    print(f"{len(vectors)} golden blobs were read by another implementation")


if __name__ == "__main__":
    main()
