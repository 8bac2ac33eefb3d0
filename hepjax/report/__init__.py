"""Pages, plots and score files; knows arrays and figures, no workload."""
