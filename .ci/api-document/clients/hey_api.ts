// Uses the client that @hey-api/openapi-ts makes of an account's document.

import assert from "node:assert/strict";
import * as api from "./account/hey_api";
import { client } from "./account/hey_api/client.gen";

const [url, token] = process.argv.slice(2);
client.setConfig({ baseUrl: url, auth: () => token });
const start = await api.readChanges({ query: { after: "now" }, throwOnError: true });

const created = await api.createContact({
  query: { properties: ["my_number", "my_dropdown"] },
  body: { fields: { first_name: "Ada", external_id: "hey-1", my_dropdown: "green", my_number: 37.5 } },
  throwOnError: true,
});
assert.equal(created.data.my_dropdown, "green");
assert.equal(created.data.archived, false);

const changed = await api.updateContact({
  path: { contactId: "hey-1" },
  query: { id_property: "external_id", properties: ["my_number", "my_dropdown"] },
  body: { fields: { my_dropdown: null } },
  throwOnError: true,
});
// With `Prefer: return=minimal` the response would be empty.
assert(changed.data);
assert.deepEqual([changed.data.my_dropdown, changed.data.my_number], [null, 37.5]);

const upserted = await api.upsertContact({
  path: { contactId: "hey-2" },
  query: { id_property: "external_id" },
  body: { fields: { first_name: "Grace" } },
});
assert.equal(upserted.response?.status, 201);

const batch = await api.batchUpsert({
  body: {
    id_property: "external_id",
    inputs: [
      { id: "hey-2", fields: { last_name: "Batch" } },
      { id: "hey-3", fields: { last_name: "Batch" } },
    ],
  },
  throwOnError: true,
});
assert.deepEqual(batch.data.results.map((result) => result.status), [200, 201]);

const ids = ["hey-1", "hey-2", "hey-3"];
const page = await api.searchContacts({
  body: { filters: [{ property: "external_id", operator: "in", value: ids }] },
  throwOnError: true,
});
assert.deepEqual(page.data.data.map((contact) => contact.external_id), ids);

const feed = await api.readChanges({ query: { after: start.data.next }, throwOnError: true });
assert.deepEqual(feed.data.data.map((entry) => entry.type), ["created", "updated", "created", "updated", "created"]);
assert.equal(feed.data.data[1].changed.my_dropdown.old, "green");

const invalid = await api.createContact({ body: { fields: { email: "not an email" } } });
assert.equal(invalid.error?.code, "validation_failed");
assert.equal(invalid.error?.details?.[0].field, "email");
