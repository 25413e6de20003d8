"""The Evals API through the unmodified OpenAI SDK for Python: everything that its resources can do, once.

The first argument is JSON: base_url, api_key, model, judge. What came of each step is printed as one JSON object; it
decides nothing, the expectations are in tests/evals.rs.
"""

import json
import sys
import time

import openai

POLL_S = 0.2
PATIENCE_S = 180

ask = json.loads(sys.argv[1])
client = openai.OpenAI(base_url=ask["base_url"], api_key=ask["api_key"], max_retries=2)

ITEMS = [
    {"question": "Capital of France? [1]", "expected": "Paris"},
    {"question": "Capital of Peru? [2]", "expected": "Lima"},
    {"question": "Capital of Japan? [3]", "expected": "Kyoto"},
]
SCHEMA = {
    "type": "object",
    "properties": {"question": {"type": "string"}, "expected": {"type": "string"}},
    "required": ["question", "expected"],
}
PYTHON = """
def grade(sample, item):
    return 1.0 if sample["output_text"].strip() == item["expected"] else 0.0
"""
CRITERIA = [
    {
        "type": "string_check",
        "name": "exact",
        "input": "{{ sample.output_text }}",
        "operation": "eq",
        "reference": "{{item.expected}}",
    },
    {
        "type": "text_similarity",
        "name": "similar",
        "input": "{{sample.output_text}}",
        "reference": "{{item.expected}}",
        "evaluation_metric": "fuzzy_match",
        "pass_threshold": 0.8,
    },
    {
        "type": "label_model",
        "name": "label",
        "model": ask["judge"],
        "input": [{"role": "user", "content": "label: {{sample.output_text}}"}],
        "labels": ["right", "wrong"],
        "passing_labels": ["right"],
    },
    {
        "type": "score_model",
        "name": "score",
        "model": ask["judge"],
        "input": [{"role": "user", "content": "score: {{sample.output_text}}"}],
        "range": [0, 1],
        "pass_threshold": 0.5,
    },
    {"type": "python", "name": "python", "source": PYTHON, "pass_threshold": 0.5},
]


def data_source(source):
    return {
        "type": "responses",
        "model": ask["model"],
        "source": source,
        "input_messages": {
            "type": "template",
            "template": [
                {"role": "developer", "content": "Answer with one word."},
                {"role": "user", "content": "{{item.question}}"},
            ],
        },
        "sampling_params": {"temperature": 0.3, "max_completion_tokens": 64},
    }


def ended(eval_id, run):
    until = time.monotonic() + PATIENCE_S
    while run.status not in ("completed", "failed", "canceled") and time.monotonic() < until:
        time.sleep(POLL_S)
        run = client.evals.runs.retrieve(run.id, eval_id=eval_id)
    return run


def refused(call):
    try:
        call()
    except openai.APIStatusError as error:
        return {"class": type(error).__name__, "status": error.status_code, "param": error.param, "code": error.code}
    return None


seen = {}
made = client.evals.create(
    name="capitals",
    metadata={"team": "geo"},
    data_source_config={"type": "custom", "item_schema": SCHEMA, "include_sample_schema": True},
    testing_criteria=CRITERIA,
)
seen["eval"] = made.model_dump()

run = client.evals.runs.create(
    made.id,
    name="inline",
    data_source=data_source({"type": "file_content", "content": [{"item": item} for item in ITEMS]}),
)
seen["run_at_first"] = run.model_dump()
run = ended(made.id, run)
seen["run"] = run.model_dump()
items = list(client.evals.runs.output_items.list(run.id, eval_id=made.id, limit=2))
seen["items"] = [item.model_dump() for item in items]
seen["item"] = client.evals.runs.output_items.retrieve(items[0].id, eval_id=made.id, run_id=run.id).model_dump()

lines = "\n".join(json.dumps({"item": item}) for item in ITEMS).encode()
file = client.files.create(file=("capitals.jsonl", lines), purpose="evals")
seen["file"] = file.model_dump()
seen["file_content"] = client.files.content(file.id).text
by_file = ended(
    made.id,
    client.evals.runs.create(made.id, name="by file", data_source=data_source({"type": "file_id", "id": file.id})),
)
seen["run_by_file"] = by_file.model_dump()

ready = [{"item": item, "sample": {"output_text": "Paris"}} for item in ITEMS]
without = ended(
    made.id,
    client.evals.runs.create(
        made.id, name="ready", data_source={"type": "jsonl", "source": {"type": "file_content", "content": ready}}
    ),
)
seen["run_without_sampling"] = without.model_dump()

graders = client.fine_tuning.alpha.graders
seen["validated"] = graders.validate(grader=CRITERIA[4]).model_dump()
seen["graded"] = graders.run(grader=CRITERIA[4], model_sample="Lima", item=ITEMS[1]).model_dump()
broken = {"type": "python", "name": "broken", "source": "def grade(sample, item):\n    return 1 / 0\n"}
seen["graded_by_broken"] = graders.run(grader=broken, model_sample="Lima", item=ITEMS[1]).model_dump()

seen["updated"] = client.evals.update(made.id, name="capitals 2", metadata={"team": "maps"}).model_dump()
seen["evals"] = [found.id for found in client.evals.list(limit=1, order="desc")]
seen["runs"] = [found.name for found in client.evals.runs.list(made.id, order="asc", limit=2)]
seen["missing"] = refused(lambda: client.evals.retrieve("eval_" + "0" * 32))
seen["bad_item"] = refused(
    lambda: client.evals.runs.create(
        made.id, data_source=data_source({"type": "file_content", "content": [{"item": {"question": 1}}]})
    )
)
seen["deleted_run"] = client.evals.runs.delete(by_file.id, eval_id=made.id).model_dump()
seen["deleted_file"] = client.files.delete(file.id).model_dump()
seen["deleted"] = client.evals.delete(made.id).model_dump()
seen["after_delete"] = refused(lambda: client.evals.retrieve(made.id))
print(json.dumps(seen))
