"""Rewrites a job in odd but legal ways, each switched on by its name."""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, Literal

type Row = dict[str, Any]

type JobOddity = Literal[
    "annotations",
    "countsAsFloats",
    "countsAsText",
    "countsAreTrue",
    "countsNull",
    "countsTwice",
    "countsWithoutValue",
    "emptyDates",
    "moreDoneThanTotal",
    "nullLists",
    "numbersAsText",
    "otherCase",
    "overflowingOffset",
    "reasonList",
    "succeededDespiteFailures",
    "timeEndedIsNoDate",
    "underflowingOffset",
    "unknownWords",
    "usDate",
    "usDates",
    "withoutExecution",
    "withoutQuarantine",
    "withoutSchedule",
    "withoutStatus",
    "yearOneBegan",
]

NEVER: Final = "0001-01-01T00:00:00Z"
_DATES: Final = frozenset(
    {
        "currentBegan",
        "expiration",
        "nextAttempt",
        "progressObservationDateTime",
        "seriesBegan",
        "steadyStateFirstAchievedTime",
        "steadyStateLastAchievedTime",
        "timeBegan",
        "timeEnded",
    }
)
_COUNTS: Final = "synchronizedEntryCountByType"


def odd_job(row: Row, oddities: Iterable[JobOddity]) -> Row:
    """Write *row* with all of *oddities*."""
    for name in oddities:
        row = JOB_ODDITIES[name](row)
    return row


def mapped(value: Any, change: Callable[[str, Any], Any], name: str = "") -> Any:
    """Rebuild JSON with *change* applied to every leaf, which is told its member's name."""
    match value:
        case dict():
            return {key: mapped(member, change, key) for key, member in value.items()}
        case list():
            return [mapped(member, change, name) for member in value]
        case _:
            return change(name, value)


def leaves(change: Callable[[str, Any], Any]) -> Callable[[Row], Row]:
    return lambda row: mapped(row, change)


def _dates(change: Callable[[str], str]) -> Callable[[Row], Row]:
    def leaf(name: str, value: Any) -> Any:
        return change(value) if name in _DATES and isinstance(value, str) else value

    return leaves(leaf)


def _us(text: str) -> str:
    date, _, time = text.partition("T")
    year, month, day = date.split("-")
    hour, minute, second = time[:8].split(":")
    half = "PM" if int(hour) >= 12 else "AM"
    return f"{int(month)}/{int(day)}/{year} {int(hour) % 12 or 12}:{minute}:{second} {half}"


def _number_as_text(_: str, value: Any) -> Any:
    return str(value) if isinstance(value, int) and not isinstance(value, bool) else value


_WORDS: Final = frozenset({"code", "reason", "state"})


def _upper_word(name: str, value: Any) -> Any:
    return value.upper() if name in _WORDS and isinstance(value, str) else value


def _unknown_word(name: str, value: Any) -> Any:
    return "BrandNew" if name in _WORDS and isinstance(value, str) else value


def within(path: str, change: Callable[[Row], Row]) -> Callable[[Row], Row]:
    """Apply *change* to the object at *path*; where there is none the row stays."""

    def at(row: Row, names: list[str]) -> Row:
        if not names:
            return change(row)
        inner = row.get(names[0])
        return row | {names[0]: at(inner, names[1:])} if isinstance(inner, dict) else row

    return lambda row: at(row, path.split("."))


def _set(path: str, **members: Any) -> Callable[[Row], Row]:
    return within(path, lambda row: row | members)


def _without(path: str, name: str) -> Callable[[Row], Row]:
    def change(row: Row) -> Row:
        return {key: value for key, value in row.items() if key != name}

    return within(path, change) if path else change


def _counts(change: Callable[[Row], list[Row]]) -> Callable[[Row], Row]:
    def status(row: Row) -> Row:
        return row | {_COUNTS: [new for count in row.get(_COUNTS, []) for new in change(count)]}

    return within("status", status)


def _twice(count: Row) -> list[Row]:
    half = count["value"] // 2
    return [count | {"value": half}, count | {"value": count["value"] - half}]


def _annotated(row: Row) -> Row:
    status = row["status"] | {
        "@odata.type": "#microsoft.graph.synchronizationStatus",
        "futureMember": {"nested": [1, 2]},
    }
    counts = [
        count | {"@odata.type": "microsoft.graph.stringKeyLongValuePair"}
        for count in row["status"].get(_COUNTS, [])
    ]
    return row | {"@odata.etag": 'W/"1"', "status": status | {_COUNTS: counts}}


def _reason_list(row: Row) -> Row:
    return row | {"reason": f"TooManyDeletes, {row['reason']}"}


def _progress(row: Row) -> Row:
    progress = [
        unit | {"completedUnits": 14, "totalUnits": 10, "units": "Units value"}
        for unit in row["progress"]
    ]
    return row | {"progress": progress}


JOB_ODDITIES: Final[Mapping[JobOddity, Callable[[Row], Row]]] = {
    "annotations": _annotated,
    "countsAsFloats": _counts(lambda count: [count | {"value": float(count["value"])}]),
    "countsAsText": _counts(lambda count: [count | {"value": str(count["value"])}]),
    "countsAreTrue": _counts(lambda count: [count | {"value": True}]),
    "countsNull": _counts(lambda count: [count | {"value": None}]),
    "countsTwice": _counts(_twice),
    "countsWithoutValue": _counts(lambda count: [{"key": count["key"]}]),
    "emptyDates": _dates(lambda text: "" if text == NEVER else text),
    "moreDoneThanTotal": within("status", _progress),
    "nullLists": _set("status", progress=None, synchronizedEntryCountByType=None),
    "numbersAsText": leaves(_number_as_text),
    "otherCase": leaves(_upper_word),
    "overflowingOffset": _set("schedule", expiration="9999-12-31T23:59:59-08:00"),
    "reasonList": within("status.quarantine", _reason_list),
    "succeededDespiteFailures": _set("status.lastExecution", state="Succeeded"),
    "timeEndedIsNoDate": _set("status.lastExecution", timeEnded="yesterday"),
    "underflowingOffset": _dates(
        lambda text: "0001-01-01T00:00:00+08:00" if text == NEVER else text
    ),
    "unknownWords": leaves(_unknown_word),
    "usDate": _set("schedule", expiration="12/31/9999 11:59:59 PM"),
    "usDates": _dates(_us),
    "withoutExecution": _set("status", lastExecution=None),
    "withoutQuarantine": _without("status", "quarantine"),
    "withoutSchedule": _without("", "schedule"),
    "withoutStatus": _without("", "status"),
    "yearOneBegan": _set("status.lastExecution", timeBegan=NEVER),
}
