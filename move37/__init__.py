"""Move37: autonomous discovery of neural architectures that survive an audit."""

__version__ = "0.1.0"
