"""Tools and structured output through LangChain, as its documentation shows, whole and streamed."""

from typing import Literal

import requests
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI
from pydantic import BaseModel

from checks import api_key, base_url, check, model, run_checks

question = "Is it fine in Bath?"
server = {"model": model, "base_url": base_url, "api_key": api_key, "max_retries": 0}


class Look(BaseModel):
    """Tells the weather."""

    city: Literal["Bath", "Lyme"]
    tomorrow: bool


@check
def tools():
    chat = ChatOpenAI(**server, seed=3, max_tokens=120)
    bound = chat.bind_tools([Look], tool_choice="any", parallel_tool_calls=False)
    message = bound.invoke(question)
    [call] = message.tool_calls
    assert call["name"] == "Look" and Look(**call["args"]), message
    whole = None
    for chunk in bound.stream(question):
        whole = chunk if whole is None else whole + chunk
    assert [each["args"] for each in whole.tool_calls] == [call["args"]], whole
    history = [HumanMessage(question), message, ToolMessage("It is fine.", tool_call_id=call["id"])]
    answer = chat.bind_tools([Look]).invoke(history)
    assert answer.content or answer.tool_calls, answer


@check
def structured():
    chat = ChatOpenAI(**server, seed=3, max_tokens=120)
    for method in ("json_schema", "function_calling"):
        for strict in (None, True):
            asked = chat.with_structured_output(Look, method=method, strict=strict)
            assert isinstance(asked.invoke(question), Look), method
            assert isinstance(list(asked.stream(question))[-1], Look), method


@check
def json_mode():
    # The model would fill its whole answer with members.
    tokens = {"model": model, "prompt": "}", "add_special_tokens": False}
    headers = {"Authorization": f"Bearer {api_key}"}
    [end] = requests.post(base_url.removesuffix("/v1") + "/tokenize", json=tokens, headers=headers).json()["tokens"]
    chat = ChatOpenAI(**server, logit_bias={end: 100}, max_tokens=8)
    asked = chat.with_structured_output(None, method="json_mode")
    assert asked.invoke(question) == {}
    assert list(asked.stream(question))[-1] == {}


run_checks()
