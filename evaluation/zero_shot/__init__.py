"""Zero-shot benchmarks: tasks of lm-evaluation-harness on a model whose weights live in a box.

The harness (`lm_eval`, the extra `benchmarks`) runs in the evaluating process and is imported when
the first benchmark is asked for. Measured with 0.4.13: `import lm_eval.evaluator` takes 2 s and
184 MB, brings pyarrow, pandas and datasets, and no torch; only its `simple_evaluate` (which seeds
torch) and its own models do, and neither is used here.
"""
