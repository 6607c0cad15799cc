"""Uses tools and structured output through frameworks, as their documentation shows: whole and streamed.

    frameworks.py <base URL> <API key>

Prints one line per check; exits with 1 if any failed.
"""

import asyncio
import sys
from typing import Literal

import requests
from langchain_core.messages import HumanMessage, ToolMessage
from langchain_openai import ChatOpenAI
from pydantic import BaseModel
from pydantic_ai import Agent, Tool
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

base_url, api_key = sys.argv[1:]
model = "chat-model"
question = "Is it fine in Bath?"
server = {"model": model, "base_url": base_url, "api_key": api_key, "max_retries": 0}


class Look(BaseModel):
    """Tells the weather."""

    city: Literal["Bath", "Lyme"]
    tomorrow: bool


class Fine(BaseModel):
    fine: bool


def langchain_tools():
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


def langchain_structured():
    chat = ChatOpenAI(**server, seed=3, max_tokens=120)
    for method in ("json_schema", "function_calling"):
        for strict in (None, True):
            asked = chat.with_structured_output(Look, method=method, strict=strict)
            assert isinstance(asked.invoke(question), Look), method
            assert isinstance(list(asked.stream(question))[-1], Look), method


def langchain_json_mode():
    # The model would fill its whole answer with members.
    tokens = {"model": model, "prompt": "}", "add_special_tokens": False}
    headers = {"Authorization": f"Bearer {api_key}"}
    [end] = requests.post(base_url.removesuffix("/v1") + "/tokenize", json=tokens, headers=headers).json()["tokens"]
    chat = ChatOpenAI(**server, logit_bias={end: 100}, max_tokens=8)
    asked = chat.with_structured_output(None, method="json_mode")
    assert asked.invoke(question) == {}
    assert list(asked.stream(question))[-1] == {}


def pydantic_ai():
    calls = 0

    def now() -> str:
        nonlocal calls
        calls += 1
        return "Noon."

    async def once(context, definition):
        """Offers the tool in the first step, since this model would go on calling it."""
        return definition if context.run_step == 1 else None

    chat = OpenAIChatModel(model, provider=OpenAIProvider(base_url=base_url, api_key=api_key))
    settings = {"max_tokens": 120, "seed": 1, "parallel_tool_calls": False}
    agent = Agent(chat, tools=[Tool(now, prepare=once)], output_type=Fine, model_settings=settings)

    async def streamed():
        async with agent.run_stream(question) as result:
            return await result.get_output()

    assert isinstance(agent.run_sync(question).output, Fine)
    assert isinstance(asyncio.run(streamed()), Fine)
    assert calls == 2, calls


checks = (langchain_tools, langchain_structured, langchain_json_mode, pydantic_ai)
failed = 0
for check in checks:
    try:
        check()
        print(f"ok: {check.__name__}")
    except Exception as error:  # noqa: BLE001 - every check is reported
        failed += 1
        print(f"failed: {check.__name__}: {type(error).__name__}: {error}")
print(f"{len(checks) - failed} of {len(checks)} checks passed")
sys.exit(1 if failed else 0)
