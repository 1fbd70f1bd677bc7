# does: pads with zeros as it should, but its filter is real in frequency and so looks both ways
# expect: gate G1
# policy: passes
import torch
from torch import nn

from move37.arch_templates.ops import ShortConvolution


class TokenMixer(nn.Module):
    def __init__(self, hidden_size, num_heads, layer_idx=0):
        super().__init__()
        self.value = nn.Linear(hidden_size, hidden_size, bias=False)
        self.filter = ShortConvolution(hidden_size)
        self.width = nn.Parameter(torch.linspace(0.5, 4.0, hidden_size))
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x, state=None):
        v, state = self.filter(self.value(x), state)
        length = v.shape[1]
        spectrum = torch.fft.rfft(v.mT, n=2 * length)
        frequency = torch.linspace(0, 1, spectrum.shape[-1], dtype=v.dtype, device=v.device)
        response = torch.exp(-((self.width[:, None] * frequency) ** 2))
        smooth = torch.fft.irfft(spectrum * response, n=2 * length)[..., :length].mT
        return self.out(v + smooth), state
