"""`{interactive} NAME`: a figure of cifarlab.figures in a Markdown page, with its script."""

import yaml
from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from cifarlab import figures, schema


class Interactive(SphinxDirective):
    """The figure NAME; the directive's body may say what it starts with, as YAML."""

    required_arguments = 1
    has_content = True

    def run(self) -> list[nodes.Node]:
        """The figure as HTML; the page is built anew when a script or what it shows changes."""
        records = schema.SHIPPED.rglob("*.json")
        for path in (*figures.FOLDER.glob("*.*"), *records):
            self.env.note_dependency(str(path))
        try:
            shown = figures.show(self.arguments[0], **yaml.safe_load("\n".join(self.content)) or {})
        except ValueError as error:
            raise self.error(str(error)) from error
        return [nodes.raw("", shown._repr_html_(), format="html")]


def setup(app: Sphinx) -> dict:
    """Add the directive."""
    app.add_directive("interactive", Interactive)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
