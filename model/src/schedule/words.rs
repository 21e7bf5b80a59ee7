//! What a cron expression means, in English words. The words follow from the values that each field allows, so whatever
//! spells the same values is told in the same words.

use std::collections::BTreeSet;

const MONTHS: [&str; 12] = [
    "January",
    "February",
    "March",
    "April",
    "May",
    "June",
    "July",
    "August",
    "September",
    "October",
    "November",
    "December",
];
/// Weeks begin on Monday for people, and on Sunday in expressions.
const WEEKDAYS: [&str; 7] = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"];
const ORDINALS: [&str; 5] = ["first", "second", "third", "fourth", "fifth"];

/// Times of day that are listed one by one, at most.
const TIMES_MAX: usize = 6;

type Values = BTreeSet<u32>;

/// Which days an expression means.
#[derive(Debug, Default)]
struct Days {
    values: Values,
    /// Days that have no fixed number, in words.
    others: Vec<String>,
    is_star: bool,
}

/// The words for five normalised fields: numbers, ranges that rise, steps, `L`, `LW`, `15W`, `1#2`, `5L`, `1#L`. `None`: a field
/// says something that there are no words for.
pub(super) fn describe(fields: &[String]) -> Option<String> {
    let [minutes, hours, days, months, weekdays] = fields else { return None };
    let time = times(&values(minutes, 0, 59)?, &values(hours, 0, 23)?);
    let parts = [Some(time), day(&days_of_month(days)?, &days_of_week(weekdays)?), month(&values(months, 1, 12)?)];
    Some(parts.into_iter().flatten().collect::<Vec<_>>().join(", "))
}

/// The values of a field that has nothing but numbers.
fn values(field: &str, min: u32, max: u32) -> Option<Values> {
    let mut all = Values::new();
    for item in field.split(',') {
        all.extend(item_values(item, min, max)?);
    }
    Some(all)
}

fn item_values(item: &str, min: u32, max: u32) -> Option<Vec<u32>> {
    let (range, step) = item.split_once('/').map_or((item, None), |(range, step)| (range, Some(step)));
    let (from, to) = match range.split_once('-') {
        _ if range == "*" => (min, max),
        Some((from, to)) => (from.parse().ok()?, to.parse().ok()?),
        // `3/20` goes on to the end.
        None if step.is_some() => (range.parse().ok()?, max),
        None => (range.parse().ok()?, range.parse().ok()?),
    };
    let step: usize = step.map_or(Some(1), |step| step.parse().ok())?;
    (min <= from && from <= to && to <= max && step > 0).then(|| (from..=to).step_by(step).collect())
}

fn days_of_month(field: &str) -> Option<Days> {
    let mut days = Days { is_star: field == "*", ..Days::default() };
    for item in field.split(',') {
        match item {
            "L" => days.others.push("the last day of the month".to_owned()),
            "LW" => days.others.push("the last weekday of the month".to_owned()),
            _ => match item.strip_suffix('W') {
                Some(day) => days.others.push(format!("the weekday nearest to day {}", day.parse::<u32>().ok()?)),
                None => days.values.extend(item_values(item, 1, 31)?),
            },
        }
    }
    days.others.sort();
    days.others.dedup();
    Some(days)
}

fn days_of_week(field: &str) -> Option<Days> {
    let mut days = Days { is_star: field == "*", ..Days::default() };
    let name = |day: &str| WEEKDAYS.get(day.parse::<usize>().ok()? % 7).copied();
    for item in field.split(',') {
        if let Some((day, nth)) = item.split_once('#') {
            let which = match nth {
                "L" => "last",
                nth => ORDINALS.get(nth.parse::<usize>().ok()?.checked_sub(1)?)?,
            };
            days.others.push(format!("the {which} {} of the month", name(day)?));
        } else if let Some(day) = item.strip_suffix('L') {
            days.others.push(format!("the last {} of the month", name(day)?));
        } else {
            days.values.extend(item_values(item, 0, 7)?.into_iter().map(|day| day % 7));
        }
    }
    days.others.sort();
    days.others.dedup();
    Some(days)
}

