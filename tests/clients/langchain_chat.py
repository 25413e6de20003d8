"""LangChain's ChatOpenAI, unmodified, by Responses and by chat completions."""

import functools
import operator

from langchain_core.messages import HumanMessage, ToolMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from pydantic import BaseModel
from walk import answer, walk


class Report(BaseModel):
    """A report of the weather."""

    city: str
    degrees: list[int]


@tool
def weather(city: str) -> str:
    """Looks up the weather."""
    return answer(city, "weather")


@tool
def time(city: str) -> str:
    """Looks up the time."""
    return answer(city, "time")


def model(ask):
    responses = ask.api == "responses"
    return ChatOpenAI(model=ask.model, base_url=ask.base_url, api_key=ask.api_key, use_responses_api=responses)


def text(ask):
    return model(ask).invoke(ask.prompt).text


def stream(ask):
    return [chunk.text for chunk in model(ask).stream(ask.prompt) if chunk.text]


def at_once(bound, conversation):
    return bound.invoke(conversation)


def in_pieces(bound, conversation):
    return functools.reduce(operator.add, bound.stream(conversation))


def tools(ask, turn=at_once):
    known = {"weather": weather, "time": time}
    bound = model(ask).bind_tools(list(known.values()))
    conversation = [HumanMessage(ask.prompt)]
    conversation.append(turn(bound, conversation))
    for call in conversation[-1].tool_calls:
        ask.calls.append([call["name"], call["args"]])
        conversation.append(ToolMessage(known[call["name"]].invoke(call["args"]), tool_call_id=call["id"]))
    return turn(bound, conversation).text


def streamed_tools(ask):
    return tools(ask, turn=in_pieces)


def image(ask):
    parts = [{"type": "text", "text": ask.prompt}, {"type": "image_url", "image_url": {"url": ask.image}}]
    return model(ask).invoke([HumanMessage(parts)]).text


def schema(ask):
    return model(ask).with_structured_output(Report).invoke(ask.prompt).model_dump()


def turns(ask):
    conversation = [HumanMessage(ask.prompt)]
    conversation.append(model(ask).invoke(conversation))
    return model(ask).invoke([*conversation, HumanMessage(ask.then)]).text


verbs = [text, stream, tools, streamed_tools, image, schema, turns]
walk({verb.__name__: verb for verb in verbs})
