//! The little XML that WeCom writes: one root, texts in its children. No document type, no entities of its own.

use std::collections::BTreeMap;

use quick_xml::Reader;
use quick_xml::escape::resolve_xml_entity;
use quick_xml::events::Event;

use super::super::Rejected;

/// Deeper than anything WeCom sends.
const MAX_DEPTH: usize = 16;

/// The texts of the root's children by their names; those further in as `Outer.Inner`. Of children with the same
/// name the first counts.
pub(super) fn read(text: &str) -> Result<BTreeMap<String, String>, Rejected> {
    let mut reader = Reader::from_str(text);
    let mut fields = BTreeMap::new();
    let mut path: Vec<String> = Vec::new();
    let mut value = String::new();
    let mut has_root = false;
    loop {
        let event = reader.read_event().map_err(|error| Rejected::format(format!("not XML: {error}")))?;
        match event {
            Event::Start(start) => {
                if path.len() >= MAX_DEPTH {
                    return Err(Rejected::format("the XML is nested too deep"));
                }
                if path.is_empty() && std::mem::replace(&mut has_root, true) {
                    return Err(Rejected::format("the XML has two roots"));
                }
                path.push(start.name().as_ref().to_owned());
                value.clear();
            }
            Event::End(_) => {
                if path.len() > 1 {
                    fields.entry(path[1..].join(".")).or_insert_with(|| value.trim().to_owned());
                }
                path.pop();
                value.clear();
            }
            Event::Text(text) => value.push_str(&text),
            Event::CData(text) => value.push_str(&text),
            Event::GeneralRef(reference) => {
                let character = reference.resolve_char_ref();
                match (character, resolve_xml_entity(&reference)) {
                    (Ok(Some(character)), _) => value.push(character),
                    (_, Some(text)) => value.push_str(text),
                    _ => return Err(Rejected::format("the XML uses an entity that is not XML's own")),
                }
            }
            Event::DocType(_) => {
                return Err(Rejected::format("the XML has a document type, which is not read"));
            }
            Event::Eof if has_root && path.is_empty() => return Ok(fields),
            Event::Eof => return Err(Rejected::format("the XML breaks off")),
            Event::Empty(_) | Event::Comment(_) | Event::Decl(_) | Event::PI(_) => {}
        }
    }
}

/// `text` in CDATA, split where it would end the section.
pub(super) fn cdata(text: &str) -> String {
    format!("<![CDATA[{}]]>", text.replace("]]>", "]]]]><![CDATA[>"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_read_whatever_they_are_written_as() {
        let fields = read(
            "<?xml version=\"1.0\"?><xml>\n <A><![CDATA[a<b]]></A><B>x &amp; &#65;</B><C/><D><E>1</E></D>\
             <A>second</A></xml>",
        )
        .unwrap();
        assert_eq!(fields["A"], "a<b");
        assert_eq!(fields["B"], "x & A");
        assert_eq!(fields["D.E"], "1");
        assert!(!fields.contains_key("C"));
    }

    #[test]
    fn what_could_reach_outside_or_grow_is_refused() {
        let deep = "<a>".repeat(20);
        for text in [
            "<!DOCTYPE x [<!ENTITY e SYSTEM \"file:///etc/passwd\">]><xml><A>&e;</A></xml>",
            "<xml><A>&e;</A></xml>",
            "<xml><A>",
            "<xml></A>",
            "",
            "hello",
            "<xml/><xml></xml><xml></xml>",
            deep.as_str(),
        ] {
            assert!(matches!(read(text), Err(Rejected::Format(_))), "{text}");
        }
    }

    #[test]
    fn a_text_that_ends_a_section_comes_back_whole() {
        let text = "a]]>b</Content>]]>";
        assert_eq!(read(&format!("<xml><C>{}</C></xml>", cdata(text))).unwrap()["C"], text);
    }
}
