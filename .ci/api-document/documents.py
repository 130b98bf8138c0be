"""Defines a field of every type and fields with unusual names, saves both OpenAPI documents, and validates their examples against their schemas."""

import json
import sys
import urllib.request

from openapi_schema_validator import OAS31Validator

url, token = sys.argv[1:]
OPTIONS = [{"label": "Red"}, {"label": "Green"}]
NASTY_OPTIONS = ["*/ x", "constructor", "class", "null", "None", "name", "1st"]
WITHOUT_OPTIONS = ["text", "email", "phone", "url", "number", "checkbox", "date", "datetime", "user"]
FIELDS = [
    *({"label": f"My {kind}", "type": kind} for kind in WITHOUT_OPTIONS),
    *({"label": f"My {kind}", "type": kind, "options": OPTIONS} for kind in ["dropdown", "multi_select"]),
    {"label": "Badge", "type": "text", "unique": True},
    # Labels that could end a comment or a string in a generated client, and names that are words of its language.
    *({"label": label, "type": "text"} for label in ["*/ x", "/* y", '"quoted"', "it's", "C:\\users\\", "${z}", "`w`"]),
    *({"label": label, "type": "number"} for label in ["constructor", "class", "null", "true", "date", "self"]),
    {"label": '"""', "type": "dropdown", "options": [{"label": label} for label in NASTY_OPTIONS]},
    {"label": "*/", "internal_name": "mydropdown", "type": "multi_select", "options": OPTIONS},
]


def call(path, body=None, authorization=None):
    request = urllib.request.Request(url + path, data=body and json.dumps(body).encode())
    request.add_header("Content-Type", "application/json")
    if authorization:
        request.add_header("Authorization", authorization)
    with urllib.request.urlopen(request) as response:
        return json.load(response)


def examples(node):
    """Yields the schema and value of every example below a node."""
    if isinstance(node, list):
        for item in node:
            yield from examples(item)
    if not isinstance(node, dict):
        return
    schema = node.get("schema", node)
    if "example" in node and isinstance(schema, dict):
        yield schema, node["example"]
    if isinstance(node.get("examples"), list):
        yield from ((node, example) for example in node["examples"])
    if isinstance(node.get("examples"), dict) and "schema" in node:
        yield from ((schema, example["value"]) for example in node["examples"].values() if "value" in example)
    for name, child in node.items():
        if name not in ("example", "examples", "default"):
            yield from examples(child)


def check(name, document):
    count = 0
    for schema, example in examples(document):
        # References are resolved from the root of the schema that contains them.
        OAS31Validator({**schema, "components": document["components"]}).validate(example)
        count += 1
    print(f"{name}: {count} examples match their schemas")


for field in FIELDS:
    call("/fields", field, f"Bearer {token}")
documents = {"public": call("/openapi.json"), "account": call("/openapi.json", authorization=f"Bearer {token}")}
for name, document in documents.items():
    with open(f"{name}.json", "w") as file:
        json.dump(document, file)
    check(name, document)
