"""Picture files whose pixels are sound, whatever stands beside them."""

import io
import struct
import zlib

import numpy as np
from PIL import Image

ORIENTATION = struct.pack("<HHIHH", 0x112, 3, 1, 6, 0)  # an entry: the camera was held upright


def content(picture: Image.Image, kind: str = "PNG", **options) -> bytes:
    """The image file of `picture`."""
    file = io.BytesIO()
    picture.save(file, kind, **options)
    return file.getvalue()


def lopsided() -> Image.Image:
    """A picture of 60 x 44 pixels that differs however it is turned or mirrored."""
    rows, columns = np.mgrid[:44, :60]
    colours = [4 * columns, 255 - 5 * rows, 2 * (rows + columns)]
    return Image.fromarray(np.stack(colours, axis=2).astype(np.uint8))


def exif(*entries: bytes, values: bytes = b"") -> bytes:
    """EXIF, little-endian: `entries` of 12 bytes, then `values` that they may point to."""
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + b"".join(entries) + bytes(4) + values


def resolution(kind: int, value: bytes, count: int = 1) -> bytes:
    """EXIF of orientation 6 and a horizontal resolution, of 38 bytes on, that is odd."""
    return exif(ORIENTATION, struct.pack("<HHII", 0x11A, kind, count, 38), values=value)


def jpeg(*notes: tuple[int, bytes]) -> bytes:
    """A JPEG with `notes`, each the number of its APP segment and what stands in it."""
    plain = content(lopsided(), "JPEG", quality=95)
    segments = (
        bytes([0xFF, 0xE0 + number]) + struct.pack(">H", len(text) + 2) + text
        for number, text in notes
    )
    return plain[:20] + b"".join(segments) + plain[20:]  # behind JFIF's own


def png(*chunks: tuple[bytes, bytes], sound: bool = True) -> bytes:
    """A PNG with `chunks`, each with its name; their check sums are wrong unless `sound`."""
    plain = content(lopsided())
    written = (
        struct.pack(">I", len(text))
        + name
        + text
        + struct.pack(">I", zlib.crc32(name + text) ^ (not sound))
        for name, text in chunks
    )
    return plain[:33] + b"".join(written) + plain[33:]  # behind the header


def webp(notes: bytes) -> bytes:
    """A WebP with `notes` for EXIF."""
    return content(lopsided(), "WEBP", lossless=True, exif=notes)


# EXIF with the orientation 6 and something odd, which the orientation does not need.
ODD_EXIF = {
    "nothing odd": exif(ORIENTATION),
    "a resolution of -5/3": resolution(10, struct.pack("<ii", -5, 3)),
    "a resolution of -1/0": resolution(10, struct.pack("<ii", -1, 0)),
    "a resolution of 0/0": resolution(5, struct.pack("<II", 0, 0)),
    "a resolution that is no number": exif(ORIENTATION, struct.pack("<HHIf", 0x11A, 11, 1, np.nan)),
    "a resolution in words": resolution(2, b"fine\0", count=5),
    "an entry of no known type": exif(ORIENTATION, struct.pack("<HHII", 0x11A, 99, 1, 0)),
    "an entry that points beyond the end": exif(
        ORIENTATION, struct.pack("<HHII", 0x10F, 2, 2**31, 2**31)
    ),
    "an inner directory that is none": exif(ORIENTATION, struct.pack("<HHII", 0x8769, 4, 1, 8)),
}

# EXIF of which no orientation can be read.
NO_ORIENTATION = {
    "nothing": b"",
    "noise": bytes(range(7, 90)),
    "cut off in its head": b"II*\0\x08",
    "cut off in an entry": exif(ORIENTATION)[:16],
    "a directory beyond the end": b"II*\0" + struct.pack("<I", 2**32 - 1),
    "an orientation of 0": exif(struct.pack("<HHIHH", 0x112, 3, 1, 0, 0)),
    "an orientation of 99": exif(struct.pack("<HHIHH", 0x112, 3, 1, 99, 0)),
    "an orientation of -1/0": exif(struct.pack("<HHII", 0x112, 10, 1, 26), values=b"\xff" * 8),
    "an orientation in words": exif(struct.pack("<HHI4s", 0x112, 2, 4, b"6 cw")),
}

# Whole files, whose notes no pixel needs.
ODD_NOTES = {
    "a JFIF cut short": jpeg((0, b"JFIF\0")),
    "an Adobe cut short": jpeg((14, b"Adobe")),
    "a Photoshop resource cut short": jpeg((13, b"Photoshop 3.0\x008BIM\x03\xed")),
    "a Photoshop resource of no size": jpeg((13, b"Photoshop 3.0\x008BIM\x03\xed\0\0\0\0\0\0")),
    "an index of more pictures that is none": jpeg((2, b"MPF\0II*\0\x08\0\0\0\x01\0")),
    "an index of 2 more pictures, of which there is none": jpeg(
        (2, b"MPF\0" + exif(struct.pack("<HHII", 0xB001, 4, 1, 2)))
    ),
    "a colour profile that is none": jpeg((2, b"ICC_PROFILE\0\x07\x01none")),
    "XMP that is none": jpeg((1, b"http://ns.adobe.com/xap/1.0/\0<x:xmpmeta \xff\xfe")),
    "3 MB of text in PNG": png((b"zTXt", b"Comment\0\0" + zlib.compress(bytes(3_000_000)))),
    "3 MB of international text": png(
        (b"iTXt", b"Comment\0\x01\0\0\0" + zlib.compress(bytes(3_000_000)))
    ),
    "80 texts of 1 MB": png(*[(b"zTXt", b"a\0\0" + zlib.compress(bytes(1_000_000)))] * 80),
    "a colour profile of 3 MB": png((b"iCCP", b"mine\0\0" + zlib.compress(bytes(3_000_000)))),
    "a colour profile cut short": png((b"iCCP", b"mine")),
    "a colour profile packed in another way": png((b"iCCP", b"mine\0\x07mine")),
    "a text packed in another way": png((b"zTXt", b"Comment\0\x07text")),
    "a text whose check sum is wrong": png((b"tEXt", b"Comment\0text"), sound=False),
    "EXIF whose check sum is wrong": png((b"eXIf", exif(ORIENTATION)), sound=False),
    "a gamma cut short": png((b"gAMA", b"\0")),
    "primary colours cut short": png((b"cHRM", b"\0")),
    "a size in metres cut short": png((b"pHYs", b"\0")),
    "a chunk that nobody knows": png((b"waLd", b"\0" * 9)),
}
