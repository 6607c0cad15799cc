"""Makes the calls of calls.json with OpenAI's Python client.

Each answer is checked strictly against the client's own types.
"""

import json
from functools import partial
from pathlib import Path

from openai import APIStatusError, OpenAI
from openai.types import Completion, Model
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from checks import api_key, base_url, checks, model, run_checks



def typed(kind, answer):
    """The answer, validated again: the client's own parsing keeps values that do not match the type."""
    return kind.model_validate(answer.model_dump(exclude_unset=True), strict=True)


class Choice:
    def __init__(self):
        self.text, self.finish, self.logprobs = "", None, 0


class Answer:
    """The combined content of a completion or chat, whole or streamed."""

    def __init__(self):
        self.choices, self.tokens = {}, None

    def choice(self, index):
        return self.choices.setdefault(index, Choice())

    def add(self, answer):
        if answer.usage:
            self.tokens = answer.usage.completion_tokens
        for part in answer.choices:
            choice = self.choice(part.index)
            if isinstance(answer, Completion):
                choice.text += part.text
                choice.logprobs += len(part.logprobs.tokens) if part.logprobs else 0
            else:
                message = part.message if isinstance(answer, ChatCompletion) else part.delta
                choice.text += message.content or ""
                choice.logprobs += len(part.logprobs.content) if part.logprobs else 0
            choice.finish = part.finish_reason or choice.finish

    @property
    def texts(self):
        return [self.choices[index].text for index in sorted(self.choices)]


def generate(client, call):
    is_chat = call["call"] == "chat"
    body = dict(call["body"], model=model)
    extra = {name: body.pop(name) for name in call.get("extra", [])}
    create = client.chat.completions.create if is_chat else client.completions.create
    result = create(**body, extra_body=extra)
    answer = Answer()
    if body.get("stream"):
        for chunk in result:
            # The client gives a completion's chunks the type of a whole answer, whose finish_reason is never null.
            answer.add(typed(ChatCompletionChunk, chunk) if is_chat else chunk)
    else:
        answer.add(typed(ChatCompletion if is_chat else Completion, result))
    return answer


def make(call, seen):
    client = OpenAI(base_url=base_url, api_key=call.get("key", api_key), max_retries=0)
    expected = call["expect"]
    try:
        if call["call"] == "models.list":
            ids = [typed(Model, entry).id for entry in client.models.list()]
            assert ids == expected.get("ids"), ids
            return
        if call["call"] == "models.retrieve":
            assert typed(Model, client.models.retrieve(call["id"])).id == expected.get("id")
            return
        answer = generate(client, call)
    except APIStatusError as error:
        found = {"status": error.status_code, "code": error.code, "param": error.param}
        wanted = {key: expected.get(key) for key in ("status", "code")}
        assert {**found, **wanted} == found, found
        assert "param" not in expected or found["param"] == expected["param"], found
        return
    assert "status" not in expected, "no error"
    seen[call["name"]] = answer.texts
    assert len(answer.choices) == expected["choices"], answer.choices
    if "tokens" in expected:
        assert answer.tokens == expected["tokens"], answer.tokens
    if "differ" in expected:
        assert len(set(answer.texts)) > 1, answer.texts
    if "begins" in expected:
        assert all(text.startswith(expected["begins"]) for text in answer.texts), answer.texts
    if "sameAs" in expected:
        assert answer.texts == seen[expected["sameAs"]], (answer.texts, seen[expected["sameAs"]])
    for choice in answer.choices.values():
        assert choice.finish in ("stop", "length"), choice.finish
        assert "finish" not in expected or choice.finish == expected["finish"], choice.finish
        assert choice.logprobs == expected.get("logprobs", 0), choice.logprobs


seen = {}
for call in json.loads(Path(__file__).with_name("calls.json").read_text()):
    checks[call["name"]] = partial(make, call, seen)
run_checks()
