# /// script
# requires-python = "==3.11.*"
# dependencies = ["jinja2==3.1.6", "pendulum==3.1.0", "python-dateutil==2.9.0.post0", "babel==2.19.0"]
# ///
"""Renders templates with the real Jinja and the real pendulum, and writes down what comes out.

    uv run template/tests/record/expressions.py

`template/tests/recorded.rs` compares. What differs on purpose stands there, with the reason.
"""

import copy
import datetime
import itertools
import json
import random
import time
import uuid
from pathlib import Path
from types import SimpleNamespace

import babel.dates
import dateutil
import dateutil.parser
import dateutil.relativedelta
import dateutil.tz
import jinja2
import pendulum

HERE = Path(__file__).resolve().parent


def ds_add(ds, days):
    if not days:
        return str(ds)
    return (datetime.datetime.strptime(str(ds), "%Y-%m-%d") + datetime.timedelta(days)).strftime("%Y-%m-%d")


def ds_format(ds, input_format, output_format):
    return datetime.datetime.strptime(str(ds), input_format).strftime(output_format)


def ds_format_locale(ds, input_format, output_format, locale="en_US"):
    at = datetime.datetime.strptime(str(ds), input_format)
    return babel.dates.format_datetime(at, format=output_format, locale=locale)


def datetime_diff_for_humans(dt, since=None):
    return pendulum.instance(dt).diff_for_humans(since)


MACROS = SimpleNamespace(
    datetime=datetime.datetime, timedelta=datetime.timedelta, dateutil=dateutil, json=json, uuid=uuid, time=time,
    random=random.random, ds_add=ds_add, ds_format=ds_format, ds_format_locale=ds_format_locale,
    datetime_diff_for_humans=datetime_diff_for_humans,
)

CONTEXT = {
    "macros": MACROS,
    "ds": "2026-03-05",
    "dt": pendulum.datetime(2026, 3, 5, 6, 30),
    "micro": pendulum.datetime(2026, 12, 31, 23, 59, 58, 120456),
    "sthlm": pendulum.datetime(2026, 3, 5, 6, 30).in_timezone("Europe/Stockholm"),
    "ny": pendulum.datetime(2026, 3, 5, 6, 30).in_timezone("America/New_York"),
    "kolkata": pendulum.datetime(2026, 3, 5, 6, 30).in_timezone("Asia/Kolkata"),
    "leap": pendulum.datetime(2024, 2, 29),
    # A night in which clocks go forward, and one in which they go back.
    "spring": pendulum.datetime(2026, 3, 28, 1, 30).in_timezone("Europe/Stockholm"),
    "autumn": pendulum.datetime(2026, 10, 24, 0, 30).in_timezone("Europe/Stockholm"),
    "n": 7, "neg": -7, "zero": 0, "big": 12345678901234567890123, "pi": 3.14159, "huge": 1e16, "tiny": 1.5e-7,
    "text": "Hello, World", "empty": "", "words": "the quick brown fox jumps over the lazy dog",
    "lines": "one\ntwo\n\nthree", "spaces": "  padded\t", "umlaut": "Straße äöü", "quote": "it's", "both": "it's \"it\"",
    "html": '<b class="x">bold &amp; <i>it</i></b>', "csv": "a,b,,c", "path": "s3://bucket/a/b.csv.gz",
    "url": "see http://example.com/a?b=c&d=e and www.example.org, or mail me@example.com",
    "none": None, "yes": True, "no": False,
    "numbers": [3, 1, 2], "floats": [1.5, 2.0, 1e16], "names": ["beta", "Alpha", "gamma"], "mixed": [1, "a", None, True, 2.5],
    "nested": [[1, 2], ["x"], []], "table": {"b": 1, "a": [1, "two"], "c": None},
    "rows": [{"id": 2, "k": "x"}, {"id": 1, "k": "y"}, {"id": 3, "k": "x"}],
}

ZONES = ["dt", "micro", "sthlm", "ny", "kolkata", "leap", "spring", "autumn"]


def printing():
    yield from CONTEXT.keys() - {"macros"}
    yield from ["1e16", "1e15", "1.0", "100000.0 * 3", "0.1 + 0.2", "1e-5", "-0.0", "1/3", "10/2", "7//2", "-7//2", "-7 % 3"]
    yield from ["2**10", "2**0.5", "2**-1", "[1.0, 1e16, none, true]", "{'a': 1e20}", "('a', 1)", "('a',)", "()", "[]", "{}"]
    yield from ["n ~ huge", "none ~ 'x'", "[1] ~ 'x'", "huge | string", "[huge, 1] | join(';')", "mixed | join(', ')"]
    yield from ["'\\n' | list", "['a\\nb', 'tab\\t', 'back\\\\slash']", "quote | list | first", "[quote]", "[both]", "[umlaut]"]
    yield from ["true + 1", "'a' * 3", "[1] * 2", "[1] + [2]", "'a' + 'b'", "n + 0.5", "big + 1", "big * 2", "'a' + 1", "none + 1"]
    yield from ["1 < 2", "1 < 1.5", "'a' < 'b'", "1 == 1.0", "'1' == 1", "'a' < 1", "none < 1", "[1] < [2]", "1 < 2 < 3"]
    yield from ["table | items | list", "table.keys() | list", "table.values() | list", "table.get('z')", "table.get('z', 5)"]
    yield from ["dict(a=1, b='x')", "range(3) | list", "range(5, 0, -2) | list", "text[1:3]", "text[::-1]", "text[-1]", "numbers[-1]"]
    yield from ["'a' in text", "'H' in text", "1 in numbers", "'b' in table", "text is string", "n is odd", "n is divisibleby 7"]
    yield from ["table is mapping", "numbers is sequence", "pi is float", "n is integer", "yes is boolean", "none is none"]
    yield from ["-n", "+n", "not n", "n if yes else 'x'", "yes and n", "no or 'x'", "(n, pi)", "n is number", "text is upper"]


