"""Uses the typed client generated from the account's OpenAPI document, including its custom fields."""

import datetime
import sys

from client_of_account import AuthenticatedClient
from client_of_account.api.contacts import create_contact, read_contact, update_contact
from client_of_account.models import Contact, ContactFields, ContactInput, NewContact
from client_of_account.models import ContactFieldsMyDropdownType0 as Colour
from client_of_account.models import PropertyName, UniqueProperty

url, token = sys.argv[1:]
client = AuthenticatedClient(base_url=url, token=token, raise_on_unexpected_status=True)

fields = ContactFields(
    first_name="Ada",
    external_id="typed-1",
    my_number=37.5,
    my_checkbox=True,
    my_date=datetime.date(2026, 5, 1),
    my_dropdown=Colour.GREEN,
)
properties = [PropertyName.MY_NUMBER, PropertyName.MY_DATE, PropertyName.MY_DROPDOWN]
created = create_contact.sync(client=client, body=ContactInput(fields=fields), properties=properties)
assert isinstance(created, NewContact), created
number = created.my_number
assert isinstance(number, float) and number == 37.5, created

change = ContactInput(fields=ContactFields(my_dropdown=None, my_date=datetime.date(2027, 1, 1)))
id_property = UniqueProperty.EXTERNAL_ID
changed = update_contact.sync(
    "typed-1", client=client, body=change, id_property=id_property, properties=properties
)
assert isinstance(changed, Contact), changed
assert (changed.my_dropdown, changed.my_date) == (None, datetime.date(2027, 1, 1)), changed

read = read_contact.sync("typed-1", client=client, id_property=id_property, properties=properties)
assert isinstance(read, Contact) and read == changed, read
print("The typed client reads and writes custom fields")
