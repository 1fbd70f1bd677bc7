"""Layers in the style of flash-linear-attention as token mixers; they run without Triton.

`style` recognises such a file and takes out of it what only its first machine needed, by syntax
alone; `imports` serves the names of fla and transformers that it asks for, from `modules`,
`ragged` and `cache` and from the ops; `layer` gives it the contract's forward.
"""