def percent():
    yield from ["'%05d' % n", "'%d' % pi", "'%i' % neg", "'%+d' % n", "'% d' % n", "'%-5d|' % n", "'%5d|' % n", "'%x' % 255"]
    yield from ["'%X' % 255", "'%#x' % 255", "'%o' % 8", "'%#o' % 8", "'%e' % 12345.678", "'%E' % 0.00012", "'%.2f%%' % 7.5"]
    yield from ["'%f' % n", "'%.0f' % 2.5", "'%.0f' % 3.5", "'%8.3f|' % pi", "'%-8.3f|' % pi", "'%08.3f' % neg", "'%g' % 1e10"]
    yield from ["'%g' % 0.0001", "'%g' % 0.00001", "'%g' % 123456789", "'%.3g' % pi", "'%G' % 1e-10", "'%#g' % 1.0", "'%g' % 100"]
    yield from ["'%s' % text", "'%10s|' % 'ab'", "'%-10s|' % 'ab'", "'%.2s' % text", "'%r' % quote", "'%s' % none", "'%s' % huge"]
    yield from ["'%s' % [1, 'a']", "'%s-%d' % ('a', 1)", "'%(a)s' % {'a': 5}", "'%(n)05d/%(s)s' % dict(n=7, s='x')", "'%c' % 65"]
    yield from ["'%c' % 'x'", "'%*d' % (5, n)", "'%.*f' % (2, pi)", "'%%' % ()", "'100%%' % ()", "'%s' % (none,)", "'%s %s' % ('a',)"]
    yield from ["'%d' % 'x'", "'%s' % ('a', 'b')", "'%z' % 1", "'%' % 1", "'%5.1f' % yes", "'%d' % yes", "'%s' % dt", "'%s' % table"]
    yield from ["'%03d' % neg", "'%+.1e' % 12345", "'%s' % umlaut", "'%a' % umlaut", "'%ld' % n", "'%u' % n", "'%x' % 1.5", "'%d' % big"]
    yield from ["'%s, %s' | format('a', 'b')", "'%(x)s' | format(x=1)", "'%.1f' | format(pi)", "'%s' | format(huge)"]
    yield from ["'%02d' % 3 ~ '!'", "('%s' % 'a') | upper", "'%d' % (n + 1)", "'%d' % n + '!'", "'%s' % n * 2", "n % 3", "7.5 % 2"]
    yield from ["'{}-{}'.format('a', 1)", "'{0}{1}{0}'.format('a', 'b')", "'{x:>5}|'.format(x='ab')", "'{:05d}'.format(n)"]
    yield from ["'{:.2f}'.format(pi)", "'{:,}'.format(1234567)", "'{:%Y/%m/%d}'.format(dt)", "'{:x}'.format(255)", "'{!r}'.format('a')"]
    yield from ["'{a[b]}'.format(a={'b': 1})", "'{.year}'.format(dt)", "'{{}}'.format()", "'{:^7}|'.format('ab')", "'{:e}'.format(pi)"]
    yield from ["'{:>{w}}'.format('x', w=4)", "'{}'.format(huge)", "'{:d}'.format('x')", "'{}'.format()", "'{:%}'.format(0.25)"]


def methods():
    values = ["text", "empty", "words", "spaces", "umlaut", "csv", "path"]
    plain = "upper lower title capitalize swapcase strip lstrip rstrip isalpha isdigit isalnum isspace isupper islower istitle".split()
    plain += "isnumeric isdecimal isidentifier isprintable isascii casefold splitlines".split()
    for value, method in itertools.product(values, plain):
        yield f"{value}.{method}()"
    calls = ["zfill(14)", "ljust(15)", "ljust(15, '*')", "rjust(15, '-')", "center(15)", "center(16, '=')", "split()", "split(',')"]
    calls += ["split(',', 1)", "rsplit(',', 1)", "rsplit()", "rsplit(None, 1)", "rsplit('.', maxsplit=1)", "split(maxsplit=1)"]
    calls += ["partition(',')", "rpartition('.')", "partition('zz')", "rpartition('zz')", "removeprefix('He')", "removesuffix('.gz')"]
    calls += ["find('o')", "rfind('o')", "find('zz')", "find('o', 5)", "count('o')", "count('o', 0, 5)", "replace('o', '0')", "replace('o', '0', 1)"]
    calls += ["startswith('He')", "endswith('d')", "startswith(('a', 'H'))", "endswith(('gz', 'x'))", "startswith('e', 1)", "strip('Hd')"]
    calls += ["expandtabs()", "expandtabs(4)", "lstrip('s3:/')", "rstrip('.gz')", "splitlines(true)", "encode()", "isupper()"]
    for value, call in itertools.product(["text", "csv", "path", "spaces", "empty"], calls):
        yield f"{value}.{call}"
    yield from ["text.index('o')", "text.index('zz')", "text.rindex('o')", "'7'.zfill(3)", "'-7'.zfill(4)", "'+7'.zfill(4)", "'ab'.zfill(1)"]
    yield from ["','.join(names)", "','.join([1])", "'-'.join('abc')", "''.join([])", "'a-b_c'.split('-')[1]", "'1.5'.isdigit()", "'abc'.nothing()"]
    yield from ["'it''s'.title()", "\"they're bill's\".title()", "'hello WORLD'.capitalize()", "'a,b'.split('')", "'x'.ljust(3, 'ab')"]
    yield from ["'abc'.translate({97: 'z'})", "'a b'.split(' ')", "' a  b '.split(' ')", "'Ab'.swapcase()", "numbers.index(2)", "numbers.count(1)"]
    yield from ["numbers.index(9)", "names.copy()", "table.items() | list", "table.copy()", "(1, 2).index(2)", "(1, 1).count(1)"]
    yield from ["(255).bit_length()", "pi.is_integer()", "(2.0).is_integer()", "n.nothing()", "n.real", "'abc'.upper().lower()"]
    yield from ["'a\\r\\nb'.splitlines()", "'e\u0301'.isalpha()", "'\u00b2'.isdigit()", "'\u0661'.isdecimal()", "'\u00bd'.isnumeric()"]
    yield from ["{% set l = [1] %}{% set _ = l.append(2) %}{{ l }}", "{% set d = {} %}{% set _ = d.update({'a': 1}) %}{{ d }}"]
    yield from ["{% set l = [3, 1] %}{{ l.pop() }}{{ l }}", "{% do numbers.sort() %}{{ 1 }}"]


