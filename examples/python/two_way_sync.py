"""Keeps a file of customers and the contacts of an account the same, in both directions.

`customers.json` stands for another system: an object of customers by their ids. Change it in an editor while this
program runs. A customer's id is the contact's `external_id`. examples/README.md describes how the sync works.
"""

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

import httpx
from contacts_client import AuthenticatedClient
from contacts_client.api.batch import batch_archive, batch_read, batch_update, batch_upsert
from contacts_client.api.contacts import list_contacts
from contacts_client.api.sync import read_changes
from contacts_client.models import ApiError, BatchArchivals, BatchIds, BatchResults, BatchUpdates, BatchUpserts

FIELDS = ["first_name", "last_name", "email", "phone"]
PROPERTIES = ["phone", "version"]  # What a response does not contain by default.
PAGE = 100


class CursorExpired(Exception):
    """The change feed no longer has the changes since the last run."""


class TwoWaySync:
    def __init__(self, client: AuthenticatedClient, folder: Path) -> None:
        self.client = client
        self.customers_file, self.state_file = folder / "customers.json", folder / "state.json"
        state = load(self.state_file, {"cursor": None, "links": {}})
        self.cursor: str | None = state["cursor"]
        # For each contact: its customer, and the values and version that both sides had last.
        self.links: dict[str, dict[str, Any]] = state["links"]
        self.customers: dict[str, dict[str, Any]] = {}

    def run_once(self) -> None:
        """Brings the changes of each side to the other. A real system would do this in a transaction of its database."""
        self.customers = load(self.customers_file, {})
        try:
            if self.cursor is None:
                self.copy_all()
            self.pull()
        except CursorExpired:
            self.copy_all()
        self.save()
        self.push()
        self.save()

    def save(self) -> None:
        """Saves the customers first: after a crash between the two files, the changes are applied again."""
        save(self.customers_file, self.customers)
        save(self.state_file, {"cursor": self.cursor, "links": self.links})

    def copy_all(self) -> None:
        """Applies all contacts. The cursor is from before the first page, so no change after that is missed."""
        cursor = self.send(read_changes, after="now")["next"]
        missing, after = set(self.links), dict[str, Any]()
        while True:
            page = self.send(list_contacts, limit=PAGE, properties=PROPERTIES, **after)
            for contact in page["data"]:
                self.apply(contact)
                missing.discard(contact["id"])
            if page["pagination"]["next"] is None:
                break
            after = {"after": page["pagination"]["next"]}
        for contact_id in missing:
            self.remove(contact_id)
        self.cursor = cursor

    def pull(self) -> None:
        """Applies the changes since the last run, except those that this program has made."""
        while True:
            page = self.send(read_changes, after=self.cursor, exclude_actor="me", limit=PAGE)
            self.read_again({entry["contact_id"] for entry in page["data"]})
            self.cursor = page["next"]
            if len(page["data"]) < PAGE:
                return

    def read_again(self, contact_ids: set[str]) -> None:
        """Applies contacts as they are now. Applying a contact twice changes nothing."""
        for contact_id, result in self.batch(batch_read, BatchIds, [{"id": id} for id in sorted(contact_ids)]):
            if result["status"] == 200:
                self.apply(result["contact"])
            else:  # 404: the contact was purged.
                self.remove(contact_id)

    def apply(self, contact: dict[str, Any]) -> None:
        """Applies a contact to its customer. If both sides have changed a field, the contact wins."""
        if contact["archived"]:
            return self.remove(contact["id"])
        link = self.links.get(contact["id"])
        customer = link["customer"] if link else contact["external_id"] or contact["id"]
        base = link["fields"] if link else dict.fromkeys(FIELDS)
        ours = self.customers.get(customer)
        theirs = {field: contact[field] for field in FIELDS}
        both = [field for field in FIELDS if ours and theirs[field] != base[field] != ours.get(field)]
        if conflicts := [field for field in both if ours and ours.get(field) != theirs[field]]:
            print(f"conflict: the contact's {', '.join(conflicts)} replaces the customer's ({customer})")
        if ours is not None:
            unchanged = [field for field in FIELDS if theirs[field] == base[field]]
            self.customers[customer] = theirs | {field: ours.get(field) for field in unchanged}
        elif link is None or theirs != base:  # Otherwise the customer was deleted, and `push` archives the contact.
            self.customers[customer] = theirs
        self.link(contact, customer)

    def link(self, contact: dict[str, Any], customer: str) -> dict[str, Any]:
        """Remembers what both sides have now, and returns the values."""
        fields = {field: contact[field] for field in FIELDS}
        link = {"customer": customer, "fields": fields, "version": contact["version"]}
        self.links[contact["id"]] = link | {"external_id": contact["external_id"]}
        return fields

    def remove(self, contact_id: str) -> None:
        link = self.links.pop(contact_id, None)
        if link:
            self.customers.pop(link["customer"], None)

    def push(self) -> None:
        """Sends the customers that were created, changed and deleted since the last run."""
        linked = {link["customer"] for link in self.links.values()}
        created = [{"id": id, "fields": fields} for id, fields in self.customers.items() if id not in linked]
        self.send_inputs(batch_upsert, BatchUpserts, created, id_property="external_id")
        changed, deleted = [], []
        for contact_id, link in self.links.items():
            # The version is a precondition: a contact that was changed since it was read is not overwritten.
            precondition = {"id": contact_id, "if_match": link["version"]}
            customer = self.customers.get(link["customer"])
            if customer is None:
                deleted.append(precondition)
                continue
            fields = {field: customer.get(field) for field in FIELDS if customer.get(field) != link["fields"][field]}
            if link["external_id"] != link["customer"]:
                fields["external_id"] = link["customer"]
            if fields:
                changed.append(precondition | {"fields": fields})
        self.send_inputs(batch_update, BatchUpdates, changed)
        self.send_inputs(batch_archive, BatchArchivals, deleted)

    def send_inputs(self, operation: Any, body: Any, inputs: list[dict[str, Any]], **members: Any) -> None:
        """Sends inputs in batches. Contacts that others have changed are read and merged; the next run sends the rest."""
        changed_by_others = set()
        for sent_id, result in self.batch(operation, body, inputs, **members):
            if result["status"] in (200, 201):
                contact = result["contact"]
                if contact["archived"]:
                    self.remove(contact["id"])
                else:  # The values as they are stored: the service removes blanks around an email, for example.
                    customer = self.links[sent_id]["customer"] if sent_id in self.links else sent_id
                    self.customers[customer] = self.link(contact, customer)
            elif result["error"]["code"] in ("not_found", "contact_archived", "precondition_failed"):
                changed_by_others.add(sent_id)
            else:
                print(f"rejected: {sent_id}: {result['error']['message']}")
        self.read_again(changed_by_others)

    def batch(self, operation: Any, body: Any, inputs: list[dict[str, Any]], **members: Any) -> list[tuple[str, dict[str, Any]]]:
        """Sends inputs in batches, and returns the id that each had with its result."""
        results: list[tuple[str, dict[str, Any]]] = []
        for start in range(0, len(inputs), PAGE):
            part = inputs[start : start + PAGE]
            batch = body.from_dict({"inputs": part, "properties": PROPERTIES} | members)
            answer = self.send(operation, body=batch)
            results += zip([sent["id"] for sent in part], answer["results"])
        return results

    def send(self, operation: Any, **arguments: Any) -> dict[str, Any]:
        """Calls an operation until the service answers. All calls of this program can be repeated."""
        pause = 1
        while True:
            try:
                response = operation.sync_detailed(client=self.client, **arguments)
            except httpx.TransportError as error:
                print(f"no answer, trying again in {pause} s: {error}")
            else:
                if response.status_code == 410:
                    raise CursorExpired
                if response.status_code not in (429, 503):
                    assert response.parsed and not isinstance(response.parsed, ApiError), response.content
                    return dict(response.parsed.to_dict())
                pause = int(response.headers.get("retry-after", pause))
            time.sleep(pause)
            pause = min(pause * 2, 30)


def load(file: Path, default: Any) -> Any:
    return json.loads(file.read_text()) if file.exists() else default


def save(file: Path, content: Any) -> None:
    """Replaces a file in one step, so that a crash leaves the old or the new content."""
    temporary = file.with_suffix(".new")
    temporary.write_text(json.dumps(content, indent=2))
    os.replace(temporary, file)


def main() -> None:
    folder = Path(sys.argv[1])
    client = AuthenticatedClient(os.environ["CONTACTS_URL"], os.environ["CONTACTS_TOKEN"], timeout=httpx.Timeout(60))
    sync = TwoWaySync(client, folder)
    if "--once" in sys.argv:
        return sync.run_once()
    while True:
        sync.run_once()
        time.sleep(2)


if __name__ == "__main__":
    main()
