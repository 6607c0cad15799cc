"""Tools with OpenAI's Python client, as its documentation shows, whole and streamed."""

import json
from typing import Literal

from openai import OpenAI, pydantic_function_tool
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from pydantic import BaseModel

from checks import api_key, base_url, check, model, run_checks

client = OpenAI(base_url=base_url, api_key=api_key, max_retries=0)
question = {"role": "user", "content": "Is it fine in Bath?"}


class Look(BaseModel):
    """Tells the weather."""

    city: Literal["Bath", "Lyme"]
    tomorrow: bool


tool = pydantic_function_tool(Look, name="look")
plain = {
    "type": "function",
    "function": {
        "name": "look",
        "parameters": {
            "type": "object",
            "properties": {"city": {"enum": ["Bath", "Lyme"]}, "tomorrow": {"type": "boolean"}},
            "required": ["city", "tomorrow"],
        },
    },
}
settings = {"model": model, "messages": [question], "seed": 3, "max_completion_tokens": 120}
calling = {**settings, "tool_choice": "required", "parallel_tool_calls": False}


def typed(kind, answer):
    """The answer, validated again: the client's own parsing keeps values that do not match the type."""
    return kind.model_validate(answer.model_dump(exclude_unset=True), strict=True)


def is_look(name, arguments):
    return name == "look" and Look.model_validate_json(arguments)


def answered(message, call_id):
    """The answer to the result of a call."""
    result = {"role": "tool", "tool_call_id": call_id, "content": "It is fine."}
    history = {**settings, "messages": [question, message, result], "tools": [plain], "max_completion_tokens": 8}
    answer = typed(ChatCompletion, client.chat.completions.create(**history)).choices[0]
    assert answer.message.content is not None or answer.message.tool_calls, answer
    return answer.message.content


@check
def whole():
    completion = typed(ChatCompletion, client.chat.completions.create(tools=[plain], **calling))
    choice = completion.choices[0]
    assert choice.finish_reason == "tool_calls" and choice.message.content is None, choice
    [call] = choice.message.tool_calls
    assert is_look(call.function.name, call.function.arguments), call
    views = [choice.message, choice.message.model_dump(), choice.message.model_dump(exclude_unset=True)]
    assert len({answered(view, call.id) for view in views}) == 1


@check
def streamed():
    calls = {}
    finish = None
    for chunk in client.chat.completions.create(tools=[plain], stream=True, n=2, **calling):
        for choice in typed(ChatCompletionChunk, chunk).choices:
            finish = choice.finish_reason or finish
            assert not choice.delta.content, choice
            for call in choice.delta.tool_calls or []:
                if call.id:
                    assert call.type == "function" and call.function.arguments == "", call
                    calls[choice.index, call.index] = [call.function.name, ""]
                calls[choice.index, call.index][1] += call.function.arguments
    assert finish == "tool_calls" and sorted(calls) == [(0, 0), (1, 0)], (finish, calls)
    assert all(is_look(*call) for call in calls.values()), calls


@check
def parsed():
    message = client.chat.completions.parse(tools=[tool], **calling).choices[0].message
    [call] = message.tool_calls
    assert isinstance(call.function.parsed_arguments, Look), call
    answered(message.model_dump(), call.id)


@check
def helped():
    pieces = []
    with client.chat.completions.stream(tools=[tool], **calling) as stream:
        for event in stream:
            if event.type == "tool_calls.function.arguments.delta":
                pieces.append(event.arguments_delta)
        message = stream.get_final_completion().choices[0].message
    [call] = message.tool_calls
    assert isinstance(call.function.parsed_arguments, Look), call
    assert json.loads("".join(pieces)) == json.loads(call.function.arguments), pieces
    answered(message.model_dump(), call.id)


@check
def chosen():
    named = {"type": "function", "function": {"name": "look"}}
    choice = client.chat.completions.create(tools=[plain], **{**settings, "tool_choice": named}).choices[0]
    assert [call.function.name for call in choice.message.tool_calls] == ["look"], choice
    for free in ("none", "auto"):
        choice = client.chat.completions.create(tools=[plain], **{**settings, "tool_choice": free}).choices[0]
        assert choice.message.content or choice.message.tool_calls, choice


run_checks()
