"""Steps per second of runs against hand-written PyTorch loops with the same network, batches, losses and steps.

Both run interleaved in one process, several times; the ratio of the medians is printed. 1.00 means that landbridge and
Lightning cost nothing. Validation and checkpoints at the end of an epoch are no part of either.

    python benchmarks/training_loop.py [--strategies dann shot] [--repeats 7] [--epochs 3]
"""

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import torch
from hydra import compose, initialize_config_dir
from torch import Tensor, nn
from torch.nn.functional import cross_entropy, softmax

from landbridge.backbones.small import DigitsCNN
from landbridge.data.digits import mnist_5k, uci_digits
from landbridge.groups import as_additions, conf_folder, register_groups
from landbridge.losses import dann_ramp, domain_loss, information_maximisation, mcc, mmd2, reverse_gradient
from landbridge.run import run
from landbridge.strategies import CDAN, DAN, DANN, MCC, SHOT, Strategy

BATCH = 64


class Hand(nn.Module):
    """What a script would hold: a backbone, a head and, where it is used, a critic."""

    def __init__(self, critic_inputs: int = 0) -> None:
        super().__init__()
        self.backbone, self.head = DigitsCNN(), nn.Linear(64, 10)
        layers = [nn.Linear(critic_inputs or 1, 1024), nn.ReLU(True), nn.Linear(1024, 1024), nn.ReLU(True)]
        self.critic = nn.Sequential(*layers, nn.Linear(1024, 1)) if critic_inputs else nn.Identity()

    def confuse(self, source: Tensor, target: Tensor, progress: float) -> Tensor:
        scale = dann_ramp(progress)
        return domain_loss(self.critic(reverse_gradient(source, scale)), self.critic(reverse_gradient(target, scale)))


def joint(features: Tensor, logits: Tensor) -> Tensor:
    return (features.unsqueeze(2) * softmax(logits, 1).detach().unsqueeze(1)).flatten(1)


# Each: the strategy, the width of its critic's input, and its loss as a script would write it.
Loss = Callable[[Hand, Tensor, Tensor, Tensor, Tensor, Tensor, float], Tensor]
METHODS: dict[str, tuple[type[Strategy], int, Loss]] = {
    "dann": (DANN, 64, lambda m, fs, gs, y, ft, gt, t: cross_entropy(gs, y) + m.confuse(fs, ft, t)),
    "cdan": (
        CDAN,
        640,
        lambda m, fs, gs, y, ft, gt, t: cross_entropy(gs, y) + m.confuse(joint(fs, gs), joint(ft, gt), t),
    ),
    "dan": (DAN, 0, lambda m, fs, gs, y, ft, gt, t: cross_entropy(gs, y) + mmd2(fs, ft)),
    "mcc": (MCC, 0, lambda m, fs, gs, y, ft, gt, t: cross_entropy(gs, y) + mcc(gt)),
    "shot": (
        SHOT,
        0,
        lambda m, fs, gs, y, ft, gt, t: 0.3 * cross_entropy(gt, y) - information_maximisation(gt),
    ),
}


class Timed:
    """Adds up the seconds of a strategy's training steps."""

    seconds = 0.0
    steps_done = 0

    def on_train_epoch_start(self) -> None:
        super().on_train_epoch_start()  # type: ignore[misc]
        type(self).seconds -= time.perf_counter()

    def on_validation_start(self) -> None:
        type(self).seconds += time.perf_counter()
        type(self).steps_done = self.batches_seen  # type: ignore[attr-defined]


TIMED = {name: type(f"Timed_{name}", (Timed, method), {}) for name, (method, *_) in METHODS.items()}
# The configuration names them by module and name.
globals().update({each.__name__: each for each in TIMED.values()})


def hand_written(name: str, source: tuple[Tensor, Tensor], target: Tensor, steps: int) -> float:
    """Train as one would in a script, and return the seconds of the loop."""
    torch.manual_seed(0)
    _, width, loss_of = METHODS[name]
    model = Hand(width)
    if name == "shot":
        model.head.requires_grad_(False)
    optimizer = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=1e-3)
    began = time.perf_counter()
    order_s, order_t, at_s, at_t = torch.randperm(len(source[0])), torch.randperm(len(target)), 0, 0
    for step in range(steps):
        if at_s + BATCH > len(order_s):
            order_s, at_s = torch.randperm(len(source[0])), 0
        if at_t + BATCH > len(order_t):
            order_t, at_t = torch.randperm(len(target)), 0
        chosen_s, chosen_t = order_s[at_s : at_s + BATCH], order_t[at_t : at_t + BATCH]
        at_s, at_t = at_s + BATCH, at_t + BATCH
        f_t = model.backbone((target[chosen_t].float() / 255 - 0.5) / 0.5)
        f_s, g_s = f_t, f_t
        if name != "shot":
            f_s = model.backbone((source[0][chosen_s].float() / 255 - 0.5) / 0.5)
            g_s = model.head(f_s)
        loss = loss_of(model, f_s, g_s, source[1][chosen_s], f_t, model.head(f_t), step / steps)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return time.perf_counter() - began


def landbridge_run(name: str, epochs: int, cache: str) -> tuple[float, int]:
    """Do the same with landbridge; return the seconds of its training steps, and their number."""
    # The benchmark is both a script and, for the configuration, a module of its own.
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
    x_s, x_t = (split.inputs.read(torch.arange(len(split.inputs)), None) for split in (source, target))
    labels = source.labels.open("benchmark")

    print(f"steps per second, median of {arguments.repeats} interleaved repeats, {torch.get_num_threads()} threads")
    print(f"{'':8}{'landbridge':>12}{'by hand':>12}{'ratio':>8}   pair by pair")
    with tempfile.TemporaryDirectory() as cache:
        for name in arguments.strategies:
            ours, theirs = [], []
            landbridge_run(name, 1, cache)
            for _ in range(arguments.repeats):
                seconds, steps = landbridge_run(name, arguments.epochs, cache)
                ours.append(steps / seconds)
                theirs.append(steps / hand_written(name, (x_s, labels), x_t, steps))
            rate, reference = statistics.median(ours), statistics.median(theirs)
            pairs = sorted(a / b for a, b in zip(ours, theirs, strict=True))
            spread = f"{pairs[0]:.3f} to {pairs[-1]:.3f}"
            print(f"{name:8}{rate:12.1f}{reference:12.1f}{rate / reference:8.3f}   {spread}", flush=True)


if __name__ == "__main__":
    main()
