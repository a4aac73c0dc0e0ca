//! Results as a table for a terminal and for docs/specification.md.

/// Lines of a Markdown table; the first row is the heading.
pub fn markdown(rows: &[Vec<String>]) -> String {
    let columns = rows.first().map_or(0, Vec::len);
    let width = |column: usize| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..columns).map(width).collect();
    let mut text = String::new();
    for (index, row) in rows.iter().enumerate() {
        for (cell, width) in row.iter().zip(&widths) {
            text.push_str(&format!("| {cell:<width$} "));
        }
        text.push_str("|\n");
        if index == 0 {
            text.push_str(&widths.iter().map(|width| format!("|{}", "-".repeat(width + 2))).collect::<String>());
            text.push_str("|\n");
        }
    }
    text
}

/// The middle value.
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(f64::NAN)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians_and_columns() {
        for (values, expected) in [(&[3.0, 1.0, 2.0][..], 2.0), (&[5.0][..], 5.0)] {
            assert_eq!(median(values), expected, "row {values:?}");
        }
        let rows = [vec!["a".to_owned(), "bb".to_owned()], vec!["ccc".to_owned(), "d".to_owned()]];
        assert_eq!(markdown(&rows), "| a   | bb |\n|-----|----|\n| ccc | d  |\n");
    }
}
