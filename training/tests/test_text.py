"""From R's database to batches, without the network: the tests make small inputs themselves."""

import struct

import numpy as np
import pytest
import torch

from training import corpus, data, lazy_load, tokenizer

HEADER = b"X\n" + struct.pack(">3i", 2, 0, 0)


def character_vector(*lines: str) -> bytes:
    cells = b"".join(struct.pack(">2i", lazy_load.CHARSXP, len(line)) + line.encode() for line in lines)
    return HEADER + struct.pack(">2i", lazy_load.CHARACTER, len(lines)) + cells


def test_character_vector():
    assert lazy_load.Reader(character_vector("Emma", "", "by")).value() == ["Emma", "", "by"]


@pytest.mark.parametrize(
    ("serialised", "message"),
    [
        (b"A\n", "XDR"),
        (character_vector("Emma")[:-1], "ends early"),
        (HEADER + struct.pack(">i", 14), "type 14"),
        (b"X\n" + struct.pack(">3i", 4, 0, 0), "version 4"),
    ],
)
def test_hostile_serialisations_are_refused(serialised, message):
    with pytest.raises(ValueError, match=message):
        lazy_load.Reader(serialised).value()


def test_chapters_join_lines_and_drop_what_is_not_the_novel():
    lines = ["EMMA", "", "VOLUME I", "", "CHAPTER I", "", "She was _very_ well--", "indeed,* a well-", "bred woman", "of"]
    lines += ["sense.", "", "    * * * * *", "", "He  sighed.", "", "Chapter 2", "", "[End of volume", "one.]", "", "Yes."]
    assert corpus.chapters([*lines, "", "FINIS", "", "Note."]) == [
        "She was very well--indeed, a well-bred woman of sense.\n\nHe sighed.",
        "Yes.",
    ]


def test_held_out_chapters_reach_the_wanted_part():
    assert corpus.held_out_count(["x" * 100] * 19 + ["x" * 50, "x" * 60]) == 2
    assert corpus.held_out_count(["x" * 100] * 10) == 1


def test_committed_tokenizer():
    bpe = tokenizer.load()
    text = "“Emma” café\n\n  5£ 😀"
    ids = bpe.encode(text).ids
    assert bpe.get_vocab_size() == 2048
    assert [bpe.token_to_id(token) for token in (tokenizer.PAD, tokenizer.EOS, tokenizer.UNK)] == [0, 1, 2]
    assert ids[-1] == tokenizer.EOS_ID
    assert bpe.decode(ids) == text


def chapters():
    return [np.append(np.arange(100, 100 + size), 1) for size in (300, 150, 40)]


def test_batch_is_a_prefix_and_what_follows_it():
    chapter = chapters()[0]
    batch = data.make_batch([(chapter, 10), (chapter, 290)], prefix=16)
    assert batch.input_ids[0].tolist() == [*range(100, 110), 1, 0, 0, 0, 0, 0, 0]
    assert batch.input_ids[1].tolist() == [*range(374, 390), 1]
    assert batch.lengths.tolist() == [11, 17]
    assert batch.labels[0].tolist() == list(range(110, 238))
    assert batch.decoder_input_ids[0].tolist() == [0, *range(110, 237)]
    # The second window ends with the chapter: ten tokens, </s>, and no further labels.
    assert batch.labels[1, :12].tolist() == [*range(390, 400), 1, data.IGNORED]
    assert batch.tokens == 128 + 11
    assert int(batch.decoder_input_ids.min()) == 0


def test_batches_depend_on_the_seed_alone():
    def first_three(seed):
        batches = data.training_batches(chapters(), 2, seed)
        return torch.cat([next(batches).labels.flatten() for _ in range(3)])

    assert torch.equal(first_three(1), first_three(1))
    assert not torch.equal(first_three(1), first_three(2))


def test_every_batch_has_room_for_as_many_tokens_whatever_its_length():
    batches = data.training_batches(chapters(), 2, seed=1)
    shapes = {next(batches).labels.shape for _ in range(30)}
    assert shapes == {(2 * data.CONTINUATION // length, length) for length in data.CONTINUATIONS}


def test_held_out_windows_cover_every_token_after_the_prefix_once():
    batches = data.held_out_batches(chapters(), prefix=20)
    seen = torch.cat([batch.labels[batch.labels != data.IGNORED] for batch in batches])
    expected = np.concatenate([chapter[20:] for chapter in chapters()])
    assert sorted(seen.tolist()) == sorted(expected.tolist())