def filters():
    values = ["text", "words", "lines", "html", "empty", "umlaut", "spaces"]
    names = "upper lower title capitalize trim length wordcount wordwrap striptags escape e forceescape string first last".split()
    names += ["truncate", "truncate(9)", "truncate(9, true)", "truncate(9, true, '')", "truncate(9, false, '..', 0)", "center", "center(30)"]
    names += ["wordwrap(10)", "wordwrap(10, false)", "wordwrap(5, true, '|')", "indent", "indent(2, true)", "indent('> ')", "indent(width=2, blank=true)"]
    names += ["replace('o', '0')", "replace('o', '0', 1)", "default('x')", "default('x', true)", "d('x')", "reverse", "list", "urlencode"]
    names += ["count", "unique | list", "batch(4) | list", "slice(3) | list", "tojson", "pprint", "xmlattr", "urlize", "int", "float", "float(1.5)"]
    for value, name in itertools.product(values, names):
        yield f"{value} | {name}"
    lists = ["numbers", "floats", "names", "nested", "mixed"]
    names = ["sum", "max", "min", "sort", "sort(reverse=true)", "sort(case_sensitive=true)", "unique | list", "reverse | list", "first", "last"]
    names += ["join", "join('-')", "length", "batch(2) | list", "batch(2, 'x') | list", "slice(2) | list", "slice(2, 'x') | list", "tojson", "list"]
    names += ["map('upper') | list", "map('string') | list", "select | list", "reject | list", "select('odd') | list", "pprint", "string", "count"]
    for value, name in itertools.product(lists, names):
        yield f"{value} | {name}"
    yield from ["rows | map(attribute='id') | list", "rows | sum(attribute='id')", "rows | sort(attribute='id')", "rows | groupby('k') | list"]
    yield from ["rows | selectattr('k', 'equalto', 'x') | list", "rows | rejectattr('k', 'eq', 'x') | list", "rows | max(attribute='id')"]
    yield from ["rows | map(attribute='zz', default=0) | list", "rows | unique(attribute='k') | list", "table | dictsort", "rows | join(',', attribute='k')"]
    yield from ["table | dictsort(by='value')", "table | tojson", "table | tojson(indent=2)", "table | xmlattr", "{'a': 1, 'b': none, 'c d': 'x'} | xmlattr"]
    yield from ["{'class': 'my', 'id': 'l-1', 'missing': none} | xmlattr", "{'a': '<'} | xmlattr(false)", "[] | sum", "[] | max", "[] | first"]
    for value in ["0", "1", "999", "1000", "1024", "123456789", "1e15", "'1000'", "10**24", "1.5"]:
        yield f"{value} | filesizeformat"
        yield f"{value} | filesizeformat(true)"
    for value in ["pi", "2.5", "3.5", "-2.5", "n", "huge", "1.005", "1234.5678"]:
        for name in ["round", "round(2)", "round(1, 'floor')", "round(1, 'ceil')", "round(-1)", "int", "float", "abs", "string"]:
            yield f"{value} | {name}"
    yield from ["'12' | int", "'1.9' | int", "'x' | int", "'x' | int(5)", "'0x1f' | int(0, 16)", "'ff' | int(base=16)", "'1e3' | float", "' 7 ' | int"]
    yield from ["none | int", "none | default('x')", "none | default('x', true)", "none | string", "none | e", "none | length", "n | length"]
    yield from ["'<&\"\\'>' | e", "'<&\"\\'>' | escape", "'<&>' | forceescape", "('<' | e) | e", "('<' | e) | forceescape", "'<' | e | upper", "n | e"]
    yield from ["('<' | e) ~ '<'", "'<' | safe", "('<' | safe) | e", "['<'] | join | e", "'a' | e is escaped", "table | e", "numbers | e"]
    yield from ["url | urlize", "url | urlize(20)", "url | urlize(target='_blank')", "url | urlize(nofollow=true)", "url | urlize(rel='x')", "'a@b' | urlize"]
    yield from ["'http://x.com/(a)' | urlize", "'(http://x.com)' | urlize", "'http://x.com.' | urlize", "'https://x.com/<b>' | urlize", "'mailto:a@b.com' | urlize"]
    yield from ["'a b&c/d' | urlencode", "{'a': 1, 'b c': 'd&e'} | urlencode", "[('a', 1), ('b', 2)] | urlencode", "'ä' | urlencode", "n | urlencode"]
    yield from ["[1] | random", "'a' | random", "[[1, 2]] | random", "words | wordwrap(12, break_on_hyphens=false)", "'long-hyphenated-word here' | wordwrap(8)"]
    yield from ["'a\\n\\nb' | wordwrap(5)", "'superlongword' | wordwrap(5)", "'superlongword' | wordwrap(5, false)", "'ab cd ef' | wordwrap(5, wrapstring='#')"]
    yield from ["'a' | attr('upper')", "dt | attr('year')", "numbers | tojson | e", "html | tojson", "quote | tojson", "umlaut | tojson", "floats | tojson"]
    yield from ["big | tojson", "none | tojson", "yes | tojson", "'</script>' | tojson", "(1, 2) | tojson", "'foo bar baz qux' | truncate(9)", "'foo bar baz' | truncate(11)"]
    yield from ["'foo bar baz qux' | truncate(11)", "'foo bar baz qux' | truncate(11, false, '...', 0)", "'foo bar' | truncate(2)", "text | nothing", "text | length > 3"]
    yield from ["(text | list | groupby(0)) | length", "[1, 2, 3, 4] | select('even') | sum", "['a', 'B'] | sort", "['a', 'B'] | max", "names | map('length') | list"]
    yield from ["[none, 1] | select('none') | list", "['1', '2'] | map('int') | sum", "[3, 1] | sort | first", "'a.b' | replace('.', '-')", "'abc' | first"]
    yield from ["names | sort(case_sensitive=true)", "names | unique(case_sensitive=true) | list", "[1, 1.0, '1'] | unique | list", "[[1, 'a'], [2, 'b']] | map('last') | list"]
    yield from ["'%s' | format(none)", "numbers | map('multiply') | list", "{'a': 1} | items | list", "[1, [2, 3]] | string", "lines | indent(4, first=true)", "rows | map(attribute='k') | join"]


