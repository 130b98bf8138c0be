// Uses the types that openapi-typescript makes of an account's document, with openapi-fetch.

import assert from "node:assert/strict";
import createClient from "openapi-fetch";
import type { paths } from "./account/schema";

const [url, token] = process.argv.slice(2);
const client = createClient<paths>({
  baseUrl: url,
  headers: { Authorization: `Bearer ${token}` },
  querySerializer: { array: { style: "form", explode: false } },
});
const start = await client.GET("/contacts/changes", { params: { query: { after: "now" } } });
assert(start.data);

const created = await client.POST("/contacts", {
  params: { query: { properties: ["my_number", "my_dropdown"] } },
  body: { fields: { first_name: "Ada", external_id: "fetch-1", my_dropdown: "green", my_number: 37.5 } },
});
assert(created.data);
assert.equal(created.data.my_dropdown, "green");
assert.equal(created.data.archived, false);

const changed = await client.PATCH("/contacts/{contactId}", {
  params: { path: { contactId: "fetch-1" }, query: { id_property: "external_id", properties: ["my_number", "my_dropdown"] } },
  body: { fields: { my_dropdown: null } },
});
assert.deepEqual([changed.data?.my_dropdown, changed.data?.my_number], [null, 37.5]);

const upserted = await client.PUT("/contacts/{contactId}", {
  params: { path: { contactId: "fetch-2" }, query: { id_property: "external_id" } },
  body: { fields: { first_name: "Grace" } },
});
assert.equal(upserted.response.status, 201);

const batch = await client.POST("/contacts/batch/upsert", {
  body: {
    id_property: "external_id",
    inputs: [
      { id: "fetch-2", fields: { last_name: "Batch" } },
      { id: "fetch-3", fields: { last_name: "Batch" } },
    ],
  },
});
assert.deepEqual(batch.data?.results.map((result) => result.status), [200, 201]);

const ids = ["fetch-1", "fetch-2", "fetch-3"];
const page = await client.POST("/contacts/search", {
  body: { filters: [{ property: "external_id", operator: "in", value: ids }] },
});
assert.deepEqual(page.data?.data.map((contact) => contact.external_id), ids);

const feed = await client.GET("/contacts/changes", { params: { query: { after: start.data.next } } });
assert.deepEqual(feed.data?.data.map((entry) => entry.type), ["created", "updated", "created", "updated", "created"]);
assert.equal(feed.data?.data[1].changed.my_dropdown.old, "green");

const invalid = await client.POST("/contacts", { body: { fields: { email: "not an email" } } });
assert.equal(invalid.error?.code, "validation_failed");
assert.equal(invalid.error?.details?.[0].field, "email");
