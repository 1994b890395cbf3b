//! Made-up sales documents: as many as wanted, the same on every machine, each with its own products, customers and
//! figures.
//!
//! Of the kinds that a knowledge folder has, with front matter, headings and tables, mostly Markdown, some HTML. Sentences come from a fixed stock and differ in names and numbers, so documents are alike as a
//! company's documents are alike, and no two are the same.

use std::fmt::Write as _;

use crate::random::SplitMix;

/// A file of the folder.
pub struct MadeFile {
    /// Below the knowledge folder.
    pub path: String,
    /// All of it.
    pub text: String,
}

const INDUSTRIES: [&str; 16] = [
    "食品饮料",
    "日化",
    "制药",
    "化工",
    "电子",
    "酒类",
    "乳制品",
    "调味品",
    "宠物食品",
    "润滑油",
    "农药",
    "茶叶",
    "肉制品",
    "烘焙",
    "保健品",
    "五金",
];
const REGIONS: [&str; 8] = ["华东", "华南", "华北", "华中", "西南", "西北", "东北", "海外"];
const SIZES: [&str; 3] = ["小型", "中型", "大型"];
const MACHINES: [&str; 14] = [
    "贴标机",
    "灌装机",
    "旋盖机",
    "码垛机",
    "装箱机",
    "封箱机",
    "喷码机",
    "检重秤",
    "输送线",
    "理瓶机",
    "套标机",
    "缠绕机",
    "金检机",
    "视觉检测台",
];
const SERIES: [&str; 12] = ["LB", "FZ", "XG", "MD", "ZX", "FX", "PM", "JZ", "SS", "LP", "TB", "CR"];
const NAMES: [&str; 24] = [
    "青禾", "海岳", "云岭", "北辰", "泰和", "锦程", "瑞丰", "金穗", "远山", "星河", "明川", "松江", "白鹭",
    "长风", "东篱", "同庆", "安泽", "浦南", "凌云", "沧浪", "望山", "临溪", "兴业", "广源",
];
const SCENARIOS: [&str; 10] = [
    "快速换线",
    "老旧设备替换",
    "产能提升",
    "人工替代",
    "质量追溯",
    "食品安全",
    "节能降耗",
    "新厂建设",
    "多品种小批量",
    "出口认证",
];
const PEOPLE: [&str; 10] =
    ["林知夏", "周启明", "方以宁", "陈望舒", "何景行", "宋时雨", "沈知远", "许嘉木", "顾清和", "唐亦然"];

