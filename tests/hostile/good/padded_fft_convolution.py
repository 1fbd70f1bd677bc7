# does: convolves the whole sequence by FFT, padded so that nothing wraps round
# expect: passes
# policy: passes
import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTH = 16


class TokenMixer(nn.Module):
    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        self.value = nn.Linear(hidden_size, hidden_size, bias=False)
        self.gate = nn.Linear(hidden_size, hidden_size, bias=False)
        self.taps = nn.Parameter(torch.randn(hidden_size, WIDTH) / WIDTH**0.5)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        v = self.value(x)
        if state is None:
            state = v.new_zeros(v.shape[0], WIDTH - 1, v.shape[2])
        window = torch.cat([state, v], dim=1)
        size = 2 * window.shape[1]
        spectrum = torch.fft.rfft(window.mT, n=size) * torch.fft.rfft(self.taps, n=size)
        y = torch.fft.irfft(spectrum, n=size)[..., WIDTH - 1 : window.shape[1]].mT
        return self.out(y * F.silu(self.gate(x))), window[:, v.shape[1] :]