def groups_of():
    yield from ["rows | groupby('k')", "rows | groupby(attribute='k') | length", "(rows | groupby('k'))[0].grouper", "(rows | groupby('k'))[0].list"]
    yield from ["(rows | groupby('k'))[0][1] | length", "(rows | groupby('k'))[1].list[0].id", "(rows | groupby('k') | first)[1][0]['id']"]
    yield from ["{% for k, items in rows | groupby('k') %}{{ k }}={{ items | length }}:{{ items | map(attribute='id') | join(',') }};{% endfor %}"]
    yield from ["{% for group in rows | groupby('k') %}{{ group.grouper }}:{{ group.list | sum(attribute='id') }};{% endfor %}"]
    yield from ["{% for k, items in rows | groupby('k') %}{{ loop.index }}{{ items[-1].id }}{{ items[1:] }}{% endfor %}"]
    yield from ["rows | groupby('zz')", "rows | groupby('zz', default='none')", "[{'a': {'b': 2}}, {'a': {'b': 1}}] | groupby('a.b')"]
    yield from ["[{'c': 'CA'}, {'c': 'ny'}, {'c': 'ca'}] | groupby('c')", "[{'c': 'CA'}, {'c': 'ny'}, {'c': 'ca'}] | groupby('c', case_sensitive=true)"]
    yield from ["[{'a': 1}, {'a': 'x'}] | groupby('a')", "[{'a': 1}, {'a': none}] | groupby('a')", "[(1, 'x'), (2, 'y'), (1, 'z')] | groupby(0)"]
    yield from ["[(1, 'x'), (2, 'y'), (1, 'z')] | groupby(0) | map(attribute='list') | list", "names | groupby('zz')", "[] | groupby('a')"]
    yield from ["rows | groupby('k') | map('first') | list", "rows | groupby('k') | map(attribute='grouper') | join('+')", "rows | groupby('k') | list | length"]
    yield from ["dict(rows | groupby('k'))", "rows | groupby('k') | tojson", "rows | groupby('k') | sort(attribute='0', reverse=true) | map(attribute=0) | list"]
    yield from ["[{'d': dt, 'n': 1}, {'d': sthlm, 'n': 2}, {'d': leap, 'n': 3}] | groupby('d') | map(attribute='list') | map('length') | list"]


def comparisons():
    values = ["1", "1.5", "'a'", "none", "true", "[1]", "{'a': 1}", "(1,)", "dt", "n", "text", "numbers", "table", "dt.date()"]
    for one, other in itertools.product(values, repeat=2):
        for operator in ["<", ">=", "=="]:
            yield f"{one} {operator} {other}"
    yield from ["1 < 'a' < 2", "1 < 2 < 'a'", "1 < n < 'a'", "n < 10 < 'a'", "0 < n <= 7", "10 > n > 5 > 1", "1 < 2 > 1", "3 < 2 < 'a'", "n < 5 < 'a'"]
    yield from ["leap < dt < micro", "leap < dt < 'x'", "leap < micro > dt", "'a' < 'b' < 'c'", "'a' < text", "1 == 1 < 2", "1 < 2 == true", "1 < 2 in [2]"]
    yield from ["not 1 < 'a'", "(1 < 'a') or true", "'x' if 1 < 'a' else 'y'", "[1 < 'a']", "{% if 1 < 'a' %}x{% endif %}", "{% set x = 1 < 'a' %}{{ x }}"]
    for name in ["sort", "min", "max"]:
        for items in ["[1, 'a']", "['a', none]", "[none, none]", "[1, true, 0.5]", "[dt, 'x']", "[dt, none]", "[[1], ['a']]", "[[1, 'a'], [2, none]]", "[{}, {}]"]:
            yield f"{items} | {name}"
    yield from ["[dt, dt.date()] | sort", "['b', 'A', 'a'] | sort", "['b', 'A', 'a'] | max", "[dt, sthlm] | max", "mixed | sort", "mixed | max", "[[2, 1], [1, 2]] | max"]


