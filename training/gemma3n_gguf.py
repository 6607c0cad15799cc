"""Writes a Gemma 3n checkpoint with random weights as a GGUF, for `npm run bench -- peers`.

    python -m training.gemma3n_gguf training/.cache/llama.cpp-11434.0.0/source FOLDER FILE

llama.cpp's own converter does it, in 8 bits to save disk. It only knows the tokenizers of released models, so the file
gets a vocabulary of placeholder words: the benchmark sends token ids and ignores the text.
"""

import argparse
import sys
from pathlib import Path

import torch


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, help="llama.cpp's source folder")
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("file", type=Path)
    given = parser.parse_args()
    # The converter needs the gguf package of its own source.
    sys.path[:0] = [str(given.source / "gguf-py"), str(given.source)]
    import gguf
    from conversion.gemma import Gemma3NModel

    class RandomGemma3N(Gemma3NModel):
        # Each class of the converter must name it again.
        model_arch = gguf.MODEL_ARCH.GEMMA3N

        def set_vocab(self) -> None:
            size = self.hparams["vocab_size"]
            special = [b"<pad>", b"<eos>", b"<bos>", b"<unk>"]
            words = special + [f"\u2581w{token}".encode() for token in range(len(special), size)]
            kinds = [gguf.TokenType.CONTROL] * len(special) + [gguf.TokenType.NORMAL] * (size - len(special))
            self.gguf_writer.add_tokenizer_model("llama")
            self.gguf_writer.add_token_list(words)
            self.gguf_writer.add_token_scores([0.0] * size)
            self.gguf_writer.add_token_types(kinds)
            self.gguf_writer.add_bos_token_id(2)
            self.gguf_writer.add_eos_token_id(1)
            self.gguf_writer.add_unk_token_id(3)

    with torch.inference_mode():
        RandomGemma3N(given.checkpoint, gguf.LlamaFileType.MOSTLY_Q8_0, given.file).write()


if __name__ == "__main__":
    main()
