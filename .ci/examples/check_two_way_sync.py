"""Checks a two-way sync of examples/: both sides must be the same after every kind of change, conflict and crash.

Arguments: the URL of the service, the token of the sync, the token of another user of the same account, and the command
of the sync. The account must be empty.
"""

import json
import os
import random
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

url, sync_token, user_token, *command = sys.argv[1:]
FIELDS = ["first_name", "last_name", "email", "phone"]
folder = Path(tempfile.mkdtemp())
customers_file = folder / "customers.json"
environment = os.environ | {"CONTACTS_URL": url, "CONTACTS_TOKEN": sync_token}
seed = int(os.environ.get("TEST_SEED", random.randrange(1_000_000)))
random.seed(seed)
print(f"TEST_SEED={seed}")


def call(method, path, body=None, token=user_token):
    request = urllib.request.Request(url + path, method=method, data=body and json.dumps(body).encode())
    request.add_header("Authorization", f"Bearer {token}")
    request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request) as response:
        return json.load(response) if response.status != 204 else None


def create(**fields):
    return call("POST", "/contacts", {"fields": fields})["id"]


def update(contact, **fields):
    call("PATCH", f"/contacts/{contact}?id_property=external_id", {"fields": fields})


def customers():
    return json.loads(customers_file.read_text())


def edit(change):
    """Changes the customers, as a person with an editor would."""
    content = customers()
    change(content)
    customers_file.write_text(json.dumps(content))


def contacts():
    """Returns the values of all active contacts by external id."""
    found, after = {}, ""
    while after is not None:
        page = call("GET", f"/contacts?limit=100&properties=phone{after}")
        for contact in page["data"]:
            assert contact["external_id"] not in found, contact
            found[contact["external_id"]] = {field: contact[field] for field in FIELDS}
        following = page["pagination"]["next"]
        after = following and f"&after={following}"
    return found


def sync():
    subprocess.run([*command, folder, "--once"], env=environment, check=True)


def expect_same():
    ours = {id: {field: customer.get(field) for field in FIELDS} for id, customer in customers().items()}
    theirs = contacts()
    different = [(id, ours.get(id), theirs.get(id)) for id in ours.keys() | theirs.keys() if ours.get(id) != theirs.get(id)]
    assert not different, different[:5]
    return theirs


def first_copy():
    inputs = [{"fields": {"first_name": f"First {number}", "external_id": f"first-{number}"}} for number in range(120)]
    call("POST", "/contacts/batch/create", {"inputs": inputs})
    without_external_id = create(last_name="Nobody", email="nobody@example.com")
    call("DELETE", "/contacts/first-0?id_property=external_id")
    customers_file.write_text(json.dumps({"own-1": {"first_name": "Own", "email": " own@example.com "}}))
    sync()
    both = expect_same()
    assert len(both) == 121 and both["own-1"]["email"] == "own@example.com", len(both)
    assert both[without_external_id]["last_name"] == "Nobody", "a contact without external id gets one"


def changes_on_each_side():
    create(first_name="Created", external_id="created")
    update("first-1", phone="+44 20 7946 0001")
    call("DELETE", "/contacts/first-2?id_property=external_id")
    purged = call("GET", "/contacts/first-3?id_property=external_id")["id"]
    call("POST", f"/contacts/{purged}/purge")

    def change(content):
        content["own-2"] = {"last_name": "Two", "phone": "+44 20 7946 0002"}
        content["first-4"]["first_name"] = "Changed"
        del content["first-5"]

    edit(change)
    sync()
    both = expect_same()
    assert both["created"]["first_name"] == "Created" and both["first-1"]["phone"] == "+44 20 7946 0001"
    assert both["own-2"]["last_name"] == "Two" and both["first-4"]["first_name"] == "Changed"
    assert not {"first-2", "first-3", "first-5"} & both.keys()


def conflicts():
    for number in (6, 7, 8):
        update(f"first-{number}", first_name="Theirs", last_name="Theirs")

    def change(content):
        content["first-6"]["first_name"] = "Ours"
        content["first-7"]["phone"] = "+44 20 7946 0007"
        del content["first-8"]

    edit(change)
    sync()
    both = expect_same()
    assert both["first-6"]["first_name"] == "Theirs", "where both have changed a field, the contact wins"
    assert (both["first-7"]["first_name"], both["first-7"]["phone"]) == ("Theirs", "+44 20 7946 0007")
    assert both["first-8"]["first_name"] == "Theirs", "a contact that changed is not archived"


def no_echo():
    position = call("GET", "/contacts/changes?after=now")["next"]
    sync()
    assert call("GET", f"/contacts/changes?after={position}")["data"] == [], "the sync wrote its own changes again"


def crashes():
    """Kills the sync at any moment, while both sides change. The last values that anyone wrote must be on both sides."""
    expected = {}
    for attempt in range(8):
        name = f"ours-{attempt}"

        def change(content):
            content[f"crash-{attempt}"] = {"first_name": name}
            content["first-10"]["first_name"] = name
            content.pop(f"first-{20 + attempt}", None)

        edit(change)
        expected |= {f"crash-{attempt}": {"first_name": name}, "first-10": {"first_name": name}}
        process = subprocess.Popen([*command, folder], env=environment)
        for step in range(3):
            update("first-11", last_name=f"theirs-{attempt}-{step}")
            create(first_name="Theirs", external_id=f"theirs-{attempt}-{step}")
            time.sleep(random.uniform(0, 0.8))
        expected["first-11"] = {"last_name": f"theirs-{attempt}-2"}
        process.kill()
        process.wait()
    sync()
    both = expect_same()
    for id, fields in expected.items():
        assert both[id] | fields == both[id], (id, fields, both[id])
    assert not {f"first-{20 + attempt}" for attempt in range(8)} & both.keys(), "deleted customers came back"
    assert sum(id.startswith("theirs-") for id in both) == 24, both.keys()


for check in (first_copy, changes_on_each_side, conflicts, no_echo, crashes):
    check()
    print(f"{check.__name__}: both sides are the same")
