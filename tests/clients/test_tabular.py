"""CTGAN, the unmodified package, driven by controllers: make test-clients runs this where the extra is installed."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from adaptive_critic import FixedController, WassersteinGapController
from adaptive_critic.controller import Controller

ctgan = pytest.importorskip("ctgan", reason="needs the extra clients: make test-clients")
tabular = pytest.importorskip("experiments.clients.tabular")
CATEGORIES = tabular.CATEGORIES
# The mixture models that the package fits to columns may not converge on few rows, and say so.
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture(scope="module")
def table() -> Any:
    return tabular.fair().head(200)


def fitted(table: Any, controller: Controller | None = None, **options: Any) -> Any:
    """Return a CTGAN after ``fit``: the package's own, or driven by a controller."""
    small = {"generator_dim": (32,), "discriminator_dim": (32,), "batch_size": 40, "epochs": 3, "enable_gpu": False}
    model = ctgan.CTGAN(**{**small, **options})
    model.set_random_state(7)
    if controller is None:
        model.fit(table, CATEGORIES)
    else:
        with tabular.driven(model, controller):
            model.fit(table, CATEGORIES)
    return model


@pytest.mark.parametrize("k", [1, 3])
def test_a_fixed_number_is_bit_for_bit_the_packages_own_fit(table: Any, k: int) -> None:
    own = fitted(table, discriminator_steps=k)
    controller = FixedController(k)
    driven = fitted(table, controller, discriminator_steps=9)
    state = own._generator.state_dict()
    assert state.keys() == driven._generator.state_dict().keys()
    for name, value in driven._generator.state_dict().items():
        assert torch.equal(value, state[name]), name
    assert driven.loss_values.equals(own.loss_values)
    assert driven.sample(50).equals(own.sample(50))
    assert (controller.critic_updates, controller.generator_updates) == (15 * k, 15)
    assert driven._discriminator_steps == 9, "restored"


def test_another_number_is_another_training(table: Any) -> None:
    """The comparison above can fail."""
    own, driven = fitted(table, discriminator_steps=3), fitted(table, FixedController(2), discriminator_steps=3)
    assert not driven.loss_values.equals(own.loss_values)


def test_feedback_sees_the_losses_that_the_package_reports(table: Any) -> None:
    outputs: list[dict[str, Any]] = []

    def keep(output: dict[str, Any]) -> dict[str, Any]:
        outputs.append(output)
        return output

    controller = WassersteinGapController(output_transform=keep)
    model = fitted(table, controller, epochs=12)
    assert len(outputs) == controller.generator_updates == 60
    ends = outputs[4::5]  # a pass over the table is 5 rounds; the package keeps the losses of its last
    critic = [float(output["d_loss"][-1]) for output in ends]
    np.testing.assert_allclose(critic, model.loss_values["Discriminator Loss"], rtol=1e-5, atol=1e-6)
    updates = [len(output["d_real"]) for output in outputs]
    assert sum(updates) == controller.critic_updates
    assert len(set(updates)) > 1, "the number of critic updates never moved"


def test_the_hook_is_gone_afterwards_also_after_an_error(table: Any) -> None:
    hooks = torch.nn.modules.module._global_forward_hooks
    before = len(hooks)

    def stop(n: int) -> None:
        assert len(hooks) == before + 1
        raise KeyboardInterrupt

    model = ctgan.CTGAN(batch_size=40, epochs=1, enable_gpu=False)
    with pytest.raises(KeyboardInterrupt), tabular.driven(model, FixedController(1), stop):
        model.fit(table, CATEGORIES)
    assert len(hooks) == before
    assert type(model) is ctgan.CTGAN
    assert len(model.sample(3)) == 3


@pytest.mark.parametrize("calls", [1, 2, 3, 5])
def test_calls_that_are_no_rounds_of_ctgan(calls: int) -> None:
    model = ctgan.CTGAN(enable_gpu=False)
    critic = tabular.Discriminator(4, (8,), pac=1)
    with (
        pytest.raises(ValueError, match="calls of the critic are left over .* trains in another way"),
        tabular.driven(model, FixedController(1)),
    ):
        [critic(torch.zeros(8, 4)) for _ in range(calls)]


def test_the_script_trains(capsys: pytest.CaptureFixture[str]) -> None:
    threads = torch.get_num_threads()
    tabular.main(["--epochs", "2", "--rows", "500"])
    torch.set_num_threads(threads)
    assert '"generator_updates": 2' in capsys.readouterr().out