/// Sentences with places for a number (`#`), a product (`@`), a customer (`$`), an industry (`%`) and a scenario (`&`).
const PROBLEMS: [&str; 10] = [
    "$原来用人工作业，三班倒需要#个人，旺季还要临时招#个。",
    "旧设备换一次规格要#分钟，一天换#次，光停机就损失#万件产能。",
    "%客户对外观要求高，$的不良率长期在#‰上下，退货一年赔掉#万元。",
    "厂房只有#平方米，$担心新设备放不下，也担心停产改造超过#天。",
    "$在旺季每小时要出#件，老线最快只能到#件。",
    "&是这家%企业立项的起因，预算一开始只批了#万元。",
    "上一家供应商的备件要等#天，$的生产经理为此被点名过#次。",
    "车间湿度常年在#%以上，标签起翘，每班要返工#箱。",
    "$的产品有#个规格，最小批量只有#件，频繁切换是最大的痛点。",
    "ERP 和产线没有打通，追溯一批货要翻#本台账，平均花#小时。",
];
const SOLUTIONS: [&str; 10] = [
    "我们给$配了@一台，带#个工位的快换夹具，换规格时只调#处。",
    "@与前后设备用#米输送线连接，PLC 程序按%的工艺改过#版。",
    "方案分#期实施，第一期先上@，利用周末#小时完成切换。",
    "增加一套视觉检测，相机#万像素，每分钟检#件，不合格自动剔除。",
    "为了&，我们把@的控制柜外移了#米，并做了 IP#防护。",
    "培训安排了#天，操作工#人、维修工#人，考核合格后上岗。",
    "@的伺服电机功率#千瓦，配#个配方，扫码即可调用。",
    "备件包按#个月用量预留在$的仓库，价值约#万元。",
    "现场工程师驻厂#天，前#批产品逐箱抽检。",
    "数据接口走 OPC UA，每#秒上传一次产量，历史保存#个月。",
];
const RESULTS: [&str; 8] = [
    "改造后换规格降到#分钟，日产能提高#%。",
    "不良率从#‰降到#‰，客户投诉一个季度内少了#起。",
    "每班减少#人，按当地工资算，约#个月收回投资。",
    "综合能耗下降#%，每年少交电费#万元。",
    "$随后又追加了#台@，用在另外#条线上。",
    "验收时连续运行#小时无故障，OEE 达到#%。",
    "追溯一批货的时间由#小时缩短到#分钟。",
    "&的目标在投产第#周达成，比合同早#天。",
];
const TERMS: [&str; 10] = [
    "@标准交期#个工作日，加急可压缩到#天，加急费为合同额的#%。",
    "付款方式为预付#%、发货前#%、验收后#%，质保金#%满一年支付。",
    "整机质保#个月，易损件质保#个月，质保期内#小时响应。",
    "@单台面价#万元，一次订#台以上可申请折扣。",
    "在#公里范围内上门服务不收差旅费，超出部分每公里#元。",
    "年度保养每年#次，每次#小时，包含润滑、校准和软件备份。",
    "@的噪声不高于#分贝，气源压力#兆帕，耗气量每分钟#升。",
    "安装需要预留#米×#米的场地，地面承重每平方米#公斤。",
    "操作界面支持#种语言，权限分#级，可存#组配方。",
    "%行业客户可免费寄样测试，一次不超过#件，#个工作日出报告。",
];
const OBJECTIONS: [&str; 8] = [
    "客户说贵时，先问清比的是哪一款、含不含安装；@比同类多#个工位，摊到每件只差#分钱。",
    "不要当场降价，先用$的数据算一遍：省#人、少停#分钟，#个月回本。",
    "对方提到已有供应商，就约一次#小时的现场测试，带@的样机过去。",
    "决策人担心停产，就拿&的排期表，停机不超过#小时，周末完成。",
    "若客户要求赠品，最多送#个月备件包，超过要找区域经理批。",
    "谈到售后，讲清#小时响应和#个服务点，再给$的电话让客户自己问。",
    "客户觉得小品牌不放心，就列出%行业装机#台、最久已运行#年。",
    "不承诺没有写进合同的指标，产能只报实测#件，不报理论#件。",
];
const ATTRIBUTES: [(&str, &str); 12] = [
    ("最高速度", "件/小时"),
    ("整机功率", "千瓦"),
    ("整机重量", "公斤"),
    ("气源压力", "千帕"),
    ("适用直径", "毫米"),
    ("适用高度", "毫米"),
    ("换型时间", "分钟"),
    ("定位精度", "微米"),
    ("噪声", "分贝"),
    ("防护等级", "级"),
    ("配方数量", "组"),
    ("耗气量", "升/分钟"),
];

/// What a document is about; the same for all its sentences.
struct Subject {
    product: String,
    machine: &'static str,
    customer: String,
    industry: &'static str,
    scenario: &'static str,
}

/// The file of this number, made from the number alone.
pub fn file(number: u32) -> MadeFile {
    let mut random = SplitMix(0x000F_11E5 ^ (u64::from(number) << 20));
    let subject = subject(&mut random);
    let (kind, folder, title, body) = match number % 10 {
        0 | 1 => product(&mut random, &subject),
        2..=4 => case(&mut random, &subject),
        5 => faq(&mut random, &subject),
        6 => service(&mut random, &subject),
        7 => objection(&mut random, &subject),
        8 => template(&mut random, &subject),
        _ => company(&mut random, &subject),
    };
    let mut facts = format!("title: {title}\nkind: {kind}\n");
    let audience = if number.is_multiple_of(3) { "internal" } else { "customer" };
    let _ = writeln!(facts, "audience: {audience}\nindustry: [{}]", subject.industry);
    let _ = writeln!(facts, "product: [{}]\nscenario: [{}]", subject.product, subject.scenario);
    let (size, region, owner) = (random.one(&SIZES), random.one(&REGIONS), random.one(&PEOPLE));
    let _ = writeln!(facts, "company_size: {size}\nregion: {region}\nowner: {owner}");
    let _ = writeln!(facts, "keywords: [{}, {}{}]", subject.machine, subject.industry, subject.machine);
    let stem = format!("{folder}/{:02}/{kind}-{number:06}", number / 100 % 100);
    let text = format!("---\n{facts}---\n# {title}\n\n{body}");
    if number % 20 == 13 {
        html(&stem, &facts, &title, &body)
    } else {
        MadeFile { path: format!("{stem}.md"), text }
    }
}

