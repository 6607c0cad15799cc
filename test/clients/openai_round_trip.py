"""Sends back each form that OpenAI's Python client gives to an answer, and each field that the client can send."""

from openai import APIStatusError, OpenAI
from openai.types import completion_create_params as completion_params
from openai.types.chat import completion_create_params as chat_params
from openai.types.chat.chat_completion_assistant_message_param import ChatCompletionAssistantMessageParam
from openai.types.chat.chat_completion_content_part_text_param import ChatCompletionContentPartTextParam
from openai.types.chat.chat_completion_stream_options_param import ChatCompletionStreamOptionsParam
from pydantic import BaseModel

from checks import api_key, base_url, check, model, run_checks

client = OpenAI(base_url=base_url, api_key=api_key, max_retries=0)
question = {"role": "user", "content": "Who is he?"}
settings = {"model": model, "temperature": 0, "max_completion_tokens": 40}
# The client's stream helper only accepts answers that end by themselves.
ending = {**settings, "extra_body": {"structured_outputs": {"choice": ["A proud man."]}}}
known = {"text": "", "type": "text", "role": "assistant", "content": "", "messages": [question], "prompt": "a"}


class Answer(BaseModel):
    he: bool


def ask(message):
    """The model's answer to a history that contains this message as the model's own."""
    messages = [question, message, {"role": "user", "content": "And she?"}]
    return client.chat.completions.create(messages=messages, **settings).choices[0].message.content


def accumulated(chunks):
    """The message that clients assemble from a stream: texts joined, other fields from the last chunk with a value."""
    message = {}
    for chunk in chunks:
        for name, value in chunk.choices[0].delta.model_dump().items():
            both = isinstance(value, str) and isinstance(message.get(name), str)
            message[name] = message[name] + value if both else message.get(name) if value is None else value
    return message


def messages():
    """Yields each form of an answer's message, all with the same content."""
    create = client.chat.completions.create
    message = create(messages=[question], **ending).choices[0].message
    yield "the message", message
    yield "model_dump()", message.model_dump()
    yield "model_dump(exclude_unset)", message.model_dump(exclude_unset=True)
    yield "to_dict()", message.to_dict()
    yield "chunks", accumulated(create(messages=[question], stream=True, **ending))
    with client.chat.completions.stream(messages=[question], **ending) as stream:
        streamed = stream.get_final_completion().choices[0].message
    yield "a stream's message", streamed
    yield "model_dump() of a stream's message", streamed.model_dump()


@check
def back():
    answers = {}
    for name, message in messages():
        answers[name] = ask(message)
        print(f"ok: {name} sent back")
    assert len(set(answers.values())) == 1, answers


@check
def parsed():
    message = client.chat.completions.parse(messages=[question], response_format=Answer, **settings).choices[0].message
    assert isinstance(message.parsed, Answer), message
    ask(message.model_dump())
    ask({"role": "assistant", "content": [{"type": "text", "text": message.content, "annotations": None}]})


@check
def completion():
    settings = {"model": client.models.list().data[0].id, "max_tokens": 4, "temperature": 0}
    choice = client.completions.create(prompt="It was", extra_body={"return_token_ids": True}, **settings).choices[0]
    client.completions.create(prompt=choice.text, **settings)
    client.completions.create(prompt=choice.prompt_token_ids + choice.token_ids, **settings)


def accepts(create, params, place=None):
    """Checks that the service accepts each field of `params` with a null value."""
    for name in params.__annotations__:
        if name in known or name == "model":
            continue
        body = place({name: None}) if place else {name: None}
        try:
            create(body)
        except APIStatusError as error:
            raise AssertionError(f"{params.__name__}: {name}: {error.message}") from error


@check
def fields():
    def chat(body):
        given = {"messages": [question], "max_completion_tokens": 1}
        client.chat.completions.create(messages=[], model=model, extra_body={**given, **body})

    def complete(body):
        client.completions.create(prompt="a", model=model, extra_body={"max_tokens": 1, **body})

    def message(fields):
        return {"messages": [question, {"role": "assistant", "content": "a", **fields}]}

    def part(fields):
        return {"messages": [{"role": "user", "content": [{"type": "text", "text": "a", **fields}]}]}

    accepts(chat, chat_params.CompletionCreateParamsBase)
    accepts(complete, completion_params.CompletionCreateParamsBase)
    accepts(chat, ChatCompletionAssistantMessageParam, message)
    accepts(chat, ChatCompletionContentPartTextParam, part)
    accepts(chat, ChatCompletionStreamOptionsParam, lambda fields: {"stream_options": fields})


run_checks()
