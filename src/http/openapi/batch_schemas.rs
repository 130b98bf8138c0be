//! The schemas of batches (`docs/api-reference.md#batch`).

use std::borrow::Cow;

use serde_json::{Value, json};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::Schema;
use utoipa::{PartialSchema, ToSchema};

use super::schemas::{
    ContactFields, ContactResult, KeyProperty, OnArchived, Problem, SelectedProperty, UniqueProperty, schemas,
};

schemas! {
    /// Contacts to create.
    BatchNew => batch_schema("BatchCreateInput",
        json!({"inputs": [{"fields": {"first_name": "Grace"}}, {"fields": {"first_name": "Alan"}}]})), uses [BatchCreateInput, SelectedProperty];
    /// Contacts to update.
    BatchUpdates => with_id_property(batch_schema("BatchUpdateInput",
        json!({"inputs": [{"id": "sample-1", "fields": {"job_title": "Analyst"}}], "id_property": "external_id"}))), uses [BatchUpdateInput, SelectedProperty, UniqueProperty];
    /// Contacts to create or update.
    BatchUpserts => with_upsert_members(batch_schema("BatchUpsertInput",
        json!({"inputs": [{"id": "crm-1815", "fields": {"first_name": "Ada"}}], "id_property": "external_id"}))), uses [BatchUpsertInput, SelectedProperty, KeyProperty, OnArchived];
    /// Contacts to archive.
    BatchArchivals => with_id_property(batch_schema("BatchArchiveInput",
        json!({"inputs": [{"id": "sample-2"}], "id_property": "external_id"}))), uses [BatchArchiveInput, SelectedProperty, UniqueProperty];
    /// Contacts to read.
    BatchIds => with_id_property(batch_schema("BatchReadInput",
        json!({"inputs": [{"id": "sample-2"}], "id_property": "external_id"}))), uses [BatchReadInput, SelectedProperty, UniqueProperty];
    /// A contact to create.
    BatchCreateInput => input_schema(&["fields"], json!({"fields": fields_schema(), "ref": ref_schema()})), uses [ContactFields];
    /// A contact to update.
    BatchUpdateInput => input_schema(&["id", "fields"],
        write_members()), uses [BatchId, ContactFields, BatchPrecondition];
    /// A contact to create or update.
    BatchUpsertInput => input_schema(&["id", "fields"],
        write_members()), uses [BatchId, ContactFields, BatchPrecondition];
    /// A contact to archive.
    BatchArchiveInput => input_schema(&["id"], json!({"id": id_schema(), "if_match": if_match_schema(), "ref": ref_schema()})), uses [BatchId, BatchPrecondition];
    /// A contact to read.
    BatchReadInput => input_schema(&["id"], json!({"id": id_schema(), "ref": ref_schema()})), uses [BatchId];
    /// What identifies the contact of an input.
    BatchId => json!({
        "description": "The contact's id, or its value of the field named by `id_property`",
        "anyOf": [{"type": "string"}, {"type": "number"}]
    }), uses [];
    /// The precondition of an input.
    BatchPrecondition => json!({
        "description": "Write only if the contact still has this `ETag` or version",
        "anyOf": [
            {"type": "string", "description": "`ETag`s as in the header `If-Match`, or `*`"},
            {"type": "integer", "minimum": 1, "description": "The contact's `version`"}
        ],
        "examples": ["*"]
    }), uses [];
    /// The results of a batch.
    BatchResults => json!({
        "type": "object",
        "required": ["results", "summary"],
        "properties": {
            "results": {"type": "array", "description": "One result for each input, in input order", "items": {"$ref": "#/components/schemas/BatchResult"}},
            "summary": {"$ref": "#/components/schemas/BatchSummary"}
        }
    }), uses [BatchResult, BatchSummary];
    /// The result of a batch input.
    BatchResult => json!({
        "type": "object",
        "required": ["index", "id", "ref", "status"],
        "properties": {
            "index": {"type": "integer", "description": "The position of the input, from 0 on", "examples": [0]},
            "id": {"type": ["string", "null"], "format": "uuid", "description": "The contact's id. null if there is no contact"},
            "ref": {"type": ["string", "null"], "description": "The `ref` of the input"},
            "status": {"type": "integer", "description": "The status that a separate call for this input would have", "examples": [200]},
            "contact": {"$ref": "#/components/schemas/ContactResult"},
            "properties_omitted": {"type": "boolean", "description": "Present, and true, if `contact` has the default properties only, because the results together would be too large. Read the contact to get the others"},
            "stale": {"type": "boolean", "description": "Present and true if the input was ignored, because its `source_updated_at` is older than that of an earlier change"},
            "created_beside_archived": {"type": "string", "format": "uuid", "description": "The archived contact that has the key of an upsert that created a contact"},
            "error": {"$ref": "#/components/schemas/Problem"}
        }
    }), uses [ContactResult, Problem];
    /// The number of inputs of a batch by outcome.
    BatchSummary => json!({
        "type": "object",
        "required": ["total", "succeeded", "failed"],
        "properties": {"total": {"type": "integer"}, "succeeded": {"type": "integer"}, "failed": {"type": "integer"}}
    }), uses [];
}

