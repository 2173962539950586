"""The emotion network inside the npm package @vladmandic/human: see `peer.py`.

python -m benchmarks.peers.human --data fer2013.zip
"""

from benchmarks.peers.peer import HERE, Peer, install_npm, main
from fer_bench.specs.run import ExternalSpec

PEER = Peer(
    spec=ExternalSpec(
        external="@vladmandic/human",
        version="3.3.6",
        source="https://github.com/vladmandic/human",
        licence="MIT",
        preprocessing="48 px crops as they are, by the package's own steps: bilinear to 64 px, "
        "gray, -1 to 1; neither its detector nor its rounding to two decimals",
        training="mini-XCEPTION of oarriaga/face_classification, whose script trains on Training "
        "and chooses the checkpoint on PublicTest and PrivateTest together",
    ),
    backend="tfjs-wasm",
    precision="fp32",
    input_size=64,
    size_mib=820_516 / 2**20,
    install=install_npm,
    command=lambda environment, faces, answers: [
        "node",
        HERE / "run_human.cjs",
        environment,
        faces,
        answers,
    ],
)

if __name__ == "__main__":
    main(PEER)
