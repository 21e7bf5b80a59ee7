"""What a task of Flow knows, and what it can say about itself.

    import flow

    region = flow.params["region"]
    day = flow.context.logical_date          # an aware datetime; None in a run without one
    orders = flow.xcom("extract")            # what another task of this run has left
    warehouse = flow.conn("warehouse")       # warehouse.host, warehouse.password ...
    flow.push("rows", len(orders))           # a named value for other tasks
    if not orders:
        flow.skip("no orders")               # ends the task here: skipped
    flow.fail("no such region", retry=False) # ends the task here: failed

Values are JSON: what is pushed or returned may hold texts, numbers, booleans, None, lists, tuples and dicts; dates and
times (as ISO 8601), UUIDs, paths and Decimals (as text), dataclasses (as dicts). Everything else is refused.

Nothing of it travels in a command line or a file: the module talks to the worker that has started the task. It needs
Python 3.9 or newer, and nothing else.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import json
import os
import pathlib
import random
import socket
import time
import uuid
from typing import Any, Dict, Iterator, List, Mapping, NoReturn, Optional, Sequence, Union

__all__ = [
    "Connection",
    "Context",
    "Fail",
    "FlowError",
    "Macros",
    "NotFound",
    "Skip",
    "TaskInstance",
    "conn",
    "context",
    "fail",
    "params",
    "push",
    "skip",
    "var",
    "xcom",
]

params: Dict[str, Any]
"""The DAG's params with what the trigger passed, and the task's own."""

context: "Context"
"""What templates know, under the same names: `flow.context.ds`, `flow.context["run_id"]`."""

_MISSING: Any = object()
_DATES = ("logical_date", "data_interval_start", "data_interval_end", "run_after", "start_date", "end_date")
_PREVIOUS = (
    "prev_data_interval_start_success",
    "prev_data_interval_end_success",
    "prev_start_date_success",
    "prev_end_date_success",
)
_started: Optional[Dict[str, Any]] = None


class FlowError(Exception):
    """Something was asked that cannot be answered."""


class NotFound(FlowError, LookupError):
    """There is no such value, connection or variable."""


class Skip(BaseException):
    """Ends the task as skipped. It is no `Exception`, so that `except Exception` lets it pass."""

    def __init__(self, reason: str = "") -> None:
        super().__init__(reason)
        self.reason = reason


class Fail(BaseException):
    """Ends the task as failed. It is no `Exception`, so that `except Exception` lets it pass."""

    def __init__(self, reason: str, retry: bool = True) -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry = retry


class Record(Mapping[str, Any]):
    """Fields, to be had as attributes and by name."""

    def __init__(self, fields: Mapping[str, Any]) -> None:
        self._fields: Dict[str, Any] = {name: _dated(name, value) for name, value in fields.items()}

    def __getattr__(self, name: str) -> Any:
        try:
            return self.__dict__["_fields"][name]
        except KeyError:
            raise AttributeError(f"there is no `{name}` here; there are {', '.join(self)}") from None

    def __getitem__(self, name: str) -> Any:
        return self._fields[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._fields)

    def __len__(self) -> int:
        return len(self._fields)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._fields!r})"


class TaskInstance(Record):
    """This try of this task: `task_id`, `dag_id`, `run_id`, `try_number`, `max_tries`, `map_index`."""

    def xcom_pull(
        self,
        task_ids: Union[str, Sequence[str]],
        key: str = "return_value",
        default: Any = None,
        map_indexes: Union[int, Sequence[int], None] = None,
        run_id: Optional[str] = None,
        include_prior_dates: bool = False,
    ) -> Any:
        """The value that a task has left, or a list of them for a list of tasks; `default` where there is none."""
        pull = {"map_indexes": map_indexes, "run_id": run_id, "include_prior_dates": include_prior_dates}
        if isinstance(task_ids, str):
            return xcom(task_ids, key, default, **pull)
        return [xcom(task_id, key, default, **pull) for task_id in task_ids]

    def xcom_push(self, key: str, value: Any) -> None:
        """As `flow.push`."""
        push(key, value)


class Context(Record):
    """Airflow's names for what a task knows; dates are aware datetimes in UTC."""

    _previous: Optional[Dict[str, Any]] = None

    def __getattr__(self, name: str) -> Any:
        return self[name] if name in _PREVIOUS else super().__getattr__(name)

    def __getitem__(self, name: str) -> Any:
        if name not in _PREVIOUS:
            return super().__getitem__(name)
        # Only who wants to know them costs the database a question.
        if self._previous is None:
            dates = _ask("previous")
            self._previous = {f"prev_{field}_success": _date(dates[field]) for field in dates}
        return self._previous[name]

    def __iter__(self) -> Iterator[str]:
        yield from self._fields
        yield from _PREVIOUS

    def __len__(self) -> int:
        return len(self._fields) + len(_PREVIOUS)