def everyday():
    """What people write: Airflow's documentation, and what is asked again and again."""
    yield from ["(dt - macros.timedelta(days=1)).strftime('%Y-%m-%d')", "macros.ds_add(ds, -1)", "macros.ds_add(ds, 7)", "(dt - macros.timedelta(days=1)) | ds"]
    yield from ["macros.ds_format(ds, '%Y-%m-%d', '%m-%d-%y')", "macros.ds_format(macros.ds_add(ds, -30), '%Y-%m-%d', '%Y%m')", "dt.strftime('%Y/%m/%d/%H')"]
    yield from ["dt.replace(day=1).strftime('%Y-%m-%d')", "(dt.replace(day=1) - macros.timedelta(days=1)).replace(day=1) | ds", "dt.subtract(months=1).start_of('month') | ds"]
    yield from ["dt.add(days=1).strftime('%Y%m%d')", "dt.in_timezone('Europe/Berlin').strftime('%H:%M')", "dt.format('YYYY-MM-DD')", "dt.to_date_string()"]
    yield from ["macros.datetime.strptime(ds, '%Y-%m-%d').strftime('%d %B %Y')", "(macros.datetime.strptime(ds, '%Y-%m-%d') - macros.timedelta(days=1)).strftime('%Y-%m-%d')"]
    yield from ["macros.datetime(2026, 1, 31).isoformat()", "(macros.datetime.strptime(ds, '%Y-%m-%d') + macros.dateutil.relativedelta.relativedelta(months=-1)).strftime('%Y-%m')"]
    yield from ["macros.dateutil.parser.parse('2026-03-05 10:00').strftime('%H')", "macros.json.dumps({'a': [1, 2]})", "macros.json.loads('{\"a\": 1}')['a']"]
    yield from ["dt.int_timestamp", "dt.timestamp() | int", "(dt.timestamp() * 1000) | int", "dt.year", "'%02d' % dt.month", "'{:02d}'.format(dt.month)", "dt.day_of_week"]
    yield from ["dt.weekday()", "'yes' if dt.weekday() >= 5 else 'no'", "'Q' ~ dt.quarter", "'Q' ~ ((dt.month - 1) // 3 + 1)", "dt.isocalendar()[1]", "dt.hour if dt.hour > 6 else 24"]
    yield from ["table.get('zz', 'y')", "table['a'][1]", "table.a[0]", "table.get('a', [])[0]", "table.zz | default('x')", "table.zz is defined", "table['zz'] | default('x', true)"]
    yield from ["ds.replace('-', '')", "ds.split('-')[0]", "ds[:7]", "ds[0:4] ~ '/' ~ ds[5:7]", "ds | replace('-', '/')", "path.split('/')[-1]", "path.split('/')[2:] | join('/')"]
    yield from ["path | replace('s3://', '') | upper", "(csv.split(',') | length)", "csv.split(',') | select | list", "csv.split(',') | reject('equalto', '') | join('|')"]
    yield from ["{% for d in range(3) %}{{ macros.ds_add(ds, -d) }}{% if not loop.last %},{% endif %}{% endfor %}", "{% for k, v in table.items() %}{{ k }}={{ v }};{% endfor %}"]
    yield from ["{% if n > 5 and 'x' in csv %}a{% elif n == 7 %}b{% else %}c{% endif %}", "{% set y = dt.year %}{% set m = dt.month - 1 %}{{ y }}-{{ '%02d' | format(m) }}"]
    yield from ["{%- for i in numbers -%} {{ i }} {%- endfor -%}", "{% for row in rows if row.k == 'x' %}{{ row.id }},{% endfor %}", "{% raw %}{{ ds }}{% endraw %}"]
    yield from ["{% set ns = namespace(total=0) %}{% for row in rows %}{% set ns.total = ns.total + row.id %}{% endfor %}{{ ns.total }}", "{# ds #}x"]
    yield from ["{% macro day(n) %}{{ macros.ds_add(ds, n) }}{% endmacro %}{{ day(-1) }} {{ day(1) }}", "{% with a = n * 2 %}{{ a }}{% endwith %}", "{% filter upper %}{{ text }}{% endfilter %}"]
    yield from ["rows | map(attribute='k') | unique | join(',')", "rows | selectattr('id', 'gt', 1) | map(attribute='id') | list", "rows | selectattr('k', 'in', ['x']) | list | length"]
    yield from ["rows | sum(attribute='id') / (rows | length)", "rows | sort(attribute='k,id') | map(attribute='id') | list", "rows | sort(attribute='id', reverse=true) | first", "(rows | last).id"]
    yield from ["numbers | map('string') | map('upper') | join(\"', '\")", "\"'\" ~ names | join(\"','\") ~ \"'\"", "names | map('lower') | sort | join(' ')", "numbers | max + 1"]
    yield from ["n | string ~ 'x'", "(n / 2) | round | int", "n // 2", "n ** 2", "(pi * 100) | int", "'7' | int + 1", "n in [1, 7]", "n not in numbers", "yes | string | lower", "yes | tojson"]
    yield from ["dt < micro", "dt.date() == micro.date()", "(micro - dt).days", "((micro - dt).total_seconds() / 3600) | int", "(micro - dt).in_days()", "[dt, micro] | min | ds", "dt.diff(micro).in_days()"]
    yield from ["dt.start_of('week') | ds", "dt.end_of('month').day", "dt.start_of('month').add(days=14) | ds", "dt.last_of('month') | ds", "dt.next() | ds", "dt.is_leap_year()", "dt.naive()"]
    yield from ["dt.isoformat().replace(':', '%3A')", "dt | ts", "dt | ts_nodash", "dt | ds_nodash", "dt.strftime('%s') | int == dt.int_timestamp", "dt.to_iso8601_string()", "dt.tzinfo"]
    yield from ["none | default('x')", "none or 'x'", "empty or 'x'", "zero or 1", "(table.c or 'x') | upper", "table.c is none", "not table.c", "table.zz or 'y'", "(table.zz | default({})).a"]
    yield from ["text.lower().replace(', ', '_')", "text | lower | replace(' ', '_') | truncate(5, true, '')", "'a' ~ 1 ~ none ~ 1.0", "'%s/%s' % (ds, n)", "'{}/{}'.format(ds, n)", "[ds, n] | join('/')"]
    yield from ["numbers | first", "numbers[0]", "numbers[5]", "numbers[5] | default('none')", "numbers[:2]", "numbers | length > 2", "numbers | batch(2) | map('list') | list", "range(1, n) | list | join"]
    yield from ["text and 'x'", "'-'.join(numbers | map('string'))", "numbers + [4]", "dict(table, d=4) | length", "dict(a=1).a", "{'a': 1}['a']", "{'a': dt}.a.year", "('a', 'b')[1]", "1 if none else 2"]


