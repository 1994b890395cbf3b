//! What a client is told of the tools: names, arguments, and the shape of what they give, as JSON Schema.

use std::sync::{Arc, LazyLock};

use flightdeck_corpus::Kind;
use rmcp::model::{JsonObject, Tool, ToolAnnotations};
use serde_json::{Value, json};

use crate::mcp::tools::{DEFAULT_HITS, DEFAULT_TEXT_CHARS, MAX_DETAIL_CHARS, MAX_HITS, MAX_TEXT_CHARS};
use crate::wire::{AUDIENCES, MAX_QUESTION_CHARS};

/// All tools, in the order in which an agent will want them.
pub(super) fn all() -> &'static [Tool] {
    static TOOLS: LazyLock<Vec<Tool>> = LazyLock::new(|| {
        let mut tools = vec![search_knowledge()];
        tools.extend(skills());
        tools.extend([get_document(), submit_feedback()]);
        tools
    });
    &TOOLS
}

fn search_knowledge() -> Tool {
    tool(
            "search_knowledge",
            "Search the knowledge",
            "Finds passages of the company's sales knowledge by words and meaning, in Chinese or English, best first.",
            json!({
                "query": text("What to look for, in any words", MAX_QUESTION_CHARS),
                "top_k": {"type": "integer", "minimum": 1, "maximum": MAX_HITS, "default": DEFAULT_HITS},
                "filters": {
                    "type": "object", "additionalProperties": false,
                    "description": "Inside a list any entry counts; the lists are joined by and",
                    "properties": {
                        "kind": {"type": "array", "items": {"type": "string", "enum": Kind::ALL.map(Kind::name)}},
                        "industry": {"type": "array", "items": {"type": "string"}},
                        "product": {"type": "array", "items": {"type": "string"}},
                        "tag": {"type": "array", "items": {"type": "string"}},
                    },
                },
                "audience": audience_property(),
            }),
            &["query"],
            json!({"hits": {"type": "array", "items": object(json!({
                "rank": {"type": "integer"}, "score": {"type": "number"}, "document": document_schema(),
                "place": place_schema(), "text": {"type": "string"}, "superseded_by": nullable("string"),
            }))}}),
        )
        .with_annotations(reads("Search the knowledge"))
}

/// The tools whose answer is the assistant's.
fn skills() -> Vec<Tool> {
    let answers = "Gives Markdown whose [n] marks name the citations, each with the quote as it stands in its document.";
    let asked = |name, title, what: &str, properties: Value, required: &[&str]| {
        let mut properties = properties;
        let object = properties.as_object_mut().expect("it is written as one");
        object.extend(customer_properties());
        tool(name, title, &format!("{what} {answers}"), properties, required, answer_schema())
            .with_annotations(reads(title))
    };
    vec![
        asked(
            "answer_question",
            "Answer a question",
            "Answers a question about products, prices, service, customers or competitors from the company's own \
             documents, or says that they do not support an answer.",
            json!({
                "question": text("The question, as the person asks it", MAX_QUESTION_CHARS),
                "conversation_id": {"type": "string", "description": "Of an earlier answer, for a follow-up"},
            }),
            &["question"],
        ),
        asked(
            "match_cases",
            "Match customer cases",
            "Finds the customer cases that fit a customer, and says why each fits.",
            json!({
                "need": text("What the customer needs or suffers from", MAX_DETAIL_CHARS),
                "product": text("The product in question", MAX_DETAIL_CHARS),
            }),
            &[],
        ),
        asked(
            "handle_objection",
            "Handle an objection",
            "Gives what the company's playbooks say to a customer's objection.",
            json!({
                "objection": text("What the customer says, e.g. 太贵了", MAX_QUESTION_CHARS),
                "context": text("What else is known of the situation", MAX_DETAIL_CHARS),
            }),
            &["objection"],
        ),
        asked(
            "recommend_videos",
            "Recommend videos",
            "Finds videos to send to a customer, with the moment to begin at.",
            json!({"need": text("What the customer wants to see", MAX_QUESTION_CHARS)}),
            &["need"],
        ),
    ]
}

fn get_document() -> Tool {
    tool(
            "get_document",
            "Read a document",
            "Gives a document's text, as extracted, by its id or uri; a long one in parts.",
            json!({
                "id": {"type": "string", "description": "As in a hit or a citation"},
                "uri": {"type": "string", "description": "In place of the id"},
                "offset": {"type": "integer", "minimum": 0, "default": 0, "description": "In characters"},
                "max_chars": {"type": "integer", "minimum": 1, "maximum": MAX_TEXT_CHARS, "default": DEFAULT_TEXT_CHARS},
                "audience": audience_property(),
            }),
            &[],
            json!({
                "document": document_schema(), "status": {"type": "string"}, "valid_until": nullable("string"),
                "superseded_by": nullable("string"), "text": {"type": "string"}, "offset": {"type": "integer"},
                "total_chars": {"type": "integer"}, "next_offset": nullable("integer"),
            }),
        )
        .with_annotations(reads("Read a document"))
}

