"""HTML pages of one file, that open anywhere without a network."""

import base64
import gzip


def packed(data):
    """Text or bytes as base64 of gzip, level 9: nothing in it can end a script element."""
    return base64.b64encode(gzip.compress(data.encode() if isinstance(data, str) else data, mtime=0)).decode()


def filled(template, assets, **texts):
    """The text of the file `template` with each <!--NAME--> replaced: by a text, or by the asset (a path) of that name."""
    page = template.read_text(encoding="utf-8")
    for name, text in ({path.name: path.read_text(encoding="utf-8") for path in assets} | texts).items():
        page = page.replace(f"<!--{name}-->", text)
    return page
