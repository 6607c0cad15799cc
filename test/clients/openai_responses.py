"""The Responses API with OpenAI's Python client, as its documentation shows, whole and streamed.

Each answer and each event is checked strictly against the client's own types.
"""

import json
from typing import Literal

from openai import APIStatusError, NotFoundError, OpenAI, pydantic_responses_function_tool
from openai.types.responses import Response, ResponseStreamEvent
from openai.types.responses import response_create_params as params
from openai.types.responses.function_tool_param import FunctionToolParam
from openai.types.responses.response_function_tool_call_param import ResponseFunctionToolCallParam
from openai.types.responses.response_output_message_param import ResponseOutputMessageParam
from openai.types.responses.response_output_text_param import ResponseOutputTextParam
from openai.types.responses.response_text_config_param import ResponseTextConfigParam
from openai.types.shared_params.reasoning import Reasoning
from pydantic import BaseModel, TypeAdapter

from checks import api_key, base_url, check, model, run_checks

client = OpenAI(base_url=base_url, api_key=api_key, max_retries=0)
create = client.responses.create
question = {"role": "user", "content": "Is it fine in Bath?"}
settings = {"model": model, "temperature": 0, "max_output_tokens": 120}
# Ends by itself, as the stream helper expects.
ending = {**settings, "extra_body": {"structured_outputs": {"choice": ["A proud man."]}}}
event_type = TypeAdapter(ResponseStreamEvent)


class Answer(BaseModel):
    he: bool


class Look(BaseModel):
    """Tells the weather."""

    city: Literal["Bath", "Lyme"]
    tomorrow: bool


tool = pydantic_responses_function_tool(Look, name="look")
look = dict(tool)
calling = {**settings, "tools": [look], "tool_choice": "required", "parallel_tool_calls": False}


def typed(response):
    """The answer, validated again: the client's own parsing keeps values that do not match the type."""
    return Response.model_validate(response.to_dict(), strict=True)


def events_of(**body):
    """The events of a stream, each held to its type and its place."""
    events = []
    for event in create(stream=True, **body):
        again = event_type.validate_python(event.to_dict(), strict=True)
        assert again.type == event.type and event.sequence_number == len(events), event
        events.append(event)
    return events


@check
def whole():
    response = typed(create(input="Who is he?", instructions="Be brief.", metadata={"run": "7"}, **ending))
    assert response.output_text == "A proud man." and response.status == "completed", response
    assert response.instructions == "Be brief." and response.metadata == {"run": "7"}, response
    assert response.usage.output_tokens > 0, response
    cut = typed(create(input=[question], **{**settings, "max_output_tokens": 3}))
    assert cut.status == "incomplete" and cut.incomplete_details.reason == "max_output_tokens", cut


@check
def streamed():
    expected = create(input="Who is he?", **settings)
    events = events_of(input="Who is he?", **settings)
    types = [event.type for event in events]
    assert types[:4] == [
        "response.created",
        "response.in_progress",
        "response.output_item.added",
        "response.content_part.added",
    ], types
    assert types[-4:-1] == [
        "response.output_text.done",
        "response.content_part.done",
        "response.output_item.done",
    ], types
    text = "".join(event.delta for event in events if event.type == "response.output_text.delta")
    final = typed(events[-1].response)
    assert text == final.output_text == expected.output_text, (text, expected)
    assert types[-1] == f"response.{expected.status}", types
    assert final.usage.output_tokens == expected.usage.output_tokens, final


@check
def helped():
    with client.responses.stream(input="Who is he?", **ending) as stream:
        deltas = [event.delta for event in stream if event.type == "response.output_text.delta"]
        final = stream.get_final_response()
    assert "".join(deltas) == final.output_text == "A proud man.", final


@check
def parsed():
    response = client.responses.parse(input=[question], text_format=Answer, **settings)
    assert isinstance(response.output_parsed, Answer), response
    assert typed(response).text.format.name == "Answer", response.text
    with client.responses.stream(input=[question], text_format=Answer, **settings) as stream:
        done = [event for event in stream if event.type == "response.output_text.done"]
        final = stream.get_final_response()
    assert final.output_parsed == done[0].parsed == response.output_parsed, final
    loose = create(input=[question], text={"format": {"type": "json_object"}}, **settings)
    assert loose.status == "incomplete" or isinstance(json.loads(loose.output_text), dict), loose


@check
def tools():
    """Calls a function and answers with its result, with every form that the client gives to the output."""
    response = typed(create(input=[question], **calling))
    [call] = response.output
    assert call.type == "function_call" and call.name == "look", response
    Look.model_validate_json(call.arguments)
    events = events_of(input=[question], **calling)
    final = typed(events[-1].response)
    deltas = [event.delta for event in events if event.type == "response.function_call_arguments.delta"]
    assert "".join(deltas) == final.output[0].arguments == call.arguments, final
    with client.responses.stream(input=[question], **calling) as stream:
        helped = stream.get_final_response()
    assert helped.output[0].parsed_arguments == json.loads(call.arguments), helped
    parsed = client.responses.parse(input=[question], **{**calling, "tools": [tool]})
    assert isinstance(parsed.output[0].parsed_arguments, Look), parsed
    answers = set()
    for answer in (response, helped, final):
        for output in (answer.output, [item.to_dict() for item in answer.output]):
            result = {"type": "function_call_output", "call_id": output_id(output), "output": "It is fine."}
            answers.add(create(input=[question, *output, result], **{**settings, "tools": [look]}).output_text)
    assert len(answers) == 1, answers
    named = create(input=[question], **{**calling, "tool_choice": {"type": "function", "name": "look"}})
    assert named.output[0].name == "look", named
    allowed = {"type": "allowed_tools", "mode": "required", "tools": [{"type": "function", "name": "look"}]}
    assert typed(create(input=[question], **{**calling, "tool_choice": allowed})).output[0].name == "look"


