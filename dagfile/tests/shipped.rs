//! The DAGs that are shipped as examples.

use std::path::Path;

#[test]
fn every_shipped_dag_is_good() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../dags");
    let scan = flow_dagfile::Folder::new(&folder).scan().unwrap();
    assert!(scan.total >= 6);
    for file in &scan.changed {
        assert!(file.result.is_ok(), "{}", flow_dagfile::render(file, false));
        let parsed = file.result.as_ref().unwrap();
        assert!(parsed.warnings.is_empty(), "{}", flow_dagfile::render(file, false));
        assert!(parsed.dag.description.is_some(), "{} has no description", file.path);
    }
}
