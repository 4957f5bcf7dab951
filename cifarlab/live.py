"""Your own picture through a network: what it gets to see, and what it makes of it.

Lesson: Live predictions.
"""

import base64
import importlib
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from types import ModuleType

import ipywidgets
import numpy as np
from PIL import Image, UnidentifiedImageError
from torch import Tensor, nn

from cifarlab import _picture_file, data, diagnostics, plots
from cifarlab.data import Split
from cifarlab.recipes import Recipe

SIZE = 32  # pixels, of every picture that the networks of the course learned from
STRIP = 64  # rows of a picture that are shrunk at a time

# How a HEIC file begins, after its first four bytes.
HEIC = {b"ftyp" + brand for brand in (b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1")}


@dataclass(frozen=True)
class Prediction:
    """What a network makes of one picture."""

    image: np.ndarray  # (32, 32, 3) uint8, as the network saw it
    probabilities: Tensor  # (classes,), they add up to 1
    maps: Tensor  # (classes, h, w): how much each place speaks for each class


def as_seen(picture: bytes | np.ndarray) -> np.ndarray:
    """What is left of a picture at 32x32 pixels: (32, 32, 3) uint8.

    `picture` is the content of an image file, or an array (H, W, 3) uint8. The largest square in
    its middle is kept; transparent parts turn white; a photograph is turned as its camera noted.
    What else a file says of itself changes nothing, not even where it is broken.

    Raises: ValueError if it is no picture.
    Lesson: Live predictions.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Pillow warns of large pictures and of odd notes
            if isinstance(picture, np.ndarray):
                upright = Image.fromarray(picture)
            else:
                upright = _picture_file.turned(bytes(memoryview(picture)))
            if upright.mode.startswith(("I", "F")):  # converted, it would be white all over
                raise ValueError(f"its mode is {upright.mode}; 8 bits a channel are needed")
            if not min(upright.size):
                raise ValueError("it has no pixels")
            return np.asarray(_shrunk(upright))
    except Exception as error:  # Pillow may raise anything: it has no class for a broken file
        what = f"an array {picture.shape}" if isinstance(picture, np.ndarray) else "the file"
        raise ValueError(
            f"{what} is no picture that can be read ({_reason(picture, error)}); give a PNG, JPEG "
            "or WebP file, or an array (H, W, 3) uint8."
        ) from error


def _reason(picture: bytes | np.ndarray, error: Exception) -> str:
    """Why `picture` can't be read, in words that help."""
    if isinstance(picture, bytes) and not picture:
        return "it is empty"
    if isinstance(picture, bytes) and picture[4:12] in HEIC:
        return (
            "it is a HEIC, as iPhones take them: share it as JPEG, or choose Settings, Camera, "
            "Formats, Most Compatible"
        )
    if isinstance(error, UnidentifiedImageError):  # it names an address in memory
        return "it begins as no kind of picture does that Pillow knows"
    return str(error) or type(error).__name__


def _shrunk(picture: Image.Image) -> Image.Image:
    """The largest square in the middle of `picture`, on white, at SIZE x SIZE pixels.

    In strips, so that a photograph need not lie in memory a second time. Each row is shrunk before
    each column, as in `picture.js`; asked for both at once, Pillow takes them in an order that
    depends on its version and on the picture's shape.
    """
    width, height = picture.size
    side = min(width, height)
    left, top = (width - side) / 2, (height - side) / 2
    margin = 3 + side // 16  # the cubic curve reaches two new pixels, or two old ones, further
    first_column, end_column = max(0, int(left) - margin), min(width, int(left) + side + margin)
    first_row, end_row = max(0, int(top) - margin), min(height, int(top) + side + margin)
    narrow = Image.new("RGB", (SIZE, end_row - first_row))
    for row in range(first_row, end_row, STRIP):
        strip = picture.crop((first_column, row, end_column, min(row + STRIP, end_row)))
        strip = strip.convert("RGBA")
        white = Image.new("RGBA", strip.size, "white")
        strip = Image.alpha_composite(white, strip).convert("RGB")
        box = (left - first_column, 0, left - first_column + side, strip.height)
        strip = strip.resize((SIZE, strip.height), Image.Resampling.BICUBIC, box)
        narrow.paste(strip, (0, row - first_row))
    square = (0, top - first_row, SIZE, top - first_row + side)
    return narrow.resize((SIZE, SIZE), Image.Resampling.BICUBIC, square)


def predict(network: nn.Module, recipe: Recipe, picture: bytes | np.ndarray) -> Prediction:
    """`picture` as `as_seen` leaves it, through `network`, normalised as `recipe` says.

    Leaves `network` in eval mode. Raises: ValueError if it is no picture.
    """
    image = as_seen(picture)
    to_numbers = data.pipeline(mean=recipe.mean, std=recipe.std)
    maps = diagnostics.class_activation_maps(network, to_numbers(image=image)["image"][None])[0]
    # The maps' means are the scores, so one pass gives both.
    return Prediction(image, maps.mean(dim=(1, 2)).softmax(dim=0), maps)


def contents(uploads: dict | tuple) -> list[bytes]:
    """The files in the value of an `ipywidgets.FileUpload`, whose shape differs by version."""
    files = uploads.values() if isinstance(uploads, dict) else uploads  # 7: dict, 8: tuple
    return [bytes(file["content"]) for file in files]


# Runs in the reader's browser: shows what its camera sees, until a button takes the picture.
CAMERA = """
new Promise(async (resolve, reject) => {
  const part = (tag) => document.body.appendChild(document.createElement(tag));
  const video = part("video");
  [video.muted, video.playsInline] = [true, true]; // else an iPhone refuses, or fills its screen
  const end = () => {
    for (const track of video.srcObject?.getTracks() ?? []) track.stop();
    video.remove();
  };
  try {
    const away = { video: { facingMode: "environment" } }; // from the reader
    video.srcObject = await navigator.mediaDevices.getUserMedia(away);
    await video.play();
  } catch (error) {
    end();
    reject(error);
    return;
  }
  const button = part("button"); // only now: earlier, there would be nothing to take
  button.textContent = "Take the picture";
  button.onclick = () => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
    canvas.getContext("2d").drawImage(video, 0, 0);
    end();
    button.remove();
    resolve(canvas.toDataURL("image/jpeg", 0.9));
  };
})
"""


def colab() -> ModuleType | None:
    """`google.colab.output`, which can ask the reader's browser; None in any other kernel."""
    try:
        return importlib.import_module("google.colab.output")
    except ImportError:
        return None


def photograph() -> bytes:
    """A picture file from the camera of a reader in Colab; waits until it is taken.

    Raises: ValueError if this is not Colab, or the camera gives no picture.
    """
    output = colab()
    if output is None:
        raise ValueError("the camera works in Colab only; upload a picture instead.")
    try:
        address = output.eval_js(CAMERA)  # "data:image/jpeg;base64,..."
    except Exception as error:  # Colab's own, of a private module
        raise ValueError(
            f"the camera gives no picture ({error}); allow it in the browser or upload one instead."
        ) from error
    return base64.b64decode(address.partition(",")[2])


class Panel(ipywidgets.VBox):
    """Upload a picture, choose a sample or, in Colab, use the camera: the answer appears below."""

    def __init__(self, network: nn.Module, recipe: Recipe, samples: Split) -> None:
        self.network, self.recipe, self.samples = network, recipe, samples
        self.upload = ipywidgets.FileUpload(accept="image/*", description="Your picture")
        self.sample = ipywidgets.Dropdown(
            options=[("choose", None)]
            + [(f"{n}: {samples.classes[k]}", n) for n, k in enumerate(samples.labels)],
            description="or a sample",
        )
        self.camera = ipywidgets.Button(description="Camera")
        self.limit = ipywidgets.Label(
            "A file of at most 10 MB: Jupyter drops larger ones without a word "
            "(JupyterLab from `make lab`: 100 MB)."
        )
        self.answer = ipywidgets.Output()
        self.upload.observe(self.on_upload, "value")
        self.sample.observe(self.on_sample, "value")
        self.camera.on_click(self.on_camera)
        ways = [self.upload, self.sample, *([self.camera] if colab() else [])]
        super().__init__([ipywidgets.HBox(ways), self.limit, self.answer])

    def on_upload(self, change: dict) -> None:
        """Answer the file that was given last."""
        if change["new"]:
            # Emptied, the upload hears of the same file again; ipywidgets 7 has a read-only dict.
            self.upload.set_trait("value", type(self.upload.value)())
            self.show(lambda: contents(change["new"])[-1])

    def on_sample(self, change: dict) -> None:
        """Answer the sample that was chosen."""
        if change["new"] is not None:
            self.show(lambda: self.samples.images[change["new"]])

    def on_camera(self, _: ipywidgets.Button) -> None:
        """Answer what the camera sees."""
        self.show(photograph)

    def show(self, take: Callable[[], bytes | np.ndarray]) -> None:
        """Replace what stands below by the answer to the picture that `take` gives, or by words."""
        self.answer.outputs = ()
        try:
            result = predict(self.network, self.recipe, take())
            classes = self.samples.classes
            plot = plots.prediction(result.image, result.probabilities, result.maps, classes)
            self.answer.append_display_data(plot)
        except ValueError as error:
            self.answer.append_stdout(f"{error}\n")
        except Exception as error:  # leaving a callback, it would end unseen in a log
            self.answer.append_stdout(
                f"No answer: {type(error).__name__}: {error}. Try another picture; to see where it "
                "fails, call live.predict(network, recipe, picture) in a cell.\n"
            )
