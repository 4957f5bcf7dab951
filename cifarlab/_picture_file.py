"""A picture file without its notes, for notes may be broken where the pixels are sound.

Pillow reads the notes too, and refuses a photograph for one that it can't make sense of; browsers
pass over them. `turned` looks at the one note that says how to hold the picture.
"""

import io
import zlib

from PIL import Image

ORIENTATION = 0x0112  # its number in EXIF
TURNS = {  # what puts a picture upright, by how its camera was held
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

PNG = b"\x89PNG\r\n\x1a\n"
JPEG = b"\xff\xd8"


def turned(content: bytes) -> Image.Image:
    """The picture in the file `content`, turned as its camera noted where that can be read.

    Raises: whatever Pillow raises, of any kind, if it is no picture.
    """
    pixels, exif = content, None
    if content.startswith(PNG):
        pixels, exif = _parts_of_png(content)
    elif content.startswith(JPEG):
        pixels, exif = _parts_of_jpeg(content)
    picture = Image.open(io.BytesIO(pixels))
    picture.load()  # turns a TIFF
    try:
        if exif is None:
            notes = picture.getexif()
        else:
            notes = Image.Exif()
            notes.load(exif)
        turn = TURNS.get(notes.get(ORIENTATION, 0))
    except Exception:  # a broken EXIF may raise anything
        turn = None
    return picture if turn is None else picture.transpose(turn)


def _parts_of_png(content: bytes) -> tuple[bytes, bytes]:
    """A PNG of those chunks that the pixels need, which have a capital or are tRNS; and its EXIF.

    Source: Portable Network Graphics (third edition), section 5.
    """
    needed, exif = [PNG], b""
    start = len(PNG)
    while start < len(content):
        length = int.from_bytes(content[start : start + 4], "big")
        chunk = content[start : start + length + 12]
        name = chunk[4:8]
        is_sound = zlib.crc32(chunk[4:-4]) == int.from_bytes(chunk[-4:], "big")
        if name[:1].isupper() or (name == b"tRNS" and is_sound):
            needed.append(chunk)
        elif name == b"eXIf" and is_sound:
            exif = chunk[8:-4]
        start += len(chunk)
    return b"".join(needed), exif


def _parts_of_jpeg(content: bytes) -> tuple[bytes, bytes]:
    """A JPEG of those segments that the pixels need, and its first EXIF.

    Of its notes (APP0 to APP15, and comments), JFIF's and Adobe's say how colours are written;
    where they are too short for that, libjpeg passes over them as well.

    Source: ITU-T T.81, annex B.
    """
    needed, exif = [JPEG], b""
    scan, fill = 0xDA, 0xFF
    start = len(JPEG)
    while content[start : start + 1] == b"\xff" and content[start + 1] not in (scan, fill):
        marker, length = content[start + 1], int.from_bytes(content[start + 2 : start + 4], "big")
        segment = content[start : start + length + 2]
        text = segment[4:]
        is_note = 0xE0 <= marker <= 0xEF or marker == 0xFE
        is_of_colour = (text.startswith(b"JFIF\0") and len(text) >= 14) or (
            text.startswith(b"Adobe") and len(text) >= 12
        )
        if is_of_colour or not is_note:
            needed.append(segment)
        elif text.startswith(b"Exif\0\0"):
            exif = exif or text[6:]
        start += len(segment)
    return b"".join([*needed, content[start:]]), exif