class Macros:
    """What templates have as `macros`: of Python itself, as Airflow hands it to templates."""

    # In this order: from the second on, the name means the class here.
    timedelta = datetime.timedelta
    datetime = datetime.datetime
    time = time
    uuid = uuid
    json = json
    random = staticmethod(random.random)

    @property
    def dateutil(self) -> Any:
        """The package, where it is installed."""
        _needed("dateutil.parser", "python-dateutil")
        _needed("dateutil.relativedelta", "python-dateutil")
        return _needed("dateutil.tz", "python-dateutil")

    @staticmethod
    def ds_add(ds: str, days: int) -> str:
        """A day (YYYY-MM-DD), days later."""
        return (datetime.date.fromisoformat(ds) + datetime.timedelta(days)).isoformat()

    @staticmethod
    def ds_format(ds: str, input_format: str, output_format: str) -> str:
        """A date written in another way."""
        return datetime.datetime.strptime(str(ds), input_format).strftime(output_format)

    @staticmethod
    def ds_format_locale(ds: str, input_format: str, output_format: str, locale: Optional[str] = None) -> str:
        """A date in the words of a language, by CLDR's patterns. It takes the package `babel`."""
        _needed("babel.dates", "babel")
        from babel.dates import format_datetime

        day = datetime.datetime.strptime(str(ds), input_format)
        return str(format_datetime(day, format=output_format, locale=locale or "en_US"))

    @staticmethod
    def datetime_diff_for_humans(dt: Any, since: Optional[datetime.datetime] = None) -> str:
        """`3 days before`. It takes the package `pendulum`."""
        pendulum = _needed("pendulum", "pendulum")
        at = pendulum.instance(dt)
        return str(at.diff_for_humans() if since is None else at.diff_for_humans(pendulum.instance(since)))

    def __repr__(self) -> str:
        return "macros"


def _needed(module: str, package: str) -> Any:
    import importlib

    try:
        importlib.import_module(module)
    except ImportError:
        raise FlowError(f"this Python has no `{module}`\nhint: name `{package}` in `requirements`") from None
    return importlib.import_module(module.partition(".")[0])


class Connection(Record):
    """A connection: `conn_id`, `conn_type`, `host`, `port`, `login`, `password`, `schema`, `extra` (text), `extra_dejson`."""

    def get_uri(self) -> str:
        """Everything in one text, as drivers want it."""
        return str(self._fields["uri"])

    def __repr__(self) -> str:
        return f"<Connection {self._fields['conn_id']}>"

    __str__ = __repr__


class _Variables:
    def __init__(self, is_json: bool) -> None:
        self._is_json = is_json

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self.get(name)

    def get(self, key: str, default: Any = _MISSING) -> Any:
        return var(key, default, is_json=self._is_json)


class _Connections:
    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return conn(name)

    def get(self, conn_id: str, default: Any = _MISSING) -> Any:
        try:
            return conn(conn_id)
        except NotFound:
            if default is _MISSING:
                raise
            return default


def xcom(
    task_id: str,
    key: str = "return_value",
    default: Any = _MISSING,
    *,
    map_indexes: Union[int, Sequence[int], None] = None,
    run_id: Optional[str] = None,
    include_prior_dates: bool = False,
) -> Any:
    """The value that a task has left under a key: its output, unless another key is named.

    Of a mapped task it is the list of what all instances have left. `map_indexes` asks for one of them, or some;
    `run_id` for another run of this DAG; `include_prior_dates` for the newest run of an earlier logical date that has one.
    Raises `NotFound` where there is none and no `default` is given.
    """
    indexes = list(map_indexes) if isinstance(map_indexes, (list, tuple)) else map_indexes
    answer = _ask(
        "xcom",
        task_id=task_id,
        key=key,
        map_indexes=indexes,
        run_id=run_id,
        include_prior_dates=include_prior_dates,
    )
    if answer["found"]:
        return answer["value"]
    if default is _MISSING:
        raise NotFound(answer["why"])
    return default


