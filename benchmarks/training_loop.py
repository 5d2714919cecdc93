"""Compare the time per step of runs to hand-written PyTorch loops with the same network, batches, losses and steps.

Both run alternately in one process, several times. The ratio of the medians is printed. A ratio of 1.00 means that
landbridge and Lightning add no time. A third measurement trains the same loss in a minimal LightningModule, without
callbacks, loggers and progress bar. It shows the time that Lightning adds. No measurement includes validation and
checkpoints at the end of an epoch.

    python benchmarks/training_loop.py [--strategies dann shot] [--repeats 7] [--epochs 3]
"""

import argparse
import logging
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import torch
from hydra import compose, initialize_config_dir
from pytorch_lightning import LightningModule, Trainer
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, softmax
from torch.utils.data import DataLoader, Dataset

from landbridge.cli.config_sources import conf_folder, register_groups
from landbridge.cli.overrides import as_additions
from landbridge.data.sources.digits import mnist_5k, uci_digits
from landbridge.losses import dann_ramp, domain_loss, information_maximisation, mcc, mmd2, reverse_gradient
from landbridge.models.backbones.small import DigitsCNN
from landbridge.run.run import run
from landbridge.strategies import CDAN, DANN, SHOT, Strategy, Supervised

BATCH = 64


class Hand(nn.Module):
    """Modules of a hand-written script: a backbone, a head and, for some methods, a discriminator."""

    def __init__(self, critic_inputs: int = 0) -> None:
        super().__init__()
        self.backbone, self.head = DigitsCNN(), nn.Linear(64, 10)
        layers = [nn.Linear(critic_inputs or 1, 1024), nn.ReLU(True), nn.Linear(1024, 1024), nn.ReLU(True)]
        self.discriminator = nn.Sequential(*layers, nn.Linear(1024, 1)) if critic_inputs else nn.Identity()

    def confuse(self, source: Tensor, target: Tensor, progress: float) -> Tensor:
        scale = dann_ramp(progress)
        return domain_loss(
            self.discriminator(reverse_gradient(source, scale)), self.discriminator(reverse_gradient(target, scale))
        )


def joint(features: Tensor, logits: Tensor) -> Tensor:
    return (features.unsqueeze(2) * softmax(logits, 1).detach().unsqueeze(1)).flatten(1)


# For each method: the strategy, the width of the discriminator's input, and the loss in a hand-written script.
Loss = Callable[[Hand, Tensor, Tensor, Tensor, Tensor, Tensor, float], Tensor]
METHODS: dict[str, tuple[type[Strategy], int, Loss]] = {
    "dann": (DANN, 64, lambda m, fs, gs, y, ft, gt, t: cross_entropy(gs, y) + m.confuse(fs, ft, t)),
    "cdan": (
        CDAN,
        640,
        lambda m, fs, gs, y, ft, gt, t: cross_entropy(gs, y) + m.confuse(joint(fs, gs), joint(ft, gt), t),
    ),
    "dan": (Supervised, 0, lambda m, fs, gs, y, ft, gt, t: cross_entropy(gs, y) + mmd2(fs, ft, estimator="unbiased")),
    "mcc": (Supervised, 0, lambda m, fs, gs, y, ft, gt, t: cross_entropy(gs, y) + dann_ramp(t) * mcc(gt)),
    "shot": (
        SHOT,
        0,
        lambda m, fs, gs, y, ft, gt, t: 0.3 * cross_entropy(gt, y) - information_maximisation(gt),
    ),
}


class Timed:
    """Mix-in that sums the seconds of a strategy's training steps."""

    seconds = 0.0
    steps_done = 0

    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()  # type: ignore[misc]
        type(self).seconds -= time.perf_counter()

    def on_validation_start(self) -> None:
        type(self).seconds += time.perf_counter()
        type(self).steps_done = self.batches_seen  # type: ignore[attr-defined]


TIMED = {name: type(f"Timed_{name}", (Timed, method), {}) for name, (method, *_) in METHODS.items()}
# The configuration refers to these classes by module and name.
globals().update({each.__name__: each for each in TIMED.values()})