def dates():
    for zone in ZONES:
        yield zone
        for field in """year month day hour minute second microsecond day_of_week day_of_year week_of_year days_in_month quarter
                offset offset_hours timezone_name int_timestamp float_timestamp timezone tzinfo""".split():
            yield f"{zone}.{field}"
        for call in """date() time() isoformat() timestamp() weekday() isoweekday() isocalendar() toordinal() ctime() tzname() utcoffset()
                dst() is_utc() is_dst() is_leap_year() is_long_year() naive() to_date_string() to_datetime_string() to_time_string()
                to_formatted_date_string() to_day_datetime_string() to_iso8601_string() to_atom_string() to_cookie_string() to_rfc822_string()
                to_rfc850_string() to_rfc1036_string() to_rfc1123_string() to_rfc2822_string() to_rfc3339_string() to_rss_string()
                to_w3c_string() get_offset()""".split():
            yield f"{zone}.{call}"
        for unit in "second minute hour day week month year decade century".split():
            yield f"{zone}.start_of('{unit}')"
            yield f"{zone}.end_of('{unit}')"
        for unit in "month quarter year".split():
            yield from [f"{zone}.first_of('{unit}')", f"{zone}.last_of('{unit}')", f"{zone}.first_of('{unit}', 0)", f"{zone}.last_of('{unit}', 4)"]
            yield f"{zone}.nth_of('{unit}', 2, 1)"
        for call in ["add(days=1)", "add(hours=24)", "add(months=1)", "add(years=-1, days=3)", "add(minutes=90, seconds=1.5)", "subtract(weeks=1)"]:
            yield f"{zone}.{call}"
        for call in ["subtract(months=13)", "add(days=1, hours=1)", "add(microseconds=5)", "next()", "previous()", "next(6)", "previous(0)", "next(2, keep_time=true)"]:
            yield f"{zone}.{call}"
        for call in ["replace(hour=2)", "replace(day=1, month=2)", "replace(microsecond=7)", "set(year=2025)", "on(2025, 1, 2)", "at(7, 5)", "replace(tzinfo=none)"]:
            yield f"{zone}.{call}"
        for call in ["in_timezone('Asia/Tokyo')", "in_tz('America/Sao_Paulo')", "in_timezone('UTC')", "isoformat(sep=' ')", "isoformat(timespec='minutes')"]:
            yield f"{zone}.{call}"
        for call in ["isoformat(timespec='milliseconds')", "strftime('%d.%m.%Y %H:%M:%S.%f %z %Z')", "strftime('%a %A %b %B %j %U %W %w %u %V %G %y %p %I')"]:
            yield f"{zone}.{call}"
        for token in ["%c", "%x", "%X", "%%", "%e %D %F %T %R", "%-d/%-m", "%C", "plain", "%s", "%H%M", "%h", "%n", "%k|%l", "%P", "%r"]:
            yield f"{zone}.strftime('{token}')"
        for token in """YYYY YY Y Q Qo MMMM MMM MM M Mo DDDD DDD DD D Do DDDo dddd ddd dd d E HH H hh h mm m ss s SSSSSS SSSSS SSSS SSS SS S
                X x A zz z ZZ Z LTS LT LLLL LLL LL L wo do""".split():
            yield f"{zone}.format('{token}')"
        yield f"{zone}.format('YYYY-MM-DD[T]HH:mm:ssZ')"
        yield f"{zone}.format('[week] dddd Do [of] MMMM, \\\\Y')"
        yield f"{zone} | tojson"
        for name in ["ds", "ds_nodash", "ts", "ts_nodash", "ts_nodash_with_tz"]:
            yield f"{zone} | {name}"
        yield f"[{zone}]"
        yield f"{zone} - macros.timedelta(days=1)"
        yield f"macros.timedelta(hours=25) + {zone}"
    for locale in ["de", "fr", "sv", "es", "ja", "pt_br", "pl"]:
        yield f"dt.format('dddd D MMMM YYYY', locale='{locale}')"
        yield f"dt.format('ddd Do MMM A LL', locale='{locale}')"
    for one, other in itertools.product(ZONES, repeat=2):
        yield f"{one} < {other}"
        yield f"{one} == {other}"
        yield f"({one} - {other}).days"
        yield f"({one} - {other}).total_seconds()"
        yield f"({one} - {other}).in_words()"
        yield f"{one} - {other}"
    for field in "years months weeks remaining_days hours minutes remaining_seconds seconds microseconds invert start end".split():
        yield f"(micro - dt).{field}"
        yield f"(dt - micro).{field}"
    for call in "in_years in_months in_weeks in_days in_hours in_minutes in_seconds total_minutes total_hours total_days total_weeks".split():
        yield f"(micro - dt).{call}()"
        yield f"(dt - micro).{call}()"
    yield from ["dt <= dt", "dt != sthlm", "dt > 'x'", "dt == '2026-03-05'", "dt - 1", "dt + dt", "[micro, dt, leap] | sort | map('string') | list", "[micro, dt] | max"]
    yield from ["[dt, sthlm, ny] | unique | list | length", "(dt - leap) > macros.timedelta(days=700)", "dt in [sthlm]", "[dt, micro] | min", "dt is sameas dt", "micro - dt > dt - leap"]
    yield from ["dt.nothing", "dt.nothing()", "dt.add(fortnights=1)", "dt.start_of('fortnight')", "dt.nth_of('month', 6, 0)", "dt.in_timezone('Mars/Base')"]
    yield from ["dt.diff(micro).in_days()", "dt.diff(micro, false).in_hours()", "micro.diff(dt).days", "micro.diff(dt, false).days", "dt.is_same_day(sthlm)", "dt.is_same_day(micro)"]
    yield from [f"dt.diff_for_humans(dt.add({by}))" for by in ["days=1", "days=-1", "hours=5", "seconds=3", "seconds=45", "weeks=2", "months=1, days=28", "years=2", "months=11, days=20", "minutes=1", "days=5"]]
    yield from [f"macros.datetime_diff_for_humans(dt.add({by}), dt)" for by in ["days=1", "days=-10", "years=1, months=7"]]
    yield from ["dt.date() < micro.date()", "dt.date() == sthlm.date()", "(micro.date() - dt.date()).days", "micro.date() - dt.date()", "dt.date() + macros.timedelta(days=2)"]
    yield from ["dt.date() - macros.timedelta(hours=36)", "dt.date().add(months=1)", "dt.date().year", "dt.date().isoformat()", "dt.date().strftime('%d/%m/%y')", "dt.date().start_of('month')"]
    yield from ["dt.date().end_of('year')", "dt.date().first_of('quarter')", "dt.date().replace(day=1)", "dt.date().weekday()", "dt.date().format('YYYY MMM')", "dt.date().subtract(weeks=1)"]
    yield from ["dt.date().day_of_week", "dt.date().isocalendar()[1]", "dt.date().next(0)", "dt.date().to_date_string()", "[dt.date()]", "dt.date() < dt", "dt.date().nothing()", "dt.date().day_of_year"]
    yield from ["dt.time().hour", "dt.time().strftime('%H:%M')", "dt.time() < micro.time()", "micro.time()", "[micro.time()]", "dt.time().isoformat()", "dt.naive() < dt", "dt.naive() == dt"]
    yield from ["dt.naive().add(days=1)", "dt.naive().isoformat()", "sthlm.naive().format('YYYY Z')", "sthlm.astimezone(dt.timezone)", "leap.add(years=1)", "leap.add(months=12)", "dt.replace(hour=25)"]


