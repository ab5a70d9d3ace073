"""What README and the site show runs as it stands, links lead somewhere, and pictures are those of the present laws.

Long runs are cut short. A block of README or docs/start.md gets the names that its first line calls the reader's own,
and what the block ran that it says it belongs to: nothing else. Blocks of other pages get whatever name they leave to
the reader. The tutorials are run by ``make docs``.
"""

from __future__ import annotations

import doctest
import importlib.util
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from ignite.engine import Engine
from torch import nn
from torch.utils.data import DataLoader

import adaptive_critic
from adaptive_critic import FixedController

ROOT = Path(__file__).resolve().parents[1]
# Each block of these says on its first line what it takes from the reader's code, and which block it belongs to.
STRICT = ("README.md", "docs/start.md")
PAGES = (
    *("docs/index.md", "docs/step_output.md", "docs/tuning.md", "docs/questions.md", "docs/migration.md"),
    "docs/divergence.md",
)
# Pages whose code is run, or what it shows is tested, somewhere else.
ELSEWHERE = {
    "docs/loggers.md": "tests/test_ecosystem.py",
    "docs/resume.md": "tests/test_training_resume.py, tests/resume",
    "docs/distributed.md": "tests/test_torchrun.py",
    "docs/clients.md": "tests/clients",
    "docs/overhead.md": "tests/test_compile.py",
    "docs/tutorials/five_minutes.md": "make docs",
    "docs/tutorials/watch_and_guard.md": "make docs",
    "CONTRIBUTING.md": "tests/test_contributing.py",
}
MOST_ITERATIONS = 60


def snippets(page: str, language: str = "python") -> list[tuple[str, str]]:
    """Return (heading, code) of each block of a language on a page."""
    found: list[tuple[str, str]] = []
    heading, code, wanted = "", None, False
    for line in (ROOT / page).read_text(encoding="utf-8").splitlines(keepends=True):
        if code is None:
            if line.startswith("#"):
                heading = line.strip("# \n")
            if line.startswith("```"):
                code, wanted = "", line in (f"```{language}\n", f"```{{code-block}} {language}\n")
        elif line == "```\n":
            if wanted:
                found.append((heading, code))
            code = None
        elif not (line.startswith(":") and not code):  # an option of the block
            code += line
    return found


def _report(engine: Any) -> dict[str, Any]:
    n = engine.state.num_discriminator_steps
    return {"d_real": [1.0] * n, "d_fake": [0.1] * n, "d_loss": [-0.9] * n, "g_loss": -0.05, "g_fake": 0.05}


def left_to_the_reader(code: str) -> dict[str, Any]:
    """Return the names that a snippet may use without saying where they come from."""
    generator, discriminator = nn.Linear(64, 2), nn.Linear(2, 1)
    trainer = Engine(lambda engine, batch: _report(engine))
    if re.search(r"\btrainer\b", code) and not re.search(r"Controller\(.*\)\.attach|controller\.attach", code):
        FixedController(2).attach(trainer)
    return {
        **{name: getattr(adaptive_critic, name) for name in adaptive_critic.__all__},
        "Engine": Engine,
        "trainer": trainer,
        "controller": FixedController(2),
        "loader": DataLoader(torch.randn(256, 2), batch_size=32),  # type: ignore[arg-type]  # a tensor is a data set
        "generator": generator,
        "discriminator": discriminator,
        "optimizer_g": torch.optim.Adam(generator.parameters()),
        "optimizer_d": torch.optim.Adam(discriminator.parameters()),
        "critic_update": lambda real: (float(real.mean()) + 1.0, 0.1, -0.9),
        "generator_update": lambda: (-0.05, 0.05),
    }


