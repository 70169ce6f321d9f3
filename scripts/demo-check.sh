#!/usr/bin/env bash
# Runs the demo for a while as its users do, and looks with other eyes (Python's sqlite3) at what it
# left: rows of several devices, an alert that fired, an account that adds up. Prints what it saw.
set -euo pipefail
cd "$(dirname "$0")/.."

folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT

make demo PROFILE="${PROFILE:-dev}" \
    DEMO_ARGS="--duration ${DURATION:-20s} --data $folder/data --listen 127.0.0.1:0 --json" \
    | tee "$folder/output"

python3 - "$folder" <<'PYTHON'
import json, pathlib, sqlite3, sys

folder = pathlib.Path(sys.argv[1])
database = sqlite3.connect(f"file:{folder}/data/millrace.db?mode=ro", uri=True)

def ask(query):
    return database.execute(query).fetchone()[0]

rows = ask("select count(*) from telemetry")
devices = ask("select count(distinct device) from telemetry")
fired = ask("select count(*) from alert_events where state = 'firing'")
print(f"seen in the database: {rows} rows of {devices} devices, {fired} alerts fired")

# The report is the last JSON document that the demo prints.
output = (folder / "output").read_text()
report = json.loads(output[output.index("{"):])
account = report["account"]
print("account:", json.dumps(account))
total = sum(account[key] for key in ("stored", "filtered", "dead_lettered", "pending"))

problems = []
if rows == 0: problems.append("no rows")
if devices < 2: problems.append("fewer than two devices")
if fired == 0: problems.append("no alert fired")
if account["received"] != total: problems.append("the account does not add up")
if account["pending"] != 0: problems.append("messages are pending after the drain")
# Exactly once: a sample is a row when its message was acknowledged, and never twice.
if rows != report["simulator"]["samples_acknowledged"]:
    problems.append(f"{report['simulator']['samples_acknowledged']} samples were acknowledged")
for problem in problems:
    print(f"error: {problem}", file=sys.stderr)
sys.exit(1 if problems else 0)
PYTHON
