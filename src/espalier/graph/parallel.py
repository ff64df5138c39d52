"""Training in several processes: each computes its share of every mini-batch, and gradients are averaged."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel


@dataclass(frozen=True)
class Share:
    """The share of the work of process `rank` of `of`."""

    rank: int = 0
    of: int = 1

    @property
    def alone(self) -> bool:
        """Whether there is only one process."""
        return self.of == 1

    def take(self, order: Tensor) -> Tensor:
        """Every `of`-th of `order` (n,): floor(n / of) items, so that all processes take the same number of steps."""
        return order[: order.numel() - order.numel() % self.of][self.rank :: self.of]

    def size(self, whole: int) -> int:
        """This process's part of a mini-batch of `whole`, at least 1."""
        return max(whole // self.of, 1)

    def wrap(self, model: nn.Module) -> nn.Module:
        """`model` with the first process's weights, its gradients averaged over processes."""
        return model if self.alone else DistributedDataParallel(model, find_unused_parameters=True)

    def mean(self, value: Tensor) -> Tensor:
        """The mean over processes of a scalar."""
        if not self.alone:
            value = value.to(torch.device("cuda") if dist.get_backend() == "nccl" else "cpu") / self.of
            dist.all_reduce(value)
        return value

    def agree(self, model: nn.Module) -> None:
        """Copy the first process's buffers to all processes: running statistics, which each process collects over its
        own share.
        """
        if not self.alone:
            for buffer in model.buffers():
                dist.broadcast(buffer, 0)


@contextmanager
def torchrun_share() -> Iterator[Share]:
    """This process's share if torchrun started several processes, else all of it. Joins their process group if
    necessary.
    """
    if dist.is_initialized():
        yield Share(dist.get_rank(), dist.get_world_size())
        return
    if not dist.is_torchelastic_launched():
        yield Share()
        return
    dist.init_process_group("nccl" if torch.cuda.is_available() else "gloo")
    try:
        yield Share(dist.get_rank(), dist.get_world_size())
        dist.barrier()  # nobody hangs up while another is still in the last step
    finally:
        dist.destroy_process_group()
