"""README as the package's page, and the package's links: they need an address, which pyproject.toml names.

README links to files beside it, which a package index can't follow. With ``address`` set in
``[tool.hatch.metadata.hooks.custom]`` they become absolute, and Homepage, Source and Docs join the package's links.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

_LINK = re.compile(r"(?P<shown>(?P<image>!?)\[[^\]\n]*\])\((?!https?://|#)(?P<target>[^)\s]+)\)")
_LINKS = {
    "Where it began": "https://github.com/pytorch/ignite/issues/3189",
    "PyTorch-Ignite": "https://pytorch-ignite.ai",
}


def absolute(text: str, address: str) -> str:
    """Return a Markdown text whose links to files lead to the repository at this address; unchanged if it is empty.

    Pictures are taken as they are ("raw"), pages as the site shows them ("blob"), as GitHub and its kin name it.
    """
    if not address:
        return text
    root = address.rstrip("/")

    def replaced(link: re.Match[str]) -> str:
        return f"{link['shown']}({root}/{'raw' if link['image'] else 'blob'}/main/{link['target']})"

    return _LINK.sub(replaced, text)


def links(address: str) -> dict[str, str]:
    """Return the package's links; without an address those that exist."""
    if not address:
        return _LINKS
    root = address.rstrip("/")
    return {"Homepage": root, "Source": root, "Docs": f"{root}/blob/main/docs/index.md", **_LINKS}


class PackagePage(MetadataHookInterface):
    """Fills in ``readme`` and ``urls`` when the package is built."""

    def update(self, metadata: dict[str, Any]) -> None:
        """Set both from README.md and the address."""
        address = self.config.get("address", "")
        text = (Path(self.root) / "README.md").read_text(encoding="utf-8")
        metadata["readme"] = {"content-type": "text/markdown", "text": absolute(text, address)}
        metadata["urls"] = links(address)
