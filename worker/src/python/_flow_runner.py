"""Runs a task's code as Python itself would, and tells the worker how it ended."""

from __future__ import annotations

import asyncio
import builtins
import difflib
import importlib
import inspect
import logging
import os
import sys
import traceback
import types
from typing import Any, Dict, List, NoReturn, Optional

import flow

_OURS = os.path.dirname(os.path.abspath(__file__)) + os.sep
_STDLIB = os.path.dirname(os.path.abspath(os.__file__)) + os.sep
_REASON_MAX = 1000


class _Unfit(Exception):
    """What a function has returned is no value. Its text is for people: there is no line of theirs to show."""


def main() -> NoReturn:
    kind, folder, home, shown, path, *args = sys.argv[1:]
    sys.dont_write_bytecode = True
    beside = os.path.dirname(path) if kind == "script" else home
    ours = _OURS.rstrip(os.sep)
    rest = [entry for entry in sys.path if os.path.abspath(entry or ".") != ours]
    # What is ours comes first, as the check has resolved it; Flow's own module is loaded already.
    sys.path[:] = list(dict.fromkeys([beside, home, folder])) + rest + [ours]
    names = _Names(folder, path, shown)
    _show_logging()
    try:
        if kind == "call":
            _call(path)
        else:
            _execute(path, args)
    except SystemExit as error:
        # A text is what Python prints, and ends with code 1.
        if error.code is not None and not isinstance(error.code, int):
            _tell("error", str(error.code))
        raise
    except flow.Skip as skip:
        _tell("skip", skip.reason)
        sys.exit(99)
    except flow.Fail as failure:
        _tell("fail", failure.reason, failure.retry)
        sys.exit(1)
    except _Unfit as error:
        _tell("error", str(error))
        sys.exit(1)
    except BaseException as error:
        names.print(error)
        _tell("error", _one_line(error, names) + _hint(error))
        sys.exit(1)
    sys.exit(0)


def _show_logging() -> None:
    # The last resort is what `logging` falls back to as long as nobody has set up a handler: whatever the author sets up
    # takes its place. A handler at the root would turn their `basicConfig` into one that does nothing.
    logging.getLogger().setLevel(logging.INFO)
    if logging.lastResort is not None:
        logging.lastResort.setLevel(logging.NOTSET)
        logging.lastResort.setFormatter(logging.Formatter(logging.BASIC_FORMAT))


def _execute(path: str, args: List[str]) -> None:
    module = types.ModuleType("__main__")
    module.__file__ = path
    module.__spec__ = None
    setattr(module, "__builtins__", builtins)
    sys.modules["__main__"] = module
    sys.argv = [path, *args]
    with open(path, "rb") as file:
        source = file.read()
    exec(compile(source, path, "exec", dont_inherit=True), module.__dict__)


def _call(target: str) -> None:
    sys.argv = [target]
    start = flow._start()
    module_name, _, name = target.partition(":")
    found: Any = importlib.import_module(module_name)
    for part in name.split("."):
        if not hasattr(found, part):
            near = difflib.get_close_matches(part, dir(found), 1)
            hint = f"did you mean `{near[0]}`?" if near else "define it there, or name another function in `call`"
            flow.fail(f"`{module_name}` has no `{name}`\nhint: {hint}", retry=False)
        found = getattr(found, part)
    if not callable(found):
        flow.fail(f"`{target}` is no function, but {type(found).__name__}", retry=False)
    arguments = _arguments(found, target, start["with"], start["context"])
    result = found(**arguments)
    if inspect.iscoroutine(result):
        result = asyncio.run(result)
    if result is not None:
        _return(target, result)


def _return(target: str, result: Any) -> None:
    try:
        flow._text(result)
    except (TypeError, ValueError) as error:
        what = f"`{target}` has returned a value of type `{type(result).__name__}` that cannot be JSON: {error}"
        raise _Unfit(f"{what}\nhint: {_instead(result)}") from None
    flow.push("return_value", result)


def _instead(result: Any) -> str:
    if isinstance(result, (set, frozenset)) or inspect.isgenerator(result):
        return "return a list: `return list(...)`"
    return "return texts, numbers, lists and dicts; keep the rest in a file or an object store, and return its place"


