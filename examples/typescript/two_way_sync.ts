// Keeps a file of customers and the contacts of an account the same, in both directions.
//
// `customers.json` stands for another system: an object of customers by their ids. Change it in an editor while this
// program runs. A customer's id is the contact's `external_id`. examples/README.md describes how the sync works.

import { existsSync, readFileSync, renameSync, writeFileSync } from "node:fs";
import { setTimeout } from "node:timers/promises";
import createClient from "openapi-fetch";
import type { components, paths } from "./contacts";

type Contact = components["schemas"]["ContactResult"];
type BatchResult = components["schemas"]["BatchResult"];
type Values = Record<(typeof FIELDS)[number], string | null>;
/** What both sides had last: the customer of a contact, the values and the version. */
type Link = { customer: string; externalId: string | null; values: Values; version: number };
type Answer<Body> = { data?: Body; error?: { message: string }; response: Response };

const FIELDS = ["first_name", "last_name", "email", "phone"] as const;
const PROPERTIES = ["phone", "version"]; // What a response does not contain by default.
const PAGE = 100;

class CursorExpired extends Error {}

class TwoWaySync {
  private readonly client = createClient<paths>({
    baseUrl: process.env.CONTACTS_URL,
    headers: { Authorization: `Bearer ${process.env.CONTACTS_TOKEN}` },
    querySerializer: { array: { style: "form", explode: false } },
  });
  private cursor: string | null;
  private readonly links: Map<string, Link>;
  private customers = new Map<string, Partial<Values>>();

  constructor(private readonly folder: string) {
    const state = this.load("state.json", { cursor: null as string | null, links: {} as Record<string, Link> });
    this.cursor = state.cursor;
    this.links = new Map(Object.entries(state.links));
  }

  /** Brings the changes of each side to the other. A real system would do this in a transaction of its database. */
  async runOnce(): Promise<void> {
    this.customers = new Map(Object.entries(this.load("customers.json", {})));
    try {
      if (this.cursor === null) await this.copyAll();
      await this.pull();
    } catch (error) {
      if (!(error instanceof CursorExpired)) throw error;
      await this.copyAll();
    }
    this.save();
    await this.push();
    this.save();
  }

  /** Saves the customers first: after a crash between the two files, the changes are applied again. */
  private save(): void {
    this.replace("customers.json", Object.fromEntries(this.customers));
    this.replace("state.json", { cursor: this.cursor, links: Object.fromEntries(this.links) });
  }

  /** Applies all contacts. The cursor is from before the first page, so no change after that is missed. */
  private async copyAll(): Promise<void> {
    const { next: cursor } = await this.changes({ after: "now" });
    const missing = new Set(this.links.keys());
    let after: string | undefined;
    do {
      const query = { limit: PAGE, properties: PROPERTIES, after };
      const page = await this.send(() => this.client.GET("/contacts", { params: { query } }));
      for (const contact of page.data) {
        this.apply(contact);
        missing.delete(contact.id);
      }
      after = page.pagination.next ?? undefined;
    } while (after !== undefined);
    missing.forEach((id) => this.remove(id));
    this.cursor = cursor;
  }

  /** Applies the changes since the last run, except those that this program has made. */
  private async pull(): Promise<void> {
    for (;;) {
      const page = await this.changes({ after: this.cursor ?? undefined, exclude_actor: "me", limit: PAGE });
      await this.readAgain(page.data.map((entry) => entry.contact_id));
      this.cursor = page.next;
      if (page.data.length < PAGE) return;
    }
  }

  private changes(query: paths["/contacts/changes"]["get"]["parameters"]["query"]) {
    return this.send(() => this.client.GET("/contacts/changes", { params: { query } }));
  }

  /** Applies contacts as they are now. Applying a contact twice changes nothing. */
  private async readAgain(ids: string[]): Promise<void> {
    const inputs = [...new Set(ids)].map((id) => ({ id }));
    const read = (part: typeof inputs) =>
      this.client.POST("/contacts/batch/read", { body: { inputs: part, properties: PROPERTIES } });
    for (const [id, result] of await this.batch(inputs, read)) {
      if (result.contact) this.apply(result.contact);
      else this.remove(id); // 404: the contact was purged.
    }
  }

  /** Applies a contact to its customer. If both sides have changed a field, the contact wins. */
  private apply(contact: Contact): void {
    const id = contact.id!;
    if (contact.archived !== false) return this.remove(id);
    const link = this.links.get(id);
    const customer = link?.customer ?? contact.external_id ?? id;
    const ours = this.customers.get(customer);
    const theirs = valuesOf(contact);
    const changed = FIELDS.filter((field) => theirs[field] !== (link?.values[field] ?? null));
    if (ours) {
      const isConflict = (field: keyof Values) =>
        ![link?.values[field] ?? null, theirs[field]].includes(ours[field] ?? null);
      const conflicts = changed.filter(isConflict);
      if (conflicts.length > 0) console.log(`conflict: the contact's ${conflicts} replaces the customer's (${customer})`);
      this.customers.set(customer, { ...ours, ...Object.fromEntries(changed.map((field) => [field, theirs[field]])) });
    } else if (!link || changed.length > 0) {
      // Otherwise the customer was deleted, and `push` archives the contact.
      this.customers.set(customer, theirs);
    }
    this.link(contact, customer);
  }

