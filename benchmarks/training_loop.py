"""Steps per second of a DANN run against a hand-written PyTorch loop with the same network, batches and steps.

Both run interleaved in one process, several times; the ratio of the medians is printed. 1.00 means that landbridge and
Lightning cost nothing.

    python benchmarks/training_loop.py [--repeats 7] [--epochs 3]
"""

import argparse
import statistics
import sys
import tempfile
import time
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from torch import Tensor, nn

from landbridge.backbones.small import DigitsCNN
from landbridge.data.digits import mnist_5k, uci_digits
from landbridge.groups import as_additions, conf_folder, register_groups
from landbridge.run import run
from landbridge.strategies import DANN

BATCH = 64


class Reverse(torch.autograd.Function):
    """Identity forward, negated and scaled gradient backward."""

    @staticmethod
    def forward(ctx, x, scale):
        ctx.scale = scale
        return x.view_as(x)

    @staticmethod
    def backward(ctx, gradient):
        return -ctx.scale * gradient, None


def hand_written(source: tuple[Tensor, Tensor], target: Tensor, steps: int) -> float:
    """Train DANN as one would in a script, and return the seconds of the loop."""
    torch.manual_seed(0)
    backbone, head = DigitsCNN(), nn.Linear(64, 10)
    critic = nn.Sequential(nn.Linear(64, 1024), nn.ReLU(True), nn.Linear(1024, 1024), nn.ReLU(True), nn.Linear(1024, 1))
    parameters = [*backbone.parameters(), *head.parameters(), *critic.parameters()]
    optimizer = torch.optim.Adam(parameters, lr=1e-3)
    cross_entropy, bce = nn.CrossEntropyLoss(), nn.BCEWithLogitsLoss()
    ones, zeros = torch.ones(BATCH, 1), torch.zeros(BATCH, 1)
    began = time.perf_counter()
    order_s, order_t, at_s, at_t = torch.randperm(len(target)), torch.randperm(len(target)), 0, 0
    order_s = order_s[order_s < len(source[0])]
    for step in range(steps):
        if at_s + BATCH > len(order_s):
            order_s, at_s = torch.randperm(len(source[0])), 0
        if at_t + BATCH > len(order_t):
            order_t, at_t = torch.randperm(len(target)), 0
        chosen_s, chosen_t = order_s[at_s : at_s + BATCH], order_t[at_t : at_t + BATCH]
        at_s, at_t = at_s + BATCH, at_t + BATCH
        x_s, x_t = ((x.float() / 255 - 0.5) / 0.5 for x in (source[0][chosen_s], target[chosen_t]))
        scale = float(2 / (1 + torch.exp(torch.tensor(-10 * step / steps))) - 1)
        f_s, f_t = backbone(x_s), backbone(x_t)
        head(f_t)
        domain = bce(critic(Reverse.apply(f_s, scale)), ones) + bce(critic(Reverse.apply(f_t, scale)), zeros)
        loss = cross_entropy(head(f_s), source[1][chosen_s]) + domain / 2
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return time.perf_counter() - began


class Timed(DANN):
    """DANN that adds up the seconds of its training steps: validation is no part of the hand-written loop."""

    seconds = 0.0
    steps_done = 0

    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()
        Timed.seconds -= time.perf_counter()

    def on_validation_start(self) -> None:
        Timed.seconds += time.perf_counter()
        Timed.steps_done = self.batches_seen


def landbridge_run(epochs: int) -> tuple[float, int]:
    """Do the same with landbridge; return the seconds of its training steps, and their number."""
    Timed.seconds = 0.0
    overrides = [f"trainer.max_epochs={epochs}", "trainer.accelerator=cpu", "strategy._target_=training_loop.Timed"]
    with tempfile.TemporaryDirectory() as folder, initialize_config_dir(str(conf_folder()), version_base="1.3"):
        run(compose("train", as_additions(overrides)), Path(folder))
    # The benchmark is both a script and, for the configuration, a module.
    timed = sys.modules["training_loop"].Timed
    seconds, timed.seconds = timed.seconds, 0.0
    return seconds, timed.steps_done


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--epochs", type=int, default=3)
    arguments = parser.parse_args()
    register_groups()
    source, target = uci_digits().splits["train"], mnist_5k().splits["train"]
    everything = torch.arange(len(source.inputs)), torch.arange(len(target.inputs))
    x_s, x_t = source.inputs.read(everything[0], None), target.inputs.read(everything[1], None)
    labels = source.labels.open("benchmark")

    ours, theirs = [], []
    landbridge_run(1)
    for _ in range(arguments.repeats):
        seconds, steps = landbridge_run(arguments.epochs)
        ours.append(steps / seconds)
        theirs.append(steps / hand_written((x_s, labels), x_t, steps))
    rate, reference = statistics.median(ours), statistics.median(theirs)
    pairs = sorted(a / b for a, b in zip(ours, theirs, strict=True))
    print(f"steps per second, median of {arguments.repeats} interleaved repeats of {steps} steps")
    print(f"  landbridge     {rate:8.1f}")
    print(f"  hand-written   {reference:8.1f}")
    print(f"  ratio          {rate / reference:8.3f}   (pair by pair: {pairs[0]:.3f} to {pairs[-1]:.3f})")


if __name__ == "__main__":
    main()
