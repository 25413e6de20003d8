"""Evaluates screenshots and telemetry with the endpoint `vision-screencast-evaluator`, through the OpenAI SDK.

    python evaluate.py [--model ENDPOINT] [--telemetry FILE] [--stream] [SCREENSHOT ...]

`base_url` and key come from OPENAI_BASE_URL and OPENAI_API_KEY. Prints the evaluation as JSON, or the code and the path of
what the answer violates.
"""

import argparse
import base64
import json
import pathlib
import sys

import openai

HERE = pathlib.Path(__file__).resolve().parent
KINDS = {".png": "png", ".jpg": "jpeg", ".jpeg": "jpeg", ".webp": "webp"}


def picture(path):
    """A screenshot as a part of the input."""
    kind = KINDS.get(path.suffix.lower()) or sys.exit(f"{path}: png, jpeg or webp")
    data = base64.b64encode(path.read_bytes()).decode()
    return {"type": "input_image", "detail": "auto", "image_url": f"data:image/{kind};base64,{data}"}


def ask(client, model, parts, stream):
    """The text of the evaluation."""
    question = {"model": model, "input": [{"role": "user", "content": parts}]}
    if not stream:
        return client.responses.create(**question).output_text
    for event in client.responses.create(**question, stream=True):
        if event.type == "response.completed":
            return event.response.output_text
        if event.type == "response.failed":
            sys.exit(f"{event.response.error.code}: {event.response.error.message}")
    return sys.exit("the stream had no end")


def main():
    """Asks, and shows the activities."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--model", default="vision-screencast-evaluator")
    arguments.add_argument("--telemetry", type=pathlib.Path, default=HERE / "telemetry.txt")
    arguments.add_argument("--stream", action="store_true")
    arguments.add_argument("screenshots", nargs="*", type=pathlib.Path)
    options = arguments.parse_args()
    telemetry = {"type": "input_text", "text": options.telemetry.read_text()}
    parts = [telemetry, *map(picture, options.screenshots)]
    try:
        text = ask(openai.OpenAI(), options.model, parts, options.stream)
    except openai.APIError as error:
        sys.exit(f"{error.code}: {error.param}")
    print(json.dumps(json.loads(text), indent=2))


main()
