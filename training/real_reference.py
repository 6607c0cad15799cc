"""Writes the results of `transformers` with real weights, in float32, for test/real to compare with.

    python -m training.real_reference training/.cache/gemma-3-270m test/golden/real/gemma-3-270m.json

The file holds, in JSON:

    prompts   [{name, text, tokens, greedy, logprobs}]   greedy: the greedy continuation up to the first end token;
                                                         logprobs: log probabilities of the greedy tokens
    strings   [{text, tokens}]                           without special tokens
    chats     [{messages, tokens}]                       with the checkpoint's own chat template and generation prompt
    ends      [tokens]                                   tokens that end a generation
"""

import argparse
import json
import random
import sys
from pathlib import Path

import torch
from tokenizers import Tokenizer
from transformers import Gemma3ForCausalLM, PreTrainedTokenizerFast

NEW_TOKENS = 40
BOS, ENDS = 2, [1, 106]

LONG = (
    "The committee met on a Tuesday in the small hall behind the library. Mrs. Whitfield read the minutes, and nobody "
    "objected to them. Then the treasurer spoke about the roof, which had leaked since the storm in March, and about "
    "the money for it, which had been spent on chairs. "
)
PROMPTS = {
    "plain": "The capital of France is",
    "story": "Once upon a time there was a miller who had three sons,",
    "list": "Ingredients for a simple bread: flour,",
    "question": "Q: How many legs does a spider have?\nA:",
    "python": "def fibonacci(n):\n    if n < 2:\n        return n\n    return",
    "typescript": "export function add(a: number, b: number): number {\n  return",
    "sql": "SELECT name, COUNT(*) FROM orders GROUP BY",
    "json": '{"name": "Ada", "born": 1815, "languages": ["English",',
    "html": "<ul>\n  <li>One</li>\n  <li>",
    "maths": "2, 4, 8, 16, 32,",
    "german": "Die Bundesrepublik Deutschland besteht aus sechzehn",
    "french": "Le petit chat est monté sur la",
    "russian": "Москва — столица",
    "greek": "Η Αθήνα είναι η πρωτεύουσα της",
    "arabic": "عاصمة مصر هي",
    "hindi": "भारत की राजधानी",
    "japanese": "日本の首都は",
    "emoji": "🐶 says woof, 🐱 says",
    "whitespace": "a\tb\n\n\n   c    d\n",
    # The sliding layers' window is 512 tokens.
    "past the window": 12 * LONG + "In the end it was decided that the roof",
}
CHATS = [
    [{"role": "user", "content": "What is the capital of Italy?"}],
    [
        {"role": "system", "content": "Answer in one word."},
        {"role": "user", "content": "  Is water wet?  "},
        {"role": "assistant", "content": "Yes."},
        {"role": "user", "content": "Why? 🤔\nSay it in French."},
    ],
    [{"role": "user", "content": "<start_of_turn>model\nnot a turn<end_of_turn>"}],
]


def odd_strings() -> list[str]:
    """Strings that tokenizers treat in different ways; every run returns the same ones."""
    fixed = [
        "", " ", "  ", "\n", "\n\n\n", "\t", "\r\n", "a", " a", "a ", "  a  ", "▁", "▁▁a", "\u00a0a", "\u3000", "\ufeff",
        "é", "e\u0301", "ﬁ", "Ａ", "ß", "İ", "\u200d", "👩‍👩‍👧‍👦", "🏳️‍🌈", "🇩🇪", "\U0001f9ff", "𝕏", "\U000e0041", "\ue000",
        "<bos>", "<eos>", "<pad>", "<unk>", "<start_of_turn>", "<end_of_turn>user", "<unused42>", "<0x41>", "<0xFF>",
        "[multimodal]", "<mask>", "don't", "I'VE", "1234567890", "3.14159", "1,000,000", "0x1F", "www.example.com/a?b=c",
        "C:\\Users\\a", "snake_case", "camelCase", "SCREAMING", "a-b--c---d", "!!!???", "…", "“quoted”", "«a»", "¿qué?",
        "x" * 300, " " * 70, "\n" * 40, "ab " * 50, "日本語", "ภาษาไทย", "한국어", "עברית", "\u202eabc", "a\u0000b", "\x7f", "\u0085",
        "for (let i = 0; i < n; i++) {\n\treturn;\n}", "    indented\n        more", "# h1\n\n- a\n- b", "$x^2$", "a\\nb",
    ]  # fmt: skip
    rng = random.Random(20260101)
    pools = [
        "abcdefghij ", "ABCxyz019 _-", " \n\t", "éüñçøåß ", "абвгд ", "αβγ ", "汉字仮名交じり文", "😀🎉👍🏽\u200d", "<>|/\\{}[]()",
        "aé日😀 \n", "▁ a", "\u0301\u0308ae", "٠١٢ابت ", "กขค่้", "0123456789.,",
    ]  # fmt: skip
    while len(fixed) < 240:
        pool = rng.choice(pools)
        fixed.append("".join(rng.choice(pool) for _ in range(rng.randint(1, 40))))
    return fixed


@torch.no_grad()
def complete(model: Gemma3ForCausalLM, tokens: list[int]) -> dict[str, list]:
    """Greedy tokens, decoded with a cache, and their log probabilities, computed over the whole text without one."""
    ids = torch.tensor([tokens])
    made = model.generate(ids, max_new_tokens=NEW_TOKENS, do_sample=False, eos_token_id=ENDS, pad_token_id=0)[0]
    logits = model(made[None, :-1], use_cache=False).logits[0, len(tokens) - 1 :]
    greedy = made[len(tokens) :]
    chosen = logits.log_softmax(-1).gather(1, greedy[:, None])[:, 0]
    return {"greedy": greedy.tolist(), "logprobs": chosen.tolist()}


def reference(folder: Path) -> dict:
    tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    chat = PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<bos>", eos_token="<eos>")
    chat.chat_template = settings["chat_template"]
    model = Gemma3ForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    prompts = []
    for name, text in PROMPTS.items():
        tokens = tokenizer.encode(text).ids
        assert tokens[0] == BOS
        prompts.append({"name": name, "text": text, "tokens": tokens, **complete(model, tokens)})
    encode = lambda text: tokenizer.encode(text, add_special_tokens=False).ids  # noqa: E731
    return {
        "prompts": prompts,
        "strings": [{"text": text, "tokens": encode(text)} for text in odd_strings()],
        "chats": [
            {
                "messages": messages,
                "tokens": encode(chat.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)),
            }
            for messages in CHATS
        ],
        "ends": ENDS,
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path, help="what training.real_gemma wrote")
    parser.add_argument("out", type=Path)
    arguments = parser.parse_args()
    arguments.out.write_text(json.dumps(reference(arguments.folder), ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
