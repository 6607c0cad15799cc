"""A tool and structured output through Pydantic AI, as its documentation shows, whole and streamed."""

import asyncio

from pydantic import BaseModel
from pydantic_ai import Agent, Tool
from pydantic_ai.models.openai import OpenAIChatModel
from pydantic_ai.providers.openai import OpenAIProvider

from checks import api_key, base_url, check, model, run_checks

question = "Is it fine in Bath?"


class Fine(BaseModel):
    fine: bool


@check
def agent():
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
    asked = Agent(chat, tools=[Tool(now, prepare=once)], output_type=Fine, model_settings=settings)

    async def streamed():
        async with asked.run_stream(question) as result:
            return await result.get_output()

    assert isinstance(asked.run_sync(question).output, Fine)
    assert isinstance(asyncio.run(streamed()), Fine)
    assert calls == 2, calls


run_checks()