def push(key: str, value: Any) -> None:
    """Leaves a value for other tasks. One that is named `return_value` is the task's output."""
    _ask("push", key=key, value=value)


def conn(conn_id: str) -> Connection:
    """A connection. What is secret of it is hidden in the task's log from now on. Raises `NotFound`."""
    answer = _ask("conn", name=conn_id)
    if not answer["found"]:
        raise NotFound(answer["why"])
    return Connection(answer["value"])


def var(key: str, default: Any = _MISSING, *, is_json: bool = False) -> Any:
    """A variable's text, or with `is_json` what it says. Raises `NotFound` where there is none and no `default` is given."""
    answer = _ask("var", name=key)
    if answer["found"]:
        return json.loads(answer["value"]) if is_json else answer["value"]
    if default is _MISSING:
        raise NotFound(answer["why"])
    return default


def skip(reason: str = "") -> NoReturn:
    """Ends the task here, as skipped."""
    raise Skip(reason)


def fail(reason: str, retry: bool = True) -> NoReturn:
    """Ends the task here, as failed. With `retry=False` it is not tried again, whatever its `retries` say."""
    raise Fail(reason, retry)


def __getattr__(name: str) -> Any:
    # Asked for only when they are used: a script that needs neither costs no question.
    if name == "params":
        return _start()["params"]
    if name == "context":
        return _start()["context"]
    raise AttributeError(f"module 'flow' has no attribute {name!r}")


def _start() -> Dict[str, Any]:
    global _started
    if _started is None:
        answer = _ask("start")
        fields = dict(answer["context"])
        ti = TaskInstance(fields["ti"])
        for name in ("dag", "dag_run", "task"):
            fields[name] = Record(fields[name])
        fields["var"] = Record({"value": _Variables(False), "json": _Variables(True)})
        fields.update(ti=ti, task_instance=ti, conn=_Connections(), macros=Macros())
        answer["context"] = Context(fields)
        answer["params"] = fields["params"]
        _started = answer
    return _started


def _ask(what: str, **details: Any) -> Any:
    path = os.environ.get("FLOW_SOCKET")
    if not path:
        raise FlowError(f"`flow` cannot answer here ({what}): this process is no Python task of Flow")
    question = _text({"ask": what, **details}).encode("utf-8", "strict")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
        _connect(channel, path)
        channel.sendall(question)
        channel.shutdown(socket.SHUT_WR)
        answer = json.loads(b"".join(iter(lambda: channel.recv(1 << 16), b"")) or b"{}")
    if "error" in answer:
        raise FlowError(answer["error"])
    if "ok" not in answer:
        raise FlowError("the worker has ended this try: nothing is answered any more")
    return answer["ok"]


def _connect(channel: socket.socket, path: str) -> None:
    # The name of a socket has 107 bytes at most, a folder's may have more.
    folder = os.open(os.path.dirname(path), os.O_PATH | os.O_DIRECTORY)
    try:
        channel.connect(f"/proc/self/fd/{folder}/{os.path.basename(path)}")
    finally:
        os.close(folder)


def _text(value: Any) -> str:
    try:
        text = json.dumps(value, default=_plain, ensure_ascii=False, allow_nan=False, check_circular=True)
        text.encode("utf-8", "strict")
    except UnicodeEncodeError:
        raise ValueError("the value holds half of a surrogate pair, which is no text") from None
    except ValueError as error:
        if "JSON compliant" in str(error):
            raise ValueError("the value holds NaN or an infinity, which JSON does not have; leave None instead") from None
        raise ValueError(f"the value is not JSON: {error}") from None
    except RecursionError:
        raise ValueError("the value is nested too deeply to be JSON") from None
    return text


def _plain(value: Any) -> Any:
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, (uuid.UUID, pathlib.PurePath, decimal.Decimal)):
        return str(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return dataclasses.asdict(value)
    if isinstance(value, Mapping):
        return dict(value)
    kind = type(value)
    name = kind.__qualname__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__qualname__}"
    raise TypeError(f"a value of type `{name}` is not JSON; make it of texts, numbers, lists and dicts")


def _dated(name: str, value: Any) -> Any:
    return _date(value) if name in _DATES else value


def _date(value: Any) -> Any:
    return datetime.datetime.fromisoformat(value) if isinstance(value, str) else value


def _list(values: List[str]) -> str:
    return ", ".join(f"`{value}`" for value in values) or "none"