fn html(stem: &str, facts: &str, title: &str, body: &str) -> MadeFile {
    let mut page = format!(
        "---\n{facts}---\n<!doctype html><html lang=\"zh\"><head><meta charset=\"utf-8\"><title>{title}</title></head><body>\n<h1>{title}</h1>\n"
    );
    for line in body.lines().filter(|line| !line.is_empty()) {
        let _ = match line.strip_prefix("## ") {
            Some(heading) => writeln!(page, "<h2>{heading}</h2>"),
            None => writeln!(page, "<p>{line}</p>"),
        };
    }
    page.push_str("</body></html>\n");
    MadeFile { path: format!("{stem}.html"), text: page }
}

/// A question that somebody may ask about the document of this number.
pub fn question(number: u32, nth: u32) -> String {
    let mut random = SplitMix(0x000F_11E5 ^ (u64::from(number) << 20));
    let Subject { product, machine, customer, industry, scenario } = subject(&mut random);
    match nth % 5 {
        0 => format!("{customer}的{machine}改造用了多久，效果怎么样？"),
        1 => format!("{product} 的最高速度和功率是多少？"),
        2 => format!("{industry}客户做{scenario}有什么案例？"),
        3 => format!("客户嫌 {product} 太贵怎么回答？"),
        _ => format!("{machine}的质保和交期，编号 {nth}"),
    }
}

fn subject(random: &mut SplitMix) -> Subject {
    let machine = *random.one(&MACHINES);
    let industry = *random.one(&INDUSTRIES);
    let (series, model) = (*random.one(&SERIES), 100 + 10 * random.below(180));
    let (first, second, region) = (*random.one(&NAMES), *random.one(&NAMES), *random.one(&REGIONS));
    Subject {
        product: format!("{series}-{model}"),
        machine,
        customer: format!("{region}{first}{second}"),
        industry,
        scenario: random.one::<&'static str>(&SCENARIOS),
    }
}

type Made = (&'static str, &'static str, String, String);

fn product(random: &mut SplitMix, subject: &Subject) -> Made {
    let title = format!("{} {}（{}型）产品说明", subject.product, subject.machine, subject.scenario);
    let mut body =
        format!("{}\n\n## 参数\n\n| 参数 | 数值 |\n| --- | --- |\n", text(random, subject, &SOLUTIONS, 2));
    for (attribute, unit) in some(random, &ATTRIBUTES, 7) {
        let _ = writeln!(body, "| {attribute} | {} {unit} |", number(random));
    }
    section(&mut body, "安装与使用", &text(random, subject, &TERMS, 4));
    section(&mut body, "适用场景", &text(random, subject, &PROBLEMS, 3));
    ("product", "products", title, body)
}

fn case(random: &mut SplitMix, subject: &Subject) -> Made {
    let title = format!("{}{}{}案例", subject.customer, subject.industry, subject.scenario);
    let mut body = String::new();
    section(&mut body, "客户与问题", &text(random, subject, &PROBLEMS, 4));
    section(&mut body, "方案", &text(random, subject, &SOLUTIONS, 4));
    section(&mut body, "效果", &text(random, subject, &RESULTS, 4));
    ("case", "cases", title, body)
}

fn faq(random: &mut SplitMix, subject: &Subject) -> Made {
    let title = format!("{} {}常见问题", subject.product, subject.machine);
    let mut body = String::new();
    for question in some(
        random,
        &["交期多久", "质保怎么算", "场地要求是什么", "能不能寄样测试", "换型要多久", "价格包含什么"],
        4,
    ) {
        section(&mut body, &format!("{}的{question}？", subject.product), &text(random, subject, &TERMS, 2));
    }
    ("faq", "faqs", title, body)
}

