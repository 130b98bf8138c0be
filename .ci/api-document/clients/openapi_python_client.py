"""Uses the client that openapi-python-client makes of an account's document, including its custom fields."""

import datetime
import sys
from typing import TypeVar

from client_of_account import AuthenticatedClient
from client_of_account.api.batch import batch_upsert
from client_of_account.api.contacts import create_contact, read_contact, search_contacts, update_contact, upsert_contact
from client_of_account.api.sync import read_changes
from client_of_account.models import (
    ApiError,
    BatchResults,
    BatchUpsertInput,
    BatchUpserts,
    ChangePage,
    Contact,
    ContactFields,
    ContactInput,
    ContactPage,
    ContactResult,
    KeyProperty,
    MyDropdownOption,
    PropertyName,
    SearchFilter,
    SearchFilterOperator,
    SearchInput,
    SelectedProperty,
    UniqueProperty,
)

url, token = sys.argv[1:]
client = AuthenticatedClient(base_url=url, token=token, raise_on_unexpected_status=True)
Body = TypeVar("Body")


def expect(body_type: type[Body], body: object) -> Body:
    assert isinstance(body, body_type), body
    return body


start = expect(ChangePage, read_changes.sync(client=client, after="now")).next_
fields = ContactFields(
    first_name="Ada",
    external_id="typed-1",
    my_number=37.5,
    my_checkbox=True,
    my_date=datetime.date(2026, 5, 1),
    my_dropdown=MyDropdownOption.GREEN,
)
properties = [SelectedProperty.MY_NUMBER, SelectedProperty.MY_DATE, SelectedProperty.MY_DROPDOWN]
created = expect(ContactResult, create_contact.sync(client=client, body=ContactInput(fields=fields), properties=properties))
assert (created.my_number, created.archived) == (37.5, False), created

change = ContactInput(fields=ContactFields(my_dropdown=None, my_date=datetime.date(2027, 1, 1)))
id_property = UniqueProperty.EXTERNAL_ID
changed = expect(
    Contact,
    update_contact.sync("typed-1", client=client, body=change, id_property=id_property, properties=properties),
)
assert (changed.my_dropdown, changed.my_date) == (None, datetime.date(2027, 1, 1)), changed
read = read_contact.sync("typed-1", client=client, id_property=id_property, properties=properties)
assert read == changed, read

body = ContactInput(fields=ContactFields(first_name="Grace"))
key_property = KeyProperty.EXTERNAL_ID
expect(ContactResult, upsert_contact.sync("typed-2", client=client, body=body, id_property=key_property))

inputs = [BatchUpsertInput(id=id, fields=ContactFields(last_name="Batch")) for id in ("typed-2", "typed-3")]
upserts = BatchUpserts(inputs=inputs, id_property=key_property)
results = expect(BatchResults, batch_upsert.sync(client=client, body=upserts)).results
assert [result.status for result in results] == [200, 201], results

ids = ["typed-1", "typed-2", "typed-3"]
is_in = SearchFilter(property_=PropertyName.EXTERNAL_ID, operator=SearchFilterOperator.IN, value=ids)
page = expect(ContactPage, search_contacts.sync(client=client, body=SearchInput(filters=[is_in])))
assert [contact.external_id for contact in page.data] == ids, page

entries = expect(ChangePage, read_changes.sync(client=client, after=start)).data
assert [entry.type_ for entry in entries] == ["created", "updated", "created", "updated", "created"], entries
assert entries[1].changed["my_dropdown"].old == "green", entries

invalid = ContactInput(fields=ContactFields(email="not an email"))
error = expect(ApiError, create_contact.sync(client=client, body=invalid))
assert error.code == "validation_failed" and error.details, error
assert error.details[0].field == "email", error
