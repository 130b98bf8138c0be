"""Uses the client that openapi-generator's generator `python` makes of an account's document."""

import sys

from contacts_account import (
    ApiClient,
    BatchApi,
    BatchId,
    BatchUpsertInput,
    BatchUpserts,
    Configuration,
    ContactFields,
    ContactInput,
    ContactsApi,
    KeyProperty,
    MyDropdownOption,
    PropertyName,
    SearchFilter,
    SearchInput,
    SelectedProperty,
    SyncApi,
    UniqueProperty,
)
from contacts_account.exceptions import ApiException, BadRequestException

url, token = sys.argv[1:]
client = ApiClient(Configuration(host=url, access_token=token))
contacts, batch, sync = ContactsApi(client), BatchApi(client), SyncApi(client)
start = sync.read_changes(after="now").next
by_external_id = UniqueProperty.EXTERNAL_ID
properties = [SelectedProperty.MY_NUMBER, SelectedProperty.MY_DROPDOWN]


def write(**fields: object) -> ContactInput:
    return ContactInput(fields=ContactFields.model_validate(fields))


created = contacts.create_contact(
    write(first_name="Ada", external_id="generator-1", my_dropdown="green", my_number=37.5), properties=properties
)
assert created.my_dropdown == MyDropdownOption.GREEN and created.my_number == 37.5, created
assert created.archived.actual_instance is False, created

changed = contacts.update_contact(
    "generator-1", write(my_dropdown=None), id_property=by_external_id, properties=properties
)
assert changed.my_dropdown is None and changed.my_number == 37.5, changed

upserted = contacts.upsert_contact("generator-2", KeyProperty.EXTERNAL_ID, write(first_name="Grace"))
assert upserted.external_id == "generator-2", upserted

inputs = [
    BatchUpsertInput(id=BatchId(f"generator-{number}"), fields=ContactFields(last_name="Batch")) for number in (2, 3)
]
results = batch.batch_upsert(BatchUpserts(inputs=inputs, id_property=KeyProperty.EXTERNAL_ID))
assert [result.status for result in results.results] == [200, 201], results

ids = ["generator-1", "generator-2", "generator-3"]
is_in = SearchFilter(property=PropertyName.EXTERNAL_ID, operator="in", value=ids)
page = contacts.search_contacts(SearchInput(filters=[is_in]))
assert [contact.external_id for contact in page.data] == ids, page

feed = sync.read_changes(after=start)
assert [entry.type for entry in feed.data] == ["created", "updated", "created", "updated", "created"], feed
assert feed.data[1].changed["my_dropdown"].old == "green", feed

try:
    contacts.create_contact(write(email="not an email"))
    raise AssertionError("an invalid email was accepted")
except BadRequestException as error:
    assert error.data and error.data.code == "validation_failed", error
    assert error.data.details[0].var_field == "email", error
try:
    contacts.read_contact("01980000-0000-7000-8000-00000000dead")
    raise AssertionError("an unknown contact was found")
except ApiException as error:
    assert error.status == 404 and error.data and error.data.code == "not_found", error
