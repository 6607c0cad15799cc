"""Chats and tools through LlamaIndex, whole and streamed, and structured output, as its documentation shows."""

from typing import Literal

from llama_index.core.llms import ChatMessage, MessageRole
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel

from checks import api_key, base_url, check, model, run_checks

question = "Is it fine in Bath?"
llm = OpenAILike(
    model=model,
    api_base=base_url,
    api_key=api_key,
    is_chat_model=True,
    is_function_calling_model=True,
    max_tokens=120,
    max_retries=0,
    additional_kwargs={"seed": 3},
)


class Look(BaseModel):
    """Where and when to look."""

    city: Literal["Bath", "Lyme"]
    tomorrow: bool


def look(city: Literal["Bath", "Lyme"], tomorrow: bool) -> str:
    """Tells the weather."""
    return f"It is fine in {city}."


tool = FunctionTool.from_defaults(fn=look)


@check
def chat():
    whole = llm.chat([ChatMessage(role="user", content=question)])
    streamed = list(llm.stream_chat([ChatMessage(role="user", content=question)]))
    assert whole.message.content and streamed[-1].message.content == whole.message.content, (whole, streamed[-1])


@check
def tools():
    asked = {"user_msg": question, "tool_required": True, "allow_parallel_tool_calls": False}
    response = llm.chat_with_tools([tool], **asked)
    [call] = llm.get_tool_calls_from_response(response)
    assert call.tool_name == "look" and Look(**call.tool_kwargs), response
    last = list(llm.stream_chat_with_tools([tool], **asked))[-1]
    [again] = llm.get_tool_calls_from_response(last)
    assert again.tool_kwargs == call.tool_kwargs, last
    for message in (response.message, last.message):
        result = ChatMessage(
            role=MessageRole.TOOL, content=look(**call.tool_kwargs), additional_kwargs={"tool_call_id": call.tool_id}
        )
        answer = llm.chat_with_tools([tool], chat_history=[ChatMessage(role="user", content=question), message, result])
        assert answer.message.content or llm.get_tool_calls_from_response(answer), answer


@check
def tools_run():
    said = llm.predict_and_call([tool], question, tool_required=True, allow_parallel_tool_calls=False)
    assert str(said).startswith("It is fine in"), said


@check
def structured():
    assert isinstance(llm.structured_predict(Look, PromptTemplate(question)), Look)


run_checks()
