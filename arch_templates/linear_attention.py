"""Linear attention: softmax attention with a product of features in place of the exponential.

With positive features f of queries and keys the sum over the past no longer depends on the query,
and a head keeps it as a matrix S [K, V] and a vector z [K]:

    S_t = S_{t-1} + f(k_t) v_t^T          z_t = z_{t-1} + f(k_t)          f(x) = elu(x) + 1
    o_t = S_t^T f(q_t) / (z_t^T f(q_t))

The output is a weighted mean of all values so far. Nothing is ever overwritten or forgotten, and
nothing tells near from far: this is the ancestor from which the other templates depart.

Source: Katharopoulos et al., arXiv 2006.16236.
State for a layer: num_heads K (V + 1) numbers.
Cost a token: about 8 hidden_size^2 + 4 num_heads K V operations, whatever the length.
"""

from torch import Tensor, nn

from move37.arch_templates.ops import chunk_linear_attn, elu1

# Of these the normalised form uses the pair.
State = tuple[Tensor, Tensor] | Tensor | None


class TokenMixer(nn.Module):
    """Maps x [B, T, hidden_size] to y of that shape; the state is (S, z)."""

    def __init__(self, hidden_size: int, num_heads: int, layer_idx: int = 0) -> None:
        super().__init__()
        self.layer_idx = layer_idx
        self.num_heads = num_heads
        self.head_dim = hidden_size // num_heads
        inner = num_heads * self.head_dim
        self.qkv_proj = nn.Linear(hidden_size, 3 * inner, bias=False)
        self.out_proj = nn.Linear(inner, hidden_size, bias=False)

    def forward(self, x: Tensor, state: State = None) -> tuple[Tensor, State]:
        """Return y and the state after the last token; pass the state back to go on."""
        q, k, v = self._split_heads(self.qkv_proj(x)).chunk(3, dim=2)
        o, state = chunk_linear_attn(
            elu1(q), elu1(k), v, scale=1.0, initial_state=state, output_final_state=True
        )
        return self.out_proj(o.flatten(-2)), state

    def _split_heads(self, x: Tensor) -> Tensor:
        """Turn [B, T, heads * head_dim] into [B, T, heads, head_dim]."""
        return x.view(*x.shape[:-1], -1, self.head_dim)