  /** Remembers what both sides have now. */
  private link(contact: Contact, customer: string): void {
    const version = contact.version!;
    this.links.set(contact.id!, { customer, externalId: contact.external_id, values: valuesOf(contact), version });
  }

  private remove(id: string): void {
    const link = this.links.get(id);
    if (link) this.customers.delete(link.customer);
    this.links.delete(id);
  }

  /** Sends the customers that were created, changed and deleted since the last run. */
  private async push(): Promise<void> {
    const linked = new Set([...this.links.values()].map((link) => link.customer));
    const created = [...this.customers].filter(([id]) => !linked.has(id)).map(([id, fields]) => ({ id, fields }));
    const changed: { id: string; if_match: number; fields: Partial<Values> & { external_id?: string } }[] = [];
    const deleted: { id: string; if_match: number }[] = [];
    for (const [id, link] of this.links) {
      // The version is a precondition: a contact that was changed since it was read is not overwritten.
      const precondition = { id, if_match: link.version };
      const customer = this.customers.get(link.customer);
      if (!customer) {
        deleted.push(precondition);
        continue;
      }
      const differing = FIELDS.filter((field) => (customer[field] ?? null) !== link.values[field]);
      const fields: Partial<Values> & { external_id?: string } = Object.fromEntries(
        differing.map((field) => [field, customer[field] ?? null]),
      );
      if (link.externalId !== link.customer) fields.external_id = link.customer;
      if (Object.keys(fields).length > 0) changed.push({ ...precondition, fields });
    }
    const properties = PROPERTIES;
    await this.sendInputs(created, (inputs) =>
      this.client.POST("/contacts/batch/upsert", { body: { inputs, properties, id_property: "external_id" } }),
    );
    await this.sendInputs(changed, (inputs) =>
      this.client.POST("/contacts/batch/update", { body: { inputs, properties } }),
    );
    await this.sendInputs(deleted, (inputs) =>
      this.client.POST("/contacts/batch/archive", { body: { inputs, properties } }),
    );
  }

  /** Sends inputs in batches. Contacts that others have changed are read and merged; the next run sends the rest. */
  private async sendInputs<Input extends { id: string }>(
    inputs: Input[],
    post: (inputs: Input[]) => Promise<Answer<{ results: BatchResult[] }>>,
  ): Promise<void> {
    const changedByOthers: string[] = [];
    for (const [sentId, { contact, error }] of await this.batch(inputs, post)) {
      if (contact && contact.archived !== false) {
        this.remove(contact.id!);
      } else if (contact) {
        // The values as they are stored: the service removes blanks around an email, for example.
        const customer = this.links.get(sentId)?.customer ?? sentId;
        this.link(contact, customer);
        this.customers.set(customer, valuesOf(contact));
      } else if (error && ["not_found", "contact_archived", "precondition_failed"].includes(error.code)) {
        changedByOthers.push(sentId);
      } else {
        console.log(`rejected: ${sentId}: ${error?.message}`);
      }
    }
    await this.readAgain(changedByOthers);
  }

  /** Sends inputs in batches, and returns the id that each had with its result. */
  private async batch<Input extends { id: string }>(
    inputs: Input[],
    post: (inputs: Input[]) => Promise<Answer<{ results: BatchResult[] }>>,
  ): Promise<[string, BatchResult][]> {
    const results: [string, BatchResult][] = [];
    for (let start = 0; start < inputs.length; start += PAGE) {
      const part = inputs.slice(start, start + PAGE);
      const answer = await this.send(() => post(part));
      answer.results.forEach((result, index) => results.push([part[index].id, result]));
    }
    return results;
  }

  /** Calls an operation until the service answers. All calls of this program can be repeated. */
  private async send<Body>(call: () => Promise<Answer<Body>>): Promise<Body> {
    for (let pause = 1; ; pause = Math.min(pause * 2, 30)) {
      let seconds = pause;
      try {
        const { data, error, response } = await call();
        if (data !== undefined) return data;
        if (response.status === 410) throw new CursorExpired();
        if (![429, 503].includes(response.status)) throw new Error(`${response.status}: ${error?.message}`);
        seconds = Number(response.headers.get("retry-after") ?? pause);
      } catch (error) {
        // What `fetch` throws when there is no answer.
        if (!(error instanceof TypeError)) throw error;
        console.log(`no answer, trying again in ${pause} s: ${error}`);
      }
      await setTimeout(seconds * 1000);
    }
  }

  private load<Content>(name: string, fallback: Content): Content {
    const file = `${this.folder}/${name}`;
    return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : fallback;
  }

  /** Replaces a file in one step, so that a crash leaves the old or the new content. */
  private replace(name: string, content: unknown): void {
    const file = `${this.folder}/${name}`;
    writeFileSync(`${file}.new`, JSON.stringify(content, null, 2));
    renameSync(`${file}.new`, file);
  }
}

function valuesOf(contact: Contact): Values {
  return Object.fromEntries(FIELDS.map((field) => [field, contact[field] ?? null])) as Values;
}

const [folder, option] = process.argv.slice(2);
const sync = new TwoWaySync(folder);
do {
  await sync.runOnce();
  if (option !== "--once") await setTimeout(2000);
} while (option !== "--once");
