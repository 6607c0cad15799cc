"""Chats, tools, responses and embeddings through LiteLLM, as a library and as a proxy for OpenAI's client."""

import json
import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # Otherwise it downloads one.

import litellm
from openai import APIConnectionError, OpenAI

from checks import api_key, base_url, check, model, run_checks

server = {"model": f"openai/{model}", "api_base": base_url, "api_key": api_key}
question = {"role": "user", "content": "Is it fine in Bath?"}
parameters = {
    "type": "object",
    "properties": {"city": {"enum": ["Bath", "Lyme"]}, "tomorrow": {"type": "boolean"}},
    "required": ["city", "tomorrow"],
}
tools = [{"type": "function", "function": {"name": "look", "description": "Looks.", "parameters": parameters}}]
proxy_key = "sk-1b2c9f4e7a6d5c3b8e0f"
asked = {"messages": [question], "seed": 3, "max_tokens": 120}
calling = {**asked, "tools": tools, "tool_choice": "required", "parallel_tool_calls": False}


def chats_and_tools(create):
    """Checks a function that makes OpenAI's chat completions, whole and streamed."""
    message = create(**asked).choices[0].message
    chunks = [chunk for chunk in create(stream=True, **asked) if chunk.choices]
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks) == message.content, message
    message = create(**calling).choices[0].message
    [call] = message.tool_calls
    given = json.loads(call.function.arguments)
    assert call.function.name == "look" and set(given) == {"city", "tomorrow"}, call
    deltas = [chunk.choices[0].delta for chunk in create(stream=True, **calling) if chunk.choices]
    pieces = [piece.function for delta in deltas for piece in delta.tool_calls or []]
    assert json.loads("".join(piece.arguments or "" for piece in pieces)) == given, pieces
    result = {"role": "tool", "tool_call_id": call.id, "content": "It is fine."}
    history = {**asked, "messages": [question, message.model_dump(), result], "tools": tools}
    answer = create(**history).choices[0].message
    assert answer.content or answer.tool_calls, answer


@check
def library():
    chats_and_tools(lambda **body: litellm.completion(**server, **body))


@check
def library_embeddings():
    answer = litellm.embedding(**server, input=["It was a", "a proud man"])
    assert len(answer.data) == 2 and len(answer.data[0]["embedding"]) > 8, answer


@check
def library_responses():
    answer = litellm.responses(**server, input="Who is he?", max_output_tokens=8)
    assert answer.output[0].content[0].text, answer
    events = list(litellm.responses(**server, input="Who is he?", max_output_tokens=8, stream=True))
    assert events[-1].type in ("response.completed", "response.incomplete"), events[-1]


@contextmanager
def proxy():
    """A client of LiteLLM's own server, with our service behind it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with TemporaryDirectory() as folder:
        config = Path(folder, "config.yaml")
        config.write_text(json.dumps({"model_list": [{"model_name": "served", "litellm_params": server}]}))
        command = [Path(sys.executable).with_name("litellm"), "--config", config, "--host", "127.0.0.1", "--port", str(port)]
        process = subprocess.Popen(command, stdout=sys.stderr, env={**os.environ, "LITELLM_MASTER_KEY": proxy_key})
        client = OpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key=proxy_key, max_retries=0)
        try:
            while not answers(client):
                assert process.poll() is None, "the proxy did not start"
                time.sleep(0.2)
            yield client
        finally:
            process.terminate()
            process.wait()


def answers(client):
    try:
        return bool(client.models.list().data)
    except APIConnectionError:
        return False


@check
def behind_the_proxy():
    with proxy() as client:
        chats_and_tools(lambda **body: client.chat.completions.create(model="served", **body))
        [vector] = client.embeddings.create(model="served", input="It was a", encoding_format="float").data
        assert len(vector.embedding) > 8, vector


run_checks()
