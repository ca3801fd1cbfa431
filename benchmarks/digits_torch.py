"""One run of the main job as a loop of PyTorch: the same network, data, optimizer and schedules."""

import functools
from collections.abc import Callable
from typing import Any

from benchmarks import timing
from benchmarks.optional import module
from lrsched.lab.workloads import digits, training


def scheduler_of(name: str, optimizer: Any, peak: float, steps: int) -> Any:
    """PyTorch's scheduler for a name in `bakeoff.guide`; None for the constant rate."""
    library = module("torch.optim.lr_scheduler")
    match name:
        case "constant":
            return None
        case "step":
            return library.StepLR(optimizer, step_size=steps // 4, gamma=0.5)
        case "multi-step":
            return library.MultiStepLR(optimizer, milestones=[steps // 2, 3 * steps // 4], gamma=0.1)
        case "exponential":
            return library.ExponentialLR(optimizer, gamma=0.01 ** (1 / steps))
        case "cosine annealing":
            return library.CosineAnnealingLR(optimizer, T_max=steps)
        case "reduce on plateau":
            return library.ReduceLROnPlateau(optimizer, factor=0.5, patience=3, threshold=0.01)
        case "cyclic":
            return library.CyclicLR(optimizer, 0.1 * peak, peak, step_size_up=steps // 10, cycle_momentum=False)
        case "one-cycle":
            return library.OneCycleLR(optimizer, max_lr=peak, total_steps=steps, cycle_momentum=False)
    raise ValueError(name)


class Tensors:
    """The digits as tensors on a device, made once for all runs."""

    def __init__(self, device: str) -> None:
        data = digits.load()
        self.device = device
        self.images, self.labels = self._tensors(data.train)
        self.validation = self._tensors(data.validation)

    def _tensors(self, split: digits.Split) -> tuple[Any, Any]:
        torch = module("torch")
        images, labels = torch.from_numpy(split.images), torch.from_numpy(split.digits).long()
        return images.to(self.device), labels.to(self.device)


def on_its_fastest_device() -> Callable[[str, float, int, int], float]:
    """`train` with the data on the device where a short run is fastest: such a small network may be slower on a GPU."""
    devices = ["cpu", "cuda"] if module("torch").cuda.is_available() else ["cpu"]
    trains = [functools.partial(train, Tensors(device)) for device in devices]
    if len(trains) == 1:
        return trains[0]
    for each in trains:
        each("constant", 0.08, 0, 50)
    return min(trains, key=lambda each: timing.median(lambda: each("constant", 0.08, 0, 100), 3))


def train(data: Tensors, name: str, peak: float, seed: int, steps: int) -> float:
    """Trains once, with every evaluation that the main job makes, and returns the last validation accuracy."""
    torch = module("torch")
    torch.set_num_threads(1)  # the network is small: threads that wait for each other cost more than they save
    torch.manual_seed(seed)
    network = torch.nn.Sequential(torch.nn.Linear(64, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10)).to(data.device)
    optimizer = torch.optim.SGD(network.parameters(), lr=peak, momentum=0.9)
    is_plateau = name == "reduce on plateau"
    scheduler = scheduler_of(name, optimizer, peak, steps)
    loss_of = torch.nn.CrossEntropyLoss()
    every = max(1, steps // training.EVALUATIONS)
    history, total = [], torch.zeros((), device=data.device)
    for step in range(1, steps + 1):
        batch = torch.randint(len(data.labels), (16,), device=data.device)
        optimizer.zero_grad()
        loss = loss_of(network(data.images[batch]), data.labels[batch])
        loss.backward()
        optimizer.step()
        total += loss.detach()
        if scheduler is not None and not is_plateau:
            scheduler.step()
        if step % every == 0:
            images, labels = data.validation
            with torch.no_grad():
                scores = network(images)
                validation_loss = loss_of(scores, labels).item()
                accuracy = (scores.argmax(dim=1) == labels).float().mean().item()
            history.append((step, total.item() / every, validation_loss, accuracy))
            total.zero_()
            if scheduler is not None and is_plateau:
                scheduler.step(validation_loss)
    return history[-1][-1]
