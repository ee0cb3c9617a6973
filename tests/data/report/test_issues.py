import json
from dataclasses import dataclass

import numpy as np

from unrolled.data.report.charts import Bars
from unrolled.data.report.issues import Issue, IssueExample, Report, spread, table

FINDING = Issue("odd rows", 2, "2 rows are odd", (IssueExample("a.csv, line 3", "odd"),), "mend them")


@dataclass(frozen=True)
class Small(Report):
    issues: tuple[Issue, ...] = ()
    problem: str | None = None

    def lines(self):
        yield "small data"

    def panels(self):
        return [Bars("rows", {"all": {"train": 2}})]


def test_a_report_ends_with_its_findings():
    assert Small((FINDING,)).text().splitlines() == [
        "small data", "", "issues:", "  odd rows: 2 rows are odd", "    a.csv, line 3: odd", "    do: mend them",
    ]  # fmt: skip
    assert Small().text() == "small data\n\nissues: none"
    assert Small(problem="no column").text() == "small data"


def test_a_report_is_json_and_a_picture():
    values = json.loads(json.dumps(Small((FINDING,)).to_dict()))
    assert values["issues"][0]["witnesses"] == [{"where": "a.csv, line 3", "row": "odd"}]
    assert ">all</text>" in Small().picture()


def test_what_reports_share():
    assert spread(np.arange(21)) == {"min": 0, "median": 10, "mean": 10, "95 %": 19, "max": 20}
    lines = list(table([["", "train", "test"], ["rows", "1,000", "20"]]))
    assert lines == [" " * 41 + "train" + " " * 8 + "test", "rows" + " " * 37 + "1,000" + " " * 10 + "20"]
