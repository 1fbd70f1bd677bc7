"""The counters of operations and saved bytes, against counts made by hand."""

from __future__ import annotations

import math
from collections.abc import Callable

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from move37.evaluation.inside.counters import Counter, SavedBytes


def work(run: Callable[[], object]) -> float:
    counter = Counter()
    with counter:
        run()
    return counter.work


def exponent(run: Callable[[int], object]) -> float:
    return math.log2(work(lambda: run(2048)) / work(lambda: run(1024)))


def test_a_matrix_product_counts_as_in_the_stock_counter_plus_its_output() -> None:
    a, b = torch.rand(30, 40), torch.rand(40, 50)
    with FlopCounterMode(display=False) as stock:
        _ = a @ b
    assert work(lambda: a @ b) == stock.get_total_flops() + 30 * 50 == 2 * 30 * 40 * 50 + 30 * 50


def test_the_backward_pass_of_a_product_costs_two_more_products() -> None:
    a, b = (torch.rand(64, 64, requires_grad=True) for _ in range(2))
    forward = work(lambda: a @ b)
    both = work(lambda: torch.autograd.grad((a @ b).sum(), (a, b)))
    assert 2.9 < both / forward < 3.2


@pytest.mark.parametrize("run", [torch.fft.fft, torch.fft.rfft])
def test_a_fourier_transform_counts_5_n_log_n(run: Callable[[Tensor], Tensor]) -> None:
    assert work(lambda: run(torch.rand(3, 1024))) - 3 * 1024 == 5 * 3 * 1024 * 10


def test_an_inverse_real_transform_counts_the_length_of_its_output() -> None:
    x = torch.rand(513, dtype=torch.complex64)
    assert work(lambda: torch.fft.irfft(x)) == 5 * 1024 * 10


def test_a_sort_counts_n_log_n_and_a_scan_n() -> None:
    x = torch.rand(1024)
    assert work(lambda: x.sort()) == 1024 * 10
    assert work(lambda: x.cumsum(0)) == 1024


def test_a_gather_counts_its_elements_and_a_view_nothing() -> None:
    x, index = torch.rand(100, 8), torch.zeros(7, 8, dtype=torch.long)
    assert work(lambda: x.gather(0, index)) == 800
    assert work(lambda: x.view(8, 100).T[2:]) == 0


def test_a_triangular_solve_is_cubic() -> None:
    system = torch.eye(32).expand(5, 32, 32)
    right = torch.rand(5, 32, 4)
    counted = work(lambda: torch.linalg.solve_triangular(system, right, upper=False))
    assert counted >= 5 * 32 * 32 * 4


QUADRATIC: dict[str, Callable[[int], object]] = {
    "fused attention": lambda n: F.scaled_dot_product_attention(
        torch.rand(1, 2, n, 8), torch.rand(1, 2, n, 8), torch.rand(1, 2, n, 8), is_causal=True
    ),
    "attention with a matrix": lambda n: torch.softmax(torch.rand(n, 8) @ torch.rand(8, n), -1),
    "a mask": lambda n: torch.ones(n, n).tril(),
    "an outer sum": lambda n: torch.rand(n)[:, None] + torch.rand(n),
    "a pool as long as the sequence": lambda n: F.avg_pool1d(torch.rand(1, 8, 2 * n), n, 1),
    "a filter as long as the sequence": lambda n: F.conv1d(
        torch.rand(1, 8, 2 * n), torch.rand(8, 1, n), groups=8
    ),
    "pairwise distances": lambda n: torch.cdist(torch.rand(n, 8), torch.rand(n, 8)),
}


@pytest.mark.parametrize("name", QUADRATIC)
def test_quadratic_work_is_seen(name: str) -> None:
    assert exponent(QUADRATIC[name]) > 1.9


@pytest.mark.parametrize("name", ["fft", "sort", "lstm"])
def test_work_that_is_nearly_linear_is_not_called_quadratic(name: str) -> None:
    lstm = torch.nn.LSTM(8, 8, batch_first=True)
    runs: dict[str, Callable[[int], object]] = {
        "fft": lambda n: torch.fft.irfft(torch.fft.rfft(torch.rand(4, n), 2 * n)),
        "sort": lambda n: torch.rand(4, n).sort(-1),
        "lstm": lambda n: lstm(torch.rand(1, n, 8)),
    }
    assert 0.99 < exponent(runs[name]) < 1.15


def test_saved_bytes_count_a_block_once_and_an_expanded_view_as_its_block() -> None:
    x = torch.rand(256, requires_grad=True)
    saved = SavedBytes()
    with saved.hooks():
        y = x.exp()
        _ = (y * y.view(16, 16).flatten(), x.expand(1000, 256) * torch.ones(()))
    assert 256 * 4 <= saved.total <= 3 * 256 * 4


def test_gradients_are_the_same_while_they_are_watched() -> None:
    x = torch.rand(50, requires_grad=True)
    (expected,) = torch.autograd.grad(x.exp().square().sum(), x)
    saved = SavedBytes()
    with Counter():
        with saved.hooks():
            y = x.exp().square().sum()
        (found,) = torch.autograd.grad(y, x)
    assert torch.equal(found, expected)