def output_id(output):
    return output[0]["call_id"] if isinstance(output[0], dict) else output[0].call_id


@check
def back():
    """Each view of an answer goes back as the same history."""
    response = create(input=[question], **ending)
    events = events_of(input=[question], **ending)
    with client.responses.stream(input=[question], **ending) as stream:
        helped = stream.get_final_response()
    views = [
        response.output,
        [item.to_dict() for item in response.output],
        [item.model_dump() for item in response.output],
        [item.model_dump(exclude_unset=True) for item in helped.output],
        helped.output,
        events[-1].response.output,
        [{"role": "assistant", "content": response.output_text}],
        [{"type": "reasoning", "id": "rs_1", "summary": []}, *response.output],
    ]
    answers = {create(input=[question, *view, question], **settings).output_text for view in views}
    assert len(answers) == 1, answers


@check
def logprobs():
    asked = {**settings, "include": ["message.output_text.logprobs"], "top_logprobs": 2}
    response = typed(create(input="Who is he?", **asked))
    scores = response.output[0].content[0].logprobs
    assert len(scores) == response.usage.output_tokens, response
    assert all(len(score.top_logprobs) == 2 for score in scores), scores
    events = events_of(input="Who is he?", **asked)
    deltas = [event for event in events if event.type == "response.output_text.delta"]
    assert [score.token for event in deltas for score in event.logprobs] == [score.token for score in scores]


@check
def stored():
    first = create(input="Who is he?", **ending)
    assert client.responses.retrieve(first.id) == first
    second = typed(create(input="And she?", previous_response_id=first.id, **settings))
    history = [{"role": "user", "content": "Who is he?"}, *first.output, {"role": "user", "content": "And she?"}]
    assert second.output_text == create(input=history, **settings).output_text, second
    items = list(client.responses.input_items.list(second.id, order="asc", limit=2))
    assert [(item.role, item.content[0].text) for item in items] == [
        ("user", "Who is he?"),
        ("assistant", "A proud man."),
        ("user", "And she?"),
    ], items
    client.responses.delete(first.id)
    forgotten = create(input="a", store=False, **settings)
    assert forgotten.store is False and first.store is True, forgotten
    for missing in (first.id, forgotten.id):
        try:
            client.responses.retrieve(missing)
        except NotFoundError as error:
            assert error.code == "not_found", error
        else:
            raise AssertionError(missing)


@check
def refused():
    for body, param in (
        ({"tools": [{"type": "web_search"}]}, "tools"),
        ({"previous_response_id": "resp_1"}, "previous_response_id"),
        ({"background": True}, "background"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "data:,"}]}]}, "input"),
    ):
        try:
            create(**{**settings, "input": "a", **body})
        except APIStatusError as error:
            assert (error.status_code, error.code, error.param) == (400, "invalid_request", param), error
        else:
            raise AssertionError(body)


@check
def fields():
    """Every field that the client can send is known, with a null value."""

    def ask(body):
        create(model=model, extra_body={"input": "a", "max_output_tokens": 1, **body})

    def item(fields, kind):
        return {"input": [question, {**kind, **fields}]}

    message = {"type": "message", "role": "assistant", "content": "a"}
    call = {"type": "function_call", "call_id": "1", "name": "look", "arguments": "{}"}
    part = {"type": "output_text", "text": "a"}
    for kind, place in (
        (params.ResponseCreateParamsBase, lambda fields: fields),
        (params.StreamOptions, lambda fields: {"stream_options": fields}),
        (ResponseTextConfigParam, lambda fields: {"text": fields}),
        (Reasoning, lambda fields: {"reasoning": fields}),
        (FunctionToolParam, lambda fields: {"tools": [{**look, **fields}], "tool_choice": "none"}),
        (ResponseOutputMessageParam, lambda fields: item(fields, message)),
        (ResponseFunctionToolCallParam, lambda fields: item(fields, call)),
        (ResponseOutputTextParam, lambda fields: item({"content": [{**part, **fields}]}, message)),
    ):
        for name in kind.__annotations__:
            if name in ("model", "input", "type", "text", "role", "content", "call_id", "name", "arguments"):
                if kind is not params.ResponseCreateParamsBase or name in ("model", "input"):
                    continue
            try:
                ask(place({name: None}))
            except APIStatusError as error:
                raise AssertionError(f"{kind.__name__}: {name}: {error.message}") from error


run_checks()
