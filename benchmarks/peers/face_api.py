"""The expression network inside the npm package @vladmandic/face-api: see `peer.py`.

python -m benchmarks.peers.face_api --data fer2013.zip
"""

from benchmarks.peers.peer import HERE, Peer, install_npm, main
from fer_bench.specs.run import ExternalSpec

PEER = Peer(
    spec=ExternalSpec(
        external="@vladmandic/face-api",
        version="1.7.15",
        source="https://github.com/vladmandic/face-api",
        licence="MIT",
        preprocessing="48 px crops as they are, by the package's own steps: bilinear to 112 px, "
        "gray as RGB, its mean subtracted; not its detector",
        training="public data sets and images from the web, by its tutorial, which names none",
    ),
    backend="tfjs-wasm",
    precision="fp32",
    input_size=112,
    size_mib=329_468 / 2**20,
    install=install_npm,
    command=lambda environment, faces, answers: [
        "node",
        HERE / "run_face_api.cjs",
        environment,
        faces,
        answers,
    ],
)

if __name__ == "__main__":
    main(PEER)