def _arguments(function: Any, target: str, given: Dict[str, Any], context: "flow.Context") -> Dict[str, Any]:
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        return given
    named = [p.name for p in parameters if p.kind in (p.POSITIONAL_OR_KEYWORD, p.KEYWORD_ONLY)]
    takes_all = any(p.kind == p.VAR_KEYWORD for p in parameters)
    positional = [p.name for p in parameters if p.kind == p.POSITIONAL_ONLY and p.default is p.empty]
    if positional:
        flow.fail(
            f"`{target}` takes {flow._list(positional)} by position only, and arguments are passed by name"
            "\nhint: remove the `/` from its signature",
            retry=False,
        )
    unknown = [name for name in given if name not in named]
    if unknown and not takes_all:
        near = difflib.get_close_matches(unknown[0], named, 1)
        hint = f"did you mean `{near[0]}`?" if near else f"it takes {flow._list(named)}"
        flow.fail(f"`{target}` takes no argument `{unknown[0]}`\nhint: {hint}", retry=False)
    arguments = {name: context[name] for name in context if takes_all or name in named}
    arguments.update(given)
    required = [p.name for p in parameters if p.name in named and p.default is p.empty]
    absent = [name for name in required if name not in arguments]
    if absent:
        flow.fail(
            f"`{target}` needs {flow._list(absent)}\nhint: give a value in `with`, or a default in the signature",
            retry=False,
        )
    return arguments


def _tell(kind: str, reason: str, retry: bool = True) -> None:
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            pass
    reason = str(reason).encode("utf-8", "replace").decode("utf-8")
    try:
        flow._ask("end", kind=kind, reason=reason, retry=retry)
    except (OSError, flow.FlowError):
        # The exit code says the rest.
        pass


def _one_line(error: BaseException, names: "_Names") -> str:
    kind = type(error)
    name = kind.__qualname__
    if kind.__module__ not in ("builtins", "__main__"):
        name = f"{kind.__module__}.{name}"
    try:
        text = str(error)
    except Exception:
        text = "<its text cannot be made>"
    if isinstance(error, SyntaxError) and error.filename:
        text = f"{error.msg} ({names.short(error.filename)}, line {error.lineno})"
    line = f"{name}: {text}" if text else name
    return line if len(line) <= _REASON_MAX else line[:_REASON_MAX] + "..."


def _hint(error: BaseException) -> str:
    """What helps with an error that comes from where tasks run, not from the code."""
    if isinstance(error, ModuleNotFoundError) and error.name:
        name = error.name.partition(".")[0]
        if name in sys.modules:
            return ""
        return (
            f"\nhint: name the package that has `{name}` in `requirements`; "
            "a module of yours that no `import` statement names belongs in `files`"
        )
    if isinstance(error, FileNotFoundError) and isinstance(error.filename, str) and not os.path.isabs(error.filename):
        frames = traceback.extract_tb(error.__traceback__)
        if frames and os.path.basename(frames[-1].filename) == "subprocess.py" and os.sep not in error.filename:
            return ""
        return (
            "\nhint: name a file of yours in `files`, by its path from the DAG file; "
            "of the DAG folder, tasks have what is named only"
        )
    return ""


def _foreign(stack: traceback.StackSummary) -> List[traceback.FrameSummary]:
    """Without Flow's own frames, and what they go through in Python's library: they say nothing about the author's code,
    neither above it nor below."""
    kept: List[traceback.FrameSummary] = []
    is_ours = False
    for frame in stack:
        name = frame.filename
        is_library = name.startswith("<frozen ") or (name.startswith(_STDLIB) and "-packages" not in name)
        is_ours = name.startswith(_OURS) or (is_ours and is_library)
        if not is_ours:
            kept.append(frame)
    return kept


class _Names:
    """Files as their author knows them: by their path in the DAG folder."""

    def __init__(self, folder: str, path: str, shown: str) -> None:
        self._folder = folder.rstrip(os.sep) + os.sep
        self._path = path
        self._shown = shown

    def short(self, filename: str) -> str:
        if filename == self._path and self._shown:
            return self._shown
        return filename[len(self._folder) :] if filename.startswith(self._folder) else filename

    def print(self, error: BaseException) -> None:
        shown = traceback.TracebackException.from_exception(error)
        self._trim(shown, set())
        # Without a line of the author's there is nothing to trace.
        is_alone = not shown.stack and shown.__cause__ is None and shown.__context__ is None
        lines = shown.format_exception_only() if is_alone else shown.format()
        print("".join(lines), end="", file=sys.stderr, flush=True)

    def _trim(self, shown: Optional[traceback.TracebackException], seen: set[int]) -> None:
        if shown is None or id(shown) in seen:
            return
        seen.add(id(shown))
        kept = _foreign(shown.stack)
        for frame in kept:
            # Read now: below the shorter name the line would not be found.
            frame.line
            frame.filename = self.short(frame.filename)
        shown.stack = traceback.StackSummary.from_list(kept)
        if getattr(shown, "filename", None):
            shown.filename = self.short(shown.filename)
        for other in (shown.__cause__, shown.__context__, *(getattr(shown, "exceptions", None) or ())):
            self._trim(other, seen)
