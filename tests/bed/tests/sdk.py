"""Calls a provider with the official SDKs of OpenAI, Anthropic and Google: whole, streamed, with tools, refused."""

import json
import sys

import anthropic
import openai
from google import genai
from google.genai import types

url = sys.argv[1]
TEXT = "déjà vu 🌸 again"
ARGUMENTS = {"city": "Köln", "days": 3}
# What the models of this provider answer is set by the test that runs this.
TALKER, CALLER, THINKER, LIMITED = "talker", "caller", "thinker", "limited"
SCHEMA = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}}


def fails(call, kind, status):
    """The SDK has to raise this."""
    try:
        call()
    except kind as error:
        assert (getattr(error, "status_code", None) or error.code) == status, error
        return
    raise AssertionError(f"{kind} was not raised")


def chat():
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="sk-fake", max_retries=0)
    create = client.chat.completions.create
    ask = [{"role": "user", "content": "rain"}]
    whole = create(model=TALKER, messages=ask, logprobs=True, top_logprobs=2)
    assert whole.choices[0].message.content == TEXT and whole.choices[0].finish_reason == "stop"
    assert len(whole.choices[0].logprobs.content[0].top_logprobs) == 2
    tools = [{"type": "function", "function": {"name": "weather", "parameters": SCHEMA}}]
    with client.chat.completions.stream(model=TALKER, messages=ask, stream_options={"include_usage": True}) as stream:
        final = stream.get_final_completion()
    assert final.choices[0].message.content == TEXT and final.usage.completion_tokens == 4
    with client.chat.completions.stream(model=CALLER, messages=ask, tools=tools) as stream:
        streamed = stream.get_final_completion().choices[0]
    called = create(model=CALLER, messages=ask, tools=tools).choices[0]
    for choice in (streamed, called):
        assert choice.finish_reason == "tool_calls"
        assert [json.loads(call.function.arguments) for call in choice.message.tool_calls] == [ARGUMENTS, {}]
    results = [{"role": "tool", "tool_call_id": call.id, "content": "mild"} for call in called.message.tool_calls]
    after = create(model=CALLER, messages=[*ask, called.message, *results], tools=tools)
    assert after.choices[0].message.content == "done"
    thought = create(model=THINKER, messages=ask).choices[0].message
    assert thought.reasoning_content == "first this then that" and thought.content == TEXT
    fails(lambda: create(model=LIMITED, messages=ask), openai.RateLimitError, 429)
    fails(lambda: create(model=TALKER, messages=[{"role": "who", "content": "x"}]), openai.BadRequestError, 400)


def responses():
    client = openai.OpenAI(base_url=f"{url}/v1", api_key="sk-fake", max_retries=0)
    tools = [{"type": "function", "name": "weather", "parameters": SCHEMA, "strict": False}]
    wants = {"reasoning": {"summary": "auto"}, "include": ["reasoning.encrypted_content"]}
    with client.responses.stream(model=THINKER, input="rain", **wants) as stream:
        final = stream.get_final_response()
    assert final.output[0].summary[0].text == "first this then that" and final.output[0].encrypted_content
    assert final.output_text == TEXT and final.usage.output_tokens_details.reasoning_tokens == 4
    with client.responses.stream(model=CALLER, input="rain", tools=tools) as stream:
        calls = stream.get_final_response().output
    assert [json.loads(call.arguments) for call in calls] == [ARGUMENTS, {}]
    results = [{"type": "function_call_output", "call_id": call.call_id, "output": "mild"} for call in calls]
    after = client.responses.create(model=CALLER, input=[*calls, *results], tools=tools)
    assert after.output_text == "done"


