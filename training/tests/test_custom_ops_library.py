"""ONNX Runtime for Python loads the native addon as a library of custom operators."""

import json
import os
import platform
import subprocess
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

os.environ["ORT_DISABLE_TELEMETRY"] = "1"  # Read when the library loads.
import onnxruntime as ort  # noqa: E402

ROOT = Path(__file__).parents[2]
NODE = ROOT / "node_modules" / ".bin" / "node"
ARCHITECTURE = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64"}.get(
    platform.machine().lower(), platform.machine()
)
ADDON = ROOT / "native" / f"altup-native.{platform.system().lower()}-{ARCHITECTURE}.node"

pytestmark = [
    pytest.mark.skipif(not ADDON.exists(), reason="the native addon is not built (npm run build:native)"),
    pytest.mark.skipif(not NODE.exists(), reason="node_modules is missing (npm ci)"),
]


@pytest.fixture(scope="module", params=["austen-t5-altup-k2", "austen-t5-recycled-k2"])
def graphs(request, tmp_path_factory):
    """Encoder and decoder of a shipped model."""
    folder = tmp_path_factory.mktemp("export")
    command = [NODE, "src/cli.ts", "export", f"models/{request.param}", "--out", folder]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    return next(folder.rglob("encoder.onnx")), next(folder.rglob("decoder.onnx"))


def run(path, feeds, profiles, library):
    """The graph's outputs by name, and the number of runs of each operator."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.enable_profiling = True
    options.profile_file_prefix = str(profiles / path.stem)
    if library:
        options.register_custom_ops_library(str(ADDON))
    session = ort.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    outputs = dict(zip(names, session.run(names, feeds), strict=True))
    events = json.loads(Path(session.end_profiling()).read_text())
    return outputs, Counter(event["args"]["op_name"] for event in events if "op_name" in event.get("args", {}))


def decoder_feeds(path, cross, tokens, encoder_lengths):
    past = {
        value.name: np.zeros([1, value.shape[1], 64, value.shape[3]], np.float32)
        for value in ort.InferenceSession(path, providers=["CPUExecutionProvider"]).get_inputs()
        if value.name.startswith("past_key_values.")
    }
    count = tokens.shape[1]
    return {
        "input_ids": tokens,
        "position_ids": np.arange(count, dtype=np.int64)[None],
        "seqlens_k": np.array([count - 1], np.int32),
        "total_sequence_length": np.array([count], np.int32),
        "logit_positions": np.arange(count, dtype=np.int64),
        "encoder_lengths": encoder_lengths,
        **cross,
        **past,
    }


def test_kernels_give_what_the_function_bodies_give(graphs, tmp_path):
    encoder, decoder = graphs
    random = np.random.default_rng(1)
    lengths = np.array([23], np.int32)
    feeds = {"input_ids": random.integers(3, 1000, [1, 23]), "encoder_lengths": lengths}
    for path in (encoder, decoder):
        bodies, inlined = run(path, feeds, tmp_path, library=False)
        kernels, used = run(path, feeds, tmp_path, library=True)
        assert inlined["CorrectPredict"] == 0 and used["CorrectPredict"] > 0
        assert bodies.keys() == kernels.keys()
        for name, expected in bodies.items():
            np.testing.assert_allclose(kernels[name], expected, rtol=2e-4, atol=2e-4, err_msg=name)
        cross = {name: value for name, value in kernels.items() if name.startswith("cross.")}
        if path == encoder:
            feeds = decoder_feeds(decoder, cross, random.integers(3, 1000, [1, 9]), lengths)
    assert (kernels["logits"].argmax(-1) == bodies["logits"].argmax(-1)).all()
