import json
from dataclasses import dataclass

from unrolled.data.report.charts import Bars
from unrolled.data.report.issues import Issue, IssueExample, Report, location

ISSUE = Issue("odd rows", 2, "2 rows are odd", (IssueExample("a.csv, line 3", "odd"),), "mend them")


@dataclass(frozen=True)
class Small(Report):
    issues: tuple[Issue, ...] = ()
    problem: str | None = None

    def lines(self):
        yield "small data"

    def panels(self):
        return [Bars("rows", {"all": {"train": 2}})]


def test_a_report_ends_with_its_issues():
    assert Small((ISSUE,)).text().splitlines() == [
        "small data", "", "issues:", "  odd rows: 2 rows are odd", "    a.csv, line 3: odd", "    do: mend them",
    ]  # fmt: skip
    assert Small().text() == "small data\n\nissues: none"
    assert Small(problem="no column").text() == "small data"


def test_a_report_is_json_and_a_picture():
    values = json.loads(json.dumps(Small((ISSUE,)).to_dict()))
    assert values["issues"][0]["examples"] == [{"where": "a.csv, line 3", "row": "odd"}]
    assert ">all</text>" in Small().picture()


def test_the_location_of_a_row():
    assert location("a.csv", "line", 3) == "a.csv, line 3"
    assert location("python objects", "item", 0) == "item 0"
