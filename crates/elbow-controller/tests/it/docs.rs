//! The reference page of the metrics is what the program has.

use std::path::Path;

#[test]
fn the_page_of_metrics_is_made_of_the_table() {
    let mut page = String::from(
        "# Metrics\n\nMade from the table in `elbow-controller`; a test fails when this page is stale \
         (`ELBOW_UPDATE_GOLDEN=1 cargo test -p elbow-controller --test it docs` writes it).\n\n\
         `/metrics` answers on `--metrics-bind-addr` in the OpenMetrics format. Where the AWS Load Balancer\n\
         Controller has a metric of the same meaning, the name is its own.\n\n\
         | name | labels | what it tells |\n|---|---|---|\n",
    );
    for row in elbow_controller::TABLE {
        let labels: Vec<String> = row
            .labels
            .split(", ")
            .filter(|label| !label.is_empty())
            .map(|label| format!("`{label}`"))
            .collect();
        page.push_str(&format!(
            "| `{}` | {} | {} |\n",
            row.name,
            labels.join(", "),
            row.help
        ));
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let file = root.join("docs/reference/metrics.md");
    if std::env::var_os("ELBOW_UPDATE_GOLDEN").is_some() {
        std::fs::write(&file, &page).unwrap();
    }
    let held = std::fs::read_to_string(&file).unwrap_or_default();
    assert!(held == page, "docs/reference/metrics.md is stale");
}
