"""Embeddings with OpenAI's Python client, as its documentation shows."""

import base64
import struct

from openai import BadRequestError, OpenAI
from openai.types import CreateEmbeddingResponse

from checks import api_key, base_url, check, model, run_checks

client = OpenAI(base_url=base_url, api_key=api_key, max_retries=0)
TEXTS = ["It was a", "She had not been long in the room"]


def numbers(**fields):
    """The vectors of an answer, which must have the client's own types."""
    answer = client.embeddings.create(model=model, **fields)
    CreateEmbeddingResponse.model_validate(answer.model_dump(exclude_unset=True), strict=True)
    assert [each.index for each in answer.data] == list(range(len(answer.data))), answer.data
    assert answer.usage.total_tokens == answer.usage.prompt_tokens > 0, answer.usage
    return [each.embedding for each in answer.data]


@check
def default_is_base64_and_equals_float():
    # Without a format, the client asks for base64 and decodes it.
    decoded, plain = numbers(input=TEXTS), numbers(input=TEXTS, encoding_format="float")
    assert len(decoded) == len(TEXTS) and decoded == plain, (decoded, plain)
    assert len(decoded[0]) > 8 and decoded[0] != decoded[1], decoded


@check
def base64_is_float32():
    answer = client.embeddings.create(model=model, input=TEXTS[0], encoding_format="base64")
    raw = base64.b64decode(answer.data[0].embedding)
    assert list(struct.unpack(f"<{len(raw) // 4}f", raw)) == numbers(input=TEXTS[0])[0]


@check
def a_text_has_the_same_vector_beside_others():
    assert numbers(input=TEXTS) == [numbers(input=text)[0] for text in TEXTS]


@check
def token_ids_are_taken():
    assert numbers(input=[[5, 6, 7], [8]]) == [numbers(input=[5, 6, 7])[0], numbers(input=[8])[0]]


@check
def other_dimensions_are_refused():
    width = len(numbers(input=TEXTS[0])[0])
    assert len(numbers(input=TEXTS[0], dimensions=width)[0]) == width
    try:
        client.embeddings.create(model=model, input=TEXTS[0], dimensions=width - 1)
    except BadRequestError as error:
        assert error.param == "dimensions" and str(width) in error.message, error
    else:
        raise AssertionError("no error")


run_checks()