@pytest.fixture
def cut_short(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[None]:
    """Run in a folder of its own, with short runs and the random state put back."""
    run: Callable[..., Any] = Engine.run

    def short(engine: Engine, *args: Any, **kwargs: Any) -> Any:
        if kwargs.get("max_iters") is not None:
            kwargs["max_iters"] = min(kwargs["max_iters"], MOST_ITERATIONS)
        return run(engine, *args, **kwargs)

    monkeypatch.setattr(Engine, "run", short)
    monkeypatch.chdir(tmp_path)
    plt = pytest.importorskip("matplotlib.pyplot")
    with plt.rc_context({"backend": "agg"}):
        yield
        plt.close("all")


@pytest.mark.parametrize("page", PAGES)
@pytest.mark.usefixtures("cut_short")
def test_snippets_run(page: str, capsys: pytest.CaptureFixture[str]) -> None:
    state = torch.get_rng_state()
    found = snippets(page)
    assert found, f"{page} shows no code"
    for heading, code in found:
        names = left_to_the_reader(code)
        if ">>>" in code:
            example = doctest.DocTestParser().get_doctest(code, names, f"{page}: {heading}", page, 0)
            assert doctest.DocTestRunner().run(example).failed == 0, capsys.readouterr().out
            continue
        if "observe(" in code:  # a loop without an engine: its step takes n
            names["train_step"] = lambda n: {"d_real": [1.0] * n, "d_fake": [0.1] * n, "g_fake": 0.05}
        exec(compile(code, f"{page}: {heading}", "exec"), names)
        if ".attach(trainer" in code and ".run(" not in code:
            assert names["trainer"].run(range(5)).generator_updates == 5
    torch.set_rng_state(state)


def _readers_own(seed: int = 0) -> dict[str, Any]:
    """Return the names that a block may call the reader's own: a GAN that learns the same data whatever the seed."""
    torch.manual_seed(seed)
    points: Any = torch.randn(256, 2, generator=torch.Generator().manual_seed(0))
    generator, critic = nn.Linear(128, 2), nn.Sequential(nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 1))
    optimizer_g = torch.optim.Adam(generator.parameters(), lr=1e-3)
    optimizer_d = torch.optim.Adam(critic.parameters(), lr=1e-3)

    def critic_update(real: torch.Tensor) -> tuple[torch.Tensor, ...]:
        d_real, d_fake = critic(real).mean(), critic(generator(torch.randn(len(real), 128)).detach()).mean()
        optimizer_d.zero_grad()
        (d_fake - d_real).backward()
        optimizer_d.step()
        return d_real.detach(), d_fake.detach(), (d_fake - d_real).detach()

    def generator_update() -> tuple[torch.Tensor, torch.Tensor]:
        g_fake = critic(generator(torch.randn(64, 128))).mean()
        optimizer_g.zero_grad()
        (-g_fake).backward()
        optimizer_g.step()
        return -g_fake.detach(), g_fake.detach()

    return {
        "loader": DataLoader(points, batch_size=64, shuffle=True, drop_last=True),
        "generator": generator,
        "critic": critic,
        "optimizer_g": optimizer_g,
        "optimizer_d": optimizer_d,
        "critic_update": critic_update,
        "generator_update": generator_update,
    }


_HEADER = re.compile(
    r"# (?:(?P<kind>After|Before trainer\.run of) \"(?P<block>[^\"]+)\"(?P<instead>, and in its place)?\. ?)?"
    r"(?:Yours: (?P<own>\w+(?:, \w+)*)\.)?\n"
)
_RUN = re.compile(r"^trainer\.run\(.*\n", re.M)


def _as_pasted(page: str, code: str, own: dict[str, Any]) -> tuple[str, dict[str, Any]]:
    """Return the block behind what it belongs to, as one script, and the names that it calls the reader's own."""
    header = _HEADER.match(code) if code.startswith(("# Yours:", "# After", "# Before")) else None
    assert header or not code.startswith("# "), f"{page}: can't read {code.splitlines()[0]!r}"
    if header is None:
        return code, {}
    names = {name: own[name] for name in (header["own"] or "").split(", ") if name}
    if header["block"] is None:
        return code, names
    before = [other for heading, other in snippets(page) if heading == header["block"]]
    assert before, f"{page}: {code.splitlines()[0]!r} names no heading with a block"
    script, others = _as_pasted(page, before[0], own)
    if header["kind"] == "After":
        return script + code, others | names
    (run,) = _RUN.findall(script)
    return script.replace(run, "") + code + ("" if header["instead"] else run), others | names


def _shortened(code: str) -> str:
    return code.replace("10_000", str(MOST_ITERATIONS)).replace("every=500", "every=20")


@pytest.mark.parametrize(
    ("page", "place"), [(page, place) for page in STRICT for place in range(len(snippets(page)))], ids=str
)
@pytest.mark.usefixtures("cut_short")
def test_a_block_runs_as_pasted(page: str, place: int) -> None:
    state = torch.get_rng_state()
    heading, code = snippets(page)[place]
    script, names = _as_pasted(page, code, _readers_own())
    exec(compile(_shortened(script), f"{page}: {heading}", "exec"), names)
    if "trainer" in names:
        assert names["trainer"].state.generator_updates in (MOST_ITERATIONS, 300)
        assert names["trainer"].state.critic_rate > 0.0
    for made, by in {"critic.png": "savefig(", "logs": "TensorboardLogger(", "checkpoints": "resume_exactly("}.items():
        assert Path(made).exists() == (by in code), made
    if "TensorboardLogger(" in code:
        names["logger"].close()
    torch.set_rng_state(state)


def test_the_diff_of_readme_runs_before_and_after() -> None:
    """What README takes out is a loop that runs, and what it puts in makes the controller set n."""
    (diff,) = (code for _, code in snippets("README.md", "diff"))
    lines = diff.splitlines(keepends=True)
    assert {line[0] for line in lines} == {" ", "+", "-"}
    before, after = ("".join(line[1:] for line in lines if line[0] in " " + kept) for kept in "-+")
    state = torch.get_rng_state()

    def yours() -> dict[str, Any]:
        return _readers_own() | {"torch": torch, "gradient_penalty": lambda real, fake: 0.0 * (real - fake).sum()}

    exec(compile(before.replace("10_000", "4").replace("n_critic = 5", "n_critic = 1"), "README.md", "exec"), yours())
    names = yours()
    exec(compile(_shortened(after), "README.md", "exec"), names)
    controller = names["controller"]
    assert controller.generator_updates == MOST_ITERATIONS
    assert controller.critic_updates > 0
    assert names["n_critic"] == controller.num_discriminator_steps
    assert 0.0 <= abs(controller.signal) < float("inf")
    torch.set_rng_state(state)


