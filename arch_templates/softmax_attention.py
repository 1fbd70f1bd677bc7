"""Softmax attention: the bound. It forgets nothing, and pays for it.

Each token weighs all tokens so far by how well their keys match its query; queries and keys are
rotated by their position:

    o_t = sum_{s <= t} p_ts v_s          p_t = softmax(rotate(q_t, t)^T rotate(k_s, s) / sqrt(K))

Quadratic in the length, with a state that grows with every token: the gates of cost refuse it, no
other does, and no campaign may start from it. It stands here as what a bounded state is worth.

Source: Vaswani et al., arXiv 1706.03762; rotary positions of Su et al., arXiv 2104.09864.
State for a layer: 2 hidden_size numbers for each token so far.
Cost of token t: about 8 hidden_size^2 + 4 t hidden_size operations.
"""

from torch import Tensor, nn

from move37.arch_templates.ops import apply_rotary, causal_attention

State = tuple[Tensor, Tensor]


class TokenMixer(nn.Module):
    """Maps x [B, T, hidden_size] to y of that shape; the state is all keys and values so far."""

    large_state = True

    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        self.layer_idx = layer_idx
        self.num_heads = num_heads
        self.head_dim = hidden_size // num_heads
        inner = num_heads * self.head_dim
        self.qkv_proj = nn.Linear(hidden_size, 3 * inner, bias=False)
        self.out_proj = nn.Linear(inner, hidden_size, bias=False)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Return y and the state after the last token; pass the state back to go on."""
        position = 0 if state is None else state[0].shape[1]

        q, k, v = self._split_heads(self.qkv_proj(x)).chunk(3, dim=2)
        o, state = causal_attention(
            apply_rotary(q, position), apply_rotary(k, position), v, state=state
        )
        return self.out_proj(o.flatten(-2)), state

    def _split_heads(self, x: Tensor) -> Tensor:
        """Turn [B, T, heads * head_dim] into [B, T, heads, head_dim]."""
        return x.view(*x.shape[:-1], -1, self.head_dim)
