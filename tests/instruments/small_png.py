"""A picture of a browser as a small PNG: few colours, and the words that it shows."""

import base64
import re
import struct
import zlib

from playwright.async_api import Page

MOST_COLOURS = 64
_TO_FEW_COLOURS = """async ([png, most]) => {
  const bitmap = await createImageBitmap(await (await fetch("data:image/png;base64," + png)).blob());
  const { width, height } = bitmap, paper = new OffscreenCanvas(width, height).getContext("2d");
  paper.drawImage(bitmap, 0, 0);
  const { data } = paper.getImageData(0, 0, width, height), counts = new Map();
  const pixels = Array.from({ length: width * height }, (_, at) => data[4 * at] << 16 | data[4 * at + 1] << 8 | data[4 * at + 2]);
  for (const each of pixels) counts.set(each, (counts.get(each) || 0) + 1);
  const kept = [...counts.keys()].sort((a, b) => counts.get(b) - counts.get(a) || a - b).slice(0, most);
  const parts = (colour) => [colour >> 16, colour >> 8 & 255, colour & 255];
  const distance = (a, b) => parts(a).reduce((sum, each, at) => sum + (each - parts(b)[at]) ** 2, 0);
  const nearest = (colour) => kept.reduce((best, _, at) => distance(kept[at], colour) < distance(kept[best], colour) ? at : best, 0);
  const places = new Map([...counts.keys()].map((colour) => [colour, nearest(colour)]));
  return { width, height, palette: kept.flatMap(parts), rows: Uint8Array.from(pixels, (each) => places.get(each)).toBase64() };
}"""


async def small(picture: bytes, words: str, tab: Page) -> bytes:
    """A PNG of the browser's, made small.

    Args:
        picture: What was taken.
        words: What it shows, which the picture carries along.
        tab: An empty one, which counts the colours.
    """
    await tab.goto("about:blank")
    told = await tab.evaluate(_TO_FEW_COLOURS, [base64.b64encode(picture).decode(), MOST_COLOURS])
    width, height, pixels = told["width"], told["height"], base64.b64decode(told["rows"])
    rows = b"".join(b"\0" + pixels[at * width : (at + 1) * width] for at in range(height))
    return b"".join(
        (
            b"\x89PNG\r\n\x1a\n",
            _chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 3, 0, 0, 0)),
            _chunk(b"iTXt", b"Description" + bytes(5) + words.encode()),
            _chunk(b"PLTE", bytes(told["palette"])),
            _chunk(b"IDAT", zlib.compress(rows, 9)),
            _chunk(b"IEND", b""),
        )
    )


def words_of(picture: bytes) -> str:
    """The words that a PNG of `small` carries."""
    found = re.search(rb"(.{4})iTXtDescription\0{5}", picture, re.DOTALL)
    assert found is not None
    (length,) = struct.unpack(">I", found[1])
    return picture[found.end() : found.start() + 8 + length].decode()


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
