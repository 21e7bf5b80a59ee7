//! Parameters in SQL: what is missing whichever database it is, and what may be one somewhere.

use flow_model::sql::{Dialect, Misfit, Readings, Script};
use proptest::prelude::*;

#[test]
fn what_is_a_parameter_somewhere_only_is_neither_missing_nor_unused() {
    for text in ["select [:a]", "select $$ :a $$", "select 1 # :a", r"select '\' || :a || '\'"] {
        let readings = Readings::of(&Dialect::ALL, text);
        assert!(readings.faults(|_| false).is_empty(), "{text}");
        assert!(readings.may_name("a"), "{text}");
    }
    let nowhere = Readings::of(&Dialect::ALL, "select ':a', \":a\", 1::a -- :a\n, v[1:a], '10:a' /* :a */");
    assert!(!nowhere.may_name("a"));
    let everywhere = Readings::of(&Dialect::ALL, "select :a; select :b");
    let missing = everywhere.faults(|name| name == "b");
    assert_eq!(
        missing.iter().map(|fault| (fault.misfit, fault.range.clone())).collect::<Vec<_>>(),
        [(Misfit::NotGiven, 7..9)]
    );
}

proptest! {
    /// What the check refuses without knowing the database, each of them refuses in the run.
    #[test]
    fn what_is_refused_beforehand_is_refused_by_every_database(
        text in r#"([a-z:;'"`$\[\]/*\\#?@ -]|:a|:b|--|\$\$|/\*|\*/|\n|create |delimiter //|::){0,30}"#
    ) {
        let faults = Readings::of(&Dialect::ALL, &text).faults(|name| name == "a");
        for dialect in Dialect::ALL {
            let in_the_run = Script::read(dialect, &text).faults(|name| name == "a");
            for fault in &faults {
                prop_assert!(in_the_run.contains(fault), "{dialect:?} runs {:?}", &text[fault.range.clone()]);
            }
        }
    }
}
