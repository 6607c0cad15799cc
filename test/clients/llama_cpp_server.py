"""llama.cpp's own HTTP server, from the library xllamacpp, on a tiny model with random weights.

Usage: server.py FOLDER [--slots N] [--threads N]. Prints the server's address on one line and serves until stdin ends.
"""

import argparse
import pathlib
import sys

import numpy as np
import xllamacpp
from gguf import GGUFWriter, TokenType

WIDTH, FEED_FORWARD, LAYERS, HEADS, HEAD_SIZE, CONTEXT = 128, 256, 4, 4, 32, 2048
SPECIAL = [("<unk>", TokenType.UNKNOWN), ("<s>", TokenType.CONTROL), ("</s>", TokenType.CONTROL)]
BYTES = [(f"<0x{byte:02X}>", TokenType.BYTE) for byte in range(256)]
# One token per printable character, so that everything it generates is text.
CHARACTERS = [("▁", TokenType.NORMAL), *((chr(code), TokenType.NORMAL) for code in range(33, 127))]


def write_model(path: pathlib.Path, seed: int = 1) -> None:
    """Writes a llama of 0.6 M random float32 weights, with a tokenizer of bytes and characters."""
    random = np.random.default_rng(seed)
    vocabulary = [*SPECIAL, *BYTES, *CHARACTERS]
    writer = GGUFWriter(path, "llama")
    writer.add_context_length(CONTEXT)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_rope_dimension_count(HEAD_SIZE)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_vocab_size(len(vocabulary))
    writer.add_tokenizer_model("llama")
    writer.add_token_list([text.encode() for text, _ in vocabulary])
    writer.add_token_scores([0.0] * len(vocabulary))
    writer.add_token_types([kind for _, kind in vocabulary])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(2)

    def add(name: str, *shape: int) -> None:
        values = np.ones(shape) if len(shape) == 1 else random.normal(0, 0.08, shape)
        writer.add_tensor(name, values.astype(np.float32))

    add("token_embd.weight", len(vocabulary), WIDTH)
    add("output.weight", len(vocabulary), WIDTH)
    add("output_norm.weight", WIDTH)
    for layer in range(LAYERS):
        for projection in ("attn_q", "attn_k", "attn_v", "attn_output"):
            add(f"blk.{layer}.{projection}.weight", WIDTH, WIDTH)
        add(f"blk.{layer}.attn_norm.weight", WIDTH)
        add(f"blk.{layer}.ffn_norm.weight", WIDTH)
        add(f"blk.{layer}.ffn_gate.weight", FEED_FORWARD, WIDTH)
        add(f"blk.{layer}.ffn_up.weight", FEED_FORWARD, WIDTH)
        add(f"blk.{layer}.ffn_down.weight", WIDTH, FEED_FORWARD)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--slots", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    arguments = parser.parse_args()
    model = arguments.folder / "random-llama.gguf"
    write_model(model)
    params = xllamacpp.CommonParams()
    params.model.path = str(model)
    params.model_alias = {"random-llama"}
    params.n_ctx = CONTEXT * arguments.slots
    params.n_parallel = arguments.slots
    params.cpuparams.n_threads = arguments.threads
    params.warmup = False
    server = xllamacpp.Server(params)
    print(server.listening_address, flush=True)
    sys.stdin.read()


main()
