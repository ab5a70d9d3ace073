"""Trains many replicas of one problem at once: parameters stacked, every candidate its own n.

Each replica has its own initial weights, data order and latent order, which depend on its seed alone, never on the
other replicas that run beside it. A replica that has critic updates left takes one, else it takes a generator update;
both are done for all replicas concerned in one stacked matrix product. Replicas stop at common costs, where they are
evaluated.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from experiments.law_search.candidates import Candidate
from experiments.law_search.judging import EVALUATION_SAMPLES, cost_grid, distances
from experiments.law_search.laws import Observation
from experiments.law_search.losses import critic_loss, generator_loss
from experiments.law_search.problems import Problem, sample_data
from experiments.law_search.record import SEGMENTS, SIGNALS, Run, signals
from experiments.law_search.stack import Stack

CHUNK = 24


class Trainer:
    """Runs candidates times seeds of one problem.

    Args:
        problem: what is trained.
        candidates: laws; each runs once per seed.
        seeds: seeds of initial weights, data order and latent order.
        trace: keep the laws' diagnostics at every iteration.
        stop: end a run after two consecutive evaluations at or under this quality; 0 runs to the budget.
    """

    def __init__(
        self,
        problem: Problem,
        candidates: Sequence[Candidate],
        seeds: Sequence[int],
        trace: bool = False,
        stop: float = 0.0,
    ) -> None:
        self.problem, self.trace, self.stop = problem, trace, stop
        self.data = torch.from_numpy(sample_data(problem.data))
        dim = self.data.shape[1]
        rows = [(candidate, seed) for candidate in candidates for seed in seeds]
        self.runs = [Run(candidate.name, seed) for candidate, seed in rows]
        self.laws = [candidate.make() for candidate, _ in rows]
        self.marginal = [candidate.marginal for candidate, _ in rows]
        self.paired = [candidate.paired for candidate, _ in rows]
        self.reuse = torch.tensor([candidate.reuse for candidate, _ in rows])
        hidden = [problem.width] * problem.depth
        self.generator = Stack(
            [problem.latent, *hidden, dim],
            [2 * s for _, s in rows],
            problem.lr,
            problem.betas,
            leaky=False,
            optimizer=problem.optimizer,
            normalised_from=0 if problem.normalised else None,
        )
        self.critic = Stack(
            [dim, *hidden, 1],
            [2 * s + 1 for _, s in rows],
            problem.lr * problem.lr_ratio,
            problem.betas,
            leaky=True,
            optimizer=problem.optimizer,
            spectral=problem.spectral,
            normalised_from=1 if problem.normalised else None,
        )
        noise = torch.Generator().manual_seed(99)
        self.latents = torch.randn(1 << 17, problem.latent, generator=noise)
        self.mixing = torch.rand(1 << 17, 1, generator=noise)
        self.evaluation = torch.randn(EVALUATION_SAMPLES, problem.latent, generator=noise)
        offsets = [np.random.default_rng([7, seed]).integers(0, 1 << 30, 3) for _, seed in rows]
        self.position = torch.from_numpy(np.stack(offsets))  # (replicas, 3): data, latents, mixing
        self.range = torch.arange(problem.batch)
        self.cost = np.zeros(len(rows))
        self.carry = np.zeros(len(rows))
        self.left = np.zeros(len(rows), dtype=np.int64)
        self.real: list[list[float]] = [[] for _ in rows]
        self.fake: list[list[float]] = [[] for _ in rows]
        self.real_std: list[list[float]] = [[] for _ in rows]
        self.fake_std: list[list[float]] = [[] for _ in rows]
        self.losses: list[list[float]] = [[] for _ in rows]
        self.before_last: list[float] = [math.nan for _ in rows]
        self.dead = np.zeros(len(rows), dtype=bool)
        g, d = self.generator.forward_flops, self.critic.forward_flops
        penalty = {"wgan-gp": 6, "hinge": 0, "wgan-clip": 0, "non-saturating": 0}.get(problem.objective, 5)
        self.unit = 3.0 * g + 2.0 * d
        self.critic_cost = (g + 6.0 * d + penalty * d) / self.unit
        self.marginal_cost = (g + 4.0 * d) / self.unit
        self.paired_cost = 2.0 * (g + d) / self.unit
        self.signals = np.zeros((len(rows), SEGMENTS, len(SIGNALS)))
        self.held: list[Observation | None] = [None for _ in rows]
        for row in range(len(rows)):
            self._start(row, self.laws[row].first())
            self.critic.rates[row] = self.laws[row].rate

    def _start(self, row: int, ratio: float) -> None:
        n = math.floor(ratio + self.carry[row] + 0.5)
        self.carry[row] += ratio - n
        self.left[row] = n
        self.runs[row].steps.append(n)

    def _take(self, pool: Tensor, index: Tensor, which: int) -> Tensor:
        position = self.position[index, which]
        self.position[index, which] = position + self.problem.batch
        return pool[(position[:, None] + self.range) % len(pool)]

    def _critic_step(self, rows: list[int]) -> None:
        p = self.problem
        index = torch.tensor(rows)
        with torch.no_grad():
            real = self._take(self.data, index, 0)
            again = index[self.reuse[index] & torch.tensor([not self.real[row] for row in rows])]
            self.position[again, 1] -= p.batch
            fake, _ = self.generator.forward(self.generator.views(index, False), self._take(self.latents, index, 1))
        leaves = self.critic.views(index, True)
        layers = self.critic.effective(leaves, index, advance=True)
        score_real, hidden_real = self.critic.forward(layers, real)
        score_fake, _ = self.critic.forward(layers, fake)
        loss = base = critic_loss(p.objective, score_real, score_fake)
        if p.objective == "wgan-gp":
            weight = self._take(self.mixing, index, 2)
            with torch.no_grad():
                _, hidden = self.critic.forward(layers, weight * real + (1 - weight) * fake)
            norm = (self.critic.input_gradient(layers, hidden).square().sum(-1) + 1e-12).sqrt()
            loss = loss + p.penalty * (norm - 1).square().mean(1)
        elif p.objective.endswith("-r1"):
            square = self.critic.input_gradient(layers, hidden_real).square().sum(-1)
            loss = loss + 0.5 * p.penalty * square.mean(1)
        torch.autograd.backward([loss.sum()])
        self.critic.step(index, leaves, p.penalty if p.objective == "wgan-clip" else None)
        with torch.no_grad():
            columns = torch.stack(
                [
                    score_real.mean((1, 2)),
                    score_fake.mean((1, 2)),
                    score_real.std((1, 2)),
                    score_fake.std((1, 2)),
                    base,
                ]
            ).tolist()
        for at, row in enumerate(rows):
            self.real[row].append(columns[0][at])
            self.fake[row].append(columns[1][at])
            self.real_std[row].append(columns[2][at])
            self.fake_std[row].append(columns[3][at])
            self.losses[row].append(columns[4][at])
            self.left[row] -= 1
            self.cost[row] += self.critic_cost

    def _fresh_gap(self, rows: list[int], advance: bool) -> list[float]:
        index = torch.tensor(rows)
        keep = self.position.clone()
        with torch.no_grad():
            real = self._take(self.data, index, 0)
            fake, _ = self.generator.forward(self.generator.views(index, False), self._take(self.latents, index, 1))
            layers = self.critic.effective(self.critic.views(index, False), index)
            gap = self.critic.forward(layers, real)[0].mean((1, 2)) - self.critic.forward(layers, fake)[0].mean((1, 2))
        if not advance:
            self.position = keep
        out: list[float] = gap.tolist()
        return out

    def _probe(self, rows: list[int]) -> list[float]:
        """Mean critic scores of a batch of latents that no update has seen."""
        index = torch.tensor(rows)
        start = self.position[index, 1] + len(self.latents) // 2
        with torch.no_grad():
            z = self.latents[(start[:, None] + self.range) % len(self.latents)]
            fake, _ = self.generator.forward(self.generator.views(index, False), z)
            layers = self.critic.effective(self.critic.views(index, False), index)
            scores: list[float] = self.critic.forward(layers, fake)[0].mean((1, 2)).tolist()
        return scores

    def _generator_step(self, rows: list[int]) -> None:
        p = self.problem
        index = torch.tensor(rows)
        watched = [row for row in rows if self.paired[row] and len(self.runs[row].steps) % self.paired[row] == 0]
        keep = self.position.clone()
        before = self._probe(watched) if watched else []
        layers = self.generator.views(index, True)
        fake, _ = self.generator.forward(layers, self._take(self.latents, index, 1))
        score, _ = self.critic.forward(self.critic.effective(self.critic.views(index, False), index), fake)
        torch.autograd.backward([generator_loss(p.objective, score).sum()])
        self.generator.step(index, layers)
        if watched:
            now, self.position = self.position, keep
            for row, low, high in zip(watched, before, self._probe(watched), strict=True):
                self.gain[row] = high - low
                self.cost[row] += self.paired_cost
            self.position = now
        scores = score.mean((1, 2)).tolist()
        for at, row in enumerate(rows):
            observation = Observation(
                tuple(self.real[row]),
                tuple(self.fake[row]),
                tuple(self.real_std[row]),
                tuple(self.fake_std[row]),
                tuple(self.losses[row]),
                scores[at],
                self.gain[row],
            )
            self.gain[row] = math.nan
            for store in (self.real, self.fake, self.real_std, self.fake_std, self.losses):
                store[row] = []
            self.cost[row] += 1 + (self.marginal_cost if self.marginal[row] else 0.0)
            if not math.isfinite(scores[at]):
                self.dead[row] = True
            self._record(row, observation)
            ratio = self.laws[row].update(observation)
            self.critic.rates[row] = self.laws[row].rate
            if self.trace:
                self.runs[row].trace.append(
                    {"cost": float(self.cost[row]), "ratio": ratio, "rate": self.laws[row].rate}
                    | self.laws[row].report()
                )
            self.runs[row].costs.append(float(self.cost[row]))
            self._start(row, ratio)

    def _record(self, row: int, now: Observation) -> None:
        """Sum signals of the previous iteration over equal parts of the budget."""
        held, self.held[row] = self.held[row], now
        if held is not None and held.real and now.real:
            at = min(SEGMENTS - 1, int(SEGMENTS * self.cost[row] / self.problem.budget))
            self.signals[row, at] += signals(held, now)

    def _evaluate(self) -> None:
        done = [len(run.quality) > 1 and max(run.quality[-2:]) <= self.stop for run in self.runs]
        self.dead |= np.array(done)
        every = torch.tensor([row for row, ended in enumerate(done) if not ended], dtype=torch.int64)
        if not len(every):
            return
        with torch.no_grad():
            for index in torch.split(every, CHUNK):
                z = self.evaluation.expand(len(index), -1, -1)
                fake, _ = self.generator.forward(self.generator.views(index, False), z)
                for row, value in zip(index.tolist(), distances(self.problem, fake).tolist(), strict=True):
                    self.runs[row].quality.append(value if math.isfinite(value) else 1e9)

    def run(self) -> list[Run]:
        """Train every replica to the problem's budget and return what each did."""
        torch.set_flush_denormal(True)
        self.gain = [math.nan] * len(self.runs)
        for limit in cost_grid(self.problem.budget):
            while True:
                active = np.flatnonzero((self.cost < limit) & ~self.dead)
                if not len(active):
                    break
                critic = [int(r) for r in active if self.left[r] > 0]
                generator = [int(r) for r in active if self.left[r] <= 0]
                for rows, step in ((critic, self._critic_step), (generator, self._generator_step)):
                    for at in range(0, len(rows), CHUNK):
                        part = rows[at : at + CHUNK]
                        watched = [r for r in part if self.marginal[r] and self.left[r] == 1]
                        before = self._fresh_gap(watched, advance=False) if watched else []
                        step(part)
                        after = self._fresh_gap(watched, advance=True) if watched else []
                        for r, low, high in zip(watched, before, after, strict=True):
                            self.gain[r] = high - low
            self._evaluate()
        for run, sums in zip(self.runs, self.signals, strict=True):
            run.signals = (sums[:, 1:] / np.maximum(sums[:, :1], 1)).tolist()
        return self.runs
