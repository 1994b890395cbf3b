"""What the clients found, one JSON object a line, as Markdown; status 1 where something failed."""

import json
import sys
from collections import defaultdict

COLUMNS = {
    "OpenAI's protocol": {
        "models": "models",
        "answer": "answer",
        "citations": "citations",
        "stream": "stream",
        "usage": "usage of a stream",
        "conversation": "follow-up",
        "embeddings": "embeddings",
        "errors": "errors",
        "audience": "customers' key",
    },
    "Model Context Protocol": {
        "version": "version",
        "tools": "list of tools",
        "calls": "tools called",
        "complaint": "wrong arguments",
        "resources": "resources",
        "errors": "errors",
        "audience": "customers' key",
        "pipe": "standard input",
    },
}

found = [json.loads(line) for line in open(sys.argv[1], encoding="utf-8")]
rows = defaultdict(dict)
for check in found:
    rows[(check["protocol"], check["client"])][check["check"]] = check
failed = [check for check in found if not check["ok"]]
for protocol, columns in COLUMNS.items():
    print(f"| {protocol} | " + " | ".join(columns.values()) + " |")
    print("| --- |" + " --- |" * len(columns))
    for (of, client), checks in rows.items():
        if of != protocol:
            continue
        cells = [checks.get(column) for column in columns]
        words = ["–" if cell is None else (cell["note"] or "yes") if cell["ok"] else "**no**" for cell in cells]
        print(f"| {client} | " + " | ".join(words) + " |")
    print()
for check in failed:
    print(f"{check['client']}, {check['check']}: {check['note']}", file=sys.stderr)
sys.exit(1 if failed or not found else 0)
