"""What the document can't say about requests that are valid, for schemathesis."""

import schemathesis
from hypothesis import strategies
from schemathesis.generation import GenerationMode

digits = strategies.text("0123456789", min_size=3, max_size=12)
names = strategies.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=20)

# Formats that it does not know how to make.
schemathesis.openapi.format("phone", strategies.builds("+{} ({}) x{}".format, digits, digits, digits))
schemathesis.openapi.format("iri", strategies.builds("https://{}.example/{}".format, names, names))


@schemathesis.hook
def before_call(context, case, kwargs):
    query = case.query or {}
    # A long poll that waits for nothing only costs time.
    if str(query.get("wait", "")).isdigit():
        query["wait"] = 0
    if case.meta is None or case.meta.generation.mode != GenerationMode.POSITIVE:
        return
    # A cursor is opaque: only an answer holds a good one.
    query.pop("after", None)
    body = case.body if isinstance(case.body, dict) else {}
    if case.path == "/contacts/search":
        body.pop("after", None)
    # What the path names the contact by may stand among the fields, but only with the same value.
    if case.method == "PUT":
        body["fields"].pop(query["id_property"], None)


@schemathesis.hook
def filter_case(context, case):
    """The empty text clears a field of any type, as null does: it is no value that ought to be refused."""
    if case.meta is None or case.meta.generation.mode != GenerationMode.NEGATIVE or not isinstance(case.body, dict):
        return True
    fields = case.body.get("fields")
    return not (isinstance(fields, dict) and "" in [value for value in fields.values() if isinstance(value, str)])
