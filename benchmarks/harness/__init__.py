"""What all benchmarks share: groups, rows, clocks, tables, plots, comparison."""
