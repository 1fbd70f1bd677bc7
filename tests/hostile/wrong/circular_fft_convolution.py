# does: convolves by FFT without padding, so that the end wraps round to the start
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
        self.kernel = nn.Parameter(torch.randn(hidden_size, 16) / 16)
        self.out = nn.Linear(hidden_size, hidden_size, bias=False)

    def forward(self, x, state=None):
        v, state = self.filter(self.value(x), state)
        length = max(16, v.shape[1])
        spectrum = torch.fft.rfft(v.mT, n=length) * torch.fft.rfft(self.kernel, n=length)
        wrapped = torch.fft.irfft(spectrum, n=length)[..., : v.shape[1]].mT
        return self.out(v + wrapped), state
