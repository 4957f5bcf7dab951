"""What readers type into the search and a page calls otherwise, as entries of the page's index.

The order of what is found is that of `book/_static/scorer.js`.
"""

from docutils import nodes
from sphinx import addnodes
from sphinx.application import Sphinx

# Pages by the beginning of their names; entries as a reader may spell them.
ENTRIES = {
    "lessons/01": (
        "dataset",
        "download dataset",
        "mean and standard deviation of CIFAR-10",
        "normalisation",
        "normalization",
        "train, validation and test",
    ),
    "lessons/02": (
        "stride and padding",
        "padding",
        "stride",
        "output size",
        "FLOPs",
        "im2col",
        "MACs",
    ),
    "lessons/03": ("receptive field", "field of view", "effective receptive field"),
    "lessons/04": ("dilation", "atrous convolution", "gridding"),
    "lessons/05": ("depthwise separable convolution", "MobileNet", "groups", "1x1 convolution"),
    "lessons/07": ("cutout", "flip", "random crop", "Albumentations", "data augmentation"),
    "lessons/08": ("overfitting", "overfit", "regularisation", "regularization"),
    "lessons/09": ("learning rate", "batch norm", "batch normalisation", "one-cycle", "Muon"),
    "lessons/10": ("class activation map", "CAM", "calibration", "confusion matrix"),
    "lessons/11": ("my own picture", "webcam", "camera"),
    "lessons/12": ("project", "final project", "challenge"),
    "book/how-to-study": (
        "how to install",
        "installation",
        "colab",
        "gpu",
        "Jupyter",
        "VS Code",
        "vscode",
        "Windows",
        "Python version",
        "hand in",
        "assignment",
    ),
    "book/live": ("my own picture", "upload a picture", "webcam", "camera"),
    "book/play": ("interactive", "interactive figures", "demo"),
    "book/practice/": ("exercises", "solutions", "exercises solutions"),
    "book/teach/grading": ("grade", "marking"),
}


def add_entries(app: Sphinx, doctree: nodes.document) -> None:
    """Give a page its entries, whole for the index and word by word for the text."""
    page = app.env.docname
    entries = [entry for name, names in ENTRIES.items() if page.startswith(name) for entry in names]
    if entries:
        index = [("single", entry, "", "main", None) for entry in entries]
        doctree.insert(0, addnodes.index(entries=index))
        words = dict.fromkeys(word for entry in entries for word in entry.split())
        doctree.insert(0, nodes.meta(name="keywords", content=", ".join(words)))


def setup(app: Sphinx) -> dict:
    """Listen."""
    app.connect("doctree-read", add_entries)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
