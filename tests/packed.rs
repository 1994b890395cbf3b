//! Small files of packed formats, made here: what a test wants of Word, PowerPoint and PDF, and no more.

use std::fmt::Write as _;
use std::io::{Cursor, Write as _};

use zip::ZipWriter;
use zip::write::SimpleFileOptions;

const OFFICE: &str = "http://schemas.openxmlformats.org/officeDocument/2006/relationships";
const RELATIONS: &str = "http://schemas.openxmlformats.org/package/2006/relationships";
const WORD: &str = "application/vnd.openxmlformats-officedocument.wordprocessingml";
const SLIDES: &str = "application/vnd.openxmlformats-officedocument.presentationml";

/// An archive of these entries.
pub fn archive(entries: &[(&str, &[u8])]) -> Vec<u8> {
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, content) in entries {
        zip.start_file(*name, SimpleFileOptions::default()).expect("a name that fits");
        zip.write_all(content).expect("a buffer takes all");
    }
    zip.finish().expect("a buffer takes all").into_inner()
}

/// `[Content_Types].xml` for these parts, each with its type after `application/vnd…`.
fn content_types(parts: &[(&str, String)]) -> String {
    let mut xml = String::from(
        "<?xml version=\"1.0\"?><Types xmlns=\"http://schemas.openxmlformats.org/package/2006/content-types\">\
         <Default Extension=\"rels\" ContentType=\"application/vnd.openxmlformats-package.relationships+xml\"/>\
         <Default Extension=\"xml\" ContentType=\"application/xml\"/>",
    );
    for (name, content_type) in parts {
        let _ = write!(xml, "<Override PartName=\"/{name}\" ContentType=\"{content_type}\"/>");
    }
    xml + "</Types>"
}

/// A part of relations: id, the type's last word, target.
fn relations(list: &[(&str, &str, &str)]) -> String {
    let mut xml = format!("<?xml version=\"1.0\"?><Relationships xmlns=\"{RELATIONS}\">");
    for (id, kind, target) in list {
        let _ = write!(xml, "<Relationship Id=\"{id}\" Type=\"{OFFICE}/{kind}\" Target=\"{target}\"/>");
    }
    xml + "</Relationships>"
}

/// A Word file with this body; its style `1` is the first heading, as Chinese Word names it, `a3` the title, and its
/// footnote 2 says `footnote`.
pub fn docx(body: &str, footnote: &str) -> Vec<u8> {
    let space = "xmlns:w=\"http://schemas.openxmlformats.org/wordprocessingml/2006/main\" \
                 xmlns:wps=\"http://schemas.microsoft.com/office/word/2010/wordprocessingShape\" \
                 xmlns:v=\"urn:schemas-microsoft-com:vml\"";
    let types = content_types(&[
        ("word/document.xml", format!("{WORD}.document.main+xml")),
        ("word/styles.xml", format!("{WORD}.styles+xml")),
        ("word/footnotes.xml", format!("{WORD}.footnotes+xml")),
    ]);
    let document = format!("<?xml version=\"1.0\"?><w:document {space}><w:body>{body}</w:body></w:document>");
    let styles = format!(
        "<?xml version=\"1.0\"?><w:styles {space}><w:style w:type=\"paragraph\" w:styleId=\"1\">\
         <w:name w:val=\"heading 1\"/><w:pPr><w:outlineLvl w:val=\"0\"/></w:pPr></w:style>\
         <w:style w:type=\"paragraph\" w:styleId=\"a3\"><w:name w:val=\"Title\"/></w:style></w:styles>"
    );
    let footnotes = format!(
        "<?xml version=\"1.0\"?><w:footnotes {space}><w:footnote w:id=\"2\"><w:p><w:r><w:t>{footnote}</w:t></w:r>\
         </w:p></w:footnote></w:footnotes>"
    );
    let document_relations =
        relations(&[("rId1", "styles", "styles.xml"), ("rId2", "footnotes", "footnotes.xml")]);
    archive(&[
        ("[Content_Types].xml", types.as_bytes()),
        ("_rels/.rels", relations(&[("rId1", "officeDocument", "word/document.xml")]).as_bytes()),
        ("word/document.xml", document.as_bytes()),
        ("word/styles.xml", styles.as_bytes()),
        ("word/footnotes.xml", footnotes.as_bytes()),
        ("word/_rels/document.xml.rels", document_relations.as_bytes()),
    ])
}

