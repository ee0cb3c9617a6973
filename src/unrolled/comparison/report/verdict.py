"""The verdict of a comparison: at most three sentences, made from its numbers."""

from __future__ import annotations

from typing import Any

from unrolled.comparison.report.figures import compact, unit_of

__all__ = ["verdict"]

Report = dict[str, Any]


def verdict(found: Report) -> list[str]:
    """Return the sentences: the best model and the others, the baseline, the price."""
    if found["best"] is None:
        return ["No training ended with a figure, so nothing can be compared."]
    return [sentence for sentence in (_best(found), _baseline(found), _price(found)) if sentence]


def _entry(found: Report, label: str) -> Report:
    return next(each for each in found["models"] if each["label"] == label)


def _best(found: Report) -> str:
    """Return the sentence on the best model, and on those that are not shown to be worse."""
    unit, best = unit_of(found["figure"]), _entry(found, found["best"])
    tested = [each for each in found["differences"] if each["tested"]]
    unknown = [each["second"] for each in tested if each["p"] is None]
    shown = [each["second"] for each in tested if each.get("shown")]
    open_ = [each["second"] for each in tested if each["p"] is not None and not each["shown"]]
    if not tested:
        return f"{best['label']} is the only model with a figure: {unit.name} {unit.value(best['mean'])}."
    head = f"{best['label']} has the best {unit.name}, {unit.value(best['mean'])}"
    if len(unknown) == len(tested):
        return f"{head}; {_reason(found)} no interval can be given, so no difference is shown."
    if len(shown) == len(tested):
        return f"{head}, and is shown to be better than {_listed(shown)}."
    rest = [f"it is shown to be better than {_listed(shown)}"] if shown else []
    rest += [f"a difference from {_listed(open_)} is not shown"] if open_ else []
    rest += [f"{_reason(found)} no interval can be given for the difference from {_listed(unknown)}"] if unknown else []
    return f"{'; '.join([head, *rest])}."


def _reason(found: Report) -> str:
    """Return why some differences have no interval, in words."""
    if found["examples"] == 1:
        return "with one test example"
    one_each = all(len(each["means"]) <= 1 for each in found["models"])
    return "with one seed" if one_each else "with fewer than two seeds in common"


def _baseline(found: Report) -> str:
    """Return the sentence on the best baseline."""
    against = found["against_baselines"]
    if not against:
        return ""
    unit = unit_of(found["figure"])
    name = against[0]["baseline"]
    mean = next(each["mean"] for each in found["baselines"] if each["name"] == name)
    head = f"The best baseline, {name}, has {unit.value(mean)}"
    known = [each for each in against if each["p"] is not None]
    if not known:
        return f"{head}."
    better = [each["model"] for each in known if each["shown"] and each["mean"] > 0]
    worse = [each["model"] for each in known if each["shown"] and each["mean"] < 0]
    parts = [f"{_listed(better)} {'is' if len(better) == 1 else 'are'} shown to be better"] if better else []
    parts += [f"{_listed(worse)} {'is' if len(worse) == 1 else 'are'} shown to be worse"] if worse else []
    return f"{head}; {', '.join(parts) if parts else 'no model is shown to be better'}."


def _price(found: Report) -> str:
    """Return the sentence on the cheapest model among those not shown to be worse than the best."""
    worse = {each["second"] for each in found["differences"] if each["tested"] and each.get("shown")}
    good = [each for each in found["models"] if each["mean"] is not None and each["label"] not in worse]
    times = {
        label: each["token_milliseconds"]
        for label, each in found["measured"]["models"].items()
        if each.get("token_milliseconds") is not None
    }
    good = [each for each in good if each["label"] in times]
    if not good:
        return ""
    fastest = min(good, key=lambda each: times[each["label"]])
    said = f"{times[fastest['label']]:.3g} ms a token and {compact(fastest['parameters'])} parameters"
    if len(good) == 1:
        return f"It answers in {said}." if fastest["label"] == found["best"] else ""
    return f"Of those not shown to be worse, {fastest['label']} answers fastest here: {said}."


def _listed(names: list[str]) -> str:
    """Return names in words: a, b and c."""
    return names[0] if len(names) == 1 else f"{', '.join(names[:-1])} and {names[-1]}" if names else "no other"
