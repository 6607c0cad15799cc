"""The tokenizer of the shipped models: byte-level BPE, trained on the training part of the corpus.

    python -m training.tokenizer     trains it and writes it into every model folder

A checkpoint only works with the tokenizer it was trained with, so run this before training.
"""

import json

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

from training import corpus, variants

PAD, EOS, UNK = "<pad>", "</s>", "<unk>"
PAD_ID, EOS_ID = 0, 1

TOKENIZER_CONFIG = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "eos_token": EOS,
    "pad_token": PAD,
    "unk_token": UNK,
    "model_max_length": 512,
    "clean_up_tokenization_spaces": False,
}
GENERATION_CONFIG = {"decoder_start_token_id": PAD_ID, "eos_token_id": EOS_ID, "pad_token_id": PAD_ID}


def train(texts: list[str], vocab_size: int) -> Tokenizer:
    tokenizer = Tokenizer(models.BPE())
    # No prefix space: a continuation can begin in the middle of a word as well as after one.
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    tokenizer.train_from_iterator(
        texts,
        trainers.BpeTrainer(
            vocab_size=vocab_size,
            special_tokens=[PAD, EOS, UNK],
            # All 256 bytes, so that any text can be encoded and <unk> is never needed.
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            show_progress=False,
        ),
    )
    tokenizer.post_processor = processors.TemplateProcessing(single=f"$A {EOS}", special_tokens=[(EOS, EOS_ID)])
    return tokenizer


def load() -> Tokenizer:
    """The committed tokenizer; all variants have the same one."""
    return Tokenizer.from_file(str(variants.folder("dense") / "tokenizer.json"))


def main() -> None:
    tokenizer = train(corpus.load().train, variants.DENSE.vocab_size)
    for variant in variants.VARIANTS:
        folder = variants.folder(variant)
        folder.mkdir(parents=True, exist_ok=True)
        tokenizer.save(str(folder / "tokenizer.json"))
        for name, content in (("tokenizer_config", TOKENIZER_CONFIG), ("generation_config", GENERATION_CONFIG)):
            (folder / f"{name}.json").write_text(json.dumps(content, indent=2) + "\n")


if __name__ == "__main__":
    main()
