"""Hooks for schemathesis: rules for valid requests that the OpenAPI document cannot express."""

import schemathesis
from hypothesis import strategies
from schemathesis.generation import GenerationMode

digits = strategies.text("0123456789", min_size=3, max_size=12)
names = strategies.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=20)

# Formats that schemathesis cannot generate by itself.
schemathesis.openapi.format("phone", strategies.builds("+{} ({}) x{}".format, digits, digits, digits))
schemathesis.openapi.format("iri", strategies.builds("https://{}.example/{}".format, names, names))


@schemathesis.hook
def before_call(context, case, kwargs):
    query = case.query or {}
    # A long poll without changes only costs time.
    if str(query.get("wait", "")).isdigit():
        query["wait"] = 0
    if case.meta is None or case.meta.generation.mode != GenerationMode.POSITIVE:
        return
    # A cursor is opaque: valid cursors come only from responses.
    query.pop("after", None)
    # A cell of a spreadsheet is escaped only in CSV.
    if case.path == "/contacts/export" and query.get("format") == "ndjson":
        query.pop("spreadsheet_safe", None)
    body = case.body if isinstance(case.body, dict) else {}
    if case.path == "/contacts/search":
        body.pop("after", None)
    # No option is both added and removed.
    for item in [body, *(body.get("inputs") or [])]:
        for value in (item.get("fields") or {}).values():
            if isinstance(value, dict):
                value["remove"] = [option for option in value.get("remove", []) if option not in value.get("add", [])]
    # The body may contain the property that identifies the contact, but only with the value in the path.
    if case.method == "PUT":
        body["fields"].pop(query["id_property"], None)


@schemathesis.hook
def filter_case(context, case):
    """Skips negative cases with an empty string: it clears a field of any type, as null does, and is not an error."""
    if case.meta is None or case.meta.generation.mode != GenerationMode.NEGATIVE or not isinstance(case.body, dict):
        return True
    fields = case.body.get("fields")
    return not (isinstance(fields, dict) and "" in [value for value in fields.values() if isinstance(value, str)])
