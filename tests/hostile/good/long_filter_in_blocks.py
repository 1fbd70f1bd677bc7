# does: filters over 256 tokens by FFT in blocks of 256, with the last 255 inputs as its state
# expect: passes
# policy: passes
import torch
from torch import Tensor, nn
from torch.nn import functional as F

WIDTH = 256


class TokenMixer(nn.Module):
    large_state = True

    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        self.num_heads = num_heads
        decay = torch.exp(-torch.arange(WIDTH) / 32.0)
        self.taps = nn.Parameter(0.3 * torch.randn(num_heads, WIDTH) * decay)
        self.value = nn.Linear(hidden_size, hidden_size, bias=False)
        self.gate = nn.Linear(hidden_size, hidden_size, bias=False)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x: Tensor, state: Tensor | None = None) -> tuple[Tensor, Tensor]:
        v = self.value(x)
        if state is None:
            state = v.new_zeros(v.shape[0], WIDTH - 1, v.shape[2])
        window = torch.cat([state, v], dim=1)
        y = self.filtered(window, v.shape[1])
        return self.out(y * F.silu(self.gate(x))), window[:, v.shape[1] :]

    def filtered(self, window: Tensor, length: int) -> Tensor:
        padding = -length % WIDTH
        # Blocks of 511 inputs that overlap by 255: each gives 256 outputs that are complete.
        blocks = F.pad(window, (0, 0, 0, padding)).unfold(1, 2 * WIDTH - 1, WIDTH)
        taps = self.taps.repeat_interleave(window.shape[2] // self.num_heads, dim=0)
        spectrum = torch.fft.rfft(blocks, n=2 * WIDTH) * torch.fft.rfft(taps, n=2 * WIDTH)
        whole = torch.fft.irfft(spectrum, n=2 * WIDTH)[..., WIDTH - 1 : 2 * WIDTH - 1]
        return whole.transpose(2, 3).flatten(1, 2)[:, :length]
