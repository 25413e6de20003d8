"""The OpenAI SDK for Python, unmodified, through the cases that the test asks for.

One JSON line in is one case, one JSON line out is what came of it. It decides nothing: the table is in tests/sdks.rs.
"""

import base64
import json
import sys

import openai


def make_client(ask, seen):
    def watch(request):
        seen["attempts"] += 1
        if "dump" in ask:
            with open(ask["dump"], "wb") as file:
                file.write(request.read())

    http_client = openai.DefaultHttpxClient(event_hooks={"request": [watch]})
    options = {"timeout": ask["timeout_s"]} if "timeout_s" in ask else {}
    options |= {"max_retries": ask["max_retries"]} if "max_retries" in ask else {}
    return openai.OpenAI(base_url=ask["base_url"], api_key=ask["api_key"], http_client=http_client, **options)


def arguments(ask):
    given = {"model": ask["model"], "input": ask["input"], "extra_body": ask["extra"]}
    if "image_file" in ask:
        with open(ask["image_file"], "rb") as file:
            image = "data:image/png;base64," + base64.b64encode(file.read()).decode()
        text = {"type": "input_text", "text": ask["input"]}
        given["input"] = [{"role": "user", "content": [text, {"type": "input_image", "image_url": image}]}]
    return given


def note_response(response, seen):
    seen["text"] = response.output_text
    seen["model"] = response.model
    seen["status"] = response.status
    seen["total_tokens"] = response.usage.total_tokens


def create(client, ask, seen):
    response = client.responses.create(**arguments(ask))
    seen["request_id"] = response._request_id
    note_response(response, seen)


def read(stream, ask, seen):
    for event in stream:
        seen["types"].append(event.type)
        if event.type == "response.output_text.delta":
            seen["deltas"] += event.delta
        if event.type == "response.completed":
            note_response(event.response, seen)
        if len(seen["types"]) == ask.get("leave_after"):
            stream.close()
            return


def raw(client, ask, seen):
    read(client.responses.create(stream=True, **arguments(ask)), ask, seen)


def helper(client, ask, seen):
    with client.responses.stream(**arguments(ask)) as stream:
        read(stream, ask, seen)
        if "leave_after" not in ask:
            note_response(stream.get_final_response(), seen)


def conversation(ask):
    return {"model": ask["model"], "messages": [{"role": "user", "content": ask["input"]}], "extra_body": ask["extra"]}


def note_completion(completion, seen):
    choice = completion.choices[0]
    seen["text"] = choice.message.content
    seen["model"] = completion.model
    seen["status"] = {"stop": "completed"}.get(choice.finish_reason, choice.finish_reason)
    seen["total_tokens"] = completion.usage.total_tokens


def chat_create(client, ask, seen):
    completion = client.chat.completions.create(**conversation(ask))
    seen["request_id"] = completion._request_id
    note_completion(completion, seen)


def chat_raw(client, ask, seen):
    usage = {"include_usage": True}
    stream = client.chat.completions.create(stream=True, stream_options=usage, **conversation(ask))
    for chunk in stream:
        seen["types"].append(chunk.object)
        seen["model"] = chunk.model
        for choice in chunk.choices:
            seen["deltas"] += choice.delta.content or ""
            if choice.finish_reason == "stop":
                seen["status"] = "completed"
        if chunk.usage:
            seen["total_tokens"] = chunk.usage.total_tokens
        if len(seen["types"]) == ask.get("leave_after"):
            stream.close()
            return
    seen["text"] = seen["deltas"]


def chat_helper(client, ask, seen):
    usage = {"include_usage": True}
    with client.chat.completions.stream(stream_options=usage, **conversation(ask)) as stream:
        for event in stream:
            seen["types"].append(event.type)
            if event.type == "content.delta":
                seen["deltas"] += event.delta
            if len(seen["types"]) == ask.get("leave_after"):
                return
        note_completion(stream.get_final_completion(), seen)


def models(client, ask, seen):
    seen["ids"] = [model.id for model in client.models.list()]


def kept(client, ask, seen):
    made = client.responses.create(**arguments(ask))
    again = client.responses.retrieve(made.id)
    note_response(again, seen)
    seen["same"] = again.id == made.id
    seen["items"] = [item.content[0].text for item in client.responses.input_items.list(made.id)]
    read(client.responses.retrieve(made.id, stream=True), ask, seen)
    client.responses.delete(made.id)
    client.responses.retrieve(made.id)


def compact(client, ask, seen):
    made = client.responses.compact(model=ask["model"], input=ask["input"])
    seen["object"] = made.object
    seen["items"] = [item.type for item in made.output]
    seen["total_tokens"] = made.usage.total_tokens
    output = [item.model_dump(exclude_none=True) for item in made.output]
    given = [*output, {"role": "user", "content": "Go on."}]
    seen["text"] = client.responses.create(model=ask["model"], input=given).output_text


def follow(connection, seen):
    for event in connection:
        seen["types"].append(event.type)
        if event.type == "error":
            seen["code"] = event.error.code if getattr(event, "error", None) else event.code
            return None
        if event.type == "response.completed":
            return event.response


def socket(client, ask, seen):
    with client.responses.connect() as connection:
        connection.response.create(model=ask["model"], input=ask["input"], store=False)
        first = follow(connection, seen)
        following = {"model": ask["model"], "input": "Go on.", "store": False}
        connection.response.create(previous_response_id=first.id, **following)
        second = follow(connection, seen)
        note_response(second, seen)
        seen["continues"] = second.previous_response_id == first.id
        connection.response.create(previous_response_id="resp_never", **following)
        follow(connection, seen)


def note_error(error, seen):
    fields = {"status": "status_code", "code": "code", "type": "type", "param": "param", "request_id": "request_id"}
    seen["error"] = {name: getattr(error, attribute, None) for name, attribute in fields.items()}
    seen["error"] |= {"class": type(error).__name__, "message": str(error)}


def main():
    verbs = {"create": create, "raw": raw, "helper": helper, "models": models}
    verbs |= {"chat_create": chat_create, "chat_raw": chat_raw, "chat_helper": chat_helper}
    verbs |= {"kept": kept, "compact": compact, "socket": socket}
    for line in sys.stdin:
        ask = json.loads(line)
        seen = {"case": ask["case"], "attempts": 0, "types": [], "deltas": "", "error": None}
        try:
            with make_client(ask, seen) as client:
                verbs[ask["how"]](client, ask, seen)
        except Exception as error:
            note_error(error, seen)
        print(json.dumps(seen), flush=True)


main()
