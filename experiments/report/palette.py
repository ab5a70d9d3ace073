"""One colour and line per contender, the same in the page and in the PNGs: the kind shows in the hue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from experiments.schema import Suite

HUES: Mapping[str, tuple[str, ...]] = {
    # Fixed n: one hue, darker with n. The library's own laws: warm, so that they stand out of the rest.
    "fixed": ("#a9cdec", "#7fb2de", "#5596cc", "#3179b4", "#175c96", "#0a3f70"),
    "schedule": ("#7048c6", "#a45cc9"),
    "adaptive": ("#d6400c", "#e09400", "#b5179e", "#ff7f50"),
    "published": ("#2b8a3e", "#0c8599", "#74a800", "#087f5b", "#4a7c59"),
    "rival": ("#8d5524", "#c2255c"),
    "matched": ("#6c757d",),
}
DASHES: Mapping[str, str] = {
    "fixed": "solid",
    "schedule": "dashdot",
    "adaptive": "solid",
    "published": "dash",
    "rival": "dash",
    "matched": "dot",
}
KIND_TITLES: Mapping[str, str] = {
    "fixed": "fixed n",
    "schedule": "open-loop schedule",
    "adaptive": "this library's laws",
    "published": "published rules",
    "rival": "other knobs at n = 1",
    "matched": "a law's own mean n, held fixed",
}


@dataclass(frozen=True)
class Style:
    """How a contender is drawn; ``dash`` as Plotly names it."""

    color: str
    dash: str
    width: float


def styles(suite: Suite) -> dict[str, Style]:
    """Return a style for every contender of the suite; hues repeat where a kind has more contenders than hues."""
    found: dict[str, Style] = {}
    seen: Counter[str] = Counter()
    fixed = sorted(c.steps for c in suite.contenders if c.steps is not None)
    for contender in suite.contenders:
        hues = HUES[contender.kind]
        index = seen[contender.kind]
        seen[contender.kind] += 1
        if contender.steps is not None:
            spread = (len(hues) - 1) / max(1, len(fixed) - 1)
            index = round(fixed.index(contender.steps) * spread)
        width = 3.0 if contender.kind == "adaptive" else 2.0
        found[contender.name] = Style(hues[index % len(hues)], DASHES[contender.kind], width)
    for contender in suite.contenders:
        if contender.matches in found:
            found[contender.name] = Style(found[contender.matches].color, DASHES["matched"], 2.0)
    return found
