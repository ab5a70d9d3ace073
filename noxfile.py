"""The version matrix: the core tests with the pinned, the lowest and the newest versions of what the package needs.

`make version-test` runs every session, `make version-test ARGS="--session lowest"` one of them; what follows `--` goes
to pytest. A session whose Python is not on the PATH fails; it is not passed over. `make test-clients`
runs one more, `imitation`.
"""

from __future__ import annotations

from pathlib import Path

import nox
from packaging.requirements import Requirement

nox.needs_version = ">=2025.5.1"
nox.options.error_on_missing_interpreters = True

PYPROJECT = nox.project.load_toml("pyproject.toml")
# Those that the classifiers name.
LOWEST_PYTHON, *_, NEWEST_PYTHON = nox.project.python_versions(PYPROJECT)

# What the core tests import besides the package; a test that needs more (tensorboard) skips itself and says so.
TOOLS = ("hypothesis", "pytest", "torchdata", "tqdm")

# Left to `make test`: what is not the package (experiments, clients, pages, wheels), types, what starts many processes,
# runs long, compiles or collects all of these, and a GAN trained for minutes. They take most of the time.
NOT_CORE = (
    "tests/clients",
    "tests/crash",
    "tests/experiments",
    "tests/mutation",
    "tests/soak",
    "tests/test_compile.py",
    "tests/test_docs_examples.py",
    "tests/test_long_run.py",
    "tests/test_packaging.py",
    "tests/test_real_gan.py",
    "tests/test_torchrun.py",
    "tests/test_types.py",
)

PRINT_VERSIONS = """
import platform, ignite, numpy, torch
print("Python", platform.python_version(), *(f"{m.__name__} {m.__version__}" for m in (ignite, torch, numpy)))
"""


def _lowest() -> dict[str, str]:
    """Return the lower bounds that pyproject.toml declares, by the names of the packages."""
    requirements = map(Requirement, PYPROJECT["project"]["dependencies"])
    return {
        wanted.name: next(bound.version for bound in wanted.specifier if bound.operator == ">=")
        for wanted in requirements
    }


def _constraints(session: nox.Session, exact: dict[str, str]) -> str:
    """Write constraints.txt with these versions in the place of its own, and return its path."""
    lines = Path("constraints.txt").read_text(encoding="utf-8").splitlines()
    others = [line for line in lines if line.startswith("#") or Requirement(line).name not in exact]
    # Not session.create_tmp(): that becomes the tests' folder for temporary files, and Ignite takes a meeting point
    # "file://..." with "env" anywhere in its path for "env://".
    path = Path(session.virtualenv.location) / "constraints.txt"
    path.write_text("\n".join([*others, *(f"{name}=={version}" for name, version in exact.items())]), encoding="utf-8")
    return str(path)


def _core_tests(session: nox.Session, *options: str) -> None:
    """Install the package with these options of pip, say what came of it, and run the core tests."""
    session.install(*options, "hatchling", "editables")
    # pip, and not the package's own requirements, decides whether the versions go together: it refuses if not.
    session.install(*options, "--no-build-isolation", "--editable", ".[plots]", *TOOLS)
    session.run("python", "-c", PRINT_VERSIONS)
    ignored = [f"--ignore={path}" for path in NOT_CORE]
    one_thread = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    session.run("python", "-m", "pytest", "-p", "no:cacheprovider", *ignored, *session.posargs, env=one_thread)


@nox.session
def pinned(session: nox.Session) -> None:
    """What constraints.txt pins, on the Python that nox runs on."""
    _core_tests(session, "--constraint", _constraints(session, {}))


@nox.session
def lowest_ignite(session: nox.Session) -> None:
    """The lowest Ignite, everything else as pinned."""
    _core_tests(session, "--constraint", _constraints(session, {"pytorch-ignite": _lowest()["pytorch-ignite"]}))


@nox.session(python=LOWEST_PYTHON)
def lowest(session: nox.Session) -> None:
    """The lowest version of everything that pyproject.toml allows."""
    _core_tests(session, "--constraint", _constraints(session, _lowest()))


@nox.session(python=NEWEST_PYTHON)
def newest(session: nox.Session) -> None:
    """The newest version of everything that the package index has."""
    _core_tests(session, "--upgrade")


# imitation asks for old versions of packages that constraints.txt has newer ones of.
IMITATION = {
    "imitation": "1.0.1",
    "stable-baselines3": "2.2.1",
    "gymnasium": "0.29.1",
    "seals": "0.2.1",
    "sacred": "0.8.7",
    "datasets": "5.0.1",
    "fsspec": "2026.6.0",
    "huggingface-hub": "0.36.2",
    "optuna": "5.0.0",
    "wrapt": "1.17.3",
}


@nox.session(default=False)
def imitation(session: nox.Session) -> None:
    """The tests that drive imitation's GAIL."""
    constraints = _constraints(session, IMITATION)
    session.install("--constraint", constraints, "hatchling", "editables")
    tools = ("imitation", "hypothesis", "pytest")
    session.install("--constraint", constraints, "--no-build-isolation", "--editable", ".", *tools)
    one_thread = {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    session.run("python", "-m", "pytest", "tests/clients/test_imitation_gail.py", *session.posargs, env=one_thread)
