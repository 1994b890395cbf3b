"""Compares `flightdeck extract` with markitdown on a folder of office files; see README.md.

What a file holds is read by a third party each: python-docx, python-pptx, openpyxl, the csv module and Beautiful Soup.
"""

import argparse
import csv
import io
import json
import multiprocessing
import pathlib
import re
import subprocess
import time

import bs4
import docx
import openpyxl
import pptx
from markitdown import MarkItDown

CHINESE = {"zh", "zh-encoding", "cjk", "pdf-cjk"}
LIMIT_SECONDS = 30


def squeezed(text):
    """`text` without what differs between two ways of writing the same: spaces, emphasis, escapes."""
    text = re.sub(r"\\([\\`*_{}\[\]()#+.!|<>~-])", r"\1", str(text))
    text = re.sub(r"<br ?/?>", "", text).replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    # A bar within a cell is written as the wide one by flightdeck.
    text = text.replace("｜", "|")
    return re.sub(r"[\s*_`\u200b]+", "", text)


# ---- what the files hold


def headings_of_word(path):
    for paragraph in docx.Document(path).paragraphs:
        style, level = paragraph.style, 0
        while style is not None and not level:
            level = bool(re.match(r"(?i)(heading|标题) ?\d|title$|标题$", style.name or ""))
            outline = style.element.find(".//{*}outlineLvl")
            level = level or (outline is not None and int(outline.values()[0]) < 9)
            style = style.base_style
        if level and paragraph.text.strip():
            yield paragraph.text


def rows_of_word(path):
    for table in docx.Document(path).tables:
        for row in table.rows:
            yield [cell.text for cell in row.cells]


def shapes_of(shapes):
    for shape in shapes:
        if shape.shape_type == 6:
            yield from shapes_of(shape.shapes)
        else:
            yield shape


def headings_of_slides(path):
    for slide in pptx.Presentation(path).slides:
        title = slide.shapes.title
        if title is not None and title.text_frame.text.strip():
            yield title.text_frame.text


def rows_of_slides(path):
    for slide in pptx.Presentation(path).slides:
        for shape in shapes_of(slide.shapes):
            if shape.has_table:
                for row in shape.table.rows:
                    yield [cell.text for cell in row.cells]


def rows_of_workbook(path):
    workbook = openpyxl.load_workbook(path, data_only=True)
    for sheet in workbook.worksheets:
        if sheet.sheet_state == "visible":
            for row in sheet.iter_rows(values_only=True):
                # How a number or a date is shown is the format's affair: only words are compared.
                yield [cell for cell in row if isinstance(cell, str)]


def soup_of(path):
    return bs4.BeautifulSoup(path.read_bytes(), "html.parser")


def headings_of_page(path):
    for heading in soup_of(path).find_all(re.compile("^h[1-6]$")):
        if heading.get_text().strip():
            yield heading.get_text()


def rows_of_page(path):
    for row in soup_of(path).find_all("tr"):
        if row.find("table") is None:
            yield [cell.get_text() for cell in row.find_all(["td", "th"])]


def rows_of_csv(path):
    raw = path.read_bytes()
    for encoding in ("utf-8-sig", "utf-16", "gb18030"):
        try:
            text = raw.decode(encoding)
            break
        except UnicodeError:
            continue
    first = text.splitlines()[0]
    yield from csv.reader(io.StringIO(text), delimiter=max(",;|\t", key=first.count))


HEADINGS = {".docx": headings_of_word, ".pptx": headings_of_slides, ".html": headings_of_page}
ROWS = {
    ".docx": rows_of_word,
    ".pptx": rows_of_slides,
    ".xlsx": rows_of_workbook,
    ".html": rows_of_page,
    ".csv": rows_of_csv,
}


def expected(readers, path):
    """What the reference finds; nothing where it cannot open the file."""
    reader = readers.get(path.suffix)
    try:
        return list(reader(path)) if reader else []
    except Exception:
        return []


# ---- what the two programs make of them


class Reading:
    """The text of a file, its headings, its rows, the seconds it took and why there is none."""

    def __init__(self, text="", headings=(), rows=(), seconds=0.0, reason=""):
        self.text, self.seconds, self.reason = text, seconds, reason
        self.squeezed = squeezed(text)
        self.headings = [squeezed(heading) for heading in headings]
        self.rows = [[squeezed(cell) for cell in row] for row in rows]


def by_flightdeck(program, path):
    begun = time.perf_counter()
    ran = subprocess.run([program, "extract", path, "--json"], capture_output=True, text=True, timeout=60)
    seconds = time.perf_counter() - begun
    found = json.loads(ran.stdout)
    reasons = ", ".join(sorted({warning["code"] for warning in found["warnings"]}))
    return Reading(
        found["text"],
        [section["title"] for section in found["sections"]],
        [row for table in found["tables"] for row in [table["header"], *table["rows"]]],
        seconds,
        reasons,
    )


def convert_what_comes(pipe):
    converter = MarkItDown()
    pipe.send("ready")
    while True:
        path = pipe.recv()
        begun = time.perf_counter()
        try:
            text, reason = converter.convert(path).text_content, ""
        except Exception as error:
            text, reason = "", type(error).__name__
        pipe.send((text, reason, time.perf_counter() - begun))