def macros():
    yield from ["macros.ds_add(ds, 5)", "macros.ds_add(ds, -5)", "macros.ds_add(ds, days=30)", "macros.ds_add('2024-02-28', 1)", "macros.ds_add('x', 1)", "macros.ds_add(ds, 0)"]
    yield from ["macros.ds_format(ds, '%Y-%m-%d', '%d/%m/%y')", "macros.ds_format('1/5/2015', '%m/%d/%Y', '%Y-%m-%d')", "macros.ds_format(ds, '%Y-%m-%d', '%A %B %j')", "macros.ds_format('12:30', '%H:%M', '%Y %I %p')"]
    yield from ["macros.ds_format('2026-03-05 06:07:08.5', '%Y-%m-%d %H:%M:%S.%f', '%f')", "macros.ds_format('05.03.26', '%d.%m.%y', '%Y')", "macros.ds_format(ds, '%d/%m', '%Y')", "macros.ds_format('Mar 2026', '%b %Y', '%Y-%m')"]
    for locale in ["en_US", "en_GB", "de", "de_DE", "fr", "es", "sv", "pl", "ja", "pt_BR", "ru", "fi"]:
        yield f"macros.ds_format_locale(ds, '%Y-%m-%d', 'EEEE, d MMMM yyyy', '{locale}')"
        yield f"macros.ds_format_locale(ds, '%Y-%m-%d', 'EEE dd LLL yy, LLLL', '{locale}')"
    yield from ["macros.ds_format_locale(ds, '%Y-%m-%d', \"d 'de' MMMM ''yy hh:mm:ss a H k K\", 'es')", "macros.ds_format_locale('12/07/2024', '%d/%m/%Y', 'EEEE dd MMMM yyyy')", "macros.ds_format_locale(ds, '%Y-%m-%d', 'short', 'de')"]
    yield from ["macros.ds_format_locale(ds, '%Y-%m-%d', 'Q D EEEEE MMMMM', 'en')", "macros.ds_format_locale(ds, '%Y-%m-%d', 'EEEE', 'xx_YY')", "macros.ds_format_locale(ds, '%Y-%m-%d', 'medium', 'fr')"]
    delta = ["days=1", "hours=25", "days=-1", "minutes=90, seconds=1.5", "weeks=2", "milliseconds=1500", "microseconds=1", "days=1.5", "1", "0", "days=-1, seconds=1", "days=2, hours=3, minutes=4, seconds=5"]
    for args in delta:
        yield f"macros.timedelta({args})"
        yield f"macros.timedelta({args}).days"
        yield f"macros.timedelta({args}).seconds"
        yield f"macros.timedelta({args}).total_seconds()"
        yield f"[macros.timedelta({args})]"
        yield f"macros.timedelta({args}) * 2"
        yield f"dt + macros.timedelta({args})"
    yield from ["macros.timedelta(days=1) + macros.timedelta(hours=1)", "macros.timedelta(days=1) - macros.timedelta(hours=30)", "macros.timedelta(days=1) / macros.timedelta(hours=5)", "macros.timedelta(days=1) // macros.timedelta(hours=5)"]
    yield from ["macros.timedelta(days=1) % macros.timedelta(hours=5)", "macros.timedelta(days=1) / 7", "macros.timedelta(days=1) // 7", "-macros.timedelta(hours=1)", "3 * macros.timedelta(hours=1)", "macros.timedelta(hours=1) * 1.5"]
    yield from ["macros.timedelta(1) < macros.timedelta(2)", "macros.timedelta(1) == macros.timedelta(hours=24)", "macros.timedelta(1) + 1", "macros.timedelta(0) or 'zero'", "macros.timedelta(fortnights=1)", "macros.timedelta(1) > 5"]
    yield from ["macros.datetime(2026, 3, 5)", "macros.datetime(2026, 3, 5, 6, 7, 8, 9)", "macros.datetime(2026, 3, 5).strftime('%d %b')", "macros.datetime(2026, 3, 5) + macros.timedelta(days=1)", "macros.datetime(2026, 3, 5).isoformat()"]
    yield from ["macros.datetime(2026, 3, 5) - macros.datetime(2026, 3, 1)", "(macros.datetime(2026, 3, 5) - macros.datetime(2026, 3, 1)).days", "macros.datetime.strptime(ds, '%Y-%m-%d')", "macros.datetime.strptime('x', '%Y')"]
    yield from ["macros.datetime.strptime('05 Mar 2026 06:07', '%d %b %Y %H:%M')", "macros.datetime.strptime('2026-03-05T06:07:08+0100', '%Y-%m-%dT%H:%M:%S%z')", "macros.datetime.strptime(ds, '%Y-%m-%d').date()", "macros.datetime(2026, 13, 1)"]
    yield from ["macros.datetime.fromisoformat('2026-03-05T06:07:08+01:00')", "macros.datetime.fromisoformat('2026-03-05')", "macros.datetime.fromisoformat('2026-03-05 06:07')", "macros.datetime.fromisoformat('x')", "macros.datetime.utcfromtimestamp(1772692200)"]
    yield from ["macros.datetime.strptime(ds, '%Y-%m-%d') < dt", "macros.datetime.strptime(ds, '%Y-%m-%d') < macros.datetime(2026, 4, 1)", "macros.datetime(2026, 3, 5).replace(day=1)", "macros.datetime(2026, 3, 5).weekday()", "macros.datetime(2026, 3, 5, 6).date()"]
    yield from ["macros.datetime.strptime('0530', '%H%M').minute", "macros.datetime(2026, 3, 5).timetuple().tm_yday", "macros.datetime(2026, 1, 31).month", "macros.datetime(2026, 3, 5).isocalendar()[1]", "macros.datetime.combine(dt.date(), micro.time())"]
    for args in ["months=1", "months=-1, day=1", "years=1", "days=3, hours=2", "day=31", "weekday=0", "weeks=1, month=2", "hour=0, minute=0"]:
        yield f"dt + macros.dateutil.relativedelta.relativedelta({args})"
        yield f"sthlm - macros.dateutil.relativedelta.relativedelta({args})"
        yield f"dt.date() + macros.dateutil.relativedelta.relativedelta({args})"
    for text in ["2026-03-05", "2026-03-05T06:07:08Z", "2026-03-05 06:07:08+01:00", "20260305", "20260305T060708", "March 5, 2026", "5 Mar 2026", "Thu, 05 Mar 2026 06:07:08 +0100", "x"]:
        yield f"macros.dateutil.parser.parse('{text}')"
    values = ["table", "mixed", "text", "umlaut", "pi", "huge", "none", "yes", "big", "nested", "{}", "[]", "both", "lines", "{1: 2}", "(1, 2)", "dt"]
    for value in values:
        yield f"macros.json.dumps({value})"
        yield f"macros.json.dumps({value}, indent=2)"
        yield f"macros.json.dumps({value}, sort_keys=true, ensure_ascii=false)"
    yield from ["macros.json.loads('{\"a\": [1, 2.5, null, true]}')", "macros.json.loads('{\"a\": {\"b\": 1}}').a.b", "macros.json.loads('x')", "macros.json.loads('1e16')"]
    yield from ["macros.uuid.uuid5(macros.uuid.NAMESPACE_URL, 'http://x')", "macros.uuid.uuid5(macros.uuid.NAMESPACE_DNS, 'python.org')", "(macros.uuid.uuid4() | string) | length", "macros.uuid.uuid5(macros.uuid.NAMESPACE_OID, 'x').hex"]
    yield from ["macros.uuid.UUID('12345678123456781234567812345678')", "macros.uuid.uuid4().version", "macros.random() < 1", "macros.time.time() > 0", "macros.nothing", "macros.nothing()", "macros.datetime.now() is string"]
    yield from ["{% if dt > leap %}later{% endif %}", "{% set d = dt - macros.timedelta(days=3) %}{{ d.format('YYYYMMDD') }}", "{% for i in range(3) %}{{ (dt + macros.timedelta(days=i)).strftime('%d') }},{% endfor %}"]
    yield from ["{% macro pad(n) %}{{ '%03d' % n }}{% endmacro %}{{ pad(5) }}", "{% filter upper %}{{ '%s' % 'a' }}{% endfilter %}", "{{ '%02d' % i if false else '%s' % 'b' }}", "{% set x %}{{ 1 + 1 }}{% endset %}{{ x ~ '%d' % 5 }}"]
    yield from ["{% for r in rows if r.id > 1 %}{{ '%d' % r.id }}{% endfor %}", "{% for a, b in [(1, 2)] %}{{ a - b }}{% endfor %}", "{{ {'a': '%d' % 1}['a'] }}", "{{ ['%d' % 1, dt.year - 1] }}", "{{ 'a%' ~ '%%' }}"]
    yield from ["{% call(x) m() %}{% endcall %}", "{% for n in [1, 2, 3] %}{{ loop.index % 2 }}{{ loop.cycle('a', 'b') }}{% endfor %}", "{% set ns = namespace(t=0) %}{% for i in numbers %}{% set ns.t = ns.t + i %}{% endfor %}{{ ns.t }}"]
    yield from ["{{ joiner('|') is callable }}", "{{ cycler('a').next() }}", "{% set j = joiner(',') %}{% for i in numbers %}{{ j() }}{{ i }}{% endfor %}", "{{ lipsum is callable }}"]


