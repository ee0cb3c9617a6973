"""A client of `unrolled serve`: answers, a stream, and a session that is forked."""

import json
import sys
import urllib.error
import urllib.request

SERVER = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000"


def ask(path: str, body: object = None) -> urllib.request.addinfourl:
    data = None if body is None else json.dumps(body).encode()
    try:
        return urllib.request.urlopen(urllib.request.Request(SERVER + path, data, {"Content-Type": "application/json"}))
    except urllib.error.HTTPError as error:
        raise SystemExit(json.load(error)["error"]) from None


for run in json.load(ask("/v1/runs"))["runs"]:
    print(run["name"], run["task"], run["model"])
    if run["task"] == "classify":
        print(json.load(ask(f"/v1/runs/{run['name']}/decode", {"inputs": "a warm film", "top": 1}))["answers"])
    if run["task"] == "generate":
        for line in ask(f"/v1/runs/{run['name']}/stream", {"input": "the", "length": 20}):
            print(line.decode().rstrip())
        one = json.load(ask(f"/v1/runs/{run['name']}/sessions", {}))["session"]
        print(json.load(ask(f"/v1/sessions/{one}/steps", {"text": "the"}))["replies"][-1]["next"])
        two = json.load(ask(f"/v1/sessions/{one}/fork", {}))["session"]  # two continuations of one state
        print([json.load(ask(f"/v1/sessions/{each}/write", {"length": 5}))["text"] for each in (one, two)])
