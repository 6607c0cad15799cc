"""Structured output through Instructor in its default mode, as its documentation shows, whole and streamed."""

from typing import Literal

import instructor
from instructor.dsl.partial import Partial
from openai import OpenAI
from pydantic import BaseModel

from checks import api_key, base_url, check, model, run_checks


class Look(BaseModel):
    """Where and when to look."""

    city: Literal["Bath", "Lyme"]
    tomorrow: bool


client = instructor.from_openai(OpenAI(base_url=base_url, api_key=api_key, max_retries=0))
asked = {
    "model": model,
    "messages": [{"role": "user", "content": "Is it fine in Bath?"}],
    "seed": 3,
    "max_tokens": 120,
    "max_retries": 0,
}


@check
def whole():
    assert isinstance(client.create(response_model=Look, **asked), Look)


@check
def with_completion():
    look, completion = client.create_with_completion(response_model=Look, **asked)
    assert isinstance(look, Look) and completion.usage.completion_tokens > 0, completion


@check
def streamed():
    parts = list(client.create_partial(response_model=Look, **asked))
    assert len(parts) > 1 and Look(**parts[-1].model_dump()), parts
    again = list(client.create(response_model=Partial[Look], stream=True, **asked))
    assert again[-1].model_dump() == parts[-1].model_dump(), again


@check
def from_a_provider():
    named = instructor.from_provider(f"openai/{model}", base_url=base_url, api_key=api_key)
    without_model = {name: value for name, value in asked.items() if name != "model"}
    assert isinstance(named.create(response_model=Look, **without_model), Look)


run_checks()
