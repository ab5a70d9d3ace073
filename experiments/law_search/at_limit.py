"""Development problems whose learning rates are at their limit, with settings as published code has them.

A critic with eight times the rate gains nothing here, or breaks. Networks are multilayer perceptrons as everywhere in
the prototype: convolutions are beyond it, and batch normalisation has a shift, but no scale and no running average.
"""

from __future__ import annotations

from dataclasses import replace

from experiments.law_search.problems import Problem


def _at_limit() -> dict[str, Problem]:
    images = Problem("", "", width=128, latent=16, budget=3000.0, judge="features")
    plain = replace(images, objective="non-saturating", lr=2e-4, betas=(0.5, 0.999))
    r1 = replace(images, objective="non-saturating-r1", penalty=5.0, betas=(0.0, 0.99))
    out = [
        replace(r1, name="digits-limit-r1", data="digits", lr=2e-3),
        replace(r1, name="shapes-limit-r1", data="shapes", lr=5e-4, budget=3500.0),
        replace(
            images,
            name="digits-limit-clip",
            data="digits",
            objective="wgan-clip",
            optimizer="rmsprop",
            lr=5e-5,
            penalty=0.01,
            width=64,
            batch=32,
            budget=5000.0,
        ),
        replace(
            images,
            name="digits-limit-spectral",
            data="digits",
            objective="hinge",
            spectral=True,
            lr=1e-4,
            lr_ratio=4.0,
            betas=(0.0, 0.9),
        ),
        replace(plain, name="shapes-limit-plain", data="shapes"),
        replace(plain, name="digits-limit-normalised", data="digits", normalised=True),
        Problem("ring-limit-rate", "ring", lr=3e-3, width=64, depth=3, latent=2, penalty=0.1, betas=(0.5, 0.999)),
    ]
    return {problem.name: problem for problem in out}


AT_LIMIT = _at_limit()