/// The times of day.
fn times(minutes: &Values, hours: &Values) -> String {
    let (all_minutes, all_hours) = (minutes.len() == 60, hours.len() == 24);
    let every_minutes = interval(minutes, 60);
    let first = minutes.first().copied().unwrap_or_default();
    let clock = |hour: u32, minute: u32| format!("{hour:02}:{minute:02}");
    let run = run(hours);
    match (every_minutes, run) {
        _ if all_minutes && all_hours => "Every minute".to_owned(),
        (_, Some((from, to))) if all_minutes => format!("Every minute from {} to {}", clock(from, 0), clock(to, 59)),
        _ if all_minutes && hours.len() == 1 => {
            let hour = hours.first().copied().unwrap_or_default();
            format!("Every minute from {} to {}", clock(hour, 0), clock(hour, 59))
        }
        _ if all_minutes => format!("Every minute of the hours {}", ranges(hours)),
        (Some(step), _) if all_hours => format!("Every {step} minutes"),
        _ if all_hours && minutes.len() == 1 && first == 0 => "Every hour".to_owned(),
        _ if all_hours => format!("At minute{} {} of every hour", plural(minutes), ranges(minutes)),
        _ if minutes.len() == 1 && interval(hours, 24).is_some() => {
            let step = interval(hours, 24).unwrap_or_default();
            let at = if first == 0 { String::new() } else { format!(", at minute {first}") };
            format!("Every {step} hours{at}")
        }
        (_, Some((from, to))) if minutes.len() == 1 && hours.len() > 3 => {
            format!("Every hour from {} to {}", clock(from, first), clock(to, first))
        }
        _ if minutes.len() == 1 || minutes.len() * hours.len() <= TIMES_MAX => {
            let all = hours.iter().flat_map(|hour| minutes.iter().map(|minute| clock(*hour, *minute)));
            format!("At {}", listed(&all.collect::<Vec<_>>()))
        }
        (Some(step), Some((from, to))) => {
            format!("Every {step} minutes from {} to {}", clock(from, 0), clock(to, 60 - step))
        }
        _ => format!("At minute{} {} of the hour{} {}", plural(minutes), ranges(minutes), plural(hours), ranges(hours)),
    }
}

/// `Some(15)` for 0, 15, 30, 45: the same distance everywhere, also from the last to the first of the next round.
fn interval(values: &Values, round: u32) -> Option<u32> {
    let count = u32::try_from(values.len()).ok().filter(|count| *count > 1 && round.is_multiple_of(*count))?;
    let step = round / count;
    (step > 1 && values.iter().eq(&(0..round).step_by(step as usize).collect::<Vec<_>>())).then_some(step)
}

/// The first and the last value, if there are several and none is left out between them.
fn run(values: &Values) -> Option<(u32, u32)> {
    let (from, to) = (*values.first()?, *values.last()?);
    (from < to && (to - from + 1) as usize == values.len()).then_some((from, to))
}

/// The days: those of the month, those of the week, or either where both are named.
fn day(of_month: &Days, of_week: &Days) -> Option<String> {
    let month = || {
        let mut names = Vec::new();
        if !of_month.values.is_empty() {
            names.push(format!("day{} {} of the month", plural(&of_month.values), ranges(&of_month.values)));
        }
        names.extend(of_month.others.iter().cloned());
        format!("on {}", listed(&names))
    };
    let week = || {
        let mut names = Vec::new();
        if of_week.values.len() == 7 {
            names.push("every day of the week".to_owned());
        } else {
            // From Monday to Sunday.
            let from_monday: Values = of_week.values.iter().map(|day| (day + 6) % 7).collect();
            names.extend(named(&from_monday, |day| WEEKDAYS[(day as usize + 1) % 7]));
        }
        names.extend(of_week.others.iter().cloned());
        format!("on {}", listed(&names))
    };
    let is_any = of_week.is_star || of_month.is_star && of_week.values.len() == 7;
    match (of_month.is_star, is_any) {
        (true, true) => None,
        (false, true) => Some(month()),
        (true, false) => Some(week()),
        (false, false) => Some(format!("{} or {}", month(), week())),
    }
}

fn month(months: &Values) -> Option<String> {
    (months.len() < 12).then(|| format!("in {}", listed(&named(months, |month| MONTHS[month as usize - 1]))))
}

/// Names of values, with runs of three or more as `Monday to Friday`.
fn named(values: &Values, name: impl Fn(u32) -> &'static str) -> Vec<String> {
    runs(values)
        .into_iter()
        .flat_map(|(from, to)| match to - from {
            0 => vec![name(from).to_owned()],
            1 => vec![name(from).to_owned(), name(to).to_owned()],
            _ => vec![format!("{} to {}", name(from), name(to))],
        })
        .collect()
}