class Script:
    """Data, network, optimizer and loss, which the hand-written loop and the minimal module share.

    Args:
        name: name of the method.
        source: images and labels of the source.
        target: images of the target.
        steps: total number of training steps.
    """

    def __init__(self, name: str, source: tuple[Tensor, Tensor], target: Tensor, steps: int) -> None:
        torch.manual_seed(0)
        self.name, self.source, self.target, self.steps = name, source, target, steps
        _, width, self.loss_of = METHODS[name]
        self.model = Hand(width)
        if name == "shot":
            self.model.head.requires_grad_(False)

    def optimizer(self) -> torch.optim.Optimizer:
        return torch.optim.Adam([p for p in self.model.parameters() if p.requires_grad], lr=1e-3)

    def batches(self) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
        order_s, order_t = torch.randperm(len(self.source[0])), torch.randperm(len(self.target))
        at_s = at_t = 0
        for _ in range(self.steps):
            if at_s + BATCH > len(order_s):
                order_s, at_s = torch.randperm(len(self.source[0])), 0
            if at_t + BATCH > len(order_t):
                order_t, at_t = torch.randperm(len(self.target)), 0
            chosen_s, chosen_t = order_s[at_s : at_s + BATCH], order_t[at_t : at_t + BATCH]
            at_s, at_t = at_s + BATCH, at_t + BATCH
            yield self.source[0][chosen_s], self.source[1][chosen_s], self.target[chosen_t]

    def loss(self, batch: tuple[Tensor, Tensor, Tensor], step: int) -> Tensor:
        x_s, y, x_t = batch
        model = self.model
        f_t = model.backbone((x_t.float() / 255 - 0.5) / 0.5)
        f_s, g_s = f_t, f_t
        if self.name != "shot":
            f_s = model.backbone((x_s.float() / 255 - 0.5) / 0.5)
            g_s = model.head(f_s)
        return self.loss_of(model, f_s, g_s, y, f_t, model.head(f_t), step / self.steps)


def by_hand(script: Script) -> float:
    """Train in a hand-written loop and return the seconds of the loop."""
    optimizer = script.optimizer()
    began = time.perf_counter()
    for step, batch in enumerate(script.batches()):
        loss = script.loss(batch, step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return time.perf_counter() - began


class Bare(LightningModule):
    """The same training in a minimal LightningModule."""

    def __init__(self, script: Script) -> None:
        super().__init__()
        self.script, self.model = script, script.model
        self.seconds = 0.0

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return self.script.optimizer()

    def training_step(self, batch: Any, batch_idx: int) -> Tensor:
        return self.script.loss(batch, batch_idx)

    def on_train_start(self) -> None:
        self.seconds -= time.perf_counter()

    def on_train_end(self) -> None:
        self.seconds += time.perf_counter()


class Batches(Dataset[Any]):
    """Data set of the script's batches; each item is one batch."""

    def __init__(self, script: Script) -> None:
        self.batches, self.steps = script.batches(), script.steps

    def __len__(self) -> int:
        return self.steps

    def __getitem__(self, step: int) -> Any:
        return next(self.batches)


def in_lightning(script: Script) -> float:
    """Train the minimal module and return the seconds of its steps."""
    bare = Bare(script)
    trainer = Trainer(
        accelerator="cpu",
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(bare, DataLoader(Batches(script), batch_size=None))
    return bare.seconds


def landbridge_run(name: str, epochs: int, cache: str) -> tuple[float, int]:
    """Train with landbridge and return the seconds of the training steps and their number."""
    # This file is loaded twice: as the script, and as the module `training_loop` by the configuration.
    timed = sys.modules["training_loop"].TIMED[name] if "training_loop" in sys.modules else TIMED[name]
    timed.seconds = 0.0
    overrides = [f"strategy={name}", f"strategy._target_=training_loop.Timed_{name}", f"trainer.max_epochs={epochs}"]
    overrides += ["trainer.accelerator=cpu"]
    overrides += ["start=source", "start.max_epochs=1", f"start.cache={cache}"] if name == "shot" else []
    with tempfile.TemporaryDirectory() as folder, initialize_config_dir(str(conf_folder()), version_base="1.3"):
        run(compose("train", as_additions(overrides)), Path(folder))
    timed = sys.modules["training_loop"].TIMED[name]
    return timed.seconds, timed.steps_done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--strategies", nargs="+", default=list(METHODS), choices=list(METHODS))
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()
    register_groups()
    source, target = uci_digits().splits["train"], mnist_5k().splits["train"]
    x_s, x_t = (split.inputs.read(torch.arange(len(split.inputs)), None)[0] for split in (source, target))
    labels = source.labels.open("benchmark")

    logging.getLogger("pytorch_lightning").setLevel(logging.ERROR)
    print(
        f"milliseconds per step, median of {arguments.repeats} alternating repeats, {torch.get_num_threads()} threads"
    )
    print(f"{'':8}{'by hand':>10}{'Lightning':>12}{'ratio':>8}{'landbridge':>12}{'ratio':>8}   ratios of all repeats")
    with tempfile.TemporaryDirectory() as cache:
        for name in arguments.strategies:
            rows = []
            landbridge_run(name, 1, cache)
            for _ in range(arguments.repeats):
                seconds, steps = landbridge_run(name, arguments.epochs, cache)
                loops = [loop(Script(name, (x_s, labels), x_t, steps)) for loop in (by_hand, in_lightning)]
                rows.append([1e3 * each / steps for each in (*loops, seconds)])
            hand, bare, ours = (statistics.median(column) for column in zip(*rows, strict=True))
            pairs = sorted(row[2] / row[0] for row in rows)
            spread = f"{pairs[0]:.3f} to {pairs[-1]:.3f}"
            print(
                f"{name:8}{hand:10.2f}{bare:12.2f}{bare / hand:8.3f}{ours:12.2f}{ours / hand:8.3f}   {spread}",
                flush=True,
            )


if __name__ == "__main__":
    main()