def test_what_needs_a_newer_ignite_says_so() -> None:
    """The package takes Ignite 0.5.2, whose run has no max_iters."""
    pages = [path for path in (ROOT / "docs").rglob("*.md") if "_build" not in path.parts]
    texts = {str(path.relative_to(ROOT)): path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *pages]}
    using = {page for page, text in texts.items() if re.search(r"\.run\(.*max_iters=", text)}
    assert using >= {"README.md", "docs/start.md", "docs/tutorials/five_minutes.md"}
    assert [page for page in sorted(using) if not re.search(r"(Ignite|below:|came with) 0\.5\.5", texts[page])] == []


def test_what_start_saves_goes_on_in_another_process(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is built afresh, from another seed; the run that is not interrupted is in a folder of its own."""
    (block,) = (code for heading, code in snippets("docs/start.md") if heading == "4. Save it")
    code, _ = _as_pasted("docs/start.md", block, _readers_own())
    code = code.replace("10_000", "40").replace("every=500", "every=10")
    assert "max_iters=40" in code
    assert "every=10" in code
    state = torch.get_rng_state()

    def train(folder: str, seed: int, fails_at: int = 0) -> dict[str, Any]:
        (tmp_path / folder).mkdir(exist_ok=True)
        monkeypatch.chdir(tmp_path / folder)
        names = _readers_own(seed)
        update = names["generator_update"]

        def failing() -> Any:
            if names["trainer"].state.iteration == fails_at:
                raise MemoryError
            return update()

        names["generator_update"] = failing
        exec(compile(code, "docs/start.md", "exec"), names)
        return names

    whole = train("whole", 0)
    with pytest.raises(MemoryError):
        train("interrupted", 0, fails_at=27)
    resumed = train("interrupted", 1)
    assert resumed["resumed"].iteration == 20
    assert resumed["trainer"].state.iteration == whole["trainer"].state.iteration == 40
    finished = train("interrupted", 2)  # nothing is left to do: it must not begin anew
    for again in (resumed, finished):
        for name in ("generator", "critic"):
            for ours, theirs in zip(again[name].parameters(), whole[name].parameters(), strict=True):
                assert torch.equal(ours, theirs), name
        for name in ("controller", "batches"):
            assert repr(again[name].state_dict()) == repr(whole[name].state_dict()), name
    torch.set_rng_state(state)


def markdown() -> list[str]:
    """Return the pages that people read, relative to the root."""
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), *(ROOT / "docs" / "tutorials").glob("*.md")]
    return sorted(str(page.relative_to(ROOT)) for page in pages)


def test_every_page_with_code_is_run_somewhere() -> None:
    with_code = [page for page in markdown() if "```python" in (ROOT / page).read_text(encoding="utf-8")]
    assert set(with_code) <= {*STRICT, *PAGES, *ELSEWHERE}


def _anchor(heading: str) -> str:
    """Return what a heading is linked with, on the site as on code hosts."""
    plain = re.sub(r"[`*]|\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    return re.sub(r"[^\w\- ]", "", plain.strip().lower()).replace(" ", "-")


@pytest.mark.parametrize("page", markdown())
def test_links_lead_somewhere(page: str) -> None:
    text = re.sub(r"^```.*?^```$", "", (ROOT / page).read_text(encoding="utf-8"), flags=re.M | re.S)
    dead = []
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if re.match(r"https?://", target):
            continue
        path, _, anchor = target.partition("#")
        file = (ROOT / page).parent / path if path else ROOT / page
        if not file.is_file():
            dead.append(target)
        elif anchor and file.suffix == ".md":
            headings = re.findall(r"^#+ (.*)$", file.read_text(encoding="utf-8"), re.M)
            if anchor not in map(_anchor, headings):
                dead.append(target)
    assert not dead, f"{page} links to {dead}"


@pytest.fixture(scope="module")
def responses() -> ModuleType:
    spec = importlib.util.spec_from_file_location("responses", ROOT / "docs" / "responses.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_pictures_of_responses_are_those_of_the_present_laws(responses: ModuleType) -> None:
    image = pytest.importorskip("PIL.Image")
    pictures, stale = responses.pictures(), []
    for name, (curves, _) in pictures.items():
        path = ROOT / "docs" / "images" / name
        if not path.is_file() or image.open(path).text.get("Curves") != responses.digest(curves):
            stale.append(name)
    assert not stale, f"{stale}: draw them again with `python docs/responses.py`, and read docs/how.md beside them"
    shown = set(re.findall(r"images/(response_\w+\.png)", (ROOT / "docs" / "how.md").read_text(encoding="utf-8")))
    assert shown == set(pictures)