def rendered(environment, source):
    if "{%" not in source and "{{" not in source.removeprefix("'{{}}'"):
        source = "{{ " + source + " }}"
    try:
        return {"template": source, "text": environment.from_string(source).render(copy.deepcopy({**CONTEXT, "macros": None}) | {"macros": MACROS})}
    except Exception as error:
        return {"template": source, "error": type(error).__name__}


def main():
    time.tzset()
    environment = jinja2.Environment(
        undefined=jinja2.StrictUndefined, extensions=["jinja2.ext.do", "jinja2.ext.loopcontrols"], cache_size=0
    )
    environment.filters |= {
        "ds": lambda value: value.strftime("%Y-%m-%d"), "ds_nodash": lambda value: value.strftime("%Y%m%d"),
        "ts": lambda value: value.isoformat(), "ts_nodash": lambda value: value.strftime("%Y%m%dT%H%M%S"),
        "ts_nodash_with_tz": lambda value: value.isoformat().replace("-", "").replace(":", ""),
    }
    seen, groups = set(), {}
    for group in (printing, percent, methods, filters, groups_of, comparisons, everyday, dates, macros):
        entries = []
        for source in sorted(set(group())) if group is printing else group():
            if source not in seen:
                seen.add(source)
                entries.append(rendered(environment, source))
        groups[group.__name__] = entries
    lines = []
    for name, entries in groups.items():
        listed = ",\n".join("    " + json.dumps(entry, ensure_ascii=True) for entry in entries)
        lines.append(f"  {json.dumps(name)}: [\n{listed}\n  ]")
    (HERE / "expressions.json").write_text("{\n" + ",\n".join(lines) + "\n}\n", encoding="utf-8")


main()
