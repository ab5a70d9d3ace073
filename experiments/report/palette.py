"""One colour and line per contender, the same in the page and in the PNGs: the kind shows in the hue."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from experiments.schema import Suite

HUES: Mapping[str, tuple[str, ...]] = {
    # Fixed n: one hue, darker with n. The library's own laws: warm, so that they stand out of the rest.
    "fixed": ("#9fd8ee", "#4fb3e3", "#1a86d9", "#1f57c4", "#1c2b7d", "#0a1230"),
    "pair": ("#adb5bd", "#6b7280", "#1f2933", "#a0785a"),
    "schedule": ("#7048c6", "#b98af0", "#9c3d9c"),
    "adaptive": ("#d6400c", "#e09400", "#b5179e", "#ff7f50", "#8f1d14"),
    "published": ("#2b8a3e", "#0c8599", "#74a800", "#2fb893", "#5d6b1f"),
    "rival": ("#8d5524", "#c2255c", "#c9a227"),
    "matched": ("#6c757d",),
}
DASHES: Mapping[str, tuple[str, ...]] = {
    # The next one begins where the hues of a kind are used up.
    "fixed": ("solid",),
    "pair": ("dash", "dot", "dashdot", "longdash", "longdashdot"),
    "schedule": ("dashdot", "longdashdot"),
    "adaptive": ("solid", "longdash"),
    "published": ("dash", "longdash", "longdashdot"),
    "rival": ("dash", "longdashdot", "dashdot"),
    "matched": ("dot",),
}
KIND_TITLES: Mapping[str, str] = {
    "fixed": "fixed n",
    "pair": "fixed n, rate times a factor",
    "schedule": "open-loop schedule",
    "adaptive": "this library's laws",
    "published": "published rules",
    "rival": "other knobs",
    "matched": "a law's own mean n, held fixed",
}


@dataclass(frozen=True)
class Style:
    """How a contender is drawn; ``dash`` as Plotly names it."""

    color: str
    dash: str
    width: float


def styles(suite: Suite) -> dict[str, Style]:
    """Return a style for every contender; where a kind has more contenders than hues, the dashes differ."""
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
        dashes = DASHES[contender.kind]
        found[contender.name] = Style(hues[index % len(hues)], dashes[index // len(hues) % len(dashes)], width)
    for contender in suite.contenders:
        if contender.matches in found:
            found[contender.name] = Style(found[contender.matches].color, DASHES["matched"][0], 2.0)
    return found
