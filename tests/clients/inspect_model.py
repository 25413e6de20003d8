"""inspect_ai as a model client, unmodified, by Responses and by chat completions."""

import asyncio

from inspect_ai.model import ChatMessageUser, ContentImage, ContentText, GenerateConfig, ResponseSchema, get_model
from inspect_ai.tool import tool
from inspect_ai.util import json_schema
from pydantic import BaseModel
from walk import answer, walk

# Its connections belong to one loop.
loop = asyncio.Runner()


class Report(BaseModel):
    city: str
    degrees: list[int]


def model(ask):
    responses = ask.api == "responses"
    return get_model(f"openai/{ask.model}", base_url=ask.base_url, api_key=ask.api_key, responses_api=responses)


def generate(ask, given, **more):
    return loop.run(model(ask).generate(given, **more))


def text(ask):
    return generate(ask, ask.prompt).completion


def stream(ask):
    pieces = []

    async def note(event):
        if event.type == "text":
            pieces.append(event.text)

    generate(ask, ask.prompt, on_stream=note)
    return pieces


def both_tools(ask):
    @tool
    def weather():
        async def execute(city: str):
            """Looks up the weather.

            Args:
                city: Where.
            """
            ask.calls.append(["weather", {"city": city}])
            return answer(city, "weather")

        return execute

    @tool
    def time():
        async def execute(city: str):
            """Looks up the time.

            Args:
                city: Where.
            """
            ask.calls.append(["time", {"city": city}])
            return answer(city, "time")

        return execute

    return [weather(), time()]


def tools(ask, on_stream=None):
    _, output = loop.run(model(ask).generate_loop(ask.prompt, tools=both_tools(ask), on_stream=on_stream))
    return output.completion


def streamed_tools(ask):
    async def note(event):
        pass

    return tools(ask, on_stream=note)


def image(ask):
    parts = [ContentText(text=ask.prompt), ContentImage(image=ask.image)]
    return generate(ask, [ChatMessageUser(content=parts)]).completion


def schema(ask):
    wanted = ResponseSchema(name="report", json_schema=json_schema(Report), strict=True)
    output = generate(ask, ask.prompt, config=GenerateConfig(response_schema=wanted))
    return Report.model_validate_json(output.completion).model_dump()


def turns(ask):
    first = ChatMessageUser(content=ask.prompt)
    answered = generate(ask, [first]).message
    return generate(ask, [first, answered, ChatMessageUser(content=ask.then)]).completion


verbs = [text, stream, tools, streamed_tools, image, schema, turns]
walk({verb.__name__: verb for verb in verbs})
