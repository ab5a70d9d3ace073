"""Images as a PNG file, without a library for images."""

from __future__ import annotations

import math
import struct
import zlib

import torch


def png_of(images: torch.Tensor) -> bytes:
    """Arrange grey images (n, 1, side, side) in [-1, 1] in a square and encode them as PNG."""
    count, _, side, _ = images.shape
    across = math.isqrt(count)
    grid = images[: across * across].reshape(across, across, side, side).transpose(1, 2)
    pixels = ((grid.reshape(across * side, across * side) + 1.0) * 127.5).clamp(0, 255).round()
    rows = b"".join(b"\0" + bytes(row) for row in pixels.to(torch.uint8).tolist())

    def chunk(kind: bytes, content: bytes) -> bytes:
        body = kind + content
        return struct.pack(">I", len(content)) + body + struct.pack(">I", zlib.crc32(body))

    header = struct.pack(">IIBBBBB", across * side, across * side, 8, 0, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows, 9)) + chunk(b"IEND", b"")
