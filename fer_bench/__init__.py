"""FER Bench: honest, reproducible facial emotion recognition benchmarks."""

__version__ = "0.1.0"
