"""Every size, cut and limit of the gates, each with its reason.

"Known-good" are the templates, 100 designs of the offline grammar and the good part of the corpus.
"""

from __future__ import annotations

# A mixer that needs longer for all gates together would need hours to train.
GATE_SECONDS = 60.0

# --- the layer that is asked -------------------------------------------------------------------

# Wide enough that no head is a single number, narrow enough that 515 tokens cost milliseconds.
HIDDEN, HEADS = 32, 2
# So many layers are looked at at least, each kind among them by all gates: the usual period of a
# hybrid (Kimi Linear, Qwen3-Next; our template). A deeper tier looks at as many as it trains.
LAYERS = 4
# Multiples of no chunk size; below and above 256, so that there are several chunks of any size.
LENGTHS = (131, 515)
# Beyond any length that a tier trains at: for what begins to leak only there.
LONG = 1100
# Both sides of the edges of the usual chunks, and one that is near no edge.
CUTS = (1, 31, 32, 33, 63, 64, 65, 100)
# The other suffix as large as the input, and so large that it saturates whatever it reaches.
SUFFIX_SCALES = (1.0, 30.0)
# Weights as initialised hide what stands behind a zero; two draws, as one may saturate a gate.
REDRAWS = (1, 2)
# A redrawn decay may be above one; a quarter of the weights keeps 515 steps of it finite.
SHRINK = 0.25

# --- causality and purity ----------------------------------------------------------------------

# Known-good layers stay below 6e-15, those with a Fourier transform, whose rounding is that of the
# loudest position, below 5e-12; a leak that training could use is far above 1e-9.
TOLERANCE = 1e-9
# A derivative towards the future is exactly zero but for Fourier transforms, which leave 6e-15.
JACOBIAN = 1e-12
# The same bits are expected; memory that lies otherwise may change the order of a vector sum.
REPEAT = 1e-12
ROW_LENGTHS = (131, 100, 67, 1)
ORDER = (3, 0, 4, 1, 2)
# Around the edge of a chunk of 64, and the least prefill there is.
PREFILLS = (1, 63, 64, 65)
STEPS = 8

# --- health ------------------------------------------------------------------------------------

# The last is long enough for a filter of two thousand taps to get gradient on every tap.
GRADIENT_BATCHES = ((4, 131), (2, 515), (1, 2051))
# Known-good layers have none that is dead; some units of a rectifier may be.
DEAD_SHARE = 0.05
STRESS_LENGTH = 4096
STRESS_PERIOD = 7
STRESS_SCALES = (1e-3, 1e3)
# Known-good layers end below 0.051, nearly all below 0.03; without mixing it stays at 1.0.
OVERFIT_STEPS, OVERFIT_RATE = 50, 1e-2
OVERFIT_ROWS, OVERFIT_PAIRS = 8, 8
OVERFIT_SHARE = 0.1

# --- cost --------------------------------------------------------------------------------------

COST_LENGTHS = (256, 512, 1024, 2048, 4096)
# A loop over tokens dispatches some dozens of ops a token; it is counted up to 1,024 tokens only,
# as the counter takes some microseconds an op.
MANY_OPS = 40_000
# The chunks of a known-good layer are uneven by up to 0.034, a scan by doubling reaches 1.091.
LINEAR, LOG_LINEAR = 1.05, 1.15
# CPU time of a length over that of its quarter: 4 when linear, 16 when quadratic. A neighbour that
# takes half of the processor's cache makes it 8 at most, and not four times in a row. Below a
# third of a second the clock's ticks of 10 ms prove nothing.
BURNT_RATIO, BURNT_SECONDS, CLOCK_TICK = 8.0, 0.3, 0.01
BURNT_TRIES = 3
# One below a power of two, where a tree of states is fullest and a chunk is still open.
STATE_LENGTHS = (63, 255, 1023, 2047)
# A state that grows with the logarithm of the length grows by a tenth here, a window of 1,024
# not at all, a square root by 1.41.
STATE_GROWTH = 1.15
# The narrowest model of the default tier: what is declared of size there must hold there.
BUDGET_HIDDEN, BUDGET_LENGTH = 48, 512
# Known-good designs reach 1.35; twice the baseline is another size of model.
PARAMETERS = 1.5
# Above these a design could not be trained beside the baseline. Known-good ones reach 4.5 times its
# work (long filters) and 4.6 times what it saves (a window of attention).
WORK = 8.0
SAVED = 16.0
PARAMETERS_EQUAL, WORK_EQUAL, SAVED_EQUAL = 0.02, 0.05, 0.5

# --- learning and round trip -------------------------------------------------------------------

DRILL_STEPS, DRILL_ROWS, DRILL_LENGTH = 5, 2, 67
COUNTS = (1_500, 100_000)
NOISE_VOCABULARY, NOISE_STEPS, NOISE_ROWS, NOISE_LENGTH = 8, 200, 8, 64
NOISE_HELD_OUT = 64
NOISE_RATE = 1e-2
NOISE_SIGMA = 5.0

# --- bounds on what a box may send -------------------------------------------------------------

PARAMETER_LIMIT = 2_000_000
WEIGHT_LIMIT = 64 << 20
DETAIL_LIMIT = 300
