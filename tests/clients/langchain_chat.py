"""LangChain's ChatOpenAI, unmodified, by Responses and by chat completions."""

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


def tools(ask):
    known = {"weather": weather, "time": time}
    bound = model(ask).bind_tools(list(known.values()))
    conversation = [HumanMessage(ask.prompt)]
    conversation.append(bound.invoke(conversation))
    for call in conversation[-1].tool_calls:
        ask.calls.append([call["name"], call["args"]])
        conversation.append(ToolMessage(known[call["name"]].invoke(call["args"]), tool_call_id=call["id"]))
    return bound.invoke(conversation).text


def image(ask):
    parts = [{"type": "text", "text": ask.prompt}, {"type": "image_url", "image_url": {"url": ask.image}}]
    return model(ask).invoke([HumanMessage(parts)]).text


def schema(ask):
    return model(ask).with_structured_output(Report).invoke(ask.prompt).model_dump()


def turns(ask):
    conversation = [HumanMessage(ask.prompt)]
    conversation.append(model(ask).invoke(conversation))
    return model(ask).invoke([*conversation, HumanMessage(ask.then)]).text


walk({"text": text, "stream": stream, "tools": tools, "image": image, "schema": schema, "turns": turns})
