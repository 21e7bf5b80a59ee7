//! `groupby`, as Jinja has it: pairs of what the items have in common and the items; and `dict`, which makes a table of pairs.

use std::sync::Arc;

use minijinja::value::{Enumerator, Kwargs, Object, ObjectRepr, ValueKind};
use minijinja::{Environment, Error, State, Value};

use super::texts::attribute;
use crate::arguments::invalid;
use crate::operators::comparable;

pub(super) fn add_filters(environment: &mut Environment<'_>) {
    environment.add_filter("groupby", groupby);
    environment.add_function("dict", dict);
}

/// A pair: `{% for grouper, list in ... %}`, or `.grouper` and `.list`.
#[derive(Debug)]
pub(crate) struct Group {
    grouper: Value,
    list: Value,
}

impl Object for Group {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Seq
    }

    fn get_value(self: &Arc<Self>, key: &Value) -> Option<Value> {
        match (key.as_usize(), key.as_str()) {
            (Some(0), _) | (_, Some("grouper")) => Some(self.grouper.clone()),
            (Some(1), _) | (_, Some("list")) => Some(self.list.clone()),
            _ => None,
        }
    }

    fn enumerate(self: &Arc<Self>) -> Enumerator {
        Enumerator::Seq(2)
    }
}

fn groupby(state: &State<'_, '_>, values: Value, by: Option<Value>, named: Kwargs) -> Result<Value, Error> {
    let path = match by {
        Some(path) => path,
        None => named.get("attribute")?,
    };
    let default: Option<Value> = named.get("default")?;
    let is_case_sensitive = named.get::<Option<bool>>("case_sensitive")?.unwrap_or(false);
    named.assert_all_used()?;
    let mut items = Vec::new();
    for item in values.try_iter()? {
        state.consume_fuel(1)?;
        let key = match attribute(&item, Some(&path)) {
            Ok(found) if !found.is_undefined() => found,
            found => default.clone().map_or(found, Ok)?,
        };
        if key.is_undefined() {
            let why = format!("an item has no `{path}` to group by; `default=` says what counts for it");
            return Err(invalid(why));
        }
        let compared = match key.as_str() {
            Some(text) if !is_case_sensitive => Value::from(text.to_lowercase()),
            _ => key.clone(),
        };
        items.push((compared, key, item));
    }
    items.iter().zip(items.iter().skip(1)).try_for_each(|(one, other)| comparable("groupby", &one.0, &other.0))?;
    items.sort_by(|one, other| one.0.cmp(&other.0));
    let groups = items.chunk_by(|one, other| one.0 == other.0).map(|group| {
        let list: Vec<Value> = group.iter().map(|(_, _, item)| item.clone()).collect();
        Value::from_object(Group { grouper: group[0].1.clone(), list: Value::from(list) })
    });
    Ok(groups.collect::<Vec<_>>().into())
}

/// Python's `dict`: of a table, or of pairs, and of names.
fn dict(state: &State<'_, '_>, of: Option<Value>, named: Kwargs) -> Result<Value, Error> {
    let mut entries: Vec<(Value, Value)> = Vec::new();
    if let Some(of) = of {
        let is_table = of.kind() == ValueKind::Map;
        for item in of.try_iter()? {
            state.consume_fuel(1)?;
            entries.push(match is_table {
                true => (item.clone(), of.get_item(&item)?),
                false => pair(&item)?,
            });
        }
    }
    for name in named.args() {
        entries.push((Value::from(name), named.get(name)?));
    }
    Ok(Value::from_pairs(entries))
}

fn pair(item: &Value) -> Result<(Value, Value), Error> {
    let parts: Vec<Value> = item.try_iter()?.collect();
    match <[Value; 2]>::try_from(parts) {
        Ok([key, value]) => Ok((key, value)),
        Err(parts) => Err(invalid(format!("`dict` takes pairs, not {} values", parts.len()))),
    }
}