/// Numbers, with runs of three or more as `8 to 18`.
fn ranges(values: &Values) -> String {
    let parts: Vec<String> = runs(values)
        .into_iter()
        .flat_map(|(from, to)| match to - from {
            0 => vec![from.to_string()],
            1 => vec![from.to_string(), to.to_string()],
            _ => vec![format!("{from} to {to}")],
        })
        .collect();
    listed(&parts)
}

/// The longest stretches without a gap.
fn runs(values: &Values) -> Vec<(u32, u32)> {
    let mut runs: Vec<(u32, u32)> = Vec::new();
    for &value in values {
        match runs.last_mut() {
            Some((_, to)) if *to + 1 == value => *to = value,
            _ => runs.push((value, value)),
        }
    }
    runs
}

fn plural(values: &Values) -> &'static str {
    if values.len() == 1 { "" } else { "s" }
}

/// `a`, `a and b`, `a, b and c`.
fn listed(parts: &[String]) -> String {
    match parts {
        [] => String::new(),
        [one] => one.clone(),
        [before @ .., last] => format!("{} and {last}", before.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use jiff::civil::date;
    use proptest::prelude::*;

    use crate::schedule::CronExpression;

    use super::*;

    #[test]
    fn every_shape_has_words() {
        for (expression, words) in [
            ("* * * * *", "Every minute"),
            ("*/15 * * * *", "Every 15 minutes"),
            ("0,15,30,45 * * * *", "Every 15 minutes"),
            ("*/7 * * * *", "At minutes 0, 7, 14, 21, 28, 35, 42, 49 and 56 of every hour"),
            ("*/60 * * * *", "Every hour"),
            ("0 * * * *", "Every hour"),
            ("5 * * * *", "At minute 5 of every hour"),
            ("3/20 * * * *", "At minutes 3, 23 and 43 of every hour"),
            ("0-29,45 * * * *", "At minutes 0 to 29 and 45 of every hour"),
            ("0,30 * * * *", "Every 30 minutes"),
            ("* 9 * * *", "Every minute from 09:00 to 09:59"),
            ("* 9-17 * * *", "Every minute from 09:00 to 17:59"),
            ("* 3,5 * * *", "Every minute of the hours 3 and 5"),
            ("0 */3 * * *", "Every 3 hours"),
            ("20 0-23/2 * * *", "Every 2 hours, at minute 20"),
            ("0 */5 * * *", "At 00:00, 05:00, 10:00, 15:00 and 20:00"),
            ("0 */24 * * *", "At 00:00"),
            ("0 0-23 * * *", "Every hour"),
            ("0 8,12,18 * * *", "At 08:00, 12:00 and 18:00"),
            ("15 8-18 * * *", "Every hour from 08:15 to 18:15"),
            ("0 22-2 * * *", "At 00:00, 01:00, 02:00, 22:00 and 23:00"),
            ("0,30 8,12 * * *", "At 08:00, 08:30, 12:00 and 12:30"),
            ("*/15 8-18 * * *", "Every 15 minutes from 08:00 to 18:45"),
            ("5,10,20 8-18 * * *", "At minutes 5, 10 and 20 of the hours 8 to 18"),
            ("0 9 * * 1,3,5", "At 09:00, on Monday, Wednesday and Friday"),
            ("0 9 * * mon-fri", "At 09:00, on Monday to Friday"),
            ("0 9 * * 1-5/2", "At 09:00, on Monday, Wednesday and Friday"),
            ("0 9 * * 0,6", "At 09:00, on Saturday and Sunday"),
            ("0 9 * * fri-mon", "At 09:00, on Monday and Friday to Sunday"),
            ("0 9 * * sun,7", "At 09:00, on Sunday"),
            ("0 9 * * 1-7", "At 09:00"),
            ("0 9 ? * 2", "At 09:00, on Tuesday"),
            ("0 9 * * 1#2", "At 09:00, on the second Monday of the month"),
            ("0 9 * * 5L", "At 09:00, on the last Friday of the month"),
            ("0 9 * * 1L,3#1", "At 09:00, on the first Wednesday of the month and the last Monday of the month"),
            ("0 9 1,15 * *", "At 09:00, on days 1 and 15 of the month"),
            ("0 9 1-7 * *", "At 09:00, on days 1 to 7 of the month"),
            ("0 9 1,15,L * *", "At 09:00, on days 1 and 15 of the month and the last day of the month"),
            ("0 9 LW * *", "At 09:00, on the last weekday of the month"),
            ("0 9 15W * *", "At 09:00, on the weekday nearest to day 15"),
            ("0 9 1 * 1", "At 09:00, on day 1 of the month or on Monday"),
            ("0 9 * jan-mar,jul *", "At 09:00, in January to March and July"),
            ("0 0 1 */3 *", "At 00:00, on day 1 of the month, in January, April, July and October"),
            ("59 23 31 12 *", "At 23:59, on day 31 of the month, in December"),
            ("@weekly", "At 00:00, on Sunday"),
            ("@quarterly", "At 00:00, on day 1 of the month, in January, April, July and October"),
        ] {
            assert_eq!(CronExpression::parse(expression).unwrap().describe(), words, "{expression}");
        }
    }

    /// What the words are made of, in which days are those that are meant.
    #[derive(Debug, Clone, PartialEq)]
    struct Meaning {
        values: [Values; 5],
        stars: (bool, bool),
    }

    fn meaning(text: &str) -> Meaning {
        let fields: Vec<&str> = text.split(' ').collect();
        let days = days_of_month(fields[2]).unwrap();
        let week = days_of_week(fields[4]).unwrap();
        let is_any = week.is_star || days.is_star && week.values.len() == 7;
        let of_week = if is_any { Values::new() } else { week.values };
        let [minutes, hours, months] =
            [(0, 0, 59), (1, 0, 23), (3, 1, 12)].map(|(at, min, max)| values(fields[at], min, max).unwrap());
        let of_month = if days.is_star { Values::new() } else { days.values };
        Meaning { values: [minutes, hours, of_month, months, of_week], stars: (days.is_star, is_any) }
    }

    fn field(min: u32, max: u32) -> impl Strategy<Value = String> {
        let number = min..=max;
        let item = prop_oneof![
            number.clone().prop_map(|value| value.to_string()),
            (number.clone(), number.clone()).prop_map(|(a, b)| format!("{}-{}", a.min(b), a.max(b))),
            (number.clone(), number.clone(), 1..7_u32).prop_map(|(a, b, s)| format!("{}-{}/{s}", a.min(b), a.max(b))),
            (number, 1..20_u32).prop_map(|(a, s)| format!("{a}/{s}")),
            (1..20_u32).prop_map(|step| format!("*/{step}")),
        ];
        prop_oneof![2 => Just("*".to_owned()), 3 => prop::collection::vec(item, 1..4).prop_map(|all| all.join(","))]
    }

    fn expression() -> impl Strategy<Value = String> {
        (field(0, 59), field(0, 23), field(1, 28), field(1, 12), field(0, 6))
            .prop_map(|(a, b, c, d, e)| format!("{a} {b} {c} {d} {e}"))
    }

    proptest! {
        /// The words tell of the days and times at which the expression fires, and of no others.
        #[test]
        fn words_are_about_what_fires(text in expression()) {
            let cron = CronExpression::parse(&text).unwrap();
            let Meaning { values: [minutes, hours, days, months, week], stars } = meaning(&text);
            let mut at = date(2027, 1, 1).at(0, 0, 0, 0);
            for _ in 0..40 {
                let next = cron.next_civil(at).unwrap();
                let is_one = |at: jiff::civil::DateTime| {
                    let number = |value: i8| value.unsigned_abs().into();
                    let of_month = days.contains(&number(at.day()));
                    let of_week = week.contains(&number(at.weekday().to_sunday_zero_offset()));
                    let is_day = match stars {
                        (true, true) => true,
                        (false, true) => of_month,
                        (true, false) => of_week,
                        (false, false) => of_month || of_week,
                    };
                    is_day && months.contains(&number(at.month())) && hours.contains(&number(at.hour()))
                        && minutes.contains(&number(at.minute()))
                };
                prop_assert!(is_one(next), "{} at {}", text, next);
                // None is left out in between, as far as it can be looked at quickly.
                let mut between = at;
                for _ in 0..200 {
                    between = between.checked_add(jiff::Span::new().minutes(1)).unwrap();
                    if between >= next {
                        break;
                    }
                    prop_assert!(!is_one(between), "{} not at {}", text, between);
                }
                at = next;
            }
        }

        /// What is told in the same words is the same.
        #[test]
        fn different_expressions_have_different_words(texts in prop::collection::vec(expression(), 40)) {
            let mut known: HashMap<String, Meaning> = HashMap::new();
            for text in texts {
                let words = CronExpression::parse(&text).unwrap().describe();
                let meant = meaning(&text);
                let before = known.entry(words.clone()).or_insert_with(|| meant.clone());
                prop_assert_eq!(&*before, &meant, "{}: {}", text, words);
            }
        }
    }
}
