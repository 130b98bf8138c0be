// Uses the client that openapi-generator's generator `typescript-fetch` makes of an account's document.

import assert from "node:assert/strict";
import * as api from "./account/typescript-fetch";

const [url, token] = process.argv.slice(2);
const configuration = new api.Configuration({ basePath: url, accessToken: token });
const contacts = new api.ContactsApi(configuration);
const sync = new api.SyncApi(configuration);
const { next: start } = await sync.readChanges({ after: "now" });
const properties = [api.SelectedProperty.MyNumber, api.SelectedProperty.MyDropdown];

const created = await contacts.createContact({
  contactInput: {
    fields: { firstName: "Ada", externalId: "typescript-1", myDropdown: api.MyDropdownOption.Green, myNumber: 37.5 },
  },
  properties,
});
assert.equal(created.myDropdown, "green");
assert.equal(created.archived, false);

const changed = await contacts.updateContact({
  contactId: "typescript-1",
  idProperty: api.UniqueProperty.ExternalId,
  contactInput: { fields: { myDropdown: null } },
  properties,
});
// Without a contact, the caller preferred `return=minimal`.
assert.deepEqual([changed?.myDropdown, changed?.myNumber], [null, 37.5]);

const upserted = await contacts.upsertContact({
  contactId: "typescript-2",
  idProperty: api.KeyProperty.ExternalId,
  contactInput: { fields: { firstName: "Grace" } },
});
assert.equal(upserted?.externalId, "typescript-2");

const batch = await new api.BatchApi(configuration).batchUpsert({
  batchUpserts: {
    idProperty: api.KeyProperty.ExternalId,
    inputs: [
      { id: "typescript-2", fields: { lastName: "Batch" } },
      { id: "typescript-3", fields: { lastName: "Batch" } },
    ],
  },
});
assert.deepEqual(batch.results.map((result) => result.status), [200, 201]);

const ids = ["typescript-1", "typescript-2", "typescript-3"];
const filter = { property: api.PropertyName.ExternalId, operator: api.SearchFilterOperatorEnum.In, value: ids };
const page = await contacts.searchContacts({ searchInput: { filters: [filter] } });
assert.deepEqual(page.data.map((contact) => contact.externalId), ids);

const feed = await sync.readChanges({ after: start });
assert.deepEqual(feed.data.map((entry) => entry.type), ["created", "updated", "created", "updated", "created"]);
assert.equal(feed.data[1].changed.my_dropdown.old, "green");

const invalid = contacts.createContact({ contactInput: { fields: { email: "not an email" } } });
const error: unknown = await invalid.catch((reason: unknown) => reason);
assert(error instanceof api.ResponseError);
const body = api.ApiErrorFromJSON(await error.response.json());
assert.equal(body.code, "validation_failed");
assert.equal(body.details?.[0].field, "email");