fn submit_feedback() -> Tool {
    tool(
            "submit_feedback",
            "Say what an answer was worth",
            "Records whether an answer was right, for those who look after the knowledge. A second opinion on the same \
             answer replaces the first.",
            json!({
                "message_id": {"type": "string", "description": "Of the answer"},
                "rating": {"type": "string", "enum": ["up", "down"]},
                "reason": text("Why, in a word or a sentence", 500),
                "correction": text("What the answer should have been", 10_000),
            }),
            &["message_id", "rating"],
            json!({"message_id": {"type": "string"}, "updated_at": {"type": "string"}}),
        )
        .with_annotations(reads("Say what an answer was worth").read_only(false).destructive(false).idempotent(true))
}

fn tool(
    name: &'static str,
    title: &str,
    description: &str,
    properties: Value,
    required: &[&str],
    output: Value,
) -> Tool {
    let mut input = object(properties);
    input["required"] = json!(required);
    input["additionalProperties"] = json!(false);
    let schema = |schema: Value| match schema {
        Value::Object(schema) => Arc::new(schema),
        _ => unreachable!("`object` makes an object"),
    };
    Tool::new(name, description.to_owned(), schema(input))
        .with_title(title)
        .with_raw_output_schema(schema(object(output)))
}

fn reads(title: &str) -> ToolAnnotations {
    ToolAnnotations::with_title(title).read_only(true).open_world(false)
}

/// An object whose properties are all there.
fn object(properties: Value) -> Value {
    let Value::Object(properties) = properties else { unreachable!("properties are written as an object") };
    let names: Vec<Value> = properties.keys().map(|name| name.as_str().into()).collect();
    let kind = ("type", Value::from("object"));
    Value::from_iter([kind, ("required", names.into()), ("properties", properties.into())])
}

fn text(description: &str, max_chars: usize) -> Value {
    json!({"type": "string", "description": description, "maxLength": max_chars})
}

fn nullable(kind: &str) -> Value {
    json!({"type": [kind, "null"]})
}

fn audience_property() -> Value {
    json!({
        "type": "string", "enum": AUDIENCES.map(|(name, _)| name),
        "description": "Who will read it: customer leaves out what is internal; internal is for keys that may see it",
    })
}

fn customer_properties() -> JsonObject {
    let properties = json!({
        "customer_id": {"type": "string", "description": "A customer in the records"},
        "industry": text("The customer's industry", MAX_DETAIL_CHARS),
        "company_size": text("How large the customer is", MAX_DETAIL_CHARS),
        "region": text("Where the customer is", MAX_DETAIL_CHARS),
        "scenario": text("What the customer would use it for", MAX_DETAIL_CHARS),
        "stage": text("How far the talks are", MAX_DETAIL_CHARS),
        "audience": audience_property(),
    });
    match properties {
        Value::Object(properties) => properties,
        _ => unreachable!("it is written as an object"),
    }
}

fn document_schema() -> Value {
    object(json!({
        "id": {"type": "string"}, "uri": {"type": "string"}, "kind": {"type": "string"},
        "title": {"type": "string"}, "path": {"type": "string"},
        "audience": {"type": "string", "enum": AUDIENCES.map(|(name, _)| name)}, "link": nullable("string"),
    }))
}

fn place_schema() -> Value {
    object(json!({
        "section": {"type": "string"}, "page": nullable("integer"), "line": nullable("integer"),
        "start_ms": nullable("integer"),
    }))
}

fn answer_schema() -> Value {
    json!({
        "answer": {"type": "string"},
        "citations": {"type": "array", "items": object(json!({
            "n": {"type": "integer"}, "document": document_schema(), "place": place_schema(),
            "quote": {"type": "string"},
        }))},
        "refused": {"type": "boolean"},
        "refusal_reason": nullable("string"),
        "suggestions": {"type": "array", "items": {"type": "string"}},
        "intent": {"type": "string"},
        "generator": {"type": "string"},
        "conversation_id": {"type": "string"},
        "message_id": {"type": "string"},
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_tool_is_described_with_what_it_takes_and_gives() {
        let names: Vec<&str> = all().iter().map(|tool| &*tool.name).collect();
        let wanted = [
            "search_knowledge",
            "answer_question",
            "match_cases",
            "handle_objection",
            "recommend_videos",
            "get_document",
            "submit_feedback",
        ];
        assert_eq!(names, wanted);
        for tool in all() {
            let properties = tool.input_schema["properties"].as_object().unwrap();
            let required = tool.input_schema["required"].as_array().unwrap();
            assert!(
                required.iter().all(|name| properties.contains_key(name.as_str().unwrap())),
                "{}",
                tool.name
            );
            assert!(tool.output_schema.is_some() && tool.description.is_some(), "{}", tool.name);
            let annotations = tool.annotations.as_ref().unwrap();
            assert_eq!(annotations.read_only_hint, Some(tool.name != "submit_feedback"), "{}", tool.name);
        }
    }
}