/// Returns the schema of a batch of these inputs.
fn batch_schema(input: &str, example: Value) -> Value {
    json!({
        "type": "object",
        "required": ["inputs"],
        "properties": {
            "inputs": {"type": "array", "items": {"$ref": format!("#/components/schemas/{input}")}, "minItems": 1, "maxItems": 1_000},
            "properties": {"type": ["array", "null"], "items": {"$ref": "#/components/schemas/SelectedProperty"}, "description": "Names of fields to return in addition to the default fields"},
            "atomic": {"type": "boolean", "description": "Apply all inputs or none. If an input fails, the others are 424 not_applied. Default: false"}
        },
        "additionalProperties": false,
        "examples": [example]
    })
}

/// Adds the member `id_property` to the schema of a batch whose inputs identify existing contacts.
fn with_id_property(mut batch: Value) -> Value {
    batch["properties"]["id_property"] = json!({
        "$ref": "#/components/schemas/UniqueProperty",
        "description": "The unique property whose values are the `id` of each input. Default: the contact's id"
    });
    batch
}

/// Adds the members `id_property`, which is required, and `on_archived` to the schema of a batch of upserts.
fn with_upsert_members(mut batch: Value) -> Value {
    batch["required"] = json!(["inputs", "id_property"]);
    batch["properties"]["id_property"] = json!({
        "$ref": "#/components/schemas/KeyProperty",
        "description": "The unique property whose values are the `id` of each input"
    });
    batch["properties"]["on_archived"] = json!({"$ref": "#/components/schemas/OnArchived"});
    batch
}

fn input_schema(required: &[&str], members: Value) -> Value {
    json!({"type": "object", "required": required, "properties": members, "additionalProperties": false})
}

/// Returns the members of an input that changes the fields of a contact.
fn write_members() -> Value {
    json!({
        "id": id_schema(),
        "fields": fields_schema(),
        "if_match": if_match_schema(),
        "source_updated_at": {
            "type": ["string", "null"],
            "format": "date-time",
            "description": "When the calling system made this change. Ignored if the same actor has sent a newer change of the contact"
        },
        "ref": ref_schema()
    })
}

fn ref_schema() -> Value {
    json!({"type": ["string", "null"], "maxLength": 255, "description": "The caller's own label of the input. The result repeats it"})
}

fn fields_schema() -> Value {
    json!({"$ref": "#/components/schemas/ContactFields"})
}

fn id_schema() -> Value {
    json!({"$ref": "#/components/schemas/BatchId"})
}

fn if_match_schema() -> Value {
    json!({"$ref": "#/components/schemas/BatchPrecondition"})
}