fn service(random: &mut SplitMix, subject: &Subject) -> Made {
    let title = format!("{}{}服务手册", subject.industry, subject.machine);
    let mut body = String::new();
    section(&mut body, "交付", &text(random, subject, &TERMS, 3));
    section(&mut body, "培训", &text(random, subject, &SOLUTIONS, 3));
    section(&mut body, "维保", &text(random, subject, &TERMS, 3));
    ("service", "service", title, body)
}

fn objection(random: &mut SplitMix, subject: &Subject) -> Made {
    let title = format!("{}客户谈 {} 时的异议应对", subject.industry, subject.product);
    let mut body = String::new();
    section(&mut body, "嫌价格高", &text(random, subject, &OBJECTIONS, 3));
    section(&mut body, "担心停产与售后", &text(random, subject, &OBJECTIONS, 3));
    section(&mut body, "可用的证据", &text(random, subject, &RESULTS, 3));
    ("objection", "objections", title, body)
}

fn template(random: &mut SplitMix, subject: &Subject) -> Made {
    let title = format!("{}{}方案书模板", subject.customer, subject.machine);
    let mut body = String::new();
    section(&mut body, "背景", &text(random, subject, &PROBLEMS, 3));
    section(&mut body, "建议方案", &text(random, subject, &SOLUTIONS, 3));
    section(&mut body, "商务条款", &text(random, subject, &TERMS, 3));
    ("template", "templates", title, body)
}

fn company(random: &mut SplitMix, subject: &Subject) -> Made {
    let (year, month) = (2019 + random.below(8), 1 + random.below(12));
    let title = format!("{year} 年 {month} 月{}行业动态：{}", subject.industry, subject.customer);
    let mut body = String::new();
    section(&mut body, "背景", &text(random, subject, &PROBLEMS, 3));
    section(&mut body, "进展", &text(random, subject, &RESULTS, 4));
    ("company", "company", title, body)
}

fn section(body: &mut String, heading: &str, text: &str) {
    let _ = write!(body, "{}## {heading}\n\n{text}\n", if body.is_empty() { "" } else { "\n" });
}

/// `n` different values in a new order.
fn some<T: Copy>(random: &mut SplitMix, values: &[T], n: usize) -> Vec<T> {
    let mut left = values.to_vec();
    let mut chosen = Vec::with_capacity(n);
    while chosen.len() < n && !left.is_empty() {
        chosen.push(left.swap_remove(random.below(left.len() as u64) as usize));
    }
    chosen
}

fn text(random: &mut SplitMix, subject: &Subject, stock: &[&str], n: usize) -> String {
    let mut text = String::new();
    for sentence in some(random, stock, n) {
        for c in sentence.chars() {
            match c {
                '#' => text.push_str(&number(random)),
                '@' => text.push_str(&subject.product),
                '$' => text.push_str(&subject.customer),
                '%' if text.ends_with(|c: char| c.is_ascii_digit()) => text.push('%'),
                '%' => text.push_str(subject.industry),
                '&' => text.push_str(subject.scenario),
                c => text.push(c),
            }
        }
    }
    text
}

fn number(random: &mut SplitMix) -> String {
    match random.below(4) {
        0 => format!("{}.{}", 1 + random.below(40), 1 + random.below(9)),
        1 => (10 * (1 + random.below(400))).to_string(),
        _ => (2 + random.below(97)).to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn a_file_is_the_same_every_time_and_like_no_other() {
        let files: Vec<MadeFile> = (0..400).map(file).collect();
        let texts: HashSet<&str> = files.iter().map(|file| file.text.as_str()).collect();
        let paths: HashSet<&str> = files.iter().map(|file| file.path.as_str()).collect();
        assert_eq!((texts.len(), paths.len()), (400, 400));
        assert_eq!(file(7).text, files[7].text);
    }

    #[test]
    fn no_place_is_left_open() {
        for number in 0..200 {
            let MadeFile { path, text } = file(number);
            let body =
                text.rsplit_once("---\n").map_or("", |(_, body)| body).replace("# ", "").replace('#', "");
            assert!(!body.contains(['@', '$', '&']), "{path}: {text}");
        }
    }
}