/// A slide of [`pptx`].
#[derive(Clone, Copy)]
pub struct Slide<'a> {
    pub title: &'a str,
    pub text: &'a str,
    pub notes: Option<&'a str>,
    pub is_hidden: bool,
}

/// A PowerPoint file.
pub fn pptx(slides: &[Slide<'_>]) -> Vec<u8> {
    let space = format!(
        "xmlns:a=\"http://schemas.openxmlformats.org/drawingml/2006/main\" xmlns:r=\"{OFFICE}\" \
         xmlns:p=\"http://schemas.openxmlformats.org/presentationml/2006/main\""
    );
    let shape = |kind: &str, text: &str| {
        format!(
            "<p:sp><p:nvSpPr><p:cNvPr id=\"2\" name=\"x\"/><p:cNvSpPr/><p:nvPr><p:ph type=\"{kind}\"/></p:nvPr></p:nvSpPr>\
             <p:spPr/><p:txBody><a:bodyPr/><a:p><a:r><a:t>{text}</a:t></a:r></a:p></p:txBody></p:sp>"
        )
    };
    let tree = |shapes: String| {
        format!(
            "<p:cSld><p:spTree><p:nvGrpSpPr><p:cNvPr id=\"1\" name=\"\"/><p:cNvGrpSpPr/><p:nvPr/></p:nvGrpSpPr>\
             <p:grpSpPr/>{shapes}</p:spTree></p:cSld>"
        )
    };
    let mut parts = vec![("ppt/presentation.xml".to_owned(), String::new())];
    let mut types = vec![("ppt/presentation.xml".to_owned(), format!("{SLIDES}.presentation.main+xml"))];
    let mut listed = String::new();
    let mut links = Vec::new();
    for (slide, number) in slides.iter().zip(1..) {
        let name = format!("ppt/slides/slide{number}.xml");
        let hidden = if slide.is_hidden { " show=\"0\"" } else { "" };
        let shapes = shape("title", slide.title) + &shape("body", slide.text);
        parts.push((
            name.clone(),
            format!("<?xml version=\"1.0\"?><p:sld {space}{hidden}>{}</p:sld>", tree(shapes)),
        ));
        types.push((name, format!("{SLIDES}.slide+xml")));
        let _ = write!(listed, "<p:sldId id=\"{}\" r:id=\"rId{number}\"/>", 255 + number);
        links.push((format!("rId{number}"), format!("slides/slide{number}.xml")));
        if let Some(notes) = slide.notes {
            let name = format!("ppt/notesSlides/notesSlide{number}.xml");
            let words = tree(shape("body", notes));
            parts.push((name.clone(), format!("<?xml version=\"1.0\"?><p:notes {space}>{words}</p:notes>")));
            types.push((name, format!("{SLIDES}.notesSlide+xml")));
            let target = format!("../notesSlides/notesSlide{number}.xml");
            parts.push((
                format!("ppt/slides/_rels/slide{number}.xml.rels"),
                relations(&[("rId1", "notesSlide", &target)]),
            ));
        }
    }
    parts[0].1 = format!(
        "<?xml version=\"1.0\"?><p:presentation {space}><p:sldIdLst>{listed}</p:sldIdLst></p:presentation>"
    );
    let links: Vec<(&str, &str, &str)> =
        links.iter().map(|(id, target)| (id.as_str(), "slide", target.as_str())).collect();
    let types: Vec<(&str, String)> = types.iter().map(|(name, kind)| (name.as_str(), kind.clone())).collect();
    parts.push(("ppt/_rels/presentation.xml.rels".to_owned(), relations(&links)));
    parts.push(("_rels/.rels".to_owned(), relations(&[("rId1", "officeDocument", "ppt/presentation.xml")])));
    parts.push(("[Content_Types].xml".to_owned(), content_types(&types)));
    let entries: Vec<(&str, &[u8])> =
        parts.iter().map(|(name, xml)| (name.as_str(), xml.as_bytes())).collect();
    archive(&entries)
}

/// A PDF whose pages have these lines, in a Chinese font that is neither in the file nor says which characters
/// it shows, so that only its encoding's name (`UniGB-UCS2-H`) does. A page without lines is a picture.
pub fn pdf(pages: &[&[&str]]) -> Vec<u8> {
    let mut objects = vec![
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        String::new(),
        "<< /Type /Font /Subtype /Type0 /BaseFont /STSong-Light /Encoding /UniGB-UCS2-H /DescendantFonts [4 0 R] >>"
            .to_owned(),
        "<< /Type /Font /Subtype /CIDFontType0 /BaseFont /STSong-Light /CIDSystemInfo << /Registry (Adobe) \
         /Ordering (GB1) /Supplement 2 >> /FontDescriptor 5 0 R /DW 1000 >>"
            .to_owned(),
        "<< /Type /FontDescriptor /FontName /STSong-Light /Flags 6 /FontBBox [-25 -254 1000 880] /ItalicAngle 0 \
         /Ascent 880 /Descent -120 /CapHeight 880 /StemV 93 >>"
            .to_owned(),
        "<< /Type /XObject /Subtype /Image /Width 8 /Height 8 /ColorSpace /DeviceGray /BitsPerComponent 1 /Length 8 >>\n\
         stream\nABCDEFGH\nendstream"
            .to_owned(),
    ];
    let mut kids = String::new();
    for lines in pages {
        let mut content = String::new();
        for (line, idx) in lines.iter().zip(0..) {
            let hex: String = line.encode_utf16().map(|unit| format!("{unit:04X}")).collect();
            // The first line stands apart from the rest, as a page's head does.
            let y = if idx == 0 { 800 } else { 720 - 20 * idx };
            let _ = writeln!(content, "BT /F1 12 Tf 60 {y} Td <{hex}> Tj ET");
        }
        if lines.is_empty() {
            content.push_str("q 595 0 0 842 0 0 cm /Scan Do Q\n");
        }
        let length = content.len();
        objects.push(format!("<< /Length {length} >>\nstream\n{content}endstream"));
        let content_id = objects.len();
        objects.push(format!(
            "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents {content_id} 0 R \
             /Resources << /Font << /F1 3 0 R >> /XObject << /Scan 6 0 R >> >> >>"
        ));
        let _ = write!(kids, "{} 0 R ", objects.len());
    }
    objects[1] = format!("<< /Type /Pages /Kids [{kids}] /Count {} >>", pages.len());
    pdf_of(&objects)
}

/// A PDF of these objects, the first the catalogue.
pub fn pdf_of(objects: &[String]) -> Vec<u8> {
    let mut file = b"%PDF-1.4\n".to_vec();
    let mut table = String::from("0000000000 65535 f \n");
    for (object, id) in objects.iter().zip(1..) {
        let _ = writeln!(table, "{:010} 00000 n ", file.len());
        file.extend_from_slice(format!("{id} 0 obj\n{object}\nendobj\n").as_bytes());
    }
    let (start, size) = (file.len(), objects.len() + 1);
    file.extend_from_slice(
        format!(
            "xref\n0 {size}\n{table}trailer\n<< /Size {size} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n"
        )
        .as_bytes(),
    );
    file
}
