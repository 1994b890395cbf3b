//! HTML pages, without what surrounds the content: navigation, forms, scripts, what is not shown.

use html_to_markdown_rs::{ConversionOptions, convert};

use super::broken;
use super::flow::Flow;
use crate::problem::Problem;

/// Marks and wrappers whose words count and whose markup does not: a quote must be the page's own words.
const BARE_TAGS: [&str; 18] = [
    "a", "strong", "em", "b", "i", "u", "mark", "span", "font", "sub", "sup", "small", "big", "ins", "abbr",
    "cite", "kbd", "q",
];

pub(crate) fn read(path: &str, html: &str) -> Result<Flow, Problem> {
    let options = ConversionOptions {
        compact_tables: true,
        autolinks: false,
        skip_images: true,
        extract_metadata: false,
        expand_abbreviations: false,
        include_blockquote_citations: false,
        strip_tags: BARE_TAGS.iter().map(ToString::to_string).collect(),
        ..ConversionOptions::default()
    };
    let converted = convert(html, options).map_err(|error| broken(path, None, "HTML", &error.to_string()))?;
    let text = converted.content.unwrap_or_default();
    let text: String = text.lines().map(|line| format!("{}\n", line.trim_end())).collect();
    let title = title(html);
    if text.trim().is_empty() {
        return Err(super::empty(path));
    }
    Ok(Flow { text, title, ..Flow::default() })
}

/// The words of the page's `<title>`.
fn title(html: &str) -> Option<String> {
    let lower = html.to_ascii_lowercase();
    let open = lower.find("<title")?;
    let start = open + lower[open..].find('>')? + 1;
    let end = start + lower[start..].find("</title")?;
    let words = html[start..end].split_whitespace().collect::<Vec<_>>().join(" ");
    let words = words.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&amp;", "&");
    (!words.is_empty()).then_some(words)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_words_of_a_page_come_without_its_markup() {
        let html = "<html><head><title>手册 &amp; 说明</title><script>var x=1</script></head><body><nav>首页</nav>\
                    <h1>LB-300 <b>贴标机</b></h1><p>速度<a href='/a'>300 瓶</a>每分钟。</p>\
                    <table><tr><th>型号</th><th>面价</th></tr><tr><td>LB-300</td><td>39800</td></tr></table>";
        let flow = read("a.html", html).expect("a page");
        assert_eq!(flow.title.as_deref(), Some("手册 & 说明"));
        assert!(flow.text.contains("# LB-300 贴标机\n\n速度300 瓶每分钟。\n"), "{}", flow.text);
        assert!(flow.text.contains("| 型号 | 面价 |\n| --- | --- |\n| LB-300 | 39800 |"), "{}", flow.text);
        assert!(!flow.text.contains("首页") && !flow.text.contains("var x"), "{}", flow.text);
    }
}
