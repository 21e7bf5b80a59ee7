# /// script
# requires-python = ">=3.11"
# dependencies = ["pendulum==3.1.0", "babel==2.19.0"]
# ///
"""Writes the names of months and days by language: as pendulum has them, and as CLDR has them (through Babel).

    uv run template/tests/record/locales.py
"""

import json
from collections import Counter
from pathlib import Path

import babel
from pendulum.locales.locale import Locale

TARGET = Path(__file__).resolve().parents[2] / "src" / "locales"

PENDULUM = "bg cs da de en en_gb en_us es fa fo fr he id it ja ko lt nb nl nn pl pt_br ru sk sv tr ua zh".split()

CLDR = """ar bg bn ca cs cy da de de_AT de_CH el en en_AU en_CA en_GB en_IE en_IN en_NZ en_US es es_AR es_MX et eu fa fi
fr fr_CA fr_CH ga gl he hi hr hu id is it ja ko lt lv mk ms nb nl nl_BE nn no pl pt pt_BR pt_PT ro ru sk sl sq sr sv sw ta
th tr uk ur vi zh zh_CN zh_TW""".split()

FORMATS = {
    "LTS": "h:mm:ss A",
    "LT": "h:mm A",
    "L": "MM/DD/YYYY",
    "LL": "MMMM D, YYYY",
    "LLL": "MMMM D, YYYY h:mm A",
    "LLLL": "dddd, MMMM D, YYYY h:mm A",
}


def of_pendulum(name: str) -> dict:
    locale = Locale.load(name)
    get = locale.get
    ordinals = {number: locale.ordinalize(number)[len(str(number)):] for number in range(0, 367)}
    usual = Counter(ordinals.values()).most_common(1)[0][0]
    return {
        "months": [get("translations.months.wide")[month] for month in range(1, 13)],
        "short_months": [get("translations.months.abbreviated")[month] for month in range(1, 13)],
        "days": [get("translations.days.wide")[day] for day in range(7)],
        "short_days": [get("translations.days.abbreviated")[day] for day in range(7)],
        "tiny_days": [get("translations.days.short")[day] for day in range(7)],
        "am": get("translations.day_periods.am"),
        "pm": get("translations.day_periods.pm"),
        "formats": {token: get(f"custom.date_formats.{token}") or default for token, default in FORMATS.items()},
        "ordinal": usual,
        "ordinals": {str(number): suffix for number, suffix in ordinals.items() if suffix != usual},
    }


def of_cldr(name: str) -> dict:
    locale = babel.Locale.parse(name)
    widths = ("abbreviated", "wide", "narrow")
    return {
        "months": {
            context: {width: [locale.months[context][width][month] for month in range(1, 13)] for width in widths}
            for context in ("format", "stand-alone")
        },
        "days": {
            context: {width: [locale.days[context][width][day] for day in range(7)] for width in (*widths, "short")}
            for context in ("format", "stand-alone")
        },
        "am": locale.day_periods["format"]["abbreviated"].get("am") or locale.day_periods["format"]["wide"]["am"],
        "pm": locale.day_periods["format"]["abbreviated"].get("pm") or locale.day_periods["format"]["wide"]["pm"],
        "date_formats": {length: locale.date_formats[length].pattern for length in ("short", "medium", "long", "full")},
        "time_formats": {length: locale.time_formats[length].pattern for length in ("short", "medium")},
        "datetime_formats": {length: str(locale.datetime_formats[length]) for length in ("short", "medium")},
    }


def write(name: str, languages: dict) -> None:
    # One language a line.
    text = "{\n" + ",\n".join(
        f"{json.dumps(key)}: {json.dumps(value, ensure_ascii=False, separators=(',', ':'), sort_keys=True)}"
        for key, value in sorted(languages.items())
    ) + "\n}\n"
    (TARGET / name).write_text(text, encoding="utf-8")


write("pendulum.json", {name: of_pendulum(name) for name in PENDULUM})
write("cldr.json", {name: of_cldr(name) for name in CLDR})
