"""Uses the client that was generated from the account's document: typed, custom fields included."""

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
shown = [PropertyName.MY_NUMBER, PropertyName.MY_DATE, PropertyName.MY_DROPDOWN]
created = create_contact.sync(client=client, body=ContactInput(fields=fields), properties=shown)
assert isinstance(created, NewContact), created
number = created.my_number
assert isinstance(number, float) and number == 37.5, created

change = ContactInput(fields=ContactFields(my_dropdown=None, my_date=datetime.date(2027, 1, 1)))
by = UniqueProperty.EXTERNAL_ID
changed = update_contact.sync("typed-1", client=client, body=change, id_property=by, properties=shown)
assert isinstance(changed, Contact), changed
assert (changed.my_dropdown, changed.my_date) == (None, datetime.date(2027, 1, 1)), changed

read = read_contact.sync("typed-1", client=client, id_property=by, properties=shown)
assert isinstance(read, Contact) and read == changed, read
print("a typed client reads and writes custom fields")
