"""OpenAI's agents SDK, unmodified, with its model for Responses and its model for chat completions."""

import asyncio
import functools

import agents
import openai
from pydantic import BaseModel
from walk import answer, walk

agents.set_tracing_disabled(True)
# Its connections belong to one loop.
loop = asyncio.Runner()


class Report(BaseModel):
    city: str
    degrees: list[int]


@functools.cache
def client(base_url, api_key):
    return openai.AsyncOpenAI(base_url=base_url, api_key=api_key)


def agent(ask, **more):
    kind = agents.OpenAIChatCompletionsModel if ask.api == "chat" else agents.OpenAIResponsesModel
    model = kind(model=ask.model, openai_client=client(ask.base_url, ask.api_key))
    return agents.Agent(name="walker", model=model, **more)


def run(ask, given, **more):
    return loop.run(agents.Runner.run(agent(ask, **more), given))


def text(ask):
    return run(ask, ask.prompt).final_output


async def deltas(ask):
    run = agents.Runner.run_streamed(agent(ask), ask.prompt)
    raw = [event.data async for event in run.stream_events() if event.type == "raw_response_event"]
    return [event.delta for event in raw if event.type == "response.output_text.delta"]


def stream(ask):
    return loop.run(deltas(ask))


def both_tools(ask):
    @agents.function_tool
    def weather(city: str) -> str:
        """Looks up the weather."""
        ask.calls.append(["weather", {"city": city}])
        return answer(city, "weather")

    @agents.function_tool
    def time(city: str) -> str:
        """Looks up the time."""
        ask.calls.append(["time", {"city": city}])
        return answer(city, "time")

    return [weather, time]


def tools(ask):
    return run(ask, ask.prompt, tools=both_tools(ask)).final_output


async def end_of_stream(ask):
    run = agents.Runner.run_streamed(agent(ask, tools=both_tools(ask)), ask.prompt)
    async for _ in run.stream_events():
        pass
    return run.final_output


def streamed_tools(ask):
    return loop.run(end_of_stream(ask))


def image(ask):
    parts = [{"type": "input_text", "text": ask.prompt}, {"type": "input_image", "image_url": ask.image, "detail": "auto"}]
    return run(ask, [{"role": "user", "content": parts}]).final_output


def schema(ask):
    return run(ask, ask.prompt, output_type=Report).final_output.model_dump()


def turns(ask):
    first = run(ask, ask.prompt)
    return run(ask, [*first.to_input_list(), {"role": "user", "content": ask.then}]).final_output


verbs = [text, stream, tools, streamed_tools, image, schema, turns]
walk({verb.__name__: verb for verb in verbs})