def messages():
    client = anthropic.Anthropic(base_url=url, api_key="sk-fake", max_retries=0)
    ask = [{"role": "user", "content": "rain"}]
    base = {"max_tokens": 4096, "messages": ask}
    whole = client.messages.create(model=TALKER, **base)
    assert whole.content[0].text == TEXT and whole.stop_reason == "end_turn" and whole.usage.output_tokens == 4
    with client.messages.stream(model=TALKER, **base) as stream:
        assert "".join(stream.text_stream) == TEXT
        assert stream.get_final_message().usage.output_tokens == 4
    tools = [{"name": "weather", "input_schema": SCHEMA}]
    with client.messages.stream(model=CALLER, tools=tools, **base) as stream:
        streamed = stream.get_final_message()
    called = client.messages.create(model=CALLER, tools=tools, **base)
    for message in (streamed, called):
        assert message.stop_reason == "tool_use" and [block.input for block in message.content] == [ARGUMENTS, {}]
    results = [{"type": "tool_result", "tool_use_id": block.id, "content": "mild"} for block in called.content]
    turns = [*ask, called.to_param(), {"role": "user", "content": results}]
    after = client.messages.create(model=CALLER, max_tokens=9, tools=tools, messages=turns)
    assert after.content[0].text == "done"
    thinking = {"type": "enabled", "budget_tokens": 1024}
    with client.messages.stream(model=THINKER, thinking=thinking, **base) as stream:
        thought = stream.get_final_message()
    assert thought.content[0].thinking == "first this then that" and thought.content[1].text == TEXT
    turns = [*ask, thought.to_param(), {"role": "user", "content": "and?"}]
    client.messages.create(model=THINKER, max_tokens=4096, thinking=thinking, messages=turns)
    turns[1]["content"][0].signature = "c2lnbmF0dXJl"
    again = {"model": THINKER, "max_tokens": 4096, "thinking": thinking, "messages": turns}
    fails(lambda: client.messages.create(**again), anthropic.BadRequestError, 400)
    fails(lambda: client.messages.create(model=LIMITED, **base), anthropic.RateLimitError, 429)
    old = client.with_options(default_headers={"anthropic-version": "2022-01-01"})
    fails(lambda: old.messages.create(model=TALKER, **base), anthropic.BadRequestError, 400)


def gemini():
    options = types.HttpOptions(base_url=url, api_version="v1beta")
    client = genai.Client(api_key="key", http_options=options, vertexai=False)
    generate = client.models.generate_content
    whole = generate(model=TALKER, contents="rain")
    assert whole.text == TEXT and whole.candidates[0].finish_reason == types.FinishReason.STOP
    chunks = list(client.models.generate_content_stream(model=TALKER, contents="rain"))
    assert "".join(chunk.text or "" for chunk in chunks) == TEXT
    assert chunks[-1].usage_metadata.candidates_token_count == 4
    declaration = {"name": "weather", "parameters_json_schema": SCHEMA}
    manual = types.AutomaticFunctionCallingConfig(disable=True)
    tools = [types.Tool(function_declarations=[declaration])]
    config = types.GenerateContentConfig(tools=tools, automatic_function_calling=manual)
    called = generate(model=CALLER, contents="rain", config=config)
    stream = client.models.generate_content_stream(model=CALLER, contents="rain", config=config)
    streamed = [call for chunk in stream for call in chunk.function_calls or []]
    for calls in (streamed, called.function_calls):
        assert [call.args for call in calls] == [ARGUMENTS, {}]
    user = types.Content(role="user", parts=[types.Part(text="rain")])
    answers = [
        types.Part.from_function_response(name=call.name, response={"result": "mild"}) for call in called.function_calls
    ]
    turns = [user, called.candidates[0].content, types.Content(role="user", parts=answers)]
    assert generate(model=CALLER, contents=turns, config=config).text == "done"
    thoughts = types.GenerateContentConfig(thinking_config=types.ThinkingConfig(include_thoughts=True))
    thought = generate(model=THINKER, contents="rain", config=thoughts)
    assert thought.candidates[0].content.parts[0].thought and thought.text == TEXT
    assert thought.usage_metadata.thoughts_token_count == 4
    fails(lambda: generate(model=LIMITED, contents="rain"), genai.errors.ClientError, 429)


for check in (chat, responses, messages, gemini):
    check()
    print(check.__name__)
