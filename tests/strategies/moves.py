"""Find the parameters that change in each step of a strategy with manual optimisation, with a real trainer."""

from pytorch_lightning import Trainer
from small_problem import batches, gradients
from torch import Tensor
from torch.utils.data import DataLoader

from landbridge.run.trainers import quiet
from landbridge.strategies import Strategy


def moves(strategy: Strategy, steps: int = 1, labels: int = 0) -> list[set[str]]:
    """Train on small batches, and return for each step the parts whose parameters changed at all."""
    seen: list[set[str]] = []
    step_optimizers = strategy.step_optimizers

    def watched(groups, loss):
        before = {name: value.detach().clone() for name, value in strategy.named_parameters()}
        step_optimizers(groups, loss)
        moved = {name for name, value in strategy.named_parameters() if not value.equal(before[name])}
        seen.append({name.removeprefix("network.").split(".")[0] for name in moved})

    strategy.step_optimizers = watched
    silent = {
        "logger": False,
        "enable_checkpointing": False,
        "enable_progress_bar": False,
        "enable_model_summary": False,
    }
    trainer = Trainer(accelerator="cpu", max_epochs=1, limit_val_batches=0, log_every_n_steps=1, **silent)
    loader = DataLoader([batches(seed=step, labels=labels) for step in range(steps)], batch_size=None)
    with quiet():
        trainer.fit(strategy, loader, loader)
    return seen


def descend(strategy: Strategy, term: Tensor, part: str) -> None:
    """Take a very small step against a term's gradient, only with parameters whose names begin with `part`."""
    for name, gradient in gradients(strategy, term).items():
        if name.startswith(part):
            strategy.get_parameter(name).data.sub_(1e-3 * gradient / gradient.norm())