class Converter:
    """markitdown in a process that is ended when a file takes too long; its start and its imports are not counted."""

    def __init__(self):
        self.process = None

    def convert(self, path):
        if self.process is None:
            self.pipe, other = multiprocessing.Pipe()
            self.process = multiprocessing.Process(target=convert_what_comes, args=(other,), daemon=True)
            self.process.start()
            self.pipe.recv()
        self.pipe.send(path)
        if self.pipe.poll(LIMIT_SECONDS):
            return self.pipe.recv()
        self.process.kill()
        self.process = None
        return "", f"over {LIMIT_SECONDS} s", LIMIT_SECONDS


def by_markitdown(converter, path):
    text, reason, seconds = converter.convert(path)
    lines = text.splitlines()
    return Reading(
        text,
        [line.lstrip("#") for line in lines if line.startswith("#")],
        [re.split(r"(?<!\\)\|", line.strip().strip("|")) for line in lines if line.strip().startswith("|")],
        seconds,
        reason,
    )


def has_row(reading, cells):
    """Whether one row of a table holds these cells, in this order; a merged cell may come once or each time."""
    for row in reading.rows:
        rest = iter(row)
        if all(any(cell == other for other in rest) for cell in cells):
            return True
    return False


def cells_to_find(row):
    cells = []
    for cell in map(squeezed, row):
        if cell and (not cells or cells[-1] != cell):
            cells.append(cell)
    return cells


def main():
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--program", required=True)
    arguments.add_argument("--files", required=True, help="a folder with manifest.tsv and must_contain.tsv")
    arguments.add_argument("--details", action="store_true", help="name what each of the two did not find")
    arguments = arguments.parse_args()
    folder = pathlib.Path(arguments.files)
    kinds = dict(line.split("\t")[:2] for line in (folder / "manifest.tsv").read_text().splitlines()[1:])
    strings = {}
    for line in (folder / "must_contain.tsv").read_text().splitlines()[1:]:
        name, string = line.split("\t", 1)
        strings.setdefault(name, []).append(string)

    converter = Converter()
    ways = {
        "flightdeck": lambda path: by_flightdeck(arguments.program, path),
        "markitdown": lambda path: by_markitdown(converter, path),
    }
    measures = ("strings", "headings", "table rows")
    found = {way: {(m, zh): 0 for m in measures for zh in (False, True)} for way in ways}
    asked = {(m, zh): 0 for m in measures for zh in (False, True)}
    seconds = {way: [] for way in ways}
    silent = {way: [] for way in ways}
    for name, kind in sorted(kinds.items()):
        path, zh = folder / name, kind in CHINESE
        hostile = kind == "hostile"
        wanted_headings = [] if hostile else [squeezed(text) for text in expected(HEADINGS, path)]
        wanted_rows = [] if hostile else [cells_to_find(row) for row in expected(ROWS, path)]
        wanted_rows = [cells for cells in wanted_rows if len(cells) > 1]
        wanted = strings.get(name, [])
        asked["strings", zh] += len(wanted)
        asked["headings", zh] += len(wanted_headings)
        asked["table rows", zh] += len(wanted_rows)
        for way, read in ways.items():
            reading = read(path)
            if not hostile:
                seconds[way].append(reading.seconds)
            if hostile and not reading.reason and (reading.seconds > 10 or not reading.text.strip()):
                silent[way].append(name)
            if hostile and reading.seconds > 10:
                silent[way].append(f"{name} ({reading.seconds:.0f} s)")
            misses = []
            for measure, wants, is_there in (
                ("strings", wanted, lambda want: squeezed(want) in reading.squeezed),
                ("headings", wanted_headings, lambda want: want in reading.headings),
                ("table rows", wanted_rows, lambda want: has_row(reading, want)),
            ):
                missing = [want for want in wants if not is_there(want)]
                found[way][measure, zh] += len(wants) - len(missing)
                misses += [f"{measure}: {want}" for want in missing]
            if arguments.details and misses:
                print(f"{name}\t{way}\t{len(misses)}\t{misses[:4]}", flush=True)

    print("| | " + " | ".join(ways) + " |")
    print("| --- |" + " --- |" * len(ways))
    for measure in measures:
        for zh in (True, False):
            total = asked[measure, zh]
            shares = (f"{found[way][measure, zh]} of {total}" for way in ways)
            print(f"| {measure}, {'Chinese and Japanese' if zh else 'others'} | " + " | ".join(shares) + " |")
    ordered = {way: sorted(times) for way, times in seconds.items()}
    print("| seconds a file, median | " + " | ".join(f"{t[len(t) // 2]:.3f}" for t in ordered.values()) + " |")
    print("| seconds, all together | " + " | ".join(f"{sum(t):.1f}" for t in ordered.values()) + " |")
    print("| hostile files without text and reason, or over ten seconds | " + " | ".join(str(len(s)) for s in silent.values()) + " |")
    for way, names in silent.items():
        print(f"{way}: {', '.join(names) or 'none'}")


if __name__ == "__main__":
    main()
