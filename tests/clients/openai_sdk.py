"""The OpenAI SDK for Python, unmodified, by Responses and by chat completions."""

import functools
import json

import openai
from pydantic import BaseModel
from walk import answer, walk


class Report(BaseModel):
    city: str
    degrees: list[int]


@functools.cache
def client(base_url, api_key):
    return openai.OpenAI(base_url=base_url, api_key=api_key)


def said(text):
    return [{"role": "user", "content": text}]


def create(ask, conversation, **more):
    sdk = client(ask.base_url, ask.api_key)
    if ask.api == "chat":
        return sdk.chat.completions.create(model=ask.model, messages=conversation, **more)
    return sdk.responses.create(model=ask.model, input=conversation, **more)


def streamed(ask, conversation, **more):
    sdk = client(ask.base_url, ask.api_key)
    if ask.api == "chat":
        with sdk.chat.completions.stream(model=ask.model, messages=conversation, **more) as events:
            return events.get_final_completion()
    with sdk.responses.stream(model=ask.model, input=conversation, **more) as events:
        return events.get_final_response()


def text_of(ask, result):
    return result.choices[0].message.content if ask.api == "chat" else result.output_text


def text(ask):
    return text_of(ask, create(ask, said(ask.prompt)))


def stream(ask):
    events = create(ask, said(ask.prompt), stream=True)
    if ask.api == "chat":
        return [choice.delta.content for chunk in events for choice in chunk.choices if choice.delta.content]
    return [event.delta for event in events if event.type == "response.output_text.delta"]


def call(ask, name, arguments):
    ask.calls.append([name, json.loads(arguments)])
    return answer(name=name, **json.loads(arguments))


def tools(ask, create=create):
    if ask.api == "chat":
        functions = [{"type": "function", "function": {"strict": True, **tool}} for tool in ask.tools]
        message = create(ask, said(ask.prompt), tools=functions).choices[0].message
        outputs = [
            {"role": "tool", "tool_call_id": one.id, "content": call(ask, one.function.name, one.function.arguments)}
            for one in message.tool_calls
        ]
        return text_of(ask, create(ask, [*said(ask.prompt), message, *outputs], tools=functions))
    functions = [{"type": "function", "strict": True, **tool} for tool in ask.tools]
    output = create(ask, said(ask.prompt), tools=functions).output
    outputs = [
        {"type": "function_call_output", "call_id": one.call_id, "output": call(ask, one.name, one.arguments)}
        for one in output
        if one.type == "function_call"
    ]
    return text_of(ask, create(ask, [*said(ask.prompt), *output, *outputs], tools=functions))


def streamed_tools(ask):
    return tools(ask, create=streamed)


def image(ask):
    if ask.api == "chat":
        parts = [{"type": "text", "text": ask.prompt}, {"type": "image_url", "image_url": {"url": ask.image}}]
    else:
        parts = [{"type": "input_text", "text": ask.prompt}, {"type": "input_image", "image_url": ask.image}]
    return text_of(ask, create(ask, said(parts)))


def schema(ask):
    sdk = client(ask.base_url, ask.api_key)
    if ask.api == "chat":
        parse = sdk.chat.completions.parse
        result = parse(model=ask.model, messages=said(ask.prompt), response_format=Report)
        return result.choices[0].message.parsed.model_dump()
    return sdk.responses.parse(model=ask.model, input=said(ask.prompt), text_format=Report).output_parsed.model_dump()


def turns(ask):
    first = create(ask, said(ask.prompt))
    answered = [first.choices[0].message] if ask.api == "chat" else first.output
    return text_of(ask, create(ask, [*said(ask.prompt), *answered, *said(ask.then)]))


verbs = [text, stream, tools, streamed_tools, image, schema, turns]
walk({verb.__name__: verb for verb in verbs})
